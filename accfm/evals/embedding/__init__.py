"""Embeddings of a split: made, kept, described."""
