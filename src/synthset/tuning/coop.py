"""CoOp: in place of the words before a class name stand vectors that are learned, through a text encoder as it is.

    ▣ ▣ … ▣ {class}.  ─▶ text encoder ─▶ the classes' vectors ─▶ cosines with images × logit scale

Zhou et al. 2022, "Learning to Prompt for Vision-Language Models", with one context for all classes and the class at
the end. What comes of it are vectors of classes, so it is kept, read and used as any other tuned classifier is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthset.core.errors import UsageError, setting, some
from synthset.encoders.clip import Encoder, OpenClipEncoder
from synthset.encoders.templates import fill_template

NAME_ALONE = "{class}."  # as in the released code
CONTEXT_LENGTH, CONTEXT_STD = 16, 0.02


@dataclass(frozen=True, eq=False)
class Prompts:
    """The classes' names as tokens, with places for a context before them.

    Attributes:
        tokens: int64 (k, l); what stands at the context's places is never read.
        start: the first of these places.
    """

    encoder: OpenClipEncoder
    tokens: Tensor
    start: int

    def class_vectors(self, context: Tensor) -> Tensor:
        """Unit vectors of the classes, (k, d), with the context (m, w) in its places; gradients reach it."""
        model = self.encoder.model
        with _in_place(token_layer(model), context, self.start), self.encoder.autocast():
            rows = model.encode_text(self.tokens)
        return F.normalize(rows.float(), dim=1)


class PromptHead(nn.Module):
    """A classifier over vectors of images whose only weights are the context, float32 (m, w)."""

    def __init__(self, prompts: Prompts, context: Tensor) -> None:
        super().__init__()
        self.prompts = prompts  # no module: the text encoder is neither tuned nor saved
        self.context = nn.Parameter(context)

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits (n, k) of unit vectors (n, d)."""
        classes = self.prompts.class_vectors(self.context).to(vectors.device)
        return self.prompts.encoder.logit_scale * (vectors @ classes.T)  # nd, kd -> nk

    @torch.no_grad()
    def tensors(self) -> dict[str, Tensor]:
        """The linear layer that gives the same logits, weight (k, d) and bias (k,), and the context itself."""
        weight = self.prompts.encoder.logit_scale * self.prompts.class_vectors(self.context)
        return {"weight": weight, "bias": torch.zeros(len(weight)), "context": self.context}


def prompt_head(
    encoder: Encoder, class_names: Sequence[str], seed: int, *, words: str = "", length: int | None = None
) -> PromptHead:
    """The classifier to begin with.

    Args:
        seed: of a context that begins at random, from a normal distribution of standard deviation 0.02.
        words: what the context begins as instead, e.g. "a photo of a"; it has a vector for each of their tokens.
        length: vectors of the context, without words; None for 16.
    Raises:
        UsageError: an encoder that open_clip did not build, or names that leave no room for the context.
    """
    if not isinstance(encoder, OpenClipEncoder):
        raise UsageError(f"Expected an encoder that open_clip built for coop, got '{encoder.name}'.")
    layer = token_layer(encoder.model)
    empty, *tokens = encoder.tokenize(["", *(fill_template(NAME_ALONE, name) for name in class_names)])
    # of the models that open_clip builds some begin a text with a mark of their own, and some do not
    start = int(all(row[0] == empty[0] for row in tokens))
    if words:
        row = encoder.tokenize([words])[0]
        length = _length(row, empty) - _length(empty, empty)
        context = layer(row[start : start + length].to(layer.weight.device)).detach().float()
    else:
        length = length or CONTEXT_LENGTH
        drawn = torch.randn(length, layer.weight.shape[1], generator=torch.Generator().manual_seed(seed))
        context = CONTEXT_STD * drawn
    room = len(empty) - 2 - length  # a text ends with a mark, too
    long = [
        name
        for name, row in zip(class_names, tokens, strict=True)
        if _length(row, empty) - _length(empty, empty) > room
    ]
    if long:
        option = setting("context_words", words) if words else setting("context_length", length)
        raise UsageError(
            f"Expected class names of at most {max(room, 0)} tokens with {option}, for '{encoder.name}' reads "
            f"{len(empty)}, got longer ones: {some(long, 5)}. Take a shorter context."
        )
    rows = torch.stack(tokens)
    places = rows[:1, start : start + 1].expand(len(rows), length)  # a word's token: no mark, whatever marks there are
    rows = torch.cat([rows[:, :start], places, rows[:, start : len(empty) - length]], dim=1)
    return PromptHead(Prompts(encoder, rows.to(layer.weight.device), start), context)


def token_layer(model: Any) -> nn.Embedding:
    """The layer of a model of open_clip that makes vectors of tokens, of the text towers of transformers too."""
    text = getattr(model, "text", model)
    return text.token_embedding if hasattr(text, "token_embedding") else text.transformer.get_input_embeddings()


def _length(row: Tensor, empty: Tensor) -> int:
    """Tokens of a text until nothing but padding follows, which the empty text ends with."""
    used = (row != empty[-1]).nonzero()
    return int(used[-1]) + 1 if len(used) else 0


@contextmanager
def _in_place(layer: nn.Embedding, context: Tensor, start: int) -> Iterator[None]:
    """Let the layer give the context, (m, w), at the places from `start` on, for the time of the block."""

    def give(_module: nn.Module, _tokens: Any, vectors: Tensor) -> Tensor:
        given = context.to(vectors).expand(len(vectors), *context.shape)
        return torch.cat([vectors[:, :start], given, vectors[:, start + len(context) :]], dim=1)  # klw

    handle = layer.register_forward_hook(give)
    try:
        yield
    finally:
        handle.remove()
