"""Layer 3: the loop, optimiser, checkpoints and metric writers."""
