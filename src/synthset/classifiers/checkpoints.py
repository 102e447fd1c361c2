"""Files of a training in its folder: the resume file while it runs, the chosen classifier when it is done.

`resume.safetensors`, one file and no pickle, holds all that a next epoch depends on beside the seed.
`training.json` is written last and marks completion; both hold the job, so that another one is refused.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from synthset.classifiers.averaging import WeightAverage
from synthset.classifiers.models import CONFIG_FILE, FORMAT, WEIGHTS_FILE, plain_state
from synthset.classifiers.tensor_files import hash_tensors, optimizer_tensors, restore_optimizer, under
from synthset.core.errors import DataError, UsageError, first_line, setting
from synthset.core.files import atomic_write, read_json, with_checksum, write_json
from synthset.core.jobs import differences, refuse
from synthset.core.json_records import Count, Record, Seconds, Share, parse_record, read_record
from synthset.core.locks import writing
from synthset.core.options import Option
from synthset.core.versions import library_versions

TRAINING_FILE = "training.json"
RESUME_FILE = "resume.safetensors"
METRICS_FILE, RUNS_FILE, TENSORBOARD = "metrics.csv", "trackers.json", "tensorboard"  # see tracking.py
BESIDE = (METRICS_FILE, RUNS_FILE, TENSORBOARD)  # there before the first checkpoint is
TRAINING_FORMAT = "synthset-training-1"
CHECKPOINT_SECONDS = 10.0  # at least, between two checkpoints, so that fast epochs do not wait for the disk
PATIENCE_SECONDS = 3.0  # processes whose launcher was killed see within a second that it is gone
CHECKPOINT_SHARE = 0.05  # of the time at most goes into checkpoints


@dataclass(frozen=True)
class Job:
    """All that two trainings must share to go on in one folder.

    Attributes:
        config: settings by name, as JSON can hold them.
        fingerprint: of the images.
        defaults: values of settings before there were such settings.
        identified: settings that name a thing, see `jobs.differences`.
    """

    config: Mapping[str, Any]
    fingerprint: str
    defaults: Mapping[str, Any]
    identified: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As it stands in a folder."""
        return {"config": dict(self.config), "fingerprint": self.fingerprint}

    def differences(self, recorded: RecordedJob) -> list[str]:
        """Differences between the job of a folder and this one, in words."""
        texts = differences(recorded.config, self.config, self.defaults, identified=self.identified)
        is_same_set = recorded.fingerprint == self.fingerprint
        return texts if is_same_set else [*texts, "images: other images or labels"]


@dataclass(frozen=True)
class EpochRecord:
    """One line of the training's history; `epoch` counts from 1, losses are means over images.

    What concerns held-back images is None where none are held back.
    """

    epoch: Annotated[int, Option(at_least=1)]
    train_loss: float
    held_back_loss: float | None
    held_back_accuracy: Share | None
    learning_rate: float
    seconds: Seconds


METRICS_HEADER = ",".join(item.name for item in fields(EpochRecord))  # first line of metrics.csv


@dataclass(frozen=True)
class RecordedJob:
    """The job of a folder, see Job."""

    config: Mapping[str, Any]
    fingerprint: str

    @property
    def is_before_recipes(self) -> bool:
        """Whether it is of a classifier's training by a version that had one recipe, the paper's."""
        return "augmentation" in self.config and "optimizer" not in self.config


@dataclass(frozen=True)
class _Progress:
    """The notes of the resume file; those of earlier versions have no hash."""

    format: Literal["synthset-training-1"]
    job: RecordedJob
    history: tuple[EpochRecord, ...]
    best: EpochRecord
    averaged_steps: Count = 0
    sha256: str = ""


@dataclass(frozen=True)
class Finished:
    """What training.json holds of a training of any kind."""

    format: Literal["synthset-training-1"]
    job: RecordedJob
    history: tuple[EpochRecord, ...]
    chosen: EpochRecord
    seconds: Seconds
    num_held_back: Count

    def of_result(self) -> dict[str, Any]:
        """What the result of a training has of it."""
        return {name: value for name, value in vars(self).items() if name not in ("format", "job")}


@dataclass
class Session:
    """All that changes from epoch to epoch, and its file.

    `best` is the epoch that would be kept if training ended now, see `record`.
    """

    folder: Path
    job: Job
    model: nn.Module
    optimizer: torch.optim.Optimizer
    num_held_back: int
    average: WeightAverage | None = None
    history: list[EpochRecord] = field(default_factory=list)
    best: EpochRecord | None = None
    best_state: dict[str, Tensor] = field(default_factory=dict)
    saved_at: float = field(default_factory=time.monotonic)
    save_seconds: float = 0.0

    def record(self, epoch: EpochRecord) -> None:
        """Add a finished epoch; keep its weights if no earlier one was better beyond chance, or none is held back.

        The one-standard-error rule (Breiman et al. 1984): held-back accuracies that differ by less than the
        standard error of the highest do not differ, and of these epochs the last, with the smallest learning
        rate, is kept. The epoch of the highest alone would often be an early one, by luck. Two right and two wrong
        images are added for the error (Agresti and Coull 1998), as that of all right ones would be zero.
        """
        self.history.append(epoch)
        accuracies = [past.held_back_accuracy or 0.0 for past in self.history]
        highest, n = max(accuracies), self.num_held_back + 4
        likely = (highest * self.num_held_back + 2) / n
        standard_error = math.sqrt(likely * (1 - likely) / n)
        if accuracies[-1] >= highest - standard_error:
            self.best = epoch
            self.best_state = plain_state(self.model)

    def save(self, *, at_once: bool = False) -> None:
        """Write the checkpoint, unless the last one is too recent for what writing it costs."""
        started = time.monotonic()
        if not at_once and started - self.saved_at < max(CHECKPOINT_SECONDS, self.save_seconds / CHECKPOINT_SHARE):
            return
        tensors = {f"model.{name}": value for name, value in plain_state(self.model).items()}
        tensors |= {f"best.{name}": value for name, value in self.best_state.items()}
        if self.average is not None:
            tensors |= {f"average.{name}": value.cpu().contiguous() for name, value in self.average.state.items()}
        tensors |= optimizer_tensors(self.model, self.optimizer)
        note = {
            "format": TRAINING_FORMAT,
            "job": self.job.to_json(),
            "history": [asdict(epoch) for epoch in self.history],
            "best": asdict(self.best) if self.best else None,
            "averaged_steps": self.average.steps if self.average else 0,
            "sha256": hash_tensors(tensors),
        }
        with atomic_write(self.folder / RESUME_FILE) as file:
            file.write(save(tensors, {"training": json.dumps(with_checksum(note))}))
        self.saved_at = time.monotonic()
        self.save_seconds = self.saved_at - started

    def restore(self) -> None:
        """Continue from the checkpoint, if there is one. Raises DataError where it is damaged."""
        path = self.folder / RESUME_FILE
        if not path.is_file():
            return
        note = _read_progress(path)
        try:
            tensors = load_file(path)
            if note.sha256 not in ("", hash_tensors(tensors)):
                raise ValueError("its tensors are not those of its 'sha256'")
            self.model.load_state_dict(under(tensors, "model."))
            if self.average is not None:
                self.average.restore(under(tensors, "average."), note.averaged_steps)
            restore_optimizer(self.model, self.optimizer, tensors)
        except (SafetensorError, OSError, RuntimeError, ValueError) as error:
            raise DataError(
                f"Expected a checkpoint in '{path}', it does not read ({first_line(error)}). {_ANEW}"
            ) from error
        self.history, self.best = list(note.history), note.best
        self.best_state = under(tensors, "best.")


def check_folder(folder: Path, job: Job, *, resume: bool = True, overwrite: bool = False) -> None:
    """Refuse a folder that is not ours or holds another training; nothing is changed."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"Expected a folder for the classifier, '{folder}' is a file. Choose another.")
    if not folder.is_dir() or all(map(_is_beside, folder.iterdir())):
        return
    others = UsageError(
        f"'{folder}' holds files that are no Synthset classifier; nothing was changed. Choose another output folder."
    )
    if overwrite:
        if not _is_ours(folder):
            raise others
        return
    recorded = recorded_job(folder)
    if recorded is None and not _is_ours(folder):
        raise others
    if recorded is None or not resume:
        raise UsageError(
            f"'{folder}' already holds a classifier; nothing was changed. "
            f"Choose another {setting('output_dir')}, or give {setting('overwrite')} to replace it."
        )
    refuse(folder, "training", job.differences(recorded))


@contextmanager
def claim(
    folder: Path,
    job: Job,
    *,
    resume: bool = True,
    overwrite: bool = False,
    from_first: Callable[[Callable[[], str]], str] = lambda make: make(),
) -> Iterator[None]:
    """Alone with the folder of a training, which is made, for the time of the block. Raises as `check_folder` does.

    Args:
        from_first: of several processes, gives all of them the result of the first, which locks the folder for all.
    Raises:
        UsageError: another command is at work there.
    """
    check_folder(folder, job, resume=resume, overwrite=overwrite)  # it may be the one that the images are read from
    with ExitStack() as stack:

        def lock() -> str:
            try:
                stack.enter_context(writing(folder, PATIENCE_SECONDS))
            except UsageError as error:
                return str(error)
            return ""

        if refusal := from_first(lock):
            raise UsageError(refusal)
        check_folder(folder, job, resume=resume, overwrite=overwrite)  # as it is now that nobody else writes there
        yield


def recorded_job(folder: Path) -> RecordedJob | None:
    """The job of the training that the folder holds, finished or not.

    Raises:
        UsageError, DataError: it is damaged.
    """
    if (folder / TRAINING_FILE).exists():
        return read_record(Finished, folder / TRAINING_FILE, _remedy(), UsageError).job
    return _read_progress(folder / RESUME_FILE).job if (folder / RESUME_FILE).exists() else None


def read_finished(kind: type[Record], folder: Path) -> Record | None:
    """What training.json holds, as Finished or more, if `folder` holds a complete training.

    Raises:
        UsageError: it is damaged, or that of another kind of training.
    """
    if not all((folder / name).is_file() for name in (TRAINING_FILE, CONFIG_FILE, WEIGHTS_FILE)):
        return None
    note = read_record(kind, folder / TRAINING_FILE, _remedy(), UsageError)
    (folder / RESUME_FILE).unlink(missing_ok=True)  # left where the end was interrupted
    return note


def finish(session: Session, save: Callable[[], None], about: Mapping[str, Any]) -> None:
    """Write the best checkpoint, then training.json, which marks completion, then drop the resume file.

    Args:
        save: writes the model of the session, which has the best weights then.
        about: entries of training.json that are not the session's.
    """
    assert session.best is not None
    if not (session.folder / RESUME_FILE).exists():
        session.save(at_once=True)  # a kill from here on costs nothing, and leaves a folder that is known as ours
    session.model.load_state_dict(session.best_state)
    save()
    note = {
        "format": TRAINING_FORMAT,
        "job": session.job.to_json(),
        **about,
        "chosen": asdict(session.best),
        "seconds": round(sum(epoch.seconds for epoch in session.history), 3),
        "device": str(next(session.model.parameters()).device),
        "libraries": library_versions(),
        "history": [asdict(epoch) for epoch in session.history],
    }
    write_json(session.folder / TRAINING_FILE, note)
    (session.folder / RESUME_FILE).unlink(missing_ok=True)


def delete_own_files(folder: Path) -> None:
    """Delete a classifier and nothing else; training.json goes last, so the folder stays known as ours."""
    for name in (WEIGHTS_FILE, CONFIG_FILE, RESUME_FILE, METRICS_FILE, RUNS_FILE, TRAINING_FILE):
        (folder / name).unlink(missing_ok=True)


_ANEW = "Delete it to train from the beginning."


def _remedy() -> str:
    return (
        "It is damaged, or no training of Synthset; nothing was changed. "
        f"Choose another {setting('output_dir')}, or give {setting('overwrite')} to replace it."
    )


def _is_beside(entry: Path) -> bool:
    """Whether it is no one's, or of a training of ours that ended before its first checkpoint."""
    if entry.name != METRICS_FILE:
        return entry.name.startswith(".") or entry.name in BESIDE
    with suppress(OSError), entry.open("rb") as file:
        return file.readline().decode(errors="replace").rstrip() == METRICS_HEADER
    return False


def _is_ours(folder: Path) -> bool:
    """Whether one of the files, which may be damaged, says that it is ours."""
    for name, form in ((TRAINING_FILE, TRAINING_FORMAT), (CONFIG_FILE, FORMAT)):
        with suppress(OSError, ValueError):
            content = read_json(folder / name)
            if isinstance(content, dict) and content.get("format") == form:
                return True
    with suppress(OSError, SafetensorError), safe_open(folder / RESUME_FILE, "pt") as checkpoint:
        return "training" in (checkpoint.metadata() or {})
    return False


def _read_progress(path: Path) -> _Progress:
    try:
        with safe_open(path, "pt") as checkpoint:
            note = (checkpoint.metadata() or {}).get("training", "{}")
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"Expected a checkpoint in '{path}', it does not read ({first_line(error)}). {_ANEW}"
        ) from error
    return parse_record(_Progress, note.encode(), f"the notes of '{path}'", _ANEW)
