"""Layer 2: pure training steps, one factory per objective."""
