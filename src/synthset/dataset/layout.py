"""The files of a dataset's folder, which is a Hugging Face dataset repository made of atomic shards.

    manifest.json         the job, the libraries and the accounting, see manifest.py
    plan.parquet          every request; plan-refill-00.parquet … those of further rounds, see refill.py
    real-images.parquet   the real images that drawing made use of, where there are any, see real_guidance.py
    sentences.jsonl       the sentences of language enhancement, where there are any, see sentences/cache.py
    data/train-*.parquet  the images with all that each depended on, one file a shard of the plan
    failures.parquet      what could not be drawn, and why
    filters/*.parquet     what filters said about each image, see verdicts.py; review.parquet by hand, see by_hand.py
    relabels.parquet      classes of images that are not those they were drawn for, where there are any, see relabels.py
    README.md             the dataset card
    preview.png           a contact sheet, classes × strategies

A shard that exists is complete: its failures travel in its own metadata, so one rename commits both.
"""

from __future__ import annotations

INITIAL_IMAGES_FILE = "real-images.parquet"
