"""The generator of a dataset, loaded again from what its job says of it: to draw an image again, or another like it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from synthset.core.errors import ModelError, setting
from synthset.core.jobs import differences
from synthset.core.options import Nested, Option
from synthset.generators.additions import Additions
from synthset.generators.base import EAGER, StoredSize
from synthset.generators.memory import NONE, MemoryOptions
from synthset.generators.names import AUTO_SCHEDULER, SCHEDULERS
from synthset.generators.sampling import SamplingOptions

if TYPE_CHECKING:
    from synthset.generators.base import Generator


@dataclass(frozen=True)
class RecordedConfig:
    """Where the generator of a dataset is now, and how it is held in memory; all else is in the dataset's job."""

    generator: Annotated[str | None, Option(default="the one that the dataset names")] = None
    """Generator, where it lies elsewhere now than when the dataset was drawn: its folder, file or hub id."""
    layout: str | None = None
    """Layout of a single file, where it was given one."""
    additions: Annotated[Additions, Nested()] = field(default_factory=Additions)
    device: str = "auto"
    """Device to draw on: cpu, cuda, xpu, mps, or auto, which is a GPU where there is one."""
    offload: Annotated[str, Option(choices=("none", "model", "group"))] = NONE
    """Offloading to the memory of the CPU: {choices}, as `create` has it. Images stay the same."""


def load_recorded(job: Mapping[str, Any], config: RecordedConfig | None = None) -> Generator:
    """The generator that a job was drawn by.

    Args:
        job: of a dataset, of one that was drawn, not merged.
    Raises:
        ModelError: it is not at hand, or the one at hand would draw other images; the difference is named.
    """
    from synthset.generators.loading import load_generator

    config, made, images = config or RecordedConfig(), job["generation"], job.get("images") or {}
    side_px = images.get("resize_px")
    generator = load_generator(
        config.generator or made["model"],
        revision=None if config.generator else made.get("revision"),
        scheduler=made["scheduler"] if made["scheduler"] in SCHEDULERS else AUTO_SCHEDULER,  # the checkpoint's own
        num_inference_steps=made["num_inference_steps"],
        height_px=made["height_px"],
        width_px=made["width_px"],
        dtype=made["dtype"],
        device=config.device,
        sampling=SamplingOptions.from_job(made.get("sampling")),
        stored=StoredSize(side_px, images.get("antialias", True)) if side_px else None,
        image_conditions=bool((job.get("initial_images") or {}).get("mixed")),
        engine=made.get("engine", EAGER),
        layout=config.layout,
        additions=config.additions,
        memory=MemoryOptions(config.offload, made.get("quantise", NONE), made.get("vae_tiling", False)),
    )
    check_recorded(generator, job)
    return generator


def check_recorded(generator: Generator, job: Mapping[str, Any]) -> None:
    """Raise ModelError, naming the difference, where a generator is not the one that a job was drawn by.

    A model may be called otherwise, and lie elsewhere: its contents count.
    """
    made, now = dict(job["generation"]), generator.config.describe()
    defaults = {"parts": now.get("parts", {}), "sampling": {}, "engine": EAGER}  # older jobs lack them
    names = ("model", "revision")
    texts = differences(
        {key: value for key, value in made.items() if key not in names},
        {key: value for key, value in now.items() if key not in names},
        defaults,
    )
    if not texts:
        return
    missing = [setting(name) for name in ("lora", "embedding") if made.get(name) and not now.get(name)]
    advice = (
        f"Give {' and '.join(missing)} with the files that it was drawn with."
        if missing
        else (f"Give {setting('generator')} with the one that drew it.")
    )
    raise ModelError(
        f"Expected the generator that drew the images, '{made.get('model')}', found another "
        f"({'; '.join(texts[:4])}). {advice}"
    )
