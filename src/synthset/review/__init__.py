"""Review: a page on this machine on which a person looks at the images of a dataset and judges them.

opened dataset ─▶ contents, columns for the page ─┐
thumbnails, from the shards, a bounded cache     ─┼▶ server on 127.0.0.1 ─▶ page/: HTML, CSS and scripts of ours
decisions ◀── keep, reject, relabel, undo        ─┘
    └▶ filters/review.parquet, relabels.parquet: train, export and diagnose obey them at once

config.py      its options
contents.py    what the page lists of a dataset, compactly
thumbnails.py  small pictures of images
decisions.py   what a person said, kept at once, beside what others say meanwhile
neighbours.py  the nearest images, synthetic and real, by an encoder
phrases.py     the phrases of classes, edited
previews.py    a few images of a class by another phrase
work.py        work in the background, with progress
session.py     all of these for one dataset
guard.py       who may ask the server for anything
server.py      the addresses of the page
stage.py       serving it until it is stopped
"""

from synthset.review.config import ReviewConfig
from synthset.review.stage import ReviewResult, review

__all__ = ["ReviewConfig", "ReviewResult", "review"]
