"""Two classes of flat pictures, and filters that tell them apart by their colours: what the tests of filters share."""

import pyarrow.parquet as pq

import synthset
from parity_encoder import ParityEncoder
from synthset.dataset.verdicts import verdicts_path
from synthset.filters import FilterConfig, FilterInputs, filter_dataset
from synthset.testing import FakeGenerator

CLASSES = ("cat", "dog")


def make(folder, classes=CLASSES, **options):
    options = {"strategies": ("base", "random_guidance"), "images_per_class": 10} | options
    return synthset.create(classes, folder, generator=FakeGenerator(), **options).dataset.folder


def run(folder, methods=("clip",), classes=CLASSES, **options):
    return filter_dataset(folder, methods, encoder=ParityEncoder(tuple(classes)), **options)


def inputs(config=None, real=None, classes=CLASSES):
    return FilterInputs(config or FilterConfig(), ParityEncoder(tuple(classes)), None, real)


def verdicts(folder, method="clip"):
    return pq.read_table(verdicts_path(folder, method))
