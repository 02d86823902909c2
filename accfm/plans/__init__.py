"""Layer 4: a training step compiled ahead of time, its cost and its limits."""
