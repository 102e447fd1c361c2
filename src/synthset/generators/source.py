"""A generator that is loaded where it is first needed, and travels to other processes without its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from synthset.generators.base import GenerationConfig, Generator


@dataclass(frozen=True)
class Description:
    """All that a job needs to know of its generator before anything is drawn."""

    config: GenerationConfig
    preferred_batch_size: int


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

    def describe(self, _: object = None) -> Description:
        """Its settings, to be asked where it will draw: a machine with a GPU may choose another dtype."""
        generator = self.get()
        return Description(generator.config, getattr(generator, "preferred_batch_size", 1))

    def __getstate__(self) -> dict[str, Any]:
        return {"_load": self._load, "_generator": None}
