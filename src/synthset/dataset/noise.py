"""Shared noise: which images of datasets were drawn on the same noise, so that they differ by what was asked alone."""

from __future__ import annotations

from dataclasses import dataclass

from synthset.core.errors import DataError, setting
from synthset.dataset.reader import Dataset


@dataclass(frozen=True)
class Noise:
    """What the noise of a dataset depends on, beside an image's number: datasets with one of these share it.

    Attributes:
        seed: of the run.
        weights_hash: of the model, which decides the shape of the noise, with height and width in pixels.
    """

    seed: int
    weights_hash: str
    height_px: int
    width_px: int


def noise_of(dataset: Dataset) -> Noise | None:
    """The noise that a dataset's images share; None where each has its own."""
    job = dataset.manifest["job"]
    if job.get("shared_noise") is not True:
        return None
    return Noise(job.get("seed"), *(job["generation"].get(key) for key in ("weights_hash", "height_px", "width_px")))


def check_noise(dataset: Dataset, other: Dataset | None = None) -> None:
    """Raise DataError for a dataset whose images have noise of their own, or other noise than those of another."""
    noise, first = noise_of(dataset), None if other is None else noise_of(other)
    if noise is None:
        raise DataError(
            f"Expected images on shared noise in '{dataset.folder}', each has its own. Draw them into another folder "
            f"with {setting('shared_noise', True)}."
        )
    if other is None or noise == first:
        return
    pairs = {name: (getattr(first, name), value) for name, value in vars(noise).items()}
    texts = [f"{name}: {old} there, {new} here" for name, (old, new) in pairs.items() if old != new]
    raise DataError(
        f"Expected '{dataset.folder}' on the noise of '{other.folder}', it is another ({'; '.join(texts)}). Draw both "
        "by one model, at one size, from one seed."
    )
