"""Peak memory of drawing by the options for less of it, each in a process of its own.

    python benchmarks/checkpoint_memory.py --channels 128 512 768 1024 --options "" quantise=fp8 quantise=8bit

A Stable Diffusion of random weights draws an image with each option. `weights` are those of the UNet as they are held;
`held` is what the process keeps in the end, `peak` the most that it had, on CUDA that of the device: full weights are
there before they are quantised, on the CPU.
Offloading is of GPUs: on a CPU all weights are in its memory already.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from synthset.dataset.records import Request
from synthset.generators.loading import load_generator
from synthset.generators.memory import MemoryOptions
from tiny_models import build_stable_diffusion  # pyright: ignore[reportMissingImports]


def count_bytes(value: Any) -> int:
    """Bytes of a tensor, packed ones with their scales."""
    if hasattr(value, "__tensor_flatten__"):  # of torchao
        return sum(count_bytes(getattr(value, name)) for name in value.__tensor_flatten__()[0])
    scales = getattr(getattr(value, "quant_state", None), "absmax", None)  # of bitsandbytes
    return value.numel() * value.element_size() + (0 if scales is None else scales.numel() * scales.element_size())


def measure(folder: str, option: str, size_px: int, device: str, dtype: str) -> None:
    """Draw one image in this process and print what it holds and its peak, in MB, as JSON."""
    name, _, value = option.partition("=")
    given: dict[str, Any] = {name: True if value == "true" else value} if name else {}
    generator: Any = load_generator(
        folder,
        num_inference_steps=2,
        height_px=size_px,
        width_px=size_px,
        device=device,
        dtype=dtype,
        memory=MemoryOptions(**given),
    )
    generator.generate([Request(0, "cat", 0, "base", 0, "a cat", "", 7.5, 1)])
    gc.collect()
    weights = sum(map(count_bytes, generator.unet.parameters()))
    held = psutil.Process().memory_info().rss
    if device == "cuda":
        peak, held = torch.cuda.max_memory_allocated(), torch.cuda.memory_allocated()
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        json.dumps(
            {"option": option or "none", "weights_mb": weights / 1e6, "held_mb": held / 1e6, "peak_mb": peak / 1e6}
        )
    )


def main() -> None:
    """Measure each option in a process of its own, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--size", type=int, default=64, help="side of the drawn image in pixels")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--options", nargs="+", default=["", "quantise=fp8", "vae_slicing=true"])
    parser.add_argument("--one", nargs=2, metavar=("FOLDER", "OPTION"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        folder, option = arguments.one
        measure(folder, option, arguments.size, arguments.device, arguments.dtype)
        return
    with tempfile.TemporaryDirectory() as place:
        # the decoder's trained size is a quarter of what is drawn, so that tiles are smaller than it
        sample_size = arguments.size // 16
        folder = build_stable_diffusion(
            Path(place) / "model", unet_channels=tuple(arguments.channels), text_width=256, sample_size=sample_size
        )
        print(f"{platform.machine()}, torch {torch.__version__}, {arguments.device}, {arguments.dtype}")
        shared = ["--size", str(arguments.size), "--device", arguments.device, "--dtype", arguments.dtype]
        for option in arguments.options:
            command = [sys.executable, __file__, *shared, "--one", str(folder), option]
            run = subprocess.run(command, capture_output=True, text=True, check=True)
            found = json.loads(run.stdout.splitlines()[-1])
            figures = "   ".join(f"{name} {found[name]:7.0f} MB" for name in ("weights", "held", "peak"))
            print(f"{found['option']:20} {figures}", flush=True)


if __name__ == "__main__":
    main()
