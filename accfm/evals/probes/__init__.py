"""What linear models on frozen embeddings predict."""
