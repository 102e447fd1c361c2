"""A random Stable Diffusion model, and what the commands make of it."""

import numpy as np
import pytest
from one_two import CLASSES
from PIL import Image

from synthset.cli import main


@pytest.fixture(scope="session")
def dataset(tiny, tmp_path_factory):
    """Two classes, 4 images each of every strategy."""
    folder = tmp_path_factory.mktemp("datasets") / "one-two"
    line = ["create", *CLASSES, "--strategy", "all_combined", "--images-per-class", "4", "--steps", "2"]
    assert main([*line, "--generator", str(tiny), "--output-dir", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def model(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifiers") / "one-two"
    line = ["train", str(dataset), "--model", "small_cnn", "--epochs", "1", "--batch-size", "8"]
    assert main([*line, "--output-dir", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    """Three images of each of the two classes, as an image folder."""
    folder = tmp_path_factory.mktemp("real")
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        (folder / name).mkdir()
        for i in range(3):
            Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture
def create(run, tiny):
    """`synthset create` with the random checkpoint, two steps, and one image a class unless told otherwise."""

    def create_line(*words, classes=CLASSES):
        counted = {"--images-per-class", "--images_per_class", "--n_samples", "--config", "--dataset"} & set(words)
        count = () if counted else ("--images-per-class", "1")
        steps = () if {"--steps", "--ddim_steps"} & set(words) else ("--steps", "2")
        return run("create", *classes, *words, *count, *steps, "--generator", tiny)

    return create_line
