"""Evaluation: a model of any kind to its accuracy on real images."""
