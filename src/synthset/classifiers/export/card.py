"""The model card: README.md with the YAML head that hubs read, and a page for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from synthset.classifiers.checkpoints import TRAINING_FILE, EpochRecord, RecordedJob
from synthset.classifiers.export.checking import CheckImages, ModelRow
from synthset.classifiers.models import Classifier
from synthset.core.files import read_json, write_text
from synthset.core.json_records import Count, read_record
from synthset.core.redaction import printable

CARD = "README.md"
SHOWN_CLASSES = 50
USES = {
    "onnx": "`python predict.py model.onnx photo.jpg` prints the class of each image; it needs onnxruntime and Pillow.",
    "timm": '`timm.create_model("local-dir:FOLDER", pretrained=True)` loads it; its `pretrained_cfg` says the rest.',
}


@dataclass(frozen=True)
class _Note:
    """What the card says of the training."""

    job: RecordedJob
    images: str
    num_training: Count
    num_held_back: Count
    chosen: EpochRecord


def write_model_card(
    folder: Path, classifier: Classifier, model: Path, rows: Sequence[ModelRow], images: CheckImages, format: str
) -> None:
    """Write README.md beside an exported classifier.

    Args:
        model: the folder that it was exported from, with its training and its evaluations.
    """
    note = read_record(_Note, model / TRAINING_FILE, "Train it again.")
    config, names = classifier.config, classifier.class_names
    head = {"tags": ["image-classification", "synthetic", "synthset"], "pipeline_tag": "image-classification"}
    shown = ", ".join(names[:SHOWN_CLASSES]) + (
        f" and {len(names) - SHOWN_CLASSES:,} more" * (len(names) > SHOWN_CLASSES)
    )
    compared, is_held_back = len(images.compared), len(images.held_back) > 0
    kind = "not trained on" if is_held_back else "trained on, as none was held back: the accuracy says little"
    chosen = f"{note.num_held_back:,} held back to choose epoch {note.chosen.epoch} of the training by."
    if not note.num_held_back:
        chosen = f"none held back: epoch {note.chosen.epoch}, the last, was kept, whatever it is worth."
    parts = [
        f"# {config.architecture} for {len(names):,} classes, trained on synthetic images",
        f"Classes: {shown}.",
        f"Input: one RGB image, resized to {config.image_size_px} × {config.image_size_px} px.",
        f"## How to run it\n\n{USES[format]}",
        f"## Forms\n\nOn {compared:,} synthetic images that were {kind}; the speed is of the machine of the export.\n\n"
        + _table(
            ("form", "size", "accuracy", "same class as the classifier", "images/s"),
            [
                (
                    row.form,
                    f"{row.num_bytes / 1e6:.2f} MB",
                    f"{row.accuracy:.1%}",
                    f"{row.agreement:.1%}",
                    f"{row.images_per_second:,.0f}",
                )
                for row in rows
            ],
        ),
        f"## Accuracy on other images\n\n{evaluations_table(model)}",
        f"## Training\n\n{note.num_training:,} synthetic images of '{note.images}', {chosen}"
        + (f" It learned from other images too: {config.seen}." if config.seen else "")
        + " Settings:\n\n"
        + "\n".join(f"- `{key}`: {json.dumps(value, ensure_ascii=False)}" for key, value in note.job.config.items()),
        "## Licence\n\nThe weights follow the licence of the model that drew the images; see the card of the dataset.",
        "## Limits\n\nThe classifier knows its classes alone, and names one of them for any image. It learned from "
        "drawn images, which show what their generator believes of a class: look at its errors on images of your own "
        "before you rely on it.",
    ]
    body = printable("\n\n".join(parts))
    write_text(folder / CARD, f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n{body}\n")


def evaluations_table(model: Path) -> str:
    """The tests that lie in a model's folder, as a table in Markdown; a sentence where there is none."""
    rows = []
    for path in sorted((model / "evaluation").glob("*.json")):
        try:
            result: Mapping[str, Any] = read_json(path)
            interval = f"{result['low']:.1%} to {result['high']:.1%}"
            name, share = f"{result['real']} ({result.get('kind', 'real')})", f"{result['accuracy']:.1%}"
            rows.append((name, f"{result['n']:,}", share, interval))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # another file
    if not rows:
        return "None: the classifier was tested on no other images."
    return _table(("images", "number", "accuracy", "95 % interval"), rows)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
