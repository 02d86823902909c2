"""Layer 1: encoders, decoders and heads (flax.linen)."""
