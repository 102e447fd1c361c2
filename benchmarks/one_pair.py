"""The peer of per_process.py: a process that draws images of one prompt at one guidance scale, and ends.

    python benchmarks/one_pair.py FOLDER PROMPT SCALE IMAGES STEPS OUTPUT_FOLDER

As `create_dataset.py` of Shipard et al. 2023 runs `scripts/txt2img.py`: two samples a call, one seed a process, PNG
files. Prints one JSON line with the seconds that drawing and writing took, without the imports and the weights.
"""

import json
import sys
import time
from pathlib import Path

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

SAMPLES = 2  # of a call, the script's --n_samples
SEED = 64  # the script's --seed


def main(folder: str, prompt: str, scale: float, num_images: int, steps: int, output: Path) -> None:
    """Load the weights, draw, write."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(SEED)
    start = time.perf_counter()
    for first in range(0, num_images, SAMPLES):
        prompts = [prompt] * min(SAMPLES, num_images - first)
        images, _ = pipeline(
            prompts, guidance_scale=scale, generator=generator, num_inference_steps=steps, return_dict=False
        )
        for i, image in enumerate(images, first):
            image.save(output / f"{i:05}.png")
    print(json.dumps({"drawing_seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]), Path(sys.argv[6]))
