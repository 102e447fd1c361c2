"""CLIP encoders, and embeddings that are computed once."""
