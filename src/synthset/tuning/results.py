"""The result of a tuning, and how it stands in training.json."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from synthset.classifiers.checkpoints import RESUME_FILE, TRAINING_FILE, TRAINING_FORMAT, EpochRecord, Job
from synthset.core.errors import ModelError, setting
from synthset.core.files import write_json
from synthset.core.versions import library_versions
from synthset.tuning.config import TuneConfig
from synthset.tuning.inputs import TuneInputs


@dataclass(frozen=True)
class TuneEpoch:
    """One line of the history; `epoch` counts from 1, the rate is that of the epoch's first step.

    What concerns held-back images is None where none are held back.
    """

    epoch: int
    train_loss: float
    held_back_loss: float | None
    held_back_accuracy: float | None
    learning_rate: float
    seconds: float

    @staticmethod
    def of(record: EpochRecord) -> TuneEpoch:
        """From the record of a session, in which NaN stands for what was not measured: JSON has no NaN."""
        loss, accuracy = record.held_back_loss, record.held_back_accuracy
        return TuneEpoch(
            epoch=record.epoch,
            train_loss=record.train_loss,
            held_back_loss=None if math.isnan(loss) else loss,
            held_back_accuracy=None if math.isnan(accuracy) else accuracy,
            learning_rate=record.learning_rate,
            seconds=record.seconds,
        )


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
    chosen: TuneEpoch
    num_synthetic: int
    num_real: int
    num_held_back: int
    num_filtered: int
    steps_per_epoch: int
    tuned_share: float
    seconds: float
    history: tuple[TuneEpoch, ...]
    was_finished: bool = False


# what of a result stands in training.json as it is
NUMBERS = ("num_synthetic", "num_real", "num_held_back", "num_filtered", "steps_per_epoch", "tuned_share", "seconds")


def write_result(result: TuneResult, job: Job, inputs: TuneInputs, device: str) -> None:
    """Write training.json, which marks completion, then drop the resume file."""
    note = {
        "format": TRAINING_FORMAT,
        "job": job.to_json(),
        "images": None if inputs.synthetic is None else inputs.synthetic.name,
        "real": inputs.real,
        **{name: getattr(result, name) for name in NUMBERS},
        "chosen": asdict(result.chosen),
        "device": device,
        "libraries": library_versions(),
        "history": [asdict(epoch) for epoch in result.history],
    }
    write_json(result.folder / TRAINING_FILE, note)
    (result.folder / RESUME_FILE).unlink(missing_ok=True)


def read_result(folder: Path, config: TuneConfig, class_names: tuple[str, ...], note: dict[str, Any]) -> TuneResult:
    """The finished tuning of a folder, from its training.json. Raises ModelError where that is another's."""
    try:
        return TuneResult(
            folder=folder,
            config=config,
            class_names=class_names,
            chosen=TuneEpoch(**note["chosen"]),
            **{name: note[name] for name in NUMBERS},
            history=tuple(TuneEpoch(**epoch) for epoch in note["history"]),
            was_finished=True,
        )
    except (KeyError, TypeError) as error:
        raise ModelError(
            f"Expected the notes of a tuning in '{folder}', got others ({error!r}). Give {setting('overwrite')} to "
            "replace them."
        ) from error
