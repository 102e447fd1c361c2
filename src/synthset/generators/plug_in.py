"""Generators of other packages: which name means one, and what it is given."""

from __future__ import annotations

import os.path
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from synthset import miniature
from synthset.core.hub import is_hub_id
from synthset.core.plug_ins import PlugIn, find_plug_in, is_unicode
from synthset.generators.base import DrawsFromImages, GeneratedImage, GenerationConfig, Generator, ImageRequest


def plug_in_of(name: str) -> PlugIn | None:
    """The plug-in that a generator's name means; None for the miniature, a path or a hub id.

    Raises:
        UsageError: as `find_plug_in`.
    """
    if name == miniature.NAME or is_hub_id(name) or os.path.exists(os.path.expanduser(name)):  # noqa: PTH110, PTH111
        return None
    return find_plug_in("generator", name)


def describe_generation(generation: GenerationConfig, name: str) -> dict[str, Any]:
    """The entry in a job of the generator that a name means, with its package if another has added it."""
    plug_in = plug_in_of(name)
    added = {"plugin": {"name": plug_in.name, **plug_in.record()}} if plug_in else {}
    return {**generation.describe(), **added}


def load_plug_in(plug_in: PlugIn, options: Mapping[str, Any], defaults: Mapping[str, Any]) -> Generator:
    """The generator that a package's function gives for those options that depart from their defaults.

    Raises:
        UsageError: it takes one of them not, or gives no generator.
        ModelError: it fails.
    """
    given = {name: value for name, value in options.items() if value != defaults[name]}
    generator = plug_in.make(given)
    if not isinstance(getattr(generator, "config", None), GenerationConfig) or not hasattr(generator, "generate"):
        expected = "a function that gives an object with 'config', a GenerationConfig, and 'generate'"
        raise plug_in.is_wrong(expected, f"one that gives {type(generator).__name__}")
    return (
        _CheckedFromImages(plug_in, generator)
        if isinstance(generator, DrawsFromImages)
        else _Checked(plug_in, generator)
    )


class _Checked:
    """A generator of a package, whose answers are looked at, and whose errors say whose they are."""

    def __init__(self, plug_in: PlugIn, generator: Any) -> None:
        self._plug_in, self._generator = plug_in, generator

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # while it is unpickled there is no generator to ask
            raise AttributeError(name)
        return getattr(self._generator, name)

    @property
    def config(self) -> GenerationConfig:
        """That of the package's generator."""
        return self._generator.config

    @property
    def preferred_batch_size(self) -> int:
        """That of the package's generator; 1 where it has none."""
        return getattr(self._generator, "preferred_batch_size", 1)

    def generate(self, requests: Sequence[ImageRequest]) -> list[GeneratedImage]:
        """Its answers. Raises ModelError where it fails, UsageError where they are no answers to the requests."""
        return self._check(self._plug_in.call(self._generator.generate, requests), len(requests))

    def _check(self, images: Any, count: int) -> list[GeneratedImage]:
        expected = f"a list of {count} answers, one to each request,"
        if not isinstance(images, list | tuple) or len(images) != count:
            found = f"{len(images)}" if isinstance(images, list | tuple) else type(images).__name__
            raise self._plug_in.is_wrong(expected, found)
        shape = (self.config.height_px, self.config.width_px, 3)
        for image in images:
            if not isinstance(image, GeneratedImage) or not is_unicode(image.reason):
                raise self._plug_in.is_wrong("answers that are a GeneratedImage", type(image).__name__)
            pixels = image.pixels
            if pixels is not None and (getattr(pixels, "dtype", None) != np.uint8 or pixels.shape != shape):
                found = f"{getattr(pixels, 'dtype', type(pixels).__name__)} {getattr(pixels, 'shape', '')}".rstrip()
                raise self._plug_in.is_wrong(f"pixels of uint8 {shape}, as its config says,", found)
        return list(images)


class _CheckedFromImages(_Checked):
    """One that can begin at real images, too."""

    def generate_from(
        self, requests: Sequence[ImageRequest], initial_images: Mapping[str, bytes]
    ) -> list[GeneratedImage]:
        """As `generate`."""
        images = self._plug_in.call(self._generator.generate_from, requests, initial_images)
        return self._check(images, len(requests))
