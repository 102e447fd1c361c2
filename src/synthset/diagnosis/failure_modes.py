"""Failure modes by class: a verdict and a remedy, from the shares of real and synthetic images that CLIP recognises.

Marwood et al. 2023, Table 4, tell two failures apart by testing both kinds of images against the prompts:

    real images   synthetic images   verdict
    low           low                CLIP misreads the prompt        ("hammer": 14 % and 16 %)
    low           as others          the synthetic concept is shifted  ("nail": 58 % and 84 %)
    as others     low                the generator cannot draw it
    as others     as others          see below

Of images whose prompts are not known, nothing is said of prompts: a class whose images are nearer to other classes'
centroids than to its own mixes with these.

Where both are recognised, or nothing mixes, real images are tested against the centroids of the synthetic ones, which
is what a classifier learns from. A class that is low there is too uniform if its images scatter much less than the real
ones, and shifted otherwise. "Low" is by more than `MARGIN` below the mean over classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synthset.core.errors import some

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
MIXED = Verdict(
    "synthetic images mix with other classes",
    "Images of the class are nearer to the centre of another class's synthetic images than to that of their own.",
    "Look at the gallery, and filter what shows another class (filter --method clip).",
)
UNCLEAR = Verdict(
    "synthetic images are not recognised",
    "Without real images it cannot be told whether CLIP misreads the prompt or the generator fails.",
    "Give real images (diagnose --real), or look at the gallery.",
)
VERDICTS = (FINE, MISREAD, SHIFTED, CANNOT_DRAW, UNIFORM_CLASS, MIXED, UNCLEAR)


def judge(measures: Mapping[str, Any]) -> list[Verdict]:
    """A verdict a class, in order.

    Args:
        measures: by name of a measure of a class, see measures/registry.py, its values for each class. Read are
            own_accuracy, centroid_distance, with prompts synthetic_accuracy, and with real images real_accuracy,
            transfer_accuracy and real_centroid_distance; None for what there is not.
    Example:
        The two classes of the paper's Table 4 among three that are as they should be.

        >>> names = ("hammer", "nail", "jay", "crane", "quail")
        >>> measures = dict(
        ...     own_accuracy=(0.9, 0.9, 0.9, 0.9, 0.9),
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
    has_prompts, has_real = (measures[name] is not None for name in ("synthetic_accuracy", "transfer_accuracy"))
    drawn_low = _low(measures["synthetic_accuracy" if has_prompts else "own_accuracy"])
    low_verdict = CANNOT_DRAW if has_prompts and has_real else UNCLEAR if has_prompts else MIXED
    if not has_real:
        return [low_verdict if low else FINE for low in drawn_low]
    real_low = _low(measures["real_accuracy"]) if has_prompts else [False] * len(drawn_low)
    transfer_low = _low(measures["transfer_accuracy"])
    distances = measures["centroid_distance"], measures["real_centroid_distance"]
    rows = zip(real_low, drawn_low, transfer_low, *distances, strict=True)
    return [_judge_one(low_verdict, *row) for row in rows]


def doubts(real_accuracy: float | None, *, has_real: bool, without_prompts: Sequence[str] = ()) -> list[str]:
    """Reasons for a reader to be cautious of the verdicts, a sentence each.

    Args:
        real_accuracy: of real images against the prompts, mean over classes; None without either.
        has_real: whether there are real images.
        without_prompts: names of the sets whose prompts are not known.
    """
    found = []
    if without_prompts:
        found.append(
            f"No prompts are known of {some(without_prompts)}: the verdicts there are by the images alone, and say "
            "nothing of how a prompt is read."
        )
    if not has_real:
        found.append(
            "Without real images the verdicts cannot tell what CLIP misreads from what the generator cannot draw."
        )
    elif real_accuracy is not None and real_accuracy < WEAK_ENCODER:
        found.append(
            f"The encoder recognises only {real_accuracy:.0%} of the real images by these prompts, so it is a weak "
            "judge: look at the galleries before you act on a verdict."
        )
    return found


def _judge_one(
    low: Verdict, real_low: bool, drawn_low: bool, transfer_low: bool, distance: float, real_distance: float
) -> Verdict:
    """The verdict on a class, `low` where its synthetic images alone are not recognised."""
    if real_low:
        return MISREAD if drawn_low else SHIFTED
    if drawn_low:
        return low
    if not transfer_low:
        return FINE
    return UNIFORM_CLASS if distance < UNIFORM * real_distance else SHIFTED


def _low(accuracies: Sequence[float]) -> list[bool]:
    mean = sum(accuracies) / len(accuracies)
    return [accuracy < mean - MARGIN for accuracy in accuracies]
