"""Files of a training in its folder: the resume file while it runs, the chosen classifier when it is done.

`resume.safetensors`, one file and no pickle, holds all that a next epoch depends on beside the seed.
`training.json` is written last and marks completion; both hold the job, so that another one is refused.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from synthset.classifiers.models import CONFIG_FILE, FORMAT, WEIGHTS_FILE, plain_state
from synthset.core.errors import UsageError, setting
from synthset.core.files import atomic_write, parse_json, read_json, write_json
from synthset.core.jobs import differences, refuse
from synthset.core.locks import writing
from synthset.core.versions import library_versions

TRAINING_FILE = "training.json"
RESUME_FILE = "resume.safetensors"
TRAINING_FORMAT = "synthset-training-1"
CHECKPOINT_SECONDS = 10.0  # at least, between two checkpoints, so that fast epochs do not wait for the disk
CHECKPOINT_SHARE = 0.05  # of the time at most goes into checkpoints


@dataclass(frozen=True)
class Job:
    """All that two trainings must share to go on in one folder.

    Attributes:
        config: settings by name, as JSON can hold them.
        fingerprint: of the images.
        defaults: values of settings before there were such settings.
    """

    config: Mapping[str, Any]
    fingerprint: str
    defaults: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As it stands in a folder."""
        return {"config": dict(self.config), "fingerprint": self.fingerprint}

    def differences(self, recorded: Mapping[str, Any]) -> list[str]:
        """Differences between the job of a folder and this one, in words."""
        texts = differences(recorded.get("config", {}), self.config, self.defaults)
        is_same_set = recorded.get("fingerprint") == self.fingerprint
        return texts if is_same_set else [*texts, "images: other images or labels"]


@dataclass(frozen=True)
class EpochRecord:
    """One line of the training's history; `epoch` counts from 1, losses are means over images.

    What concerns held-back images is None where none are held back.
    """

    epoch: int
    train_loss: float
    held_back_loss: float | None
    held_back_accuracy: float | None
    learning_rate: float
    seconds: float

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> EpochRecord:
        """From JSON; NaN stood for None in the checkpoints of earlier versions."""
        measured: dict[str, Any] = {name: None if value != value else value for name, value in values.items()}
        return cls(**measured)


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
    history: list[EpochRecord] = field(default_factory=list)
    best: EpochRecord | None = None
    best_state: dict[str, Tensor] = field(default_factory=dict)
    saved_at: float = field(default_factory=time.monotonic)
    save_seconds: float = 0.0

    def record(self, epoch: EpochRecord) -> None:
        """Add a finished epoch; keep its weights if no earlier one was better beyond chance, or none is held back.

        The one-standard-error rule (Breiman et al. 1984): held-back accuracies that differ by less than the
        standard error of the highest do not differ, and of these epochs the last, with the smallest learning
        rate, is kept. The epoch of the highest alone would often be an early one, by luck.
        """
        self.history.append(epoch)
        accuracies = [past.held_back_accuracy or 0.0 for past in self.history]
        highest = max(accuracies)
        standard_error = math.sqrt(highest * (1 - highest) / max(1, self.num_held_back))
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
        for index, parameter in enumerate(self.model.parameters()):
            for key, value in self.optimizer.state[parameter].items():
                copy = value.detach().to("cpu", memory_format=torch.contiguous_format)
                tensors[f"optimizer.{index}.{key}"] = copy.clone()
        note = {
            "format": TRAINING_FORMAT,
            "job": self.job.to_json(),
            "history": [asdict(epoch) for epoch in self.history],
            "best": asdict(self.best) if self.best else None,
        }
        with atomic_write(self.folder / RESUME_FILE) as file:
            file.write(save(tensors, {"training": json.dumps(note)}))
        self.saved_at = time.monotonic()
        self.save_seconds = self.saved_at - started

    def restore(self) -> None:
        """Continue from the checkpoint, if there is one."""
        note = _read_checkpoint_note(self.folder)
        if note is None:
            return
        tensors = load_file(self.folder / RESUME_FILE)
        self.model.load_state_dict(_under(tensors, "model."))
        for index, parameter in enumerate(self.model.parameters()):
            saved = _under(tensors, f"optimizer.{index}.")
            # moments in the memory layout of their weights, as if they had never been away
            self.optimizer.state[parameter] = {
                key: value.to(parameter.device) if key == "step" else torch.empty_like(parameter).copy_(value)
                for key, value in saved.items()
            }
        self.history = [EpochRecord.read(epoch) for epoch in note["history"]]
        self.best = EpochRecord.read(note["best"])
        self.best_state = _under(tensors, "best.")


def check_folder(folder: Path, job: Job, *, resume: bool = True, overwrite: bool = False) -> None:
    """Refuse a folder that is not ours or holds another training; nothing is changed."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"Expected a folder for the classifier, '{folder}' is a file. Choose another.")
    if not folder.is_dir() or all(entry.name.startswith(".") for entry in folder.iterdir()):
        return
    note = _read_json(folder / TRAINING_FILE, TRAINING_FORMAT) or _read_checkpoint_note(folder)
    if note is None and _read_json(folder / CONFIG_FILE, FORMAT) is None:
        raise UsageError(
            f"'{folder}' holds files that are no Synthset classifier; nothing was changed. "
            "Choose another output folder."
        )
    if overwrite:
        return
    if note is None or not resume:
        raise UsageError(
            f"'{folder}' already holds a classifier; nothing was changed. "
            f"Choose another {setting('output_dir')}, or give {setting('overwrite')} to replace it."
        )
    refuse(folder, "training", job.differences(note.get("job", {})))


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
                stack.enter_context(writing(folder))
            except UsageError as error:
                return str(error)
            return ""

        if refusal := from_first(lock):
            raise UsageError(refusal)
        check_folder(folder, job, resume=resume, overwrite=overwrite)  # as it is now that nobody else writes there
        yield


def read_finished(folder: Path) -> dict[str, Any] | None:
    """The content of training.json, if `folder` holds a complete training."""
    note = _read_json(folder / TRAINING_FILE, TRAINING_FORMAT)
    files = (folder / CONFIG_FILE, folder / WEIGHTS_FILE)
    if note is None or not all(file.is_file() for file in files):
        return None
    (folder / RESUME_FILE).unlink(missing_ok=True)  # left where the end was interrupted
    return note


def finish(session: Session, save: Callable[[], None], about: Mapping[str, Any]) -> dict[str, Any]:
    """Write the best checkpoint, then training.json, which marks completion, then drop the resume file.

    Args:
        save: writes the model of the session, which has the best weights then.
        about: entries of training.json that are not the session's.
    Returns:
        What training.json holds.
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
    return note


def delete_own_files(folder: Path) -> None:
    """Delete a classifier and nothing else; training.json goes last, so the folder stays known as ours."""
    for name in (WEIGHTS_FILE, CONFIG_FILE, RESUME_FILE, TRAINING_FILE):
        (folder / name).unlink(missing_ok=True)


def _read_json(file: Path, expected_format: str) -> dict[str, Any] | None:
    """The content of one of our files; None where it is not there, or not ours."""
    try:
        content = read_json(file)
    except (OSError, ValueError):
        return None
    is_ours = isinstance(content, dict) and content.get("format") == expected_format
    return content if is_ours else None


def _read_checkpoint_note(folder: Path) -> dict[str, Any] | None:
    file = folder / RESUME_FILE
    if not file.is_file():
        return None
    try:
        with safe_open(file, "pt") as checkpoint:
            note = parse_json((checkpoint.metadata() or {})["training"].encode())
    except (SafetensorError, OSError, KeyError, ValueError):
        return None
    return note if isinstance(note, dict) and note.get("format") == TRAINING_FORMAT else None


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
