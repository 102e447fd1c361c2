"""Failure modes by class: a verdict and a remedy, from the shares of real and synthetic images that CLIP recognises.

Marwood et al. 2023, Table 4, tell two failures apart by testing both kinds of images against the prompts:

    real images   synthetic images   verdict
    low           low                CLIP misreads the prompt        ("hammer": 14 % and 16 %)
    low           as others          the synthetic concept is shifted  ("nail": 58 % and 84 %)
    as others     low                the generator cannot draw it
    as others     as others          see below

Where both are recognised, real images are tested against the centroids of the synthetic ones, which is what a
classifier learns from. A class that is low there is too uniform if its images scatter much less than the real
ones, and shifted otherwise. "Low" is by more than `MARGIN` below the mean over classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MARGIN = 0.1  # of accuracy below the mean: "nail" with 12 points is the paper's mildest example
UNIFORM = 0.5  # share of the real images' Centroid Distance below which a class counts as too uniform
WEAK_ENCODER = 0.6  # mean accuracy on real images below which the encoder is no good judge of them


@dataclass(frozen=True)
class Verdict:
    """A failure mode in words, and its remedy."""

    name: str
    explanation: str  # a sentence that holds for any class with this verdict
    remedy: str  # the change that should help


FINE = Verdict("fine", "Real and synthetic images are recognised as well as those of other classes.", "")
MISREAD = Verdict(
    "CLIP misreads the prompt",
    "Neither real nor synthetic images are near their prompt: it means something else to CLIP.",
    "Clarify the class with a phrase (create --phrases).",
)
SHIFTED = Verdict(
    "synthetic concept is shifted",
    "The synthetic images agree with each other, but show another concept than the real ones.",
    "Clarify the class with a phrase (create --phrases), then filter what still differs (filter --method clip).",
)
CANNOT_DRAW = Verdict(
    "generator cannot draw it",
    "CLIP recognises real images of the class by its prompt, but not the synthetic ones.",
    "Filter with refill (create --refill clip), raise the guidance if it is below 2.5, or use another generator.",
)
UNIFORM_CLASS = Verdict(
    "too little diversity",
    "The synthetic images are right, but scatter far less than the real ones.",
    "Lower the guidance (--guidance-scale 2.5 or 1:5) or augment the prompts (--strategy prompt_augmentation).",
)
UNCLEAR = Verdict(
    "synthetic images are not recognised",
    "Without real images it cannot be told whether CLIP misreads the prompt or the generator fails.",
    "Give real images (diagnose --real), or look at the gallery.",
)
VERDICTS = (FINE, MISREAD, SHIFTED, CANNOT_DRAW, UNIFORM_CLASS, UNCLEAR)


def judge(measures: Mapping[str, Any]) -> list[Verdict]:
    """A verdict a class, in order.

    Args:
        measures: by name of a measure of a class, see measures/registry.py, its values for each class. Read are
            synthetic_accuracy and centroid_distance, and with real images real_accuracy, transfer_accuracy and
            real_centroid_distance; None for these without.
    Example:
        The two classes of the paper's Table 4 among three that are as they should be.

        >>> names = ("hammer", "nail", "jay", "crane", "quail")
        >>> measures = dict(
        ...     synthetic_accuracy=(0.16, 0.84, 0.9, 0.9, 0.9),
        ...     centroid_distance=(2.0, 2.0, 2.0, 2.0, 0.5),
        ...     real_accuracy=(0.14, 0.58, 0.9, 0.9, 0.9),
        ...     transfer_accuracy=(0.1, 0.4, 0.9, 0.9, 0.3),
        ...     real_centroid_distance=(3.0, 3.0, 3.0, 3.0, 3.0),
        ... )
        >>> for name, verdict in zip(names, judge(measures)):
        ...     print(name, "-", verdict.name)
        hammer - CLIP misreads the prompt
        nail - synthetic concept is shifted
        jay - fine
        crane - fine
        quail - too little diversity
    """
    drawn_low = _low(measures["synthetic_accuracy"])
    if measures["real_accuracy"] is None:
        return [UNCLEAR if low else FINE for low in drawn_low]
    real_low, transfer_low = _low(measures["real_accuracy"]), _low(measures["transfer_accuracy"])
    distances = measures["centroid_distance"], measures["real_centroid_distance"]
    return [_judge_one(*row) for row in zip(real_low, drawn_low, transfer_low, *distances, strict=True)]


def doubts(real_accuracy: float | None) -> list[str]:
    """Reasons for a reader to be cautious of the verdicts, a sentence each.

    Args:
        real_accuracy: of real images against the prompts, mean over classes; None without real images.
    """
    if real_accuracy is None:
        return ["Without real images the verdicts cannot tell what CLIP misreads from what the generator cannot draw."]
    if real_accuracy < WEAK_ENCODER:
        return [
            f"The encoder recognises only {real_accuracy:.0%} of the real images by these prompts, so it is a weak "
            "judge: look at the galleries before you act on a verdict."
        ]
    return []


def _judge_one(real_low: bool, drawn_low: bool, transfer_low: bool, distance: float, real_distance: float) -> Verdict:
    if real_low:
        return MISREAD if drawn_low else SHIFTED
    if drawn_low:
        return CANNOT_DRAW
    if not transfer_low:
        return FINE
    return UNIFORM_CLASS if distance < UNIFORM * real_distance else SHIFTED


def _low(accuracies: Sequence[float]) -> list[bool]:
    mean = sum(accuracies) / len(accuracies)
    return [accuracy < mean - MARGIN for accuracy in accuracies]
