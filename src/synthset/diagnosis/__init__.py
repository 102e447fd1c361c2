"""Diagnosis: why a synthetic set falls short, by measures of its images and prompts in CLIP space.

Measures are pure functions of embeddings and labels, one family a file; they check their input (checks.py) and
raise ValueError in one line where it has no meaning. Nothing is imported here: take each from its file.
"""
