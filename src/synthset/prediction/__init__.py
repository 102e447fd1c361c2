"""Models in use: images of any kind, without labels, to class names and probabilities."""
