"""Classifier architectures by name, from random initialisation, fitted to the image size; saved as a folder.

A saved classifier is `model.safetensors` (weights) and `config.json` (all that a prediction needs beside
them: architecture, class names, image size, normalisation). Nothing is ever unpickled or downloaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from synthset.classifiers.architectures import outline, resolve_architecture, source_of
from synthset.classifiers.batch_memory import NO_ROOM, check_memory
from synthset.classifiers.predictions import Picture, Predictions, as_pictures, open_picture
from synthset.classifiers.stems import choose_patch_px, convolve, refine
from synthset.core.devices import choose_device, seeded
from synthset.core.errors import ModelError, UnknownNameError, UsageError, first_line, setting
from synthset.core.files import atomic_write, read_json, write_json
from synthset.core.json_records import LATER, Record, read_record
from synthset.core.options import Option
from synthset.images.decoding import resize

FORMAT = "synthset-classifier-1"
WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
BACKBONE: Literal["backbone"] = "backbone"  # kind of a model without a head, see backbones.py
PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt")


def _normalisations() -> Iterable[str]:
    return NORMALISATIONS


@dataclass(frozen=True)
class ModelConfig:
    """All that a prediction depends on beside the weights.

    Attributes:
        architecture: a key of ARCHITECTURES, or the name of any timm model.
        class_names: the k names, in the order of the logits.
        image_size_px: side of the square images that the model sees.
        small_images: a finer stem (3×3 without pooling, or smaller patches), for images of up to 64 px.
        antialias: whether images are shrunk with anti-aliasing on the way to `image_size_px`.
        normalisation: a key of NORMALISATIONS.
        mean, std: of each channel over the training images, in [0, 1]; used by `dataset`.
        seen: images that it learned from before, with the weights that it began with, in words.
        conv_stem: a stem of 3×3 convolutions in place of patches (Xiao et al. 2021), of a ViT or ConvNeXt.
    """

    architecture: str
    class_names: tuple[str, ...]
    image_size_px: Annotated[int, Option(at_least=1)]
    small_images: bool = False
    antialias: bool = True
    normalisation: Annotated[str, Option(choices=_normalisations)] = "dataset"
    mean: Annotated[tuple[float, float, float], Option(at_least=0, at_most=1)] = (0.5, 0.5, 0.5)
    std: Annotated[tuple[float, float, float], Option(above=0)] = (0.25, 0.25, 0.25)
    seen: str = field(default="", metadata=LATER)
    conv_stem: bool = field(default=False, metadata=LATER)


@dataclass(frozen=True)
class Classifier:
    """A model with the configuration that it was built from."""

    config: ModelConfig
    model: nn.Module

    @property
    def class_names(self) -> tuple[str, ...]:
        """The k names, in the order of the logits."""
        return self.config.class_names

    def predict_images(self, pictures: Picture | Sequence[Picture], batch_size: int = 256) -> Predictions:
        """Names and probabilities of images of any size.

        Args:
            pictures: one or several: paths, encoded bytes, PIL images, uint8 arrays (h, w, 3) or (h, w).
        Raises:
            DataError: an image that cannot be read.
            UsageError: something else than images.

        >>> load_classifier("digits-model").predict_images(["a.png", "b.png"]).names  # doctest: +SKIP
        ['five', 'two']
        """
        size, opened = self.config.image_size_px, as_pictures(pictures)
        probabilities = np.empty((len(opened), len(self.class_names)), np.float32)
        for start in range(0, len(opened), batch_size):
            images = [
                resize(open_picture(picture), size, self.config.antialias)
                for picture in opened[start : start + batch_size]
            ]
            pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2)
            logits = self.predict(pixels, batch_size)
            probabilities[start : start + len(images)] = logits.softmax(1).numpy()
        return Predictions(self.class_names, probabilities)

    def predict(self, images: Tensor, batch_size: int = 256) -> Tensor:
        """Logits of uint8 (n, 3, size, size) images: float32 (n, k), on the CPU.

        The model is put into evaluation mode, so nothing in it learns from these images.
        Raises:
            UsageError: the images are not uint8 of the model's size.
        """
        size, k = self.config.image_size_px, len(self.config.class_names)
        if images.dtype != torch.uint8 or tuple(images.shape[1:]) != (3, size, size):
            raise UsageError(
                f"Expected uint8 images of shape (n, 3, {size}, {size}), "
                f"got {images.dtype} {tuple(images.shape)}. Resize them to the model's image size."
            )
        if batch_size < 1:
            raise UsageError(f"Expected a batch size of at least 1, got {batch_size}.")
        device = next(self.model.parameters()).device
        self.model.eval()
        logits = torch.empty(len(images), k)
        with torch.inference_mode():
            for start in range(0, len(images), batch_size):
                batch = images[start : start + batch_size].to(device)
                pixels = batch.float() / 255  # NCHW uint8 -> NCHW float32 in [0, 1]
                logits[start : start + len(batch)] = self.model(normalise(pixels, self.config)).float()
        return logits


def build_model(
    config: ModelConfig, seed: int = 0, weights: dict[str, Tensor] | None = None, *, keep_head: bool = False
) -> nn.Module:
    """The architecture of `config` with random weights drawn from `seed`; global random state is untouched.

    Args:
        weights: of timm's form of the architecture, for all but the head.
        keep_head: whether they are for the head too, whose classes those of `config` then are.
    Returns:
        A model on the CPU: normalised float32 (n, 3, size, size) -> logits (n, k).
    Raises:
        UnknownNameError: no such architecture or normalisation.
        UsageError: fewer than two classes, or an image size that the architecture does not permit.
    """
    architecture = resolve_architecture(config.architecture)
    if config.normalisation not in NORMALISATIONS:
        raise UnknownNameError("normalisation", config.normalisation, NORMALISATIONS)
    if len(config.class_names) < 2:
        raise UsageError(f"Expected at least two classes, got {len(config.class_names)}.")
    if config.image_size_px < 1:
        raise UsageError(f"Expected an image size of at least 1 px, got {config.image_size_px}.")
    with seeded(seed):
        source = source_of(architecture)
        if callable(source):
            model = source(len(config.class_names), config.image_size_px)
        else:
            model = _build_timm(source, config, weights, keep_head)
        if config.conv_stem:
            convolve(model, config.architecture)
    _check_image_size(model, config)
    return model.to(memory_format=torch.channels_last)


def normalise(images: Tensor, config: ModelConfig) -> Tensor:
    """Float images (n, 3, h, w) in [0, 1] -> what the model sees, in channels-last memory."""
    normalised = NORMALISATIONS[config.normalisation].apply(images, config)
    return normalised.contiguous(memory_format=torch.channels_last)


def save_classifier(folder: Path | str, model: nn.Module, config: ModelConfig) -> None:
    """Write `model.safetensors` and `config.json` into `folder`; a folder with a config is complete."""
    write_model(Path(folder), plain_state(model), asdict(config))


def load_classifier(path: Path | str, device: str = "auto") -> Classifier:
    """A saved classifier, ready to predict on `device` ('auto', 'cpu', 'cuda', …).

    `path` is its folder, a file in it, or any name in it that does not exist: commands that expect a
    single model file keep working.
    Raises:
        ModelError: not a saved classifier, a pickle, or weights that do not fit the config.
    """
    folder = find_folder(Path(path))
    config = read_config(folder)
    weights = read_weights(folder)
    try:
        model = build_model(config)
        model.load_state_dict(weights)
    except (RuntimeError, UsageError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"The weights and config in '{folder}' do not fit together: {reason}.") from error
    return Classifier(config, model.to(choose_device(device)).eval())


def read_config(folder: Path) -> ModelConfig:
    """The config of the classifier in `folder`. Raises ModelError if there is none, or it is damaged."""
    if kind_of(folder) == BACKBONE:
        raise ModelError(
            f"Expected a classifier in '{folder}', found a backbone, which knows no classes. Run 'synthset transfer' "
            "to have it learn some."
        )
    _read(_Seal, folder)
    return _read(ModelConfig, folder)


# ---- models of timm ----------------------------------------------------------------------------------


def _build_timm(
    name: str, config: ModelConfig, weights: dict[str, Tensor] | None = None, keep_head: bool = False
) -> nn.Module:
    """A timm model with random weights, or these; those with a fixed input size are built for the image size."""
    options: dict[str, Any] = {"num_classes": len(config.class_names)}
    default = timm.get_pretrained_cfg(name)
    if default is not None and default.fixed_input_size:
        options["img_size"] = config.image_size_px
        options |= _patch_size(name, config)
    if weights is not None:  # with the classes that they know, so that timm holds every weight to its name
        options["num_classes"] = known = num_classes_of(weights, default)
        options["pretrained_cfg_overlay"] = {"state_dict": weights, "num_classes": known, "custom_load": False}
    try:
        model: Any = timm.create_model(name, pretrained=weights is not None, **options)
        if weights is not None and not keep_head:
            model.reset_classifier(len(config.class_names))
    except (TypeError, ValueError, AssertionError, RuntimeError, KeyError, ZeroDivisionError) as error:
        if weights is not None:
            reason = " ".join(str(error).split())[:200]
            raise ModelError(
                f"Expected weights for '{config.architecture}', got others ({reason}). Give other "
                f"{setting('weights')}, or another {setting('architecture')}."
            ) from error
        raise UsageError(
            f"'{config.architecture}' cannot be built for images of {config.image_size_px} px ({first_line(error)}). "
            f"Choose another {setting('image_size_px')} or {setting('architecture')}."
        ) from error
    if config.small_images:
        refine(model, config.architecture)
    return model


def _patch_size(name: str, config: ModelConfig) -> dict[str, int]:
    """The option of timm for the side of patches, where it is not the usual one."""
    usual_px = outline(name).patch_px or 0
    if not (config.small_images or (config.conv_stem and usual_px)):
        return {}
    is_fine, is_conv = config.small_images, config.conv_stem
    size_px = config.image_size_px
    return {"patch_size": choose_patch_px(config.architecture, usual_px, size_px, is_fine=is_fine, is_conv=is_conv)}


def num_classes_of(weights: Mapping[str, Tensor], default: Any) -> int:
    """The classes that a head among the weights knows; 0 without one."""
    names = default.classifier if default is not None else ""
    heads = [f"{name}.weight" for name in ((names,) if isinstance(names, str) else names)]
    return next((len(weights[head]) for head in heads if head in weights), 0)


def _check_image_size(model: nn.Module, config: ModelConfig) -> None:
    """One pass over a blank image shows whether the architecture permits the size."""
    size, k = config.image_size_px, len(config.class_names)
    if isinstance(model, VisionTransformer):
        patch_px = model.patch_embed.patch_size[0]
        if size % patch_px:  # the rest of the image would be ignored
            raise UsageError(
                f"Expected {setting('image_size_px')} as a multiple of {patch_px} px for '{config.architecture}', got "
                f"{size}. Give {setting('image_size_px', -(-size // patch_px) * patch_px)}, or "
                f"{setting('small_images')}."
            )
    check_memory(model, 1, size, 4)
    try:
        with torch.no_grad():
            shape = tuple(model.eval()(torch.zeros(1, 3, size, size)).shape)
    except NO_ROOM as error:
        reason = " ".join(str(error).split())[:120]
        raise UsageError(
            f"Images of {size} px are too small for '{config.architecture}' ({reason}). "
            f"Give a larger {setting('image_size_px')}, {setting('small_images')}, or another "
            f"{setting('architecture')}."
        ) from error
    finally:
        model.train()
    if shape != (1, k):
        raise UsageError(
            f"'{config.architecture}' is not a classifier: expected logits of shape (1, {k}), got {shape}."
        )


# ---- normalisation -----------------------------------------------------------------------------------


def _normalise_by_dataset(images: Tensor, config: ModelConfig) -> Tensor:
    mean, std = (images.new_tensor(values).view(1, -1, 1, 1) for values in (config.mean, config.std))
    return (images - mean).div_(std)


def _normalise_each_image(images: Tensor, _config: ModelConfig) -> Tensor:
    std, mean = torch.std_mean(images, dim=(1, 2, 3), keepdim=True)
    return (images - mean) / std.clamp(min=1 / 255)  # a blank image stays blank


@dataclass(frozen=True)
class Normalisation:
    """Float images (n, 3, h, w) in [0, 1] to zero mean and unit variance, in some sense; and a line about it."""

    apply: Callable[[Tensor, ModelConfig], Tensor]
    summary: str


NORMALISATIONS = {
    "dataset": Normalisation(_normalise_by_dataset, "each channel, over the training images"),
    "per_image": Normalisation(
        _normalise_each_image, "each image by itself, so that its brightness and contrast do not matter"
    ),
}


# ---- files -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Seal:
    """What config.json says of itself and of the weights; those of earlier versions have no hash."""

    format: Literal["synthset-classifier-1"]
    weights_sha256: str = ""


def _read(kind: type[Record], folder: Path) -> Record:
    remedy = "Run 'synthset train' first, or again if the file is damaged."
    try:
        is_part = kind is _Seal
        return read_record(kind, folder / CONFIG_FILE, remedy, ModelError, complete=not is_part, is_part=is_part)
    except FileNotFoundError as error:
        raise ModelError(f"Expected a classifier in '{folder}', found none. Run 'synthset train' first.") from error


def write_model(folder: Path, tensors: dict[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write weights, then config.json: a folder with a config is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).unlink(missing_ok=True)  # never a new model beside an old config
    data = save(tensors)
    with atomic_write(folder / WEIGHTS_FILE) as file:
        file.write(data)
    write_json(folder / CONFIG_FILE, {"format": FORMAT, **config, "weights_sha256": hashlib.sha256(data).hexdigest()})


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The weights that `write_model` wrote. Raises ModelError where they are not there, or were changed."""
    path, seal = folder / WEIGHTS_FILE, _read(_Seal, folder)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if seal.weights_sha256 not in ("", digest):
            raise ValueError("their SHA-256 is not the 'weights_sha256' of config.json")
        return load_file(path)
    except FileNotFoundError as error:
        raise ModelError(f"Expected weights in '{path}', found none. Run 'synthset train' first.") from error
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelError(
            f"Expected the weights of a classifier in '{path}', they were changed or damaged ({first_line(error)}). "
            "Restore the file, or train again."
        ) from error


def plain_state(module: nn.Module) -> dict[str, Tensor]:
    """The module's weights and buffers on the CPU, each in memory of its own, as safetensors asks."""
    state = module.state_dict()
    return {
        name: value.detach().to("cpu", memory_format=torch.contiguous_format).clone() for name, value in state.items()
    }


def kind_of(folder: str | Path) -> str | None:
    """The kind of model that the config.json in `folder` names; None where it names none, or is not there."""
    try:
        content = read_json(Path(folder) / CONFIG_FILE)
    except (OSError, ValueError):
        return None
    return content.get("kind") if isinstance(content, dict) else None


def find_folder(path: Path) -> Path:
    """The model folder that `path` names, or that it would lie in: scripts ask for `saved_models/trained_model.pt`.

    Raises:
        ModelError: an existing pickle.
    """
    if path.is_dir():
        return path
    if path.suffix.lower() in PICKLES and path.exists():
        raise ModelError(
            f"'{path}' is a pickle, which can run any code when it is opened, so it is not loaded. "
            "Train the model with 'synthset train', which writes safetensors."
        )
    return path.parent if (path.parent / CONFIG_FILE).is_file() else path
