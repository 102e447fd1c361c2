"""Whether a training taught a model anything, by an exact test on the images that it held back; in words where not."""

from __future__ import annotations

from collections.abc import Sequence

from synthset.classifiers.checkpoints import EpochRecord
from synthset.core.errors import SynthsetError, setting

LEVEL = 0.05  # of the test


def doubt_of_epoch(
    chosen: EpochRecord,
    num_epochs: int,
    num_held_back: int,
    chance: float,
    validation_fraction: float,
    remedies: Sequence[str],
) -> SynthsetError | None:
    """A warning where guessing may well do as well on the held-back images as the best epoch of a training.

    The exact binomial test against the largest class's share, its level divided by the number of epochs, since the best
    of many is luckier than one (Bonferroni's correction).
    Args:
        num_epochs: that the chosen one is the best of.
        chance: share of the held-back images in their largest class.
        validation_fraction: of the images, that was held back.
        remedies: in words, what else may learn from the images.
    """
    from synthset.classifiers.scoring import chance_of

    n, level = num_held_back, LEVEL / num_epochs
    correct = round((chosen.held_back_accuracy or 0.0) * n)
    if chance_of(correct, n, chance) <= level:
        return None
    counts = f"{correct:,} of {n:,} held-back images are right"
    if chance_of(n, n, chance) > level:
        return SynthsetError(
            f"Too few images to say whether the model learned anything: {counts}. Train on more images, or give "
            f"{setting('validation_fraction', min(0.5, round(3 * validation_fraction, 2)))}."
        )
    return SynthsetError(
        f"The model cannot be told from one that guesses: {counts}, and naming the largest class alone gets "
        f"{chance:.1%}. Do not use it. Try {', '.join(remedies)}, or more images."
    )
