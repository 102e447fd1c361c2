"""Every file of ours that some stage reads back, in a small world, and what is read from each."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

import synthset
from bars import CONFIG, make_set
from report.make_example import NAMES, SETS, write_example
from synthset.classifiers import checkpoints, models, scoring, train
from synthset.classifiers.scoring import SavedEvaluation, count
from synthset.core.files import write_json
from synthset.core.parquet_files import write_table
from synthset.dataset import manifest, verdicts, writer
from synthset.dataset.reader import open_dataset
from synthset.diagnosis.saving import read_evaluations
from synthset.encoders.embed import EmbeddingCache, embed_images
from synthset.prompts.sentences import cache as sentences
from synthset.report import build_report, reading
from synthset.testing import FakeEncoder, FakeGenerator
from synthset.tuning import results, saving
from synthset.tuning.config import TuneConfig

NOTES = b"synthset"
demo = importlib.import_module("synthset.demo")  # the name in the package is the function


@dataclass(frozen=True)
class OwnFile:
    """A file of the world.

    Attributes:
        name: how to speak of it.
        path: where it lies.
        read: what a stage makes of it, to compare.
        record: type of the JSON in it.
        load, store: that JSON, out of the file and into it.
    """

    name: str
    path: Path
    read: Callable[[], Any]
    record: type | None = None
    load: Callable[[Path], Any] = lambda path: json.loads(path.read_bytes())
    store: Callable[[Path, Any], None] = lambda path, value: path.write_text(json.dumps(value))


@dataclass
class Writer:
    """Writes sentences without a model."""

    name: str = "fake"
    fingerprint: str = "f"
    asked: list[str] = field(default_factory=list)

    def write(self, class_name: str, phrase: str, count: int, seed: int) -> list[str]:
        """As base.SentenceWriter."""
        return [f"{class_name} no. {number}" for number in range(count)]


def _load_notes(path: Path) -> Any:
    return json.loads(pq.read_schema(path).metadata[NOTES])


def _store_notes(path: Path, notes: Any) -> None:  # as earlier versions did, without checksums
    table = pq.read_table(path)
    metadata = {key: value for key, value in table.schema.metadata.items() if not key.startswith(NOTES)}
    pq.write_table(table.replace_schema_metadata({**metadata, NOTES: json.dumps(notes)}), path)


def _load_progress(path: Path) -> Any:
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["training"])


def _store_progress(path: Path, note: Any) -> None:
    path.write_bytes(save(load_file(path), {"training": json.dumps(note)}))


def build(scratch: Path) -> list[OwnFile]:
    """Write the world, and list its files."""
    return [*_dataset(scratch), *_classifier(scratch), *_tuned(scratch), *_diagnosis(scratch), *_others(scratch)]


def _dataset(scratch: Path) -> list[OwnFile]:
    folder, classes = scratch / "pets", ("cat", "dog")
    generator = FakeGenerator(status=lambda request: "flagged" if request.id == 3 else "ok")
    options: dict[str, Any] = {"strategies": ["base", "random_guidance"], "images_per_class": 4, "shard_size": 8}

    def create() -> Any:
        return synthset.create(classes, folder, generator=generator, max_failures=1, **options).accounting

    create()
    ids = open_dataset(folder).rows.column("request_id").to_pylist()
    rows = {"request_id": ids, "keep": [True] * len(ids), "reason": [""] * len(ids), "score": [1.0] * len(ids)}
    judged = verdicts.pa.table(rows, verdicts.SCHEMA)
    note = {"threshold": 0.5, "encoder": {"name": "fake", "fingerprint": "f"}}
    path = verdicts.write_verdicts(folder, verdicts.Verdicts("clip", note, judged, open_dataset(folder).rows_hash))

    def read() -> Any:
        dataset = open_dataset(folder)
        images = dataset.images()
        return dataset.rows.to_pylist(), [images.read(row) for row in range(len(images))], dataset.kept().tolist()

    def sentence_lists() -> Any:
        return sentences.sentences_for(classes, {}, Writer(), 2, 0, scratch / "words")

    sentence_lists()
    kept = scratch / "words" / sentences.SENTENCES_FILE
    shard = folder / "data" / "train-00000.parquet"
    return [
        OwnFile("manifest", folder / "manifest.json", read, manifest._Manifest),
        OwnFile("shard", shard, read),
        OwnFile("notes of a shard", shard, create, writer._ShardNotes, _load_notes, _store_notes),
        OwnFile("verdicts", path, lambda: (read(), open_dataset(folder).verdicts()["clip"].config)),
        OwnFile("notes of verdicts", path, read, verdicts._Notes, _load_notes, _store_notes),
        OwnFile(
            "sentences",
            kept,
            sentence_lists,
            sentences._Line,
            lambda path: json.loads(path.read_bytes().split(b"\n")[0]),
            lambda path, line: path.write_text(f"{json.dumps(line)}\n{path.read_text().partition(chr(10))[2]}"),
        ),
    ]


def _classifier(scratch: Path) -> list[OwnFile]:
    folder, halfway = scratch / "model", scratch / "halfway"
    images, config = make_set((3, 3, 3)), replace(CONFIG, epochs=1)
    train.train_classifier(images, config, folder)
    _leave_checkpoint(images, config, halfway)
    result = count(np.array([0, 1, 2, 2]), np.array([0, 1, 2, 1]), images.class_names, "digits")
    write_json(folder / "evaluation" / "digits.json", result.to_json())

    def predict() -> Any:
        classifier = models.load_classifier(folder, "cpu")
        return classifier.config, classifier.predict(torch.zeros(1, 3, 8, 8, dtype=torch.uint8)).tolist()

    def again(place: Path) -> Callable[[], Any]:
        return lambda: replace(train.train_classifier(images, config, place), folder=Path(), seconds=0, history=())

    return [
        OwnFile("config of a classifier", folder / "config.json", predict, models.ModelConfig),
        OwnFile("weights", folder / "model.safetensors", predict),
        OwnFile("notes of a training", folder / "training.json", again(folder), train._Note),
        OwnFile(
            "checkpoint",
            halfway / "resume.safetensors",
            again(halfway),
            checkpoints._Progress,
            _load_progress,
            _store_progress,
        ),
        OwnFile(
            "evaluation", folder / "evaluation" / "digits.json", lambda: read_evaluations([folder]), SavedEvaluation
        ),
    ]


def _leave_checkpoint(images: Any, config: Any, folder: Path) -> None:
    """A training that stopped before it was finished."""

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    original, checkpoints.write_json = checkpoints.write_json, stop
    try:
        train.train_classifier(images, config, folder)
    except KeyboardInterrupt:
        (folder / "config.json").unlink()
        (folder / "model.safetensors").unlink()
    finally:
        checkpoints.write_json = original


def _tuned(scratch: Path) -> list[OwnFile]:
    folder, encoder = scratch / "tuned", FakeEncoder()
    config = saving.TunedConfig("fake", "float32", encoder.fingerprint, ("cat", "dog"), ("a {class}.",), "digits", 1)
    saving.save_tuned(folder, config, {"weight": torch.ones(2, 16), "bias": torch.zeros(2)}, {})
    epoch = {"epoch": 1, "train_loss": 0.5, "held_back_loss": None, "held_back_accuracy": None}
    epoch |= {"learning_rate": 0.1, "seconds": 1.0}
    numbers = dict.fromkeys(("num_synthetic", "num_real", "num_held_back", "num_filtered", "steps_per_epoch"), 1)
    note = {"format": checkpoints.TRAINING_FORMAT, "job": {"config": {"shots": 1}, "fingerprint": "f"}, **numbers}
    note |= {"tuned_share": 0.1, "chosen": epoch, "history": [epoch], "seconds": 1.0}
    write_json(folder / "training.json", note)

    def load() -> Any:
        tuned = saving.load_tuned(folder, encoder=encoder)
        return tuned.config, tuned.weight.tolist(), tuned.bias.tolist()

    def notes() -> Any:
        return results.read_result(folder, TuneConfig(), ("cat", "dog"), was_finished=True)

    return [
        OwnFile("config of a tuned CLIP", folder / "config.json", load, saving.TunedConfig),
        OwnFile("weights of a tuned CLIP", folder / "model.safetensors", load),
        OwnFile("notes of a tuning", folder / "training.json", notes, results._Note),
    ]


def _diagnosis(scratch: Path) -> list[OwnFile]:
    folder = write_example(scratch / "diagnosis", NAMES[:3], SETS[:1])
    for path in folder.glob("*.parquet"):
        write_table(path, pq.read_table(path))

    def report() -> str:
        build_report(folder)
        return (folder / "report.html").read_text()

    return [
        OwnFile("diagnosis", folder / "diagnosis.json", report, reading.Info),
        OwnFile("evaluation in a diagnosis", folder / "evaluations" / "000.json", report, scoring.SavedEvaluation),
        *(OwnFile(f"table {path.stem}", path, report) for path in sorted(folder.glob("*.parquet"))),
    ]


def _others(scratch: Path) -> list[OwnFile]:
    def claim() -> None:
        demo._claim(scratch / "demo", 20)

    claim()
    images = make_set((3, 3, 3))

    def vectors() -> Any:
        return embed_images(images, FakeEncoder(), EmbeddingCache(scratch / "cache")).tolist()

    vectors()
    (part,) = (scratch / "cache").rglob("*.parquet")
    return [
        OwnFile("marker of a demo", scratch / "demo" / "demo.json", claim, demo._Marker),
        OwnFile("part of the cache", part, vectors),
    ]
