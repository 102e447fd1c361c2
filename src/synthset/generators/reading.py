"""How much of a prompt a generator reads: what its tokenizers cut off, it never sees."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class EmbeddedTokens:
    """Tokens that embeddings of textual inversion brought, each with the words of the vocabulary that it stands for.

    >>> EmbeddedTokens({"<toy>": ("<toy>", "<toy>2"), "<toys>": ("<toys>",)}).expand("a <toy> among <toys>")
    'a <toy> <toy>2 among <toys>'
    """

    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def expand(self, text: str) -> str:
        """The text with all words of each token; CLIP reads every case alike."""
        if not self.words:
            return text
        words = {token.lower(): several for token, several in self.words.items()}
        return self._pattern.sub(lambda match: " ".join(words[match[0].lower()]), text)

    def in_texts(self, texts: Sequence[str]) -> set[str]:
        """Those of the tokens that any of the texts has."""
        found = {match.lower() for text in texts for match in self._pattern.findall(text)} if self.words else set()
        return {token for token in self.words if token.lower() in found}

    @property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self.words, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)


@dataclass(frozen=True)
class TextReader:
    """The tokenizers of a pipeline, each with the most tokens that its encoder reads, those of start and end included.

    A text that one of them reads whole is no cut one, whatever becomes of it in the others.

    Attributes:
        embedded: tokens that embeddings brought.
    """

    tokenizers: tuple[tuple[Any, int], ...]
    embedded: EmbeddedTokens = field(default_factory=EmbeddedTokens)

    @property
    def most_bytes(self) -> int:
        """Bytes of a text that is read whole for sure: a token has one at least, but for one of several vectors."""
        return 0 if self.embedded.words else self.most_tokens

    @property
    def most_tokens(self) -> int:
        """Tokens that a text may have, without those of start and end."""
        return max(limit - len(tokenizer("").input_ids) for tokenizer, limit in self.tokenizers)

    def cut(self, texts: Sequence[str]) -> list[str]:
        """Those of the texts of which the beginning alone is read."""
        cut = [text for text in texts if len(text.encode()) > self.most_bytes]
        for tokenizer, limit in self.tokenizers:
            if cut:
                tokens = tokenizer([self.embedded.expand(text) for text in cut], verbose=False).input_ids
                cut = [text for text, ids in zip(cut, tokens, strict=True) if len(ids) > limit]
        return cut


def reader_of(pipeline: Any, embedded: EmbeddedTokens | None = None) -> TextReader | None:
    """What reads the texts of a pipeline of diffusers, and the tokens that were added; None for one without texts."""
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
    return TextReader(tuple(tokenizers), embedded or EmbeddedTokens()) if tokenizers else None
