"""Every file of ours that some stage reads back, in a small world, and what is read from each."""

from __future__ import annotations

import contextlib
import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
import torch
from fault_report import FAKE_MODEL, hashes, run_command
from safetensors import safe_open
from safetensors.torch import load_file, save

import synthset
from bars import CONFIG, make_set
from report.make_example import NAMES, SETS, write_example
from synthset.classifiers import checkpoints, learned_from, models, scoring, train
from synthset.classifiers.scoring import SavedEvaluation, count
from synthset.core.errors import SynthsetError
from synthset.core.files import CHECKSUM, with_checksum, write_json
from synthset.core.json_records import as_record
from synthset.core.parquet_files import write_table
from synthset.dataset import manifest, verdicts, writer
from synthset.dataset.export import export_imagefolder
from synthset.dataset.layout import INITIAL_IMAGES_FILE
from synthset.dataset.reader import open_dataset
from synthset.diagnosis.saving import read_evaluations
from synthset.encoders.embed import EmbeddingCache, embed_images
from synthset.filters.config import FilterConfig
from synthset.images.folders import EXPORT_MARKER, ExportRecord
from synthset.images.opening import load_path
from synthset.prompts.class_lists import read_classes
from synthset.prompts.phrases import load_phrases
from synthset.prompts.sentences import cache as sentences
from synthset.prompts.sentences.file import FileWriter
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
        record: type of the JSON or YAML in it; dict where people write it.
        load, store: that value, out of the file and into it.
    """

    name: str
    path: Path
    read: Callable[[], Any]
    record: type | None = None
    load: Callable[[Path], Any] = lambda path: json.loads(path.read_bytes())
    store: Callable[[Path, Any], None] = lambda path, value: path.write_text(json.dumps(sealed(value)))


class Redrawing(FakeGenerator):
    """As one that takes real images to begin at."""

    def generate_from(self, requests: Any, initial_images: Any) -> Any:
        """Draws as it would without."""
        return self.generate(requests)


@dataclass
class Writer:
    """Writes sentences without a model."""

    name: str = "fake"
    fingerprint: str = "f"
    asked: list[str] = field(default_factory=list)

    def write(self, class_name: str, phrase: str, count: int, seed: int) -> list[str]:
        """As base.SentenceWriter."""
        return [f"{class_name} no. {number}" for number in range(count)]


def sealed(value: Any) -> Any:
    """With the checksum of what it is now, so that it is read to the end."""
    return with_checksum(value) if isinstance(value, dict) and CHECKSUM in value else value


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
    path.write_bytes(save(load_file(path), {"training": json.dumps(sealed(note))}))


def build(scratch: Path) -> list[OwnFile]:
    """Write the world, and list its files."""
    worlds = (_dataset, _refilled, _classifier, _tuned, _diagnosis, _others, _by_hand)
    return [own for world in worlds for own in world(scratch)]


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
            lambda path, line: path.write_text(f"{json.dumps(sealed(line))}\n{path.read_text().partition(chr(10))[2]}"),
        ),
    ]


def _refilled(scratch: Path) -> list[OwnFile]:
    """A dataset that was drawn at real images and refilled; and its export."""
    folder, files = scratch / "grown", scratch / "files"
    options: dict[str, Any] = {"images_per_class": 3, "shard_size": 8, "initial_images": "digits", "shots": 2}
    options |= {"refill": "duplicates", "filter": FilterConfig(hash_distance=24, similarity=-1.0), "max_draws": 9}

    def create() -> Any:
        result = synthset.create(("zero", "one"), folder, generator=Redrawing(), encoder=FakeEncoder(), **options)
        return result.accounting, hashes(folder)

    def real_images() -> Any:
        return open_dataset(folder).initial_images()

    def exported() -> Any:
        images = load_path(files)
        return images.class_names, images.labels.tolist(), [images.read(row) for row in range(len(images))]

    create()
    export_imagefolder(open_dataset(folder).images(), files)
    return [
        OwnFile("plan of a further round", folder / "plan-refill-00.parquet", create),
        OwnFile("real images of a dataset", folder / INITIAL_IMAGES_FILE, real_images),
        OwnFile("names of an export", files / EXPORT_MARKER, exported, ExportRecord),
    ]


def _classifier(scratch: Path) -> list[OwnFile]:
    folder, halfway = scratch / "model", scratch / "halfway"
    images, others, config = make_set((3, 3, 3)), make_set((3, 3, 3), seed=1), replace(CONFIG, epochs=1)
    train.train_classifier(images, config, folder)
    _stop_at_end(halfway, lambda: train.train_classifier(images, config, halfway))
    result = count(np.array([0, 1, 2, 2]), np.array([0, 1, 2, 1]), images.class_names, "digits")
    about = {"encoder": {"name": "fake", "fingerprint": "f"}, "templates": ["a {class}."]}  # as of a CLIP
    write_json(folder / "evaluation" / "digits.json", result.to_json() | about)

    def predict() -> Any:
        classifier = models.load_classifier(folder, "cpu")
        return classifier.config, classifier.predict(torch.zeros(1, 3, 8, 8, dtype=torch.uint8)).tolist()

    def evaluations() -> Any:
        read = read_evaluations([folder])
        return {name: as_record(SavedEvaluation, value, "", "", is_part=True) for name, value in read.items()}

    def again(place: Path) -> Callable[[], Any]:
        return lambda: replace(train.train_classifier(images, config, place), folder=Path(), seconds=0, history=())

    return [
        OwnFile("config of a classifier", folder / "config.json", predict, models.ModelConfig),
        OwnFile("weights", folder / "model.safetensors", predict),
        OwnFile("notes of a training", folder / "training.json", again(folder), train._Note),
        OwnFile(
            "what a training learned from",
            folder / "training.json",
            lambda: learned_from.check_unseen(folder, others),
            learned_from._Note,
        ),
        OwnFile(
            "checkpoint",
            halfway / "resume.safetensors",
            again(halfway),
            checkpoints._Progress,
            _load_progress,
            _store_progress,
        ),
        OwnFile("evaluation", folder / "evaluation" / "digits.json", evaluations, SavedEvaluation),
    ]


def _stop_at_end(folder: Path, learn: Callable[[], object]) -> None:
    """Stop a training or a tuning before it is finished: its checkpoint stays."""
    end = mock.patch.object(checkpoints, "write_json", side_effect=KeyboardInterrupt)
    with end, contextlib.suppress(KeyboardInterrupt):
        learn()
    (folder / "config.json").unlink()
    (folder / "model.safetensors").unlink()


def _tuned(scratch: Path) -> list[OwnFile]:
    folder, halfway, encoder = scratch / "tuned", scratch / "halftuned", FakeEncoder()
    images, cache = make_set((3, 3, 3)), EmbeddingCache(scratch / "tuned-cache")

    def tune(place: Path) -> Any:
        config = TuneConfig(epochs=2, device="cpu", validation_fraction=0.3)
        result = synthset.tune(images, place, config, encoder=encoder, cache=cache)
        return replace(result, folder=Path(), seconds=0, history=(), chosen=replace(result.chosen, seconds=0))

    tune(folder)
    _stop_at_end(halfway, lambda: tune(halfway))

    def load() -> Any:
        tuned = saving.load_tuned(folder, encoder=encoder)
        return tuned.config, tuned.weight.tolist(), tuned.bias.tolist()

    checkpoint = halfway / "resume.safetensors"
    stored: tuple[Any, ...] = (checkpoints._Progress, _load_progress, _store_progress)
    return [
        OwnFile("config of a tuned CLIP", folder / "config.json", load, saving.TunedConfig),
        OwnFile("weights of a tuned CLIP", folder / "model.safetensors", load),
        OwnFile("notes of a tuning", folder / "training.json", lambda: tune(folder), results._Note),
        OwnFile("checkpoint of a tuning", checkpoint, lambda: tune(halfway), *stored),
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


def _by_hand(scratch: Path) -> list[OwnFile]:
    """What people write, in YAML; JSON is YAML."""
    phrases, options, classes = (scratch / "hand" / f"{name}.yaml" for name in ("phrases", "options", "classes"))
    sentence_file = scratch / "hand" / "sentences.jsonl"
    contents = {
        phrases: {"jay": "a bird of type jay", "cat": "a small cat"},
        options: {"images_per_class": 2, "create": {"classes": ["cat", "jay"], "guidance-scale": "1:5", "seed": 3}},
        classes: ["cat", "jay"],
        sentence_file: {"class": "cat", "sentence": "a cat sleeps"},
    }
    phrases.parent.mkdir()
    for path, content in contents.items():
        path.write_text(json.dumps(content))

    def dry_run() -> Any:
        ran = run_command("create", "--config", options, "--dry-run", "--output-dir", scratch / "never", *FAKE_MODEL)
        if ran.fault(0):
            raise SynthsetError(ran.stderr.strip()) if not ran.fault(1, 2) else AssertionError(ran.fault(1, 2))
        return ran.stdout

    return [
        OwnFile("phrases", phrases, lambda: load_phrases(phrases, ("cat", "jay")), dict),
        OwnFile("options", options, dry_run, dict),
        OwnFile("list of classes", classes, lambda: read_classes(classes), dict),
        OwnFile("file of sentences", sentence_file, lambda: FileWriter.from_file(str(sentence_file)), dict),
    ]
