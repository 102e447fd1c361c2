"""diffusers' own pipelines on our checkpoints: what ours are compared with."""

import diffusers
import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from synthset.generators.names import SCHEDULERS


def load_peer(folder, scheduler="ddim", pipeline=StableDiffusionPipeline):
    """A pipeline with a scheduler made from the checkpoint's, with the settings that text to image enforces."""
    loaded = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    own = getattr(diffusers, SCHEDULERS[scheduler]).from_config(loaded.scheduler.config)
    peer = pipeline(**{**loaded.components, "scheduler": own}, requires_safety_checker=False)
    peer.set_progress_bar_config(disable=True)
    return peer


def draw_one_by_one(pipeline, requests, steps, **options):
    """An array for each request, uint8, drawn alone."""
    return [
        np.asarray(
            pipeline(
                request.prompt,
                negative_prompt=request.negative_prompt,
                guidance_scale=request.guidance_scale,
                num_inference_steps=steps,
                generator=torch.Generator().manual_seed(request.seed),
                **options,
            ).images[0]
        )
        for request in requests
    ]
