"""Datasets and strategies compared by the classifiers that learn from them: over architectures, seeds and real sets."""
