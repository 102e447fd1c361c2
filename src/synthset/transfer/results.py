"""What a transfer gives: a trial a seed, and all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from synthset.core.json_records import Count, Seconds, Share

MARKER, RESULT = "transfer-job.json", "transfer.json"


@dataclass(frozen=True)
class Attempt:
    """Settings that were tried, and how they did on held-out training images.

    Attributes:
        settings: by name.
        accuracy, loss: on the held-out images; None where the training came to no end, or there is no loss.
    """

    settings: Mapping[str, float | None]
    accuracy: Share | None = None
    loss: float | None = None


@dataclass(frozen=True)
class Trial:
    """A seed of a transfer.

    Attributes:
        num_training: images that the tested model learned from.
        chosen: the settings of the best attempt.
        held_out_accuracy: of the best attempt, in [0, 1]; None where nothing was chosen.
        attempts: all that was tried; empty where there was one setting, or too few images to hold any out.
        score: accuracy on the test images, or its mean over classes where the field uses that, in [0, 1].
        low, high: 95 % interval of the accuracy over the test images.
        n: test images.
    """

    seed: Count
    num_training: Count
    chosen: Mapping[str, float | None]
    held_out_accuracy: Share | None
    attempts: tuple[Attempt, ...]
    score: Share
    low: Share
    high: Share
    n: Count
    seconds: Seconds


@dataclass(frozen=True)
class TransferResult:
    """A backbone on a real set.

    Attributes:
        folder: of the results, with models/seed-N, which are classifiers but for knn.
        model: as it was given.
        mode: a key of MODES.
        seen: what its weights learned from, in words; empty for random ones.
        shots: training images a class; None for all.
        trials: a seed each.
        score, low, high: mean over seeds with its 95 % interval, which for one seed is that over the test images.
    """

    folder: Path
    model: str
    architecture: str
    mode: str
    real: str
    seen: str
    shots: int | None
    trials: tuple[Trial, ...]
    score: float
    low: float
    high: float


def best_of(attempts: Sequence[Attempt]) -> Attempt:
    """The attempt with the highest accuracy; of several the lowest loss; of several the first.

    Raises:
        ValueError: none that came to an end.
    """
    ended = [attempt for attempt in attempts if attempt.accuracy is not None]
    if not ended:
        raise ValueError("Expected an attempt that came to an end, got none.")
    return min(ended, key=lambda one: (-(one.accuracy or 0.0), one.loss if one.loss is not None else 0.0))
