"""A generator by name, folder or hub id: which checkpoint it is, and which of our two ways draws it."""

from __future__ import annotations

from synthset.generators.base import EAGER, Generator, StoredSize
from synthset.generators.checkpoint import find_checkpoint
from synthset.generators.drawing import Drawing
from synthset.generators.names import AUTO_SCHEDULER
from synthset.generators.sampling import SamplingOptions


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
    drawing = Drawing(
        scheduler=scheduler,
        num_inference_steps=num_inference_steps,
        height_px=height_px,
        width_px=width_px,
        dtype=dtype,
        device=device,
        sampling=sampling,
        stored=stored,
        image_conditions=image_conditions,
        engine=engine,
    )
    checkpoint = find_checkpoint(name, revision, image_conditions)
    if checkpoint.family.own_loop:
        from synthset.generators.latent_diffusion import LatentDiffusionGenerator as Loaded
    else:
        from synthset.generators.pipeline import PipelineGenerator as Loaded
    return Loaded.from_checkpoint(checkpoint, drawing)
