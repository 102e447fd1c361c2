"""A generator by name, folder or hub id: which checkpoint it is, how it shall draw, and which of our two ways draws."""

from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass, fields, replace
from typing import Any

from synthset.core.devices import ACCELERATORS, DTYPES, choose_device, choose_dtype
from synthset.core.errors import ModelError, UnknownNameError, UsageError, setting
from synthset.core.libraries import library_errors
from synthset.generators.additions import Additions, FoundAdditions, find_additions
from synthset.generators.base import EAGER, GenerationConfig, Generator, StoredSize
from synthset.generators.checkpoint import Checkpoint, find_checkpoint, load_pipeline
from synthset.generators.families import FAMILIES
from synthset.generators.memory import NONE, MemoryOptions
from synthset.generators.names import AUTO_SCHEDULER, ENGINES, SCHEDULERS
from synthset.generators.plug_in import load_plug_in, plug_in_of
from synthset.generators.reading import EmbeddedTokens
from synthset.generators.sampling import SamplingOptions

log = logging.getLogger("synthset")


def load_generator(
    name: str,
    *,
    revision: str | None = None,
    scheduler: str = AUTO_SCHEDULER,
    num_inference_steps: int = 40,
    height_px: int | None = None,
    width_px: int | None = None,
    dtype: str = "auto",
    device: str = "auto",
    sampling: SamplingOptions | None = None,
    stored: StoredSize | None = None,
    image_conditions: bool = False,
    engine: str = EAGER,
    layout: str | None = None,
    additions: Additions | None = None,
    memory: MemoryOptions | None = None,
) -> Generator:
    """Load a checkpoint for drawing: the miniature, Stable Diffusion, its image variations, or one of `FAMILIES`.

    Args:
        name: 'miniature', a folder with a model_index.json, a single safetensors file, a hub id ('owner/name'), or a
            name that another package adds, see core/plug_ins.py.
        revision: branch, tag or commit of a hub id; the commit that it stands for is recorded.
        scheduler: one of SCHEDULERS, with the checkpoint's own noise schedule; 'auto' is ddim for Stable Diffusion
            and SDXL, as in the paper, and the checkpoint's own for all others, and for distilled ones.
        num_inference_steps: denoising steps, at least 1.
        height_px, width_px: size to draw at; None means the size that the checkpoint was trained for.
        dtype: one of DTYPES; 'auto' is bfloat16 on a GPU and float32 on a CPU.
        device: a torch device; 'auto' is a GPU where there is one: CUDA's, XPU's or MPS.
        sampling: shortcuts and diversity of our own sampling loop, so of Stable Diffusion 1.x and 2.x alone; but for
            its `block_cache`, which is of transformers.
        stored: the size that images will be stored in; on a GPU they are shrunk to it before they leave it.
        image_conditions: load the parts that condition images on real ones, too; the weights' hash covers them then.
        engine: one of ENGINES; 'compiled' takes a minute or two to begin with and is then faster, most of all on a GPU;
            'compiled_max' tries kernels out, which takes many.
        layout: what a single file is read by: one of single_file.LAYOUTS or a folder of configurations; None to be
            told by its tensors.
        additions: LoRAs and embeddings of textual inversion, put into the checkpoint.
        memory: how it is held in memory, and decoded.
    Raises:
        UnknownNameError: the scheduler, the dtype or the engine.
        UsageError: steps, size or device that cannot be, or a scheduler, sampling options, an engine or conditions on
            images that do not fit the checkpoint.
        ModelError: a checkpoint that is not at hand, incomplete, unsafe, or of another kind, or no compiler.
    """
    given = {**locals(), "memory": memory or MemoryOptions()}
    if plug_in := plug_in_of(name):
        return load_plug_in(plug_in, _asked_of_plug_in(given), _DEFAULTS)
    drawing = _Drawing(**{one.name: given[one.name] for one in fields(_Drawing)})
    drawing.memory.check(engine != EAGER)
    found = find_additions(additions or Additions())
    checkpoint = find_checkpoint(name, revision, image_conditions, layout)
    log.debug("generator %s: a %s in '%s'", name, checkpoint.class_name, checkpoint.folder)
    return _load(checkpoint, drawing, found, image_conditions)


_DEFAULTS = {name: one.default for name, one in inspect.signature(load_generator).parameters.items()}


def _asked_of_plug_in(given: dict[str, Any]) -> dict[str, Any]:
    """Options of `load_generator` that somebody asks for; that images may be shrunk early is an offer."""
    plain = (SamplingOptions(), Additions(), MemoryOptions())
    kept = {name: None if value in plain else value for name, value in given.items()}
    return {name: value for name, value in kept.items() if name not in ("name", "stored")}


@dataclass(frozen=True)
class _Drawing:
    """How a checkpoint shall draw; `load_generator` explains the fields."""

    scheduler: str
    num_inference_steps: int
    height_px: int | None
    width_px: int | None
    dtype: str
    device: str
    sampling: SamplingOptions | None
    stored: StoredSize | None
    engine: str
    memory: MemoryOptions

    def __post_init__(self) -> None:
        if self.sampling is not None and self.sampling.is_plain:
            object.__setattr__(self, "sampling", None)
        by_class = {class_name: name for name, class_name in SCHEDULERS.items()}
        object.__setattr__(self, "scheduler", by_class.get(self.scheduler, self.scheduler))
        for kind, name, valid in (
            ("scheduler", self.scheduler, (AUTO_SCHEDULER, *SCHEDULERS)),
            ("dtype", self.dtype, DTYPES),
            ("engine", self.engine, ENGINES),
        ):
            if name not in valid:
                raise UnknownNameError(kind, name, valid)
        if self.num_inference_steps < 1:
            raise UsageError(f"Expected at least 1 inference step, got {self.num_inference_steps}.")


def _load(checkpoint: Checkpoint, drawing: _Drawing, found: FoundAdditions, image_conditions: bool) -> Generator:
    family, memory, name = checkpoint.family, drawing.memory, checkpoint.name
    if drawing.sampling is not None:
        _check_sampling(drawing.sampling, checkpoint)

    import torch

    from synthset.generators import compiled_unet, finishing, latent_diffusion, pipeline, placing

    device = choose_device(drawing.device, ACCELERATORS)
    placing.check_device(memory, device)
    if drawing.engine != EAGER:
        compiled_unet.check_compiler(device)
    dtype = choose_dtype(drawing.dtype, device)
    try:
        parts = load_pipeline(checkpoint, getattr(torch, dtype))
        with library_errors(f"The checkpoint '{name}' cannot be drawn with"):
            config = _describe(checkpoint, drawing, found, parts, dtype)
            embedded = _adapt(parts, found, config)
            stored = finishing.size_to_shrink_to(drawing.stored, config, device)
            if not family.own_loop:
                return pipeline.PipelineGenerator(parts, config, device, stored, memory, embedded)
            by_adapter = image_conditions and family.images == "adapter"
            adapter_folder = checkpoint.folder if by_adapter else None
            return latent_diffusion.LatentDiffusionGenerator(
                parts, config, device, stored, adapter_folder, memory, embedded
            )
    except torch.OutOfMemoryError as error:
        smaller = "" if device.type == "cpu" else f"{setting('offload', 'model')}, {setting('quantise', '8bit')}, "
        raise ModelError(
            f"'{name}' does not fit into the memory of {device}. Give {smaller}{setting('dtype', 'bfloat16')}, "
            f"another {setting('device')}, or a smaller checkpoint."
        ) from error


def _check_sampling(sampling: SamplingOptions, checkpoint: Checkpoint) -> None:
    """Refuse departures that are of other checkpoints."""
    by_unet, is_own = replace(sampling, block_cache=0.0), checkpoint.family.own_loop
    if not is_own and not by_unet.is_plain:
        raise UsageError(
            f"Expected a Stable Diffusion 1.x or 2.x checkpoint for {' and '.join(by_unet.phrases())}, got "
            f"'{checkpoint.name}', a {checkpoint.class_name}. Leave it out, or use another checkpoint."
        )
    if sampling.block_cache and not checkpoint.family.block_cache:
        known = ", ".join(family.title for family in FAMILIES.values() if family.block_cache)
        raise UsageError(
            f"Expected a checkpoint of {known} for {setting('block_cache')}, got '{checkpoint.name}', a "
            f"{checkpoint.class_name}. Leave it out; Stable Diffusion 1.x and 2.x have {setting('cache_interval')}."
        )


def _describe(
    checkpoint: Checkpoint, drawing: _Drawing, found: FoundAdditions, parts: Any, dtype: str
) -> GenerationConfig:
    """The settings of all images, of which a loaded pipeline knows the rest."""
    from synthset.generators.schedulers import choose_scheduler

    height_px, width_px = checkpoint.family.trained_size_px(parts)
    additions: dict[str, Any] = found.describe()
    return GenerationConfig(
        model=checkpoint.name,
        revision=checkpoint.revision,
        weights_hash=checkpoint.weights_hash,
        scheduler=choose_scheduler(parts, checkpoint.family, drawing.scheduler, checkpoint.name),
        num_inference_steps=drawing.num_inference_steps,
        height_px=height_px if drawing.height_px is None else drawing.height_px,
        width_px=width_px if drawing.width_px is None else drawing.width_px,
        dtype=dtype,
        sampling=drawing.sampling,
        engine=drawing.engine,
        variant=checkpoint.variant,
        parts=checkpoint.parts,
        quantise=drawing.memory.quantise,
        vae_tiling=drawing.memory.vae_tiling,
        **additions,
    )


def _adapt(parts: Any, found: FoundAdditions, config: GenerationConfig) -> EmbeddedTokens:
    """Put additions into a loaded pipeline and quantise it, in the order that `adapting` explains; the new tokens."""
    import torch

    from synthset.generators import adapting, placing

    adapting.fuse_loras(parts, found.loras, config.model)
    embedded = adapting.add_embeddings(parts, found.embeddings, config.model)
    if config.quantise != NONE:
        placing.quantise(parts, config.quantise, getattr(torch, config.dtype), config.model)
    if config.vae_tiling:
        placing.decode_in_tiles(parts.vae, config.model)
    return embedded
