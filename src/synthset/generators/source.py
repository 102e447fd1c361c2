"""A generator that is loaded where it is first needed, and travels to other processes without its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute

from synthset.generators.base import GenerationConfig, Generator
from synthset.generators.reading import TextReader

pc: Any = pyarrow.compute  # whose functions are made when it is imported


@dataclass(frozen=True)
class Description:
    """All that a job needs to know of its generator before anything is drawn.

    Attributes:
        cut_texts: those of its texts of which the generator reads the beginning alone.
        most_tokens: that it reads of a text; 0 where it does not tell.
    """

    config: GenerationConfig
    preferred_batch_size: int
    cut_texts: tuple[str, ...] = ()
    most_tokens: int = 0


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
        most = reader.most_tokens if reader else 0
        long = texts.filter(pc.greater(pc.binary_length(texts), most)).to_pylist() if reader else []
        cut = tuple(reader.cut(long)) if reader else ()
        return Description(generator.config, getattr(generator, "preferred_batch_size", 1), cut, most)

    def __getstate__(self) -> dict[str, Any]:
        return {"_load": self._load, "_generator": None}
