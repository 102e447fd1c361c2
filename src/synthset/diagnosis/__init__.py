"""Diagnosis: why a synthetic set falls short, by measures of its images and prompts in CLIP space.

Nothing is imported here: take each from its file.
"""
