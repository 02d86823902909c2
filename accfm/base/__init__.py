"""Layer 0: checks, keys, configs and meshes that everything else uses."""
