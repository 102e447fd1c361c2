"""The result of a tuning, and how it stands in training.json."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from synthset.classifiers.checkpoints import EpochRecord, Finished, read_finished
from synthset.core.json_records import Count, Share
from synthset.tuning.config import TuneConfig


@dataclass(frozen=True)
class TuneResult:
    """A finished tuning. The classifier lies in `folder`.

    Attributes:
        config: with every default filled in.
        class_names: the k classes, in the order of the logits.
        chosen: the epoch that was kept: by held-back synthetic images, or the last where none are held back.
        num_synthetic, num_real, num_held_back: images that were learned from, and chosen by.
        num_filtered: synthetic images that real filtering left out.
        steps_per_epoch: of all phases together.
        tuned_share: share of the parameters of image encoder and classifier that were tuned.
        seconds: spent on tuning, over all sessions.
        history: every epoch.
        was_finished: the folder already held this tuning; nothing was done.
        chance: share of the held-back images in their largest class; None where there are none, and for a tuning by an
            earlier version.
    """

    folder: Path
    config: TuneConfig
    class_names: tuple[str, ...]
    chosen: EpochRecord
    num_synthetic: int
    num_real: int
    num_held_back: int
    num_filtered: int
    steps_per_epoch: int
    tuned_share: float
    seconds: float
    history: tuple[EpochRecord, ...]
    was_finished: bool = False
    chance: float | None = None


@dataclass(frozen=True)
class _Note(Finished):
    num_synthetic: Count
    num_real: Count
    num_filtered: Count
    steps_per_epoch: Count
    tuned_share: Share
    chance: Share | None = None


def read_result(
    folder: Path, config: TuneConfig, class_names: tuple[str, ...], *, was_finished: bool
) -> TuneResult | None:
    """The finished tuning of a folder, from its training.json; None where there is none.

    Raises:
        UsageError: it is damaged, or that of another kind of training.
    """
    note = read_finished(_Note, folder)
    if note is None:
        return None
    return TuneResult(
        folder=folder, config=config, class_names=class_names, **note.of_result(), was_finished=was_finished
    )
