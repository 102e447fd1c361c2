"""CLIP classifier tuning: from the zero-shot classifier on, with synthetic images, and a few real ones or none.

He et al. 2023, sections 3.1 and 3.2. The image encoder stays as it is by default, so images become vectors once,
and what is tuned is one linear layer that begins as the text vectors of the classes.

    config.py           what is tuned and how
    stage.py            the stage: data in, a folder with a model out
    head.py             the classifier, as the texts of the classes make it
    losses.py           cross-entropy, and that with soft targets
    features.py         images as vectors or as pixels, in memory or on disk
    few_shot.py         shots, the test part they are never drawn from, strategies, and the steps of mixing and phases
    encoder_tuning.py   more than the classifier: the top of the encoder, BatchNorm
    loop.py             steps, one cosine, the choice of the checkpoint
    saving.py           the model's folder, written and read; testing it on real images
    curve.py            tuning over shots and seeds, with and without synthetic images; curve_chart.py draws it
"""
