"""A classifier as timm's own folder: model.safetensors and config.json, which `timm.create_model` loads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from safetensors.torch import save_file

from synthset.classifiers.architectures import timm_name
from synthset.classifiers.export.checking import (
    CheckImages,
    ModelRow,
    check_equal,
    compare,
    pixels_of,
    torch_runner,
)
from synthset.classifiers.models import Classifier, plain_state
from synthset.core.errors import UsageError, setting
from synthset.core.files import write_json
from synthset.core.libraries import library_errors

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def write_timm(classifier: Classifier, images: CheckImages, folder: Path, *, int8: bool = False) -> list[ModelRow]:
    """Write weights and config, and compare what timm makes of them with the classifier.

    Raises:
        UsageError: a classifier that timm's config cannot say: no architecture of timm, a finer stem, or each image
            normalised by itself.
        ModelError: timm predicts otherwise.
    """
    name, note = timm_config(classifier)
    config = classifier.config
    save_file(plain_state(classifier.model), folder / WEIGHTS, {"format": "pt"})
    write_json(folder / CONFIG, note)
    with library_errors(f"timm does not load '{name}' as it was trained"):
        model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    mean, std = (np.array(values, np.float32) for values in (config.mean, config.std))

    def run(pixels: np.ndarray) -> np.ndarray:
        normalised = (pixels.astype(np.float32) / 255 - mean) / std
        with torch.inference_mode():
            return model(torch.from_numpy(np.ascontiguousarray(normalised.transpose(0, 3, 1, 2)))).numpy()

    pixels, labels = pixels_of(images.compared, classifier), images.compared.labels
    num_bytes = (folder / WEIGHTS).stat().st_size
    own, expected = compare("PyTorch", num_bytes, torch_runner(classifier), pixels, labels)
    row, logits = compare(WEIGHTS, num_bytes, run, pixels, labels)
    check_equal(logits, expected, "timm")
    return [own, replace(row, agreement=float(np.mean(logits.argmax(1) == expected.argmax(1))))]


def timm_config(classifier: Classifier) -> tuple[str, dict[str, Any]]:
    """The architecture's name in timm, and the config by which timm loads the classifier's weights.

    Raises:
        UsageError: a classifier that timm's config cannot say.
    """
    name, config = _check(classifier), classifier.config
    size = config.image_size_px
    default: Any = timm.get_pretrained_cfg(name)
    sized = {"img_size": size} if default is not None and default.fixed_input_size else {}
    described = {
        "input_size": [3, size, size],
        "fixed_input_size": bool(sized),
        "interpolation": "bicubic",
        "crop_pct": 1.0,
        "crop_mode": "squash",
        "mean": list(config.mean),
        "std": list(config.std),
        "num_classes": len(config.class_names),
        "label_names": list(config.class_names),
        "custom_load": False,
        **{key: getattr(default, key) for key in ("first_conv", "classifier") if default is not None},
    }
    note = {"architecture": name, "num_classes": len(config.class_names), "pretrained_cfg": described}
    return name, note | ({"model_args": sized} if sized else {})


def _check(classifier: Classifier) -> str:
    """The architecture's name in timm."""
    config, advice = classifier.config, f"Give {setting('format', 'onnx')}, which holds any classifier."
    source = timm_name(config.architecture)
    if source is None:
        raise UsageError(f"Expected an architecture of timm, got '{config.architecture}'. {advice}")
    others = (
        (config.small_images, "a finer stem", setting("small_images", False)),
        (config.conv_stem, "a stem of convolutions", setting("conv_stem", False)),
        (config.normalisation != "dataset", "each image normalised by itself", setting("normalisation", "dataset")),
    )
    got = [(words, remedy) for is_other, words, remedy in others if is_other]
    if got:
        words, remedies = (" and ".join(parts) for parts in zip(*got, strict=True))
        raise UsageError(
            f"Expected what timm's config can say, its own stem and one mean for all images, got {words}. {advice} Or "
            f"train with {remedies}."
        )
    return source
