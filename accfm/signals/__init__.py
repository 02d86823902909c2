"""Layer 1: recordings, windows, labels, quality and augmentation."""
