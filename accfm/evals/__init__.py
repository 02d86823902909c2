"""Layer 3: embeddings of a split and what is measured on them."""
