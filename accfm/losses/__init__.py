"""Layer 1: losses, one value per example."""
