"""CLIP classifier tuning: from the zero-shot classifier on, with synthetic images, and a few real ones or none.

He et al. 2023, sections 3.1 and 3.2. The image encoder stays as it is by default, so images become vectors once,
and what is tuned is one linear layer that begins as the text vectors of the classes.

    config.py           options, losses and orders by name
    stage.py            the stage: data in, a folder with a model out
    inputs.py           images opened and checked
    few_shot.py         shots, the test part they are never drawn from, and what they do for synthetic images
    head.py             the classifier, as the texts of the classes make it
    features.py         images as vectors or as pixels, in memory or on disk
    encoder_tuning.py   more than the classifier: the top of the encoder, BatchNorm
    phases.py           sources of images, and the order of both
    losses.py           cross-entropy, and that with soft targets
    loop.py             steps, one cosine, the choice of the checkpoint
    saving.py           the model's folder, written and read
    results.py          training.json
    evaluate.py         a tuned classifier, and zero-shot CLIP beside it, on real images
    zero_shot.py        a CLIP as it came
    baselines.py        methods to compare with, at equal shots
    curve.py            tuning over shots and seeds; curve_results.py holds and writes it, curve_chart.py draws it
"""
