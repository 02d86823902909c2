"""Layer 2: recordings to shards, shards to batches."""
