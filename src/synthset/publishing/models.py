"""What of a model is published: weights, config, notes of the training, and a card. No logs, no states of a training.

An export (`synthset export MODEL`) is published as it is. A classifier of timm's, as `train` wrote it, has timm's
config in its own beside Synthset's, so that `timm.create_model("hf-hub:owner/name", pretrained=True)` loads it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from synthset.classifiers.checkpoints import TRAINING_FILE
from synthset.classifiers.export import exported_files
from synthset.classifiers.export.card import SHOWN_CLASSES, evaluations_table
from synthset.classifiers.models import BACKBONE, CONFIG_FILE, WEIGHTS_FILE, kind_of
from synthset.core.errors import DataError, SynthsetError, UsageError
from synthset.core.files import read_json, write_json, write_text
from synthset.core.json_records import read_record
from synthset.core.libraries import library_errors
from synthset.core.redaction import printable
from synthset.dataset.card import jobs_of
from synthset.dataset.reader import is_dataset, open_dataset
from synthset.publishing.cards import published_card
from synthset.publishing.contents import CARD, Publication, PublishedFile, listed, others_in
from synthset.publishing.licences import Licence, LookUp, licence_of
from synthset.publishing.privacy import json_without_paths

_UNKNOWN = Licence("the model that drew its training images")


@dataclass(frozen=True)
class _Place:
    path: str


@dataclass(frozen=True)
class _Note:
    """What the notes of a training say of its images."""

    data: _Place | None = None


def publish_export(folder: Path, stage: Path, look_up: LookUp | None = None) -> Publication:
    """What of an exported model is published: all that the export wrote, with the licence of who drew its images.

    Args:
        folder: that `export_model` wrote.
        stage: an empty folder for files that are published otherwise than they lie there.
        look_up: asks the hub for the card of a model.
    Raises:
        DataError: a file of the export that is gone.
    """
    names = [name for name in exported_files(folder) or () if name != CARD]
    files = listed(folder, names)
    if missing := sorted({*names} - {file.path for file in files}):
        raise DataError(f"Expected '{missing[0]}' in '{folder}', which its export wrote, found none. Export it again.")
    text = (folder / CARD).read_text(encoding="utf-8") if (folder / CARD).is_file() else ""
    write_text(stage / CARD, published_card(text, [_UNKNOWN]))
    files.append(PublishedFile(CARD, stage / CARD))
    return Publication("model", tuple(files), (_UNKNOWN,), 0, tuple(others_in(folder, [*names, CARD])))


def publish_model(folder: Path, stage: Path, look_up: LookUp | None = None) -> Publication:
    """What of a model that `train`, `tune` or `pretrain` wrote is published. Arguments and errors as `publish_export`.

    Raises:
        ModelError: a classifier that does not load.
    """
    config = read_json(folder / CONFIG_FILE)
    if not isinstance(config, Mapping) or not (folder / WEIGHTS_FILE).is_file():
        raise DataError(f"Expected a finished model in '{folder}', found none. Run the same command again.")
    described = json_without_paths(config)
    is_of_timm = kind_of(folder) is None and _add_timm(folder, stage, described)
    training = json_without_paths(read_json(folder / TRAINING_FILE))
    write_json(stage / CONFIG_FILE, described)
    write_json(stage / TRAINING_FILE, training)
    licences = _licences(folder, look_up)
    write_text(stage / CARD, published_card(_card(folder, described, training, is_of_timm), licences))
    files = listed(folder, [WEIGHTS_FILE])
    files += [PublishedFile(name, stage / name) for name in (TRAINING_FILE, CARD, CONFIG_FILE)]
    left_out = others_in(folder, [file.path for file in files])
    return Publication("model", tuple(files), licences, 0, tuple(left_out))


def _licences(folder: Path, look_up: LookUp | None) -> tuple[Licence, ...]:
    """Of the models that drew what it learned from, where that is at hand."""
    with suppress(SynthsetError):
        note = read_record(_Note, folder / TRAINING_FILE, "")
        if note.data is not None and is_dataset(note.data.path):
            models = [str(job["generation"].get("model")) for job in jobs_of(open_dataset(note.data.path))]
            return tuple(licence_of(model, look_up) for model in dict.fromkeys(models))
    return (_UNKNOWN,)


def _add_timm(folder: Path, stage: Path, described: dict[str, Any]) -> bool:
    """Add timm's config to a classifier's own, where timm has one for it that predicts the same."""
    import numpy as np
    import timm
    import torch

    from synthset.classifiers.export.checking import check_equal, torch_runner
    from synthset.classifiers.export.timm import timm_config
    from synthset.classifiers.models import load_classifier

    classifier = load_classifier(folder, "cpu")
    try:
        name, note = timm_config(classifier)
    except UsageError:  # an architecture of ours, or what timm's config cannot say
        return False
    trial, size = stage / "timm", classifier.config.image_size_px
    trial.mkdir()
    try:
        shutil.copyfile(folder / WEIGHTS_FILE, trial / WEIGHTS_FILE)
        write_json(trial / CONFIG_FILE, {**described, **note})
        with library_errors(f"timm does not load '{name}' as it was trained"):
            model = timm.create_model(f"local-dir:{trial}", pretrained=True).eval()
    finally:
        shutil.rmtree(trial)
    pixels = np.random.default_rng(0).integers(0, 256, (8, size, size, 3), np.uint8)
    mean, std = (np.array(values, np.float32) for values in (classifier.config.mean, classifier.config.std))
    normalised = np.ascontiguousarray(((pixels.astype(np.float32) / 255 - mean) / std).transpose(0, 3, 1, 2))
    with torch.inference_mode():
        check_equal(model(torch.from_numpy(normalised)).numpy(), torch_runner(classifier)(pixels), "timm")
    described.update(note)
    return True


def _card(folder: Path, config: Mapping[str, Any], training: Mapping[str, Any], is_of_timm: bool) -> str:
    """The card of a model as it was trained, tuned or pre-trained."""
    names = [str(name) for name in config.get("class_names", ())]
    what = str(config.get("architecture") or config.get("clip") or "model")
    is_backbone = config.get("kind") == BACKBONE
    task = "image-feature-extraction" if is_backbone else "image-classification"
    head: dict[str, Any] = {"tags": [task, "synthetic", "synthset", *["timm"] * is_of_timm], "pipeline_tag": task}
    if is_of_timm:
        head["library_name"] = "timm"
    title = f"# {what}, a backbone" if is_backbone else f"# {what} for {len(names):,} classes"
    loads = (
        "`synthset train DATASET --weights FOLDER` begins with it."
        if is_backbone
        else ("`synthset predict FOLDER photos` prints the class of each image.")
    )
    if is_of_timm:
        loads += ' `timm.create_model("hf-hub:OWNER/NAME", pretrained=True)` loads it.'
    parts = [f"{title}, trained on synthetic images", f"## How to run it\n\n{loads}"]
    if names:
        more = f" and {len(names) - SHOWN_CLASSES:,} more" * (len(names) > SHOWN_CLASSES)
        parts.append(f"Classes: {', '.join(names[:SHOWN_CLASSES])}{more}.")
    if not is_backbone:
        parts.append(f"## Accuracy on other images\n\n{evaluations_table(folder)}")
    if config.get("seen"):
        parts.append(f"It learned from other images too: {config['seen']}.")
    if isinstance(count := training.get("num_training"), int):
        parts.append(f"## Training\n\n{count:,} images of '{training.get('images', '')}'; see `{TRAINING_FILE}`.")
    parts.append(
        "## Licence\n\nThe weights follow the licence of the model that drew the images.\n\n## Limits\n\nIt learned "
        "from drawn images, which show what their generator believes of a class: look at its errors on images of your "
        "own before you rely on it."
    )
    body = printable("\n\n".join(parts))
    return f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n{body}\n"
