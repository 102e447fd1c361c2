"""Text-to-image generators: requests in, images with a status out.

base.py       the seam: requests to a generator, and its answers
loading.py    a generator by name, folder or hub id

Weights are read from safetensors files only and a checkpoint's own code is never run.
"""
