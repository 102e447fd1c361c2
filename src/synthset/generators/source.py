"""A generator that is loaded where it is first needed, and travels to other processes without its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute

from synthset.generators.additions import placeholders
from synthset.generators.base import GenerationConfig, Generator
from synthset.generators.reading import TextReader

pc: Any = pyarrow.compute  # whose functions are made when it is imported


@dataclass(frozen=True)
class Description:
    """All that a job needs to know of its generator before anything is drawn.

    Attributes:
        cut_texts: those of its texts of which the generator reads the beginning alone.
        most_tokens: that it reads of a text; 0 where it does not tell.
        unknown_tokens: what of its texts looks like the token of an embedding that was not added.
        unused_tokens: those of embeddings that none of its texts has.
    """

    config: GenerationConfig
    preferred_batch_size: int
    cut_texts: tuple[str, ...] = ()
    most_tokens: int = 0
    unknown_tokens: tuple[str, ...] = ()
    unused_tokens: tuple[str, ...] = ()


class GeneratorSource:
    """Gives one generator to all that is done in one process.

    Args:
        load: loads it, or gives an object that is there; another process gets this.
    """

    def __init__(self, load: Callable[[], Generator]) -> None:
        self._load = load
        self._generator: Generator | None = None

    def get(self) -> Generator:
        """The generator, loaded at the first call in this process."""
        if self._generator is None:
            self._generator = self._load()
        return self._generator

    def describe(self, texts: pa.Array) -> Description:
        """Its settings, to be asked where it will draw: a machine with a GPU may choose another dtype.

        Args:
            texts: prompts of the job, each once.
        """
        generator = self.get()
        reader: TextReader | None = getattr(generator, "text_reader", None)
        described = Description(generator.config, getattr(generator, "preferred_batch_size", 1))
        if reader is None:
            return described
        long = texts.filter(pc.greater(pc.binary_length(texts), reader.most_bytes)).to_pylist()
        looking = texts.filter(pc.match_substring(texts, "<")).to_pylist()
        tokens = set(reader.embedded.words)
        unknown = {found for text in looking for found in placeholders(text)} - reader.embedded.in_texts(looking)
        return replace(
            described,
            cut_texts=tuple(reader.cut(long)),
            most_tokens=reader.most_tokens,
            unknown_tokens=tuple(sorted(unknown)),
            unused_tokens=tuple(sorted(tokens - reader.embedded.in_texts(texts.to_pylist() if tokens else []))),
        )

    def __getstate__(self) -> dict[str, Any]:
        return {"_load": self._load, "_generator": None}
