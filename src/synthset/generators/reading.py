"""How much of a prompt a generator reads: what its tokenizers cut off, it never sees."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TextReader:
    """The tokenizers of a pipeline, each with the most tokens that its encoder reads, those of start and end included.

    A text that one of them reads whole is no cut one, whatever becomes of it in the others.
    """

    tokenizers: tuple[tuple[Any, int], ...]

    @property
    def most_tokens(self) -> int:
        """Tokens that a text may have, without those of start and end."""
        return max(limit - len(tokenizer("").input_ids) for tokenizer, limit in self.tokenizers)

    def cut(self, texts: Sequence[str]) -> list[str]:
        """Those of the texts of which the beginning alone is read."""
        cut = [text for text in texts if len(text.encode()) > self.most_tokens]  # a token has a byte at least
        for tokenizer, limit in self.tokenizers:
            if cut:
                tokens = tokenizer(cut, verbose=False).input_ids
                cut = [text for text, ids in zip(cut, tokens, strict=True) if len(ids) > limit]
        return cut


def reader_of(pipeline: Any) -> TextReader | None:
    """What reads the texts of a pipeline of diffusers; None for one that reads none."""
    own = getattr(inspect.signature(pipeline.__call__).parameters.get("max_sequence_length"), "default", None)
    tokenizers = []
    for part, tokenizer in pipeline.components.items():
        if part.startswith("tokenizer") and tokenizer is not None:
            # a pipeline's own limit is of its language model, not of the CLIP beside it
            is_clip = own is None or "CLIP" in type(tokenizer).__name__
            encoder = pipeline.components.get(part.replace("tokenizer", "text_encoder"))
            positions = getattr(getattr(encoder, "config", None), "max_position_embeddings", None)
            limit = min(tokenizer.model_max_length, positions or tokenizer.model_max_length) if is_clip else own
            tokenizers.append((tokenizer, limit))
    return TextReader(tuple(tokenizers)) if tokenizers else None
