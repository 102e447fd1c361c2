"""The classifier as the texts of the classes make it: before tuning it is zero-shot CLIP, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from synthset.core.devices import seeded
from synthset.core.errors import UnknownNameError
from synthset.encoders.templates import TEMPLATES, has_place, named_templates
from synthset.real import match_set


def zero_shot_head(class_vectors: Tensor, logit_scale: float) -> nn.Linear:
    """A linear layer over unit image vectors whose logits are those of zero-shot CLIP.

    Args:
        class_vectors: float32 (k, d), unit rows, as embed.embed_classes gives them.
        logit_scale: factor of the cosines, e.g. 100.
    Returns:
        Weights (k, d), the class vectors × logit scale, and a bias (k,) of zeros.
    Reference: He et al. 2023, section 3 (classifier tuning); Wortsman et al. 2022.

    >>> zero_shot_head(torch.eye(2), 10.0)(torch.tensor([[0.6, 0.8]])).tolist()
    [[6.0, 8.0]]
    """
    k, d = class_vectors.shape
    head = nn.Linear(d, k, device="meta").to_empty(device="cpu")  # nothing is drawn
    with torch.no_grad():
        head.weight.copy_(class_vectors * logit_scale)
        head.bias.zero_()
    return head


def random_head(num_classes: int, dimension: int, seed: int) -> nn.Linear:
    """A linear layer (k, d) that knows nothing of the classes: tuning without initialisation."""
    with seeded(seed):
        return nn.Linear(dimension, num_classes)


def resolve_templates(templates: Sequence[str], real: str | Path | None = None) -> tuple[str, ...]:
    """The sentences that are meant.

    Args:
        templates: sentences with a place for the class, or names of TEMPLATES, see `named_templates`; empty for those
            of `real`.
        real: name of the real set, where it is known.
    Raises:
        UnknownNameError: neither a sentence with a place for the class nor a name.

    >>> resolve_templates(["eurosat", "a map of {class}."])
    ('a centered satellite photo of {class}.', 'a map of {class}.')
    """
    if not templates:
        known = match_set(str(real)) if real is not None else None
        return TEMPLATES.get(known.templates if known else "default", TEMPLATES["default"])
    sentences: list[str] = []
    for template in templates:
        if has_place(template):
            sentences.append(template)
        elif (named := named_templates(template)) is not None:
            sentences.extend(named)
        else:
            raise UnknownNameError("template", template, TEMPLATES, "Or give a sentence with {class} in it.")
    return tuple(sentences)
