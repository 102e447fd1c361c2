"""Measures: pure functions of embeddings and labels, one family a file, each with its paper and equation.

They check their input (checks.py) and raise ValueError in one line where it has no meaning. registry.py declares those
that a diagnosis takes, points.py holds what it takes them of. Nothing is imported here: take each from its file.
"""
