"""All that changes from step to step of a pre-training, and its files.

`resume.safetensors`, one file and no pickle, holds all that a next step depends on beside the seed: network, queue,
optimiser, the losses of the pass so far. `training.json` is written last and marks completion.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

from synthset.classifiers.checkpoints import PATIENCE_SECONDS
from synthset.classifiers.models import CONFIG_FILE, WEIGHTS_FILE, plain_state
from synthset.classifiers.tensor_files import hash_tensors, optimizer_tensors, restore_optimizer, under
from synthset.core.errors import DataError, SynthsetError, UsageError, first_line, setting
from synthset.core.files import atomic_write, delete_parts, with_checksum, write_json, write_text
from synthset.core.jobs import differences, refuse
from synthset.core.json_records import Count, Seconds, parse_record, read_record
from synthset.core.locks import writing
from synthset.core.options import Option
from synthset.core.versions import library_versions

TRAINING_FILE, RESUME_FILE, METRICS_FILE = "training.json", "resume.safetensors", "metrics.csv"
OWN_FILES = (WEIGHTS_FILE, CONFIG_FILE, RESUME_FILE, METRICS_FILE, TRAINING_FILE)
Refusal: TypeAlias = SynthsetError | None
_ANEW = "Delete it to begin again."


@dataclass(frozen=True)
class Kind:
    """A kind of training that goes on step by step.

    Attributes:
        format: as its files name it.
        noun: as messages do.
        files: that it writes into its folder.
    """

    format: str
    noun: str
    files: tuple[str, ...] = OWN_FILES


PRETRAINING = Kind("synthset-pretraining-1", "pre-training")


@dataclass(frozen=True)
class PassRecord:
    """One pass over the images; the loss is a mean over them, the rate that of its first step."""

    epoch: Annotated[int, Option(at_least=1)]
    train_loss: float
    learning_rate: float
    seconds: Seconds


@dataclass(frozen=True)
class RecordedJob:
    """The job of a folder: settings by name, and the fingerprint of the images."""

    config: Mapping[str, Any]
    fingerprint: str


@dataclass(frozen=True)
class Finished:
    """What training.json holds of a finished training."""

    format: str
    job: RecordedJob
    history: tuple[PassRecord, ...]
    seconds: Seconds
    num_images: Count


@dataclass(frozen=True)
class _Progress:
    """The notes of the resume file."""

    format: str
    job: RecordedJob
    history: tuple[PassRecord, ...]
    step: Count
    loss_sum: float
    seconds: Seconds
    sha256: str


@dataclass
class Session:
    """All that changes from step to step, and its file.

    Attributes:
        step: the next one.
        loss_sum: of the losses of the steps of this pass so far.
        seconds: spent on this pass so far.
    """

    folder: Path
    job: RecordedJob
    network: nn.Module
    optimizer: torch.optim.Optimizer
    checkpoint_seconds: float
    history: list[PassRecord] = field(default_factory=list)
    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    saved_at: float = field(default_factory=time.monotonic)
    kind: Kind = PRETRAINING

    @property
    def is_due(self) -> bool:
        """Whether a checkpoint should be written."""
        return time.monotonic() - self.saved_at >= self.checkpoint_seconds

    def save(self) -> None:
        """Write the checkpoint."""
        tensors = {f"network.{name}": value for name, value in plain_state(self.network).items()}
        tensors |= optimizer_tensors(self.network, self.optimizer)
        note = {
            "format": self.kind.format,
            "job": asdict(self.job),
            "history": [asdict(one) for one in self.history],
            "step": self.step,
            "loss_sum": self.loss_sum,
            "seconds": self.seconds,
            "sha256": hash_tensors(tensors),
        }
        with atomic_write(self.folder / RESUME_FILE) as file:
            file.write(save(tensors, {"training": json.dumps(with_checksum(note))}))
        self.saved_at = time.monotonic()

    def restore(self) -> None:
        """Go on from the checkpoint, if there is one. Raises DataError where it is damaged."""
        path = self.folder / RESUME_FILE
        if not path.is_file():
            return
        note = _read_progress(path, self.kind)
        try:
            tensors = load_file(path)
            if note.sha256 != hash_tensors(tensors):
                raise ValueError("its tensors are not those of its 'sha256'")
            self.network.load_state_dict(under(tensors, "network."))
            restore_optimizer(self.network, self.optimizer, tensors)
        except (SafetensorError, OSError, RuntimeError, ValueError) as error:
            raise _damaged(path, error) from error
        self.history, self.step = list(note.history), note.step
        self.loss_sum, self.seconds = note.loss_sum, note.seconds

    def end_pass(self, record: PassRecord) -> None:
        """Add a finished pass, and tell of it in metrics.csv."""
        self.history.append(record)
        self.loss_sum = self.seconds = 0.0
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, [item.name for item in fields(PassRecord)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(one) for one in self.history)
        write_text(self.folder / METRICS_FILE, text.getvalue())

    def finish(self, save_model: Callable[[], None], about: Mapping[str, Any]) -> None:
        """Write the model, then training.json, then drop the resume file."""
        save_model()
        note = {
            "format": self.kind.format,
            "job": asdict(self.job),
            **about,
            "seconds": round(sum(one.seconds for one in self.history), 3),
            "device": str(next(self.network.parameters()).device),
            "libraries": library_versions(),
            "history": [asdict(one) for one in self.history],
        }
        write_json(self.folder / TRAINING_FILE, note)
        (self.folder / RESUME_FILE).unlink(missing_ok=True)


def read_finished(folder: Path, kind: Kind = PRETRAINING) -> Finished | None:
    """What training.json holds, if `folder` holds a complete training. Raises UsageError where it is damaged."""
    if not all((folder / name).is_file() for name in (TRAINING_FILE, CONFIG_FILE, WEIGHTS_FILE)):
        return None
    note = _read_note(folder, kind)
    (folder / RESUME_FILE).unlink(missing_ok=True)
    return note


@contextmanager
def claim(
    folder: Path,
    job: RecordedJob,
    defaults: Mapping[str, Any],
    *,
    kind: Kind = PRETRAINING,
    overwrite: bool = False,
    from_first: Callable[[Callable[[], Refusal]], Refusal] = lambda make: make(),
) -> Iterator[None]:
    """Alone with the folder of a training, which is made, for the time of the block.

    Args:
        defaults: of the job's config, which an older version lacked.
        overwrite: what an earlier one of its kind left there is deleted.
        from_first: of several processes, gives all of them the result of the first, which locks the folder for all.
    Raises:
        UsageError: another command is at work there, or it holds something else.
        DataError: its checkpoint is damaged.
    """
    with ExitStack() as stack:

        def lock() -> Refusal:
            try:
                _check(folder, job, defaults, kind, overwrite)
                stack.enter_context(writing(folder, PATIENCE_SECONDS))
                _check(folder, job, defaults, kind, overwrite)  # as it is now that nobody else writes there
            except SynthsetError as error:
                return error
            delete_parts(folder)
            for name in kind.files if overwrite else ():
                (folder / name).unlink(missing_ok=True)
            return None

        if refusal := from_first(lock):
            raise refusal
        yield


def _check(folder: Path, job: RecordedJob, defaults: Mapping[str, Any], kind: Kind, overwrite: bool) -> None:
    """Refuse a folder that is not ours, or holds another training; nothing is changed."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"Expected a folder for the model, '{folder}' is a file. Choose another.")
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")] if folder.is_dir() else []
    if all(entry.name == METRICS_FILE for entry in entries):
        return
    recorded = _recorded_job(folder, kind)
    if recorded is None:
        raise UsageError(
            f"'{folder}' holds files that are no {kind.noun} of Synthset; nothing was changed. Choose another "
            f"{setting('output_dir')}."
        )
    if not overwrite:
        refuse(folder, kind.noun, _differences(recorded, job, defaults))


def _differences(recorded: RecordedJob, job: RecordedJob, defaults: Mapping[str, Any]) -> list[str]:
    texts = differences(recorded.config, job.config, defaults)
    return texts if recorded.fingerprint == job.fingerprint else [*texts, "images: other images or labels"]


def _recorded_job(folder: Path, kind: Kind) -> RecordedJob | None:
    if (folder / TRAINING_FILE).exists():
        return _read_note(folder, kind).job
    return _read_progress(folder / RESUME_FILE, kind).job if (folder / RESUME_FILE).exists() else None


def _read_note(folder: Path, kind: Kind) -> Finished:
    place = f"'{folder / TRAINING_FILE}'"
    remedy = f"It is damaged, or no {kind.noun} of Synthset; nothing was changed. Choose another "
    remedy += f"{setting('output_dir')}."
    note = read_record(Finished, folder / TRAINING_FILE, remedy, UsageError)
    if note.format != kind.format:
        raise UsageError(f"Expected 'format' in {place} as '{kind.format}', got '{note.format[:40]}'. {remedy}")
    return note


def _read_progress(path: Path, kind: Kind) -> _Progress:
    try:
        with safe_open(path, "pt") as checkpoint:
            text = (checkpoint.metadata() or {}).get("training", "{}")
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error
    note = parse_record(_Progress, text.encode(), f"the notes of '{path}'", _ANEW)
    if note.format != kind.format:
        raise UsageError(
            f"Expected a checkpoint of a {kind.noun} in '{path}', got '{note.format[:40]}'; nothing was changed. "
            f"Choose another {setting('output_dir')}."
        )
    return note


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"Expected a checkpoint in '{path}', it does not read ({first_line(error)}). {_ANEW}")
