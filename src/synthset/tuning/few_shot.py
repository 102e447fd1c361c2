"""Few-shot tuning: the real images that are drawn, and the synthetic ones that go with them.

real set ─┬▶ pool ─▶ M shots of each class ─┐
          └▶ test part, never read here     ├▶ phases.py
dataset ──▶ as the use of the shots says ───┘
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence

import numpy as np
import torch

from synthset.core.errors import DataError, UsageError, setting
from synthset.dataset.reader import Dataset
from synthset.filters.real import nearest_real
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImagePath, ImageSource
from synthset.real.few_shot import readable_shots
from synthset.real.learning import few_shot_pool
from synthset.real.matching import with_classes
from synthset.tuning.config import USES_OF_SHOTS, TuneConfig
from synthset.tuning.features import BLOCK, Features

log = logging.getLogger("synthset")


def draw_shots(real: ImageSource, class_names: Sequence[str] | None, shots: int, seed: int) -> ImageSet:
    """M real images of each class that can be read, from the part of a real set that testing never reads.

    The same as `create` begins at, given the set as `initial_images`, the shots, and the seed as `shots_seed`.
    Args:
        class_names: label order of the result; None for the real set's own.
    Raises:
        UsageError: other classes, or a class with fewer images than shots.
        DataError, UnknownNameError: no such set, or one that cannot be read.
    """
    pool = few_shot_pool(real)
    strict = not isinstance(real, ImageSet) and ImagePath.of(real).opening.strict
    return readable_shots(pool if class_names is None else with_classes(pool, class_names), shots, seed, strict=strict)


def hash_images(images: ImageSet) -> list[str]:
    """SHA-256 of each image's file, in hexadecimal."""
    return [hashlib.sha256(images.read(row)).hexdigest() for row in range(len(images))]


def check_initial_images(dataset: Dataset | None, shots: ImageSet | None, config: TuneConfig, real: str) -> None:
    """Refuse images that were drawn from more real images than there are shots, or not from them.

    Args:
        dataset: the synthetic images; None where they are no Synthset dataset.
        shots: None in zero-shot tuning.
        real: name of the real set.
    Raises:
        UsageError: real guidance without a dataset that was drawn so, or by other images.
    """
    drawn_from = set(dataset.initial_images()) if dataset is not None else set()
    settings = (("initial_images", real), ("shots", config.shots), ("shots_seed", config.seed))
    remedy = f"Draw them by 'synthset create' with {' '.join(setting(name, value) for name, value in settings)}."
    if USES_OF_SHOTS[config.use_of_shots].guides and not drawn_from:
        name = f"'{dataset.folder}'" if dataset is not None else "the images"
        raise UsageError(
            f"Expected images that were drawn from the shots for {config.use_of_shots}, got others in {name}. {remedy}"
        )
    if shots is None and drawn_from:
        log.warning("The images were drawn from %d real images: this is no zero-shot tuning.", len(drawn_from))
    elif shots is not None and drawn_from and (others := drawn_from.difference(hash_images(shots))):
        raise UsageError(
            f"Expected images drawn from none but the {len(shots)} real images of {config.shots} shots (seed "
            f"{config.seed}) of '{real}', got ones drawn from {len(others)} others. {remedy}"
        )


def filter_by_shots(synthetic: Features, shots: Features) -> np.ndarray:
    """Real filtering: the rows that are nearer to a shot of their own class than to any of another.

    He et al. 2023, section 3.2 (RF), by the rule of filters/real.py.
    Returns:
        bool (n,).
    """
    keep = np.zeros(len(synthetic), bool)
    real_vectors, real_labels = torch.from_numpy(np.array(shots.vectors)), torch.tensor(shots.labels)
    for rows in torch.arange(len(synthetic)).split(BLOCK):
        labels = torch.from_numpy(synthetic.labels[rows])
        own, other, _ = nearest_real(synthetic.read(rows.numpy()), labels, real_vectors, real_labels)
        keep[rows] = own > other
    if not keep.any():
        raise DataError(
            f"Expected images of '{synthetic.images.name}' that are nearest to shots of their own class, found none. "
            f"Give {setting('use_of_shots', 'basic')}, or more shots."
        )
    return keep
