"""A generator by name, folder or hub id: which checkpoint it is, how it shall draw, and which of our two ways draws."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from synthset.core.devices import DTYPES, choose_device, choose_dtype
from synthset.core.errors import ModelError, UnknownNameError, UsageError, setting
from synthset.core.libraries import library_errors
from synthset.generators.base import COMPILED, EAGER, GenerationConfig, Generator, StoredSize
from synthset.generators.checkpoint import Checkpoint, find_checkpoint, load_pipeline
from synthset.generators.names import AUTO_SCHEDULER, ENGINES, SCHEDULERS
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
) -> Generator:
    """Load a checkpoint for drawing: the miniature, Stable Diffusion, its image variations, or one of `FAMILIES`.

    Args:
        name: 'miniature', a folder with a model_index.json, or a hub id ('owner/name').
        revision: branch, tag or commit of a hub id; the commit that it stands for is recorded.
        scheduler: one of SCHEDULERS, with the checkpoint's own noise schedule; 'auto' is ddim for Stable Diffusion
            and SDXL, as in the paper, and the checkpoint's own for all others, and for distilled ones.
        num_inference_steps: denoising steps, at least 1.
        height_px, width_px: size to draw at; None means the size that the checkpoint was trained for.
        dtype: one of DTYPES; 'auto' is bfloat16 on a GPU and float32 on a CPU.
        device: a torch device; 'auto' is a GPU where there is one.
        sampling: shortcuts and diversity of our own sampling loop, so of Stable Diffusion 1.x and 2.x alone.
        stored: the size that images will be stored in; on a GPU they are shrunk to it before they leave it.
        image_conditions: load the parts that condition images on real ones, too; the weights' hash covers them then.
        engine: one of ENGINES; 'compiled' takes minutes to begin with and is then faster, most of all on a GPU.
    Raises:
        UnknownNameError: the scheduler, the dtype or the engine.
        UsageError: steps, size or device that cannot be, or a scheduler, sampling options, an engine or conditions on
            images that do not fit the checkpoint.
        ModelError: a checkpoint that is not at hand, incomplete, unsafe, or of another kind, or no compiler.
    """
    drawing = _Drawing(
        scheduler=scheduler,
        num_inference_steps=num_inference_steps,
        height_px=height_px,
        width_px=width_px,
        dtype=dtype,
        device=device,
        sampling=None if sampling is None or sampling.is_plain else sampling,
        stored=stored,
        engine=engine,
    )
    checkpoint = find_checkpoint(name, revision, image_conditions)
    log.debug("generator %s: a %s in '%s'", name, checkpoint.class_name, checkpoint.folder)
    return _load(checkpoint, drawing, image_conditions)


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

    def __post_init__(self) -> None:
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


def _load(checkpoint: Checkpoint, drawing: _Drawing, image_conditions: bool) -> Generator:
    family, sampling = checkpoint.family, drawing.sampling
    if sampling is not None and not family.own_loop:
        raise UsageError(
            f"Expected a Stable Diffusion 1.x or 2.x checkpoint for {' and '.join(sampling.phrases())}, got "
            f"'{checkpoint.name}', a {checkpoint.class_name}. Leave it out, or use another checkpoint."
        )

    import torch

    from synthset.generators import compiled_unet, finishing, latent_diffusion, pipeline, schedulers

    device = choose_device(drawing.device)
    if drawing.engine == COMPILED:
        compiled_unet.check_compiler(device)
    dtype = choose_dtype(drawing.dtype, device)
    try:
        parts = load_pipeline(checkpoint, getattr(torch, dtype))
        with library_errors(f"The checkpoint '{checkpoint.name}' cannot be drawn with"):
            height_px, width_px = family.trained_size_px(parts)
            config = GenerationConfig(
                model=checkpoint.name,
                revision=checkpoint.revision,
                weights_hash=checkpoint.weights_hash,
                scheduler=schedulers.choose_scheduler(parts, family, drawing.scheduler, checkpoint.name),
                num_inference_steps=drawing.num_inference_steps,
                height_px=height_px if drawing.height_px is None else drawing.height_px,
                width_px=width_px if drawing.width_px is None else drawing.width_px,
                dtype=dtype,
                sampling=sampling,
                engine=drawing.engine,
                variant=checkpoint.variant,
                parts=checkpoint.parts,
            )
            stored = finishing.size_to_shrink_to(drawing.stored, config, device)
            if not family.own_loop:
                return pipeline.PipelineGenerator(parts, config, device, stored)
            by_adapter = image_conditions and family.images == "adapter"
            adapter_folder = checkpoint.folder if by_adapter else None
            return latent_diffusion.LatentDiffusionGenerator(parts, config, device, stored, adapter_folder)
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"'{checkpoint.name}' does not fit into the memory of {device}. Give {setting('dtype', 'bfloat16')}, "
            f"another {setting('device')}, or a smaller checkpoint."
        ) from error
