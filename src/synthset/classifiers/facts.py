"""Facts of a trained classifier for its readers: what it learned from, and by which settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthset.core.json_records import Count, read_record


@dataclass(frozen=True)
class ModelFacts:
    """What a reader of a classifier's figures asks first.

    Attributes:
        num_training: synthetic images that it learned from.
        epoch: the one that was chosen.
        settings: of the training, with what its recipe chose; weights and a teacher by what they are.
        seen: other images that it learned from, with weights or by a teacher, in words; empty for none.
        fingerprint: of the synthetic images, see training_set.fingerprint(); empty where a copy lacks it.
    """

    num_training: Count
    epoch: Count
    settings: Mapping[str, Any]
    seen: str = ""
    fingerprint: str = ""


@dataclass(frozen=True)
class _Job:
    config: Mapping[str, Any]
    fingerprint: str = ""


@dataclass(frozen=True)
class _Chosen:
    epoch: Count


@dataclass(frozen=True)
class _Note:
    job: _Job
    num_training: Count
    chosen: _Chosen


def read_facts(folder: Path) -> ModelFacts | None:
    """The facts of the classifier in a folder; None where none of ours was trained there.

    Raises:
        DataError: the notes of its training are damaged.
        ModelError: its config is.
    """
    from synthset.classifiers.checkpoints import TRAINING_FILE
    from synthset.classifiers.models import kind_of, read_config

    if kind_of(folder) is not None:
        return None
    try:
        note = read_record(_Note, folder / TRAINING_FILE, "Train it again.")
    except FileNotFoundError:
        return None
    job = note.job
    return ModelFacts(note.num_training, note.chosen.epoch, job.config, read_config(folder).seen, job.fingerprint)
