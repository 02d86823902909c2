"""What needs no learning: hand-made features, the motion envelope."""
