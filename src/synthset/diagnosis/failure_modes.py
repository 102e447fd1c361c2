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
ones, and shifted otherwise.

A class is in need only where one of its tests says so for certain: see evidence.py. Which failure it is then follows
from its shares as they were measured. Of a class that is not in need, but with a test that is unresolved, too few
images are known to tell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from synthset.core.errors import some
from synthset.diagnosis.evidence import MARGIN, Finding

UNIFORM = 0.5  # share of the real images' Centroid Distance below which a class counts as too uniform
SURE = 1.96  # standard errors: the 95 % interval, of which one side counts
WEAK_ENCODER = 0.6  # mean accuracy on real images below which the encoder is no good judge of them


@dataclass(frozen=True)
class Verdict:
    """A failure mode in words, and its remedy."""

    name: str
    explanation: str  # a sentence that holds for any class with this verdict
    remedy: str  # the change that should help
    is_of_words: bool = False  # whether another phrase for the class may help


FINE = Verdict("fine", "Real and synthetic images are recognised as well as those of other classes.", "")
MISREAD = Verdict(
    "CLIP misreads the prompt",
    "Neither real nor synthetic images are near their prompt: it means something else to CLIP.",
    "Clarify the class with a phrase (create --phrases).",
    is_of_words=True,
)
SHIFTED = Verdict(
    "synthetic concept is shifted",
    "The synthetic images agree with each other, but show another concept than the real ones.",
    "Clarify the class with a phrase (create --phrases), then filter what still differs (filter --method clip).",
    is_of_words=True,
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
MOVED = Verdict(
    "synthetic images differ from real ones",
    "Real images of the class are nearer to the centre of another class's synthetic images than to that of their own.",
    "Look at the gallery, and filter what differs from real images (filter --method real).",
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
    is_of_words=True,
)
TOO_FEW = Verdict(
    "too few images to tell",
    "No test finds the class worse than the others for certain, and so few images do not exclude that it is.",
    "Draw more images of the class, or give more real ones, as the evidence says.",
)
VERDICTS = (FINE, MISREAD, SHIFTED, CANNOT_DRAW, UNIFORM_CLASS, MOVED, MIXED, UNCLEAR, TOO_FEW)


@dataclass(frozen=True)
class ClassTests:
    """The tests of one class; None for what there is not.

    Attributes:
        drawn: its synthetic images against the prompts, or where none are known against each other.
        real: its real images against the prompts.
        transfer: its real images against the synthetic ones.
        has_prompts: whether prompts are known; where they are not, nothing is said of any.
        scatter: its Centroid Distance as a share of that of its real images, and the standard error of the logarithm.
    """

    drawn: Finding
    real: Finding | None = None
    transfer: Finding | None = None
    has_prompts: bool = True
    scatter: tuple[float, float] = (1.0, 0.0)

    @property
    def findings(self) -> list[Finding]:
        """Of all tests that there are."""
        return [finding for finding in (self.real, self.drawn, self.transfer) if finding is not None]

    @property
    def is_uniform(self) -> bool:
        """Whether its images scatter less than `UNIFORM` as far as the real ones, and for certain less than they."""
        ratio, error = self.scatter
        return ratio < UNIFORM and ratio * math.exp(SURE * error) < 1


def judge(tests: ClassTests) -> Verdict:
    """The verdict on a class.

    Example:
        The two classes of the paper's Table 4, and one as it should be, among others of which 90 % are recognised.

        >>> def share(value, state):
        ...     return Finding(round(50 * value), 50, value, 0.0, 1.0, 50, 0.9, 0.0, 0.0, 0.0, state)
        >>> low, well = share(0.16, "low"), share(0.84, "as others")
        >>> print(judge(ClassTests(low, low, low)).name)
        CLIP misreads the prompt
        >>> print(judge(ClassTests(well, low, low)).name)
        synthetic concept is shifted
        >>> print(judge(ClassTests(well, well, well)).name)
        fine
    """
    states = {finding.state for finding in tests.findings}
    if "low" not in states:
        return TOO_FEW if "unresolved" in states else FINE
    is_drawn_low, has_real = tests.drawn.is_below, tests.transfer is not None
    if tests.real is not None and tests.real.is_below:
        return MISREAD if is_drawn_low else SHIFTED
    if is_drawn_low:
        return MIXED if not tests.has_prompts else CANNOT_DRAW if has_real else UNCLEAR
    if tests.is_uniform:
        return UNIFORM_CLASS if tests.has_prompts else replace(UNIFORM_CLASS, remedy="Add more kinds of images to it.")
    return SHIFTED if tests.has_prompts else MOVED


def doubts(
    real_accuracy: float | None,
    *,
    has_real: bool,
    without_prompts: Sequence[str] = (),
    drawn_accuracy: Mapping[str, float] | None = None,
) -> list[str]:
    """Reasons for a reader to be cautious of the verdicts, a sentence each.

    Args:
        real_accuracy: of real images against the prompts, mean over classes; None without either.
        has_real: whether there are real images.
        without_prompts: names of the sets whose prompts are not known.
        drawn_accuracy: by set, of its images against its prompts, or each other, mean over classes.
    """
    found = []
    if without_prompts:
        found.append(
            f"No prompts are known of {some(without_prompts)}: the verdicts there are by the images alone, and say "
            "nothing of how a prompt is read."
        )
    if hardly := [name for name, accuracy in (drawn_accuracy or {}).items() if accuracy <= 2 * MARGIN]:
        found.append(
            f"Hardly any images of {some(hardly)} are recognised, whatever their class: none can be much worse than "
            "the others, and 'fine' says nothing there. Try another encoder, and look at the galleries."
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
