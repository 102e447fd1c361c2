"""How the generator of a dataset described itself, recorded so that a rerun of a finished job need not load it.

A job holds settings that the loaded pipeline knows: its size, its scheduler. They follow from what was asked for, the
files of the checkpoint, the libraries and the kind of machine. Where all these are as they were, so are the settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from synthset.core.errors import SynthsetError
from synthset.core.json_records import as_record
from synthset.core.options import Option
from synthset.core.versions import library_versions
from synthset.create.config import CreateConfig
from synthset.generators.additions import Additions
from synthset.generators.base import GenerationConfig
from synthset.generators.checkpoint import find_checkpoint
from synthset.generators.memory import MemoryOptions
from synthset.generators.plug_in import plug_in_of
from synthset.generators.sampling import SamplingOptions
from synthset.generators.source import Description
from synthset.prompts.strategies import mixing_strategies

KEY = "generator"  # of the manifest
_OF_A_GPU = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")  # that drivers make


@dataclass(frozen=True)
class _Generation:
    """The config of a generator but for its sampling; see `GenerationConfig`."""

    model: str
    revision: str | None
    weights_hash: str
    scheduler: str
    num_inference_steps: int
    height_px: int
    width_px: int
    dtype: str
    engine: str
    variant: str
    parts: Mapping[str, str]


@dataclass(frozen=True)
class _Recorded:
    asked: Mapping[str, Any]
    generation: _Generation
    preferred_batch_size: Annotated[int, Option(at_least=1)]
    libraries: Mapping[str, Any]


def record(config: CreateConfig, described: Description) -> dict[str, Any] | None:
    """The entry of the manifest; None where another run may have to be told something that only the model knows.

    So where it cuts texts or does not know a token, or where there is a GPU, on which `auto` depends; nor of a
    checkpoint that was added to or is held otherwise.
    """
    is_told = described.cut_texts or described.unknown_tokens or described.unused_tokens
    if is_told or described.config.sampling != _sampling_of(config) or _departs(config) or _may_have_gpu():
        return None
    return {
        "asked": _asked(config),
        "generation": asdict(described.config),
        "preferred_batch_size": described.preferred_batch_size,
        "libraries": library_versions(),
    }


def recall(manifest: Mapping[str, Any] | None, config: CreateConfig) -> Description | None:
    """The description that loading the generator of the config would give, if the manifest tells it for sure.

    The files of the checkpoint are hashed for it, as loading does. Raises as `find_checkpoint`.
    """
    if manifest is None or KEY not in manifest or _departs(config) or _may_have_gpu():
        return None
    try:
        recorded = as_record(_Recorded, manifest[KEY], f"'{KEY}'", "", is_part=True)
    except SynthsetError:
        return None  # what it cannot tell is asked of the model
    if recorded.asked != _asked(config) or recorded.libraries != library_versions():
        return None
    known = GenerationConfig(**vars(recorded.generation), sampling=_sampling_of(config))  # which was asked for
    found = find_checkpoint(
        config.generator, config.revision, bool(mixing_strategies(config.strategies)), config.layout
    )
    if (found.weights_hash, found.variant, dict(found.parts)) != (known.weights_hash, known.variant, dict(known.parts)):
        return None
    now = replace(known, model=found.name, revision=found.revision)
    return Description(now, recorded.preferred_batch_size)


def _sampling_of(config: CreateConfig) -> SamplingOptions | None:
    return None if config.sampling.is_plain else config.sampling


def _departs(config: CreateConfig) -> bool:
    """Whether more is asked for than a checkpoint as it is."""
    is_plain = config.additions == Additions() and config.memory == MemoryOptions()
    return not is_plain or plug_in_of(config.generator) is not None


def _asked(config: CreateConfig) -> dict[str, Any]:
    """All that loading a generator reads of a config but for which checkpoint it is; of kinds that JSON has."""
    return {
        "scheduler": config.scheduler,
        "num_inference_steps": config.steps_range[1],
        "height_px": config.height_px,
        "width_px": config.width_px,
        "dtype": config.dtype,
        "device": config.device,
        "sampling": _plain(asdict(config.sampling)),
        "resize_px": config.resize_px,
        "antialias": config.antialias,
        "image_conditions": bool(mixing_strategies(config.strategies)),
        "engine": config.engine,
    }


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _may_have_gpu() -> bool:
    return any(Path(path).exists() for path in _OF_A_GPU)
