"""A tuned classifier as a folder, and how it is read again.

    model.safetensors   the linear layer, a learned context, and what was tuned of the encoder
    config.json         kind "tuned_clip", the CLIP with its fingerprint, the classes, the templates
    training.json       how it was tuned, epoch by epoch; written last, it marks completion

The CLIP itself is not copied: it is loaded by its name, and its fingerprint must be the one that was tuned.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from synthset.classifiers.models import CONFIG_FILE, read_weights, write_model
from synthset.classifiers.predictions import Picture, Predictions, as_pictures, open_picture
from synthset.core.errors import ModelError
from synthset.core.json_records import Count, read_record
from synthset.encoders.clip import Encoder, OpenClipEncoder, load_encoder

KIND = "tuned_clip"
_HEAD, _ENCODER = "head.", "encoder."


@dataclass(frozen=True)
class TunedConfig:
    """All that a prediction depends on beside the weights, and where the shots came from.

    Attributes:
        clip, dtype: for `load_encoder`.
        fingerprint: of the encoder that was tuned from.
        class_names: the k names, in the order of the logits.
        templates: the sentences that the classifier began as.
        real: the real set that shots were drawn from and the tuning was meant for; None for none.
        shots: real images of each class that were learned from.
    """

    clip: str
    dtype: str
    fingerprint: str
    class_names: tuple[str, ...]
    templates: tuple[str, ...]
    real: str | None = None
    shots: Count = 0


@dataclass(frozen=True, eq=False)
class TunedClassifier:
    """A tuned classifier, ready to predict.

    Attributes:
        encoder: with the tuned weights, where there are any.
        weight, bias: of the linear layer, (k, d) and (k,).
    """

    config: TunedConfig
    encoder: Encoder
    weight: Tensor
    bias: Tensor

    @property
    def class_names(self) -> tuple[str, ...]:
        """The k names, in the order of the logits."""
        return self.config.class_names

    def predict_images(self, pictures: Picture | Sequence[Picture], batch_size: int = 256) -> Predictions:
        """Names and probabilities of images of any size, see `Classifier.predict_images`."""
        opened = as_pictures(pictures)
        parts = [
            self.logits(self.encoder.images([open_picture(one) for one in opened[start : start + batch_size]]))
            for start in range(0, len(opened), batch_size)
        ]
        logits = torch.cat(parts) if parts else torch.empty(0, len(self.class_names))
        return Predictions(self.class_names, logits.softmax(1).numpy())

    def logits(self, vectors: Tensor) -> Tensor:
        """Logits (n, k) of unit vectors (n, d) of its encoder."""
        return vectors @ self.weight.T + self.bias


def save_tuned(folder: Path, config: TunedConfig, head: dict[str, Tensor], encoder: dict[str, Tensor]) -> None:
    """Write weights and config.

    Args:
        head: its weight and bias; of a learned context that too, which no prediction needs.
        encoder: tensors of the image tower that replace those of the CLIP, by their names in it; may be empty.
    """
    tensors = {f"{_HEAD}{name}": value for name, value in head.items()}
    tensors |= {f"{_ENCODER}{name}": value for name, value in encoder.items()}
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    write_model(folder, plain, {"kind": KIND, **vars(config)})


@dataclass(frozen=True)
class _Kind:
    format: Literal["synthset-classifier-1"]
    kind: Literal["tuned_clip"]


def read_tuned_config(folder: str | Path) -> TunedConfig:
    """The config of the tuned classifier in `folder`. Raises ModelError if there is none, or it is damaged."""
    path, remedy = Path(folder) / CONFIG_FILE, "Run 'synthset tune' first, or again if the file is damaged."
    try:
        read_record(_Kind, path, remedy, ModelError, is_part=True)
        return read_record(TunedConfig, path, remedy, ModelError)
    except FileNotFoundError as error:
        raise ModelError(
            f"Expected a tuned classifier in '{folder}', found none. Run 'synthset tune' first."
        ) from error


def load_tuned(folder: str | Path, *, device: str = "auto", encoder: Encoder | None = None) -> TunedClassifier:
    """A tuned classifier from its folder.

    Args:
        encoder: the CLIP that it was tuned from, where it is at hand; else it is loaded by its name.
    Raises:
        ModelError: no such model, weights that do not fit, or another CLIP than the one that was tuned.
    """
    folder = Path(folder)
    config = read_tuned_config(folder)
    encoder = encoder or load_encoder(config.clip, device=device, dtype=config.dtype)
    if encoder.fingerprint != config.fingerprint:
        raise ModelError(
            f"Expected the CLIP '{config.clip}' that '{folder}' was tuned from ({config.fingerprint[:12]}), "
            f"got another one ({encoder.fingerprint[:12]}). Bring that CLIP back, or tune again."
        )
    tensors = read_weights(folder)
    try:
        weight, bias = tensors.pop(f"{_HEAD}weight"), tensors.pop(f"{_HEAD}bias")
        tensors.pop(f"{_HEAD}context", None)
        if weight.shape != (len(config.class_names), encoder.dimension) or bias.shape != weight.shape[:1]:
            raise ValueError(f"a layer of shape {tuple(weight.shape)}")
        tuned = {name.removeprefix(_ENCODER): value for name, value in tensors.items()}
        return TunedClassifier(config, with_weights(encoder, tuned), weight, bias)
    except (KeyError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"The weights and config in '{folder}' do not fit together: {reason}.") from error


def with_weights(encoder: Encoder, tuned: dict[str, Tensor]) -> Encoder:
    """The encoder, or where there are other tensors for its image tower a copy with these and another fingerprint."""
    if not tuned:
        return encoder
    if not isinstance(encoder, OpenClipEncoder):
        raise ValueError(f"'{encoder.name}' is no encoder that open_clip built")
    changed = copy.deepcopy(encoder)
    visual = changed.model.visual
    unknown = set(tuned).difference(visual.state_dict())
    if unknown:
        raise ValueError(f"the encoder has no {sorted(unknown)[0]}")
    visual.load_state_dict(tuned, strict=False)
    digest = hashlib.sha256(encoder.fingerprint.encode())
    for name in sorted(tuned):
        digest.update(name.encode())
        digest.update(tuned[name].detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    changed.fingerprint = digest.hexdigest()
    changed.name = f"{encoder.name} (tuned)"
    return changed
