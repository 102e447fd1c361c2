"""Names that the generators share: schedulers, engines, files of a checkpoint."""

from __future__ import annotations

from synthset.generators.base import AUTOTUNED, COMPILED, EAGER

# name -> class in diffusers; the class names are accepted too
SCHEDULERS: dict[str, str] = {
    "ddim": "DDIMScheduler",
    "ddpm": "DDPMScheduler",
    "deis": "DEISMultistepScheduler",
    "dpm2": "KDPM2DiscreteScheduler",
    "dpm2_ancestral": "KDPM2AncestralDiscreteScheduler",
    "dpmsolver_multistep": "DPMSolverMultistepScheduler",
    "dpmsolver_singlestep": "DPMSolverSinglestepScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler_ancestral": "EulerAncestralDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "lcm": "LCMScheduler",
    "lms": "LMSDiscreteScheduler",
    "pndm": "PNDMScheduler",
    "tcd": "TCDScheduler",
    "unipc": "UniPCMultistepScheduler",
}

AUTO_SCHEDULER = "auto"

ENGINES = (EAGER, COMPILED, AUTOTUNED)

# of Stable Diffusion: the adapter that conditions it on images, and the CLIP whose vectors that reads
IMAGE_ADAPTER_FILE = "image_adapter/ip-adapter.safetensors"
IMAGE_ENCODER_FOLDER = "clip"
