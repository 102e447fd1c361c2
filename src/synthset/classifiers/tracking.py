"""What a training tells while it runs: metrics.csv always, and trackers where they were asked for.

Trackers are accelerate's. None starts unasked; a resumed training goes on in the run that it began.
"""

from __future__ import annotations

import csv
import io
import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from synthset.classifiers.checkpoints import METRICS_FILE, METRICS_HEADER, RUNS_FILE, TENSORBOARD, EpochRecord
from synthset.core.errors import UsageError, setting
from synthset.core.files import read_json, write_json, write_text
from synthset.core.libraries import library_errors
from synthset.core.redaction import without_secrets

log = logging.getLogger("synthset")

PROJECT = "synthset"


@dataclass(frozen=True)
class TrackerKind:
    """How accelerate's tracker of a kind is made, and a line about it.

    `make` is (class, folder, id of the run, epochs that it was told) -> the tracker.
    """

    summary: str
    make: Callable[[Any, Path, str, int], Any]


def _with_id(kind: Any, folder: Path, run: str, _told: int) -> Any:
    return kind(PROJECT, id=run, name=folder.name, resume="allow")


def _by_name(kind: Any, folder: Path, run: str, _told: int) -> Any:
    return kind(PROJECT, name=f"{folder.name}-{run}", resume="allow")


def _in_folder(kind: Any, folder: Path, run: str, told: int) -> Any:
    return kind(run, folder / TENSORBOARD, purge_step=told + 1)


def _of_mlflow(kind: Any, folder: Path, run: str, _told: int) -> Any:
    # MLflow gives ids itself; ours is a tag, by which the run is found again
    import mlflow  # pyright: ignore[reportMissingImports]

    found = mlflow.search_runs(experiment_names=[PROJECT], filter_string=f"tags.run = '{run}'", output_format="list")
    run_id = found[0].info.run_id if found else None
    return kind(PROJECT, run_id=run_id, tags={"run": run}, run_name=folder.name)


TRACKERS = {
    "tensorboard": TrackerKind("files in the model's folder", _in_folder),
    "wandb": TrackerKind("Weights & Biases", _with_id),
    "mlflow": TrackerKind("MLflow, at MLFLOW_TRACKING_URI", _of_mlflow),
    "trackio": TrackerKind("Trackio", _by_name),
}


@contextmanager
def told(
    folder: Path, trackers: Sequence[str], config: Mapping[str, Any], history: Iterable[EpochRecord]
) -> Iterator[Callable[[EpochRecord], None]]:
    """What is to be called after each epoch of the training in `folder`.

    Args:
        trackers: keys of TRACKERS.
        config: settings of the training, which trackers show.
        history: epochs of earlier sessions.
    Raises:
        UsageError: a tracker that is not installed.
        ModelError: one that cannot start.
    """
    epochs = list(history)
    running = [_start(name, folder, config, len(epochs)) for name in trackers]

    def tell(epoch: EpochRecord) -> None:
        epochs.append(epoch)
        write_text(folder / METRICS_FILE, _as_csv(epochs))
        log.info("epoch %d: %s", epoch.epoch, ", ".join(f"{name} {value:.4g}" for name, value in _numbers(epoch)))
        for tracker in running:
            tracker.log(dict(_numbers(epoch)), step=epoch.epoch)

    try:
        yield tell
    finally:
        for tracker in running:
            tracker.finish()


def check_trackers(names: Sequence[str]) -> None:
    """Raise UsageError unless every tracker is installed."""
    if not names:
        return
    from accelerate.tracking import get_available_trackers

    available = {str(name) for name in get_available_trackers()}
    for name in names:
        if name not in available:
            installed = ", ".join(sorted(available)) or "none"
            raise UsageError(
                f"Expected {setting('tracker')} among those that are installed ({installed}), got '{name}'. "
                f"Run: pip install {name}."
            )


def _start(name: str, folder: Path, config: Mapping[str, Any], epochs: int) -> Any:
    from accelerate import PartialState
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    check_trackers([name])
    PartialState()  # without which its trackers do not log
    kind = LOGGER_TYPE_TO_CLASS[name]
    with library_errors(f"The tracker '{name}' does not start"):
        tracker = TRACKERS[name].make(kind, folder, _run_of(name, folder), epochs)
        tracker.start()
        plain = {key: without_secrets(str(value)) for key, value in config.items() if value is not None}
        tracker.store_init_configuration(plain)
    return tracker


def _run_of(name: str, folder: Path) -> str:
    """The id of the folder's run, the same for all of its sessions."""
    path = folder / RUNS_FILE
    try:
        runs = dict(read_json(path))
    except (OSError, ValueError, TypeError):
        runs = {}
    if not isinstance(runs.get(name), str):
        runs[name] = uuid.uuid4().hex[:12]
        write_json(path, runs)
    return runs[name]


def _numbers(epoch: EpochRecord) -> list[tuple[str, float]]:
    return [(name, value) for name, value in asdict(epoch).items() if name != "epoch" and value is not None]


def _as_csv(epochs: Sequence[EpochRecord]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, METRICS_HEADER.split(","), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(epoch) for epoch in epochs)
    return text.getvalue()
