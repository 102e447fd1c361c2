"""The result of a tuning, and how it stands in training.json."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthset.classifiers.checkpoints import EpochRecord
from synthset.core.errors import ModelError, setting
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


# what of a result stands in training.json as it is
NUMBERS = ("num_synthetic", "num_real", "num_held_back", "num_filtered", "steps_per_epoch", "tuned_share", "seconds")


def read_result(
    folder: Path, config: TuneConfig, class_names: tuple[str, ...], note: dict[str, Any], *, was_finished: bool
) -> TuneResult:
    """The finished tuning of a folder, from its training.json. Raises ModelError where that is another's."""
    try:
        return TuneResult(
            folder=folder,
            config=config,
            class_names=class_names,
            chosen=EpochRecord.read(note["chosen"]),
            **{name: note[name] for name in NUMBERS},
            history=tuple(map(EpochRecord.read, note["history"])),
            was_finished=was_finished,
        )
    except (KeyError, TypeError) as error:
        raise ModelError(
            f"Expected the notes of a tuning in '{folder}', got others ({error!r}). Give {setting('overwrite')} to "
            "replace them."
        ) from error
