"""Measures of embeddings: pure tensor functions, each with its paper and equation."""
