"""Weights that a training begins with, in place of random ones: timm's own, or those of a file or a folder.

Only safetensors are read. The head is replaced, as the classes are others; mean, std and image size are theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.data import ImageNetInfo, infer_imagenet_subset
from torch import Tensor, nn

from synthset.classifiers.architectures import timm_name
from synthset.classifiers.backbones import BACKBONE, read_backbone
from synthset.classifiers.models import (
    CONFIG_FILE,
    FORMAT,
    WEIGHTS_FILE,
    Classifier,
    ModelConfig,
    build_model,
    kind_of,
    num_classes_of,
    read_config,
    read_weights,
)
from synthset.core.devices import choose_device
from synthset.core.errors import ModelError, UsageError, first_line, setting
from synthset.core.files import read_json, sha256_of
from synthset.core.hub import fetching

IMAGENET = "imagenet"  # timm's usual weights of an architecture


@dataclass(frozen=True, eq=False)
class Start:
    """Weights to begin with, not loaded yet.

    Attributes:
        identity: what they are: their name in timm, or the SHA-256 of a file; another one is another training.
        seen: the images that they learned from, as far as it is known, in words.
        size_px: side of the images that they learned from.
        mean, std: of each channel, in [0, 1].
        load: gives them by name. Raises ModelError.
        ours: the config of the classifier of ours that they are; None for timm's.
    """

    identity: str
    seen: str
    size_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    load: Callable[[], dict[str, Tensor]]
    ours: ModelConfig | None = None


def find_start(weights: str, architecture: str, tag: str = "") -> Start:
    """The weights that are meant; they need not be at hand yet.

    Args:
        weights: "imagenet", a .safetensors file with timm's names, the folder of a classifier of ours, or one that
            timm wrote.
        architecture: its one name.
        tag: of timm's weights, such as a1_in1k; its usual ones by default.
    Raises:
        UsageError: no weights of that name for the architecture.
        ModelError: a file that is none of these.
    """
    if weights == IMAGENET:
        return _of_timm(architecture, tag)
    path = Path(weights).expanduser()
    if path.is_dir() and kind_of(path) == BACKBONE:
        backbone = read_backbone(path)
        return _of_ours(path, backbone.as_model(), f"{backbone.num_images:,} synthetic images", architecture)
    if path.is_dir() and _format_of(path) == FORMAT:
        return _of_ours(path, read_config(path), "synthetic images alone", architecture)
    if path.is_dir():
        path = path / WEIGHTS_FILE
    if path.suffix != ".safetensors" or not path.is_file():
        raise ModelError(
            f"Expected '{IMAGENET}', a .safetensors file or the folder of a model as weights, got '{weights}'."
        )
    if timm_name(architecture) is None:
        raise UsageError(
            f"Expected the folder of a model as {setting('weights')} of '{architecture}', which is not timm's, got "
            f"the file '{path}'. Give the folder that it lies in, if that is one."
        )
    config = _config_of(architecture, "")
    return _described(_sha256(path), f"those that '{path.name}' was made of", config, lambda: _read(path))


def start_model(config: ModelConfig, start: Start, seed: int) -> nn.Module:
    """A model that begins with these weights and a new head, whose random weights are drawn from `seed`.

    Raises:
        UsageError: another stem than the weights have.
        ModelError: weights of another architecture or form.
    """
    if start.ours is None:
        return build_model(config, seed, start.load())
    _check_form(config, start.ours)
    tensors, place = start.load(), f"the weights for '{config.architecture}'"
    model = build_model(config, seed)
    own, head = model.state_dict(), next(name for name, module in model.named_modules() if module is head_of(model))
    fitting = {name: value for name, value in tensors.items() if name in own and own[name].shape == value.shape}
    others = {name.rpartition(".")[0] or name for name in own.keys() - fitting.keys()} - {head}
    if others or tensors.keys() - own.keys():
        learned_at = setting("image_size_px", start.size_px)
        raise ModelError(
            f"Expected {place} to fit it, they do not ({', '.join(sorted(others)[:3])}). They learned at "
            f"{learned_at}; or give other {setting('weights')}."
        )
    # as many classes are not the same classes
    model.load_state_dict(
        {name: value for name, value in fitting.items() if not name.startswith(f"{head}.")}, strict=False
    )
    return model


def _check_form(config: ModelConfig, ours: ModelConfig) -> None:
    """Refuse another stem than the weights have; networks that are not timm's have one alone."""
    if timm_name(ours.architecture) is None:
        return
    for name in ("small_images", "conv_stem"):
        if (own := getattr(ours, name)) != getattr(config, name):
            raise UsageError(
                f"Expected {setting(name, own)}, which is the stem of these weights of '{ours.architecture}', got "
                f"{setting(name, not own)}. Give it so, or other {setting('weights')}."
            )


def load_pretrained(architecture: str, weights: str = IMAGENET, device: str = "auto") -> Classifier:
    """One of timm's classifiers with the head that it was published with, ready to predict.

    Its classes are the WordNet ids of ImageNet's synsets, in the order of its outputs.

    Args:
        architecture: its name in timm, with the tag of its weights if they are not the usual ones: resnet50.a1_in1k.
        weights: "imagenet" for timm's own, or a .safetensors file with timm's names.
        device: 'auto', 'cpu', 'cuda', …
    Raises:
        UsageError: no weights of that name.
        ModelError: a file that is none, or that does not fit; a head that is missing, or not of ImageNet's classes.
    """
    name, _, tag = architecture.partition(".")
    start = find_start(weights, name, tag)
    if start.ours is not None:
        raise UsageError(
            f"Expected timm's weights for '{architecture}', got a model of Synthset. Give '{weights}' alone."
        )
    tensors = start.load()
    count = num_classes_of(tensors, _config_of(name, tag))
    subset = infer_imagenet_subset({"num_classes": count}) if count else None
    if subset is None:
        raise ModelError(
            f"Expected weights for '{architecture}' with a head for ImageNet's classes, got "
            f"{f'one for {count:,} others' if count else 'none'}. Give weights as they were published."
        )
    synsets = tuple(ImageNetInfo(subset).label_names())
    config = ModelConfig(name, synsets, start.size_px, mean=start.mean, std=start.std, seen=start.seen)
    model = build_model(config, weights=tensors, keep_head=True)
    return Classifier(config, model.to(choose_device(device)).eval())


def head_of(model: nn.Module) -> nn.Module:
    """The last layer, which tells the classes apart."""
    return model.head if not hasattr(model, "get_classifier") else model.get_classifier()  # pyright: ignore


def head_weights(model: nn.Module) -> set[nn.Parameter]:
    """The weights of the last layer, which tells the classes apart."""
    return set(head_of(model).parameters())


def _of_timm(architecture: str, tag: str) -> Start:
    config = _config_of(architecture, tag)
    if not config.hf_hub_id:
        named = f"{architecture}.{tag}" if tag else architecture
        raise UsageError(f"timm has no weights for '{named}'. Leave {setting('weights')} out, or choose another.")
    name = f"timm/{config.architecture}.{config.tag}" if config.tag else f"timm/{config.architecture}"
    repository = config.hf_hub_id if config.hf_hub_id != "timm/" else name

    def load() -> dict[str, Tensor]:
        from huggingface_hub import hf_hub_download

        with fetching("weights", name, repository=repository):
            return _read(Path(hf_hub_download(repository, WEIGHTS_FILE)))

    return _described(name, f"the photographs that {name} learned from", config, load)


def _of_ours(folder: Path, config: ModelConfig, learned: str, architecture: str) -> Start:
    if config.architecture != architecture:
        raise UsageError(
            f"Expected weights of '{architecture}', got those of '{config.architecture}' in '{folder}'. Give "
            f"{setting('architecture', config.architecture)}."
        )
    seen = f"{config.seen or learned}, of the weights in '{folder}'"
    identity = _sha256(folder / WEIGHTS_FILE)
    size_px, load = config.image_size_px, lambda: read_weights(folder)
    return Start(identity, seen, size_px, config.mean, config.std, load, config)


def _config_of(architecture: str, tag: str) -> Any:
    name = timm_name(architecture)
    if name is None:
        raise UsageError(f"timm has no weights for '{architecture}'. Leave {setting('weights')} out.")
    try:
        config = timm.get_pretrained_cfg(f"{name}.{tag}" if tag else name)
    except RuntimeError as error:
        tags = ", ".join(one.rpartition(".")[2] for one in timm.list_pretrained(f"{name}.*"))
        raise UsageError(f"timm has no weights '{tag}' for '{name}', but {tags or 'none'}. Name one.") from error
    if config is None:
        raise UsageError(f"timm has no weights for '{architecture}'. Leave {setting('weights')} out.")
    return config


def _described(identity: str, seen: str, config: Any, load: Callable[[], dict[str, Tensor]]) -> Start:
    return Start(identity, seen, config.input_size[-1], tuple(config.mean), tuple(config.std), load)


def _format_of(folder: Path) -> str | None:
    try:
        content = read_json(folder / CONFIG_FILE)
    except (OSError, ValueError):
        return None
    return content.get("format") if isinstance(content, dict) else None


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"Expected weights as safetensors in '{path}', they do not read ({first_line(error)}). "
            "The file is damaged: copy or fetch it again."
        ) from error


def _sha256(path: Path) -> str:
    try:
        return f"sha256:{sha256_of(path)}"
    except OSError as error:
        raise ModelError(f"Expected weights in '{path}', got {error.strerror}.") from error
