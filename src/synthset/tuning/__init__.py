"""CLIP classifier tuning: from the zero-shot classifier on, with synthetic images, and a few real ones or none.

He et al. 2023, sections 3.1 and 3.2. The image encoder stays as it is by default, so images become vectors once,
and what is tuned is one linear layer that begins as the text vectors of the classes.
"""
