"""How fast classifiers learn on a GPU: ResNet-50 at 32 px, batches of 128 and 1,024, both stems, compiled or not.

    python benchmarks/gpu_training.py
    python benchmarks/gpu_training.py --tiny --device cpu   # runs the script, measures nothing

Prints one JSON line a case, as soon as it is there: `ratio` is the share of a bfloat16 matrix product's arithmetic a
second that training steps reach, augmentation and all, with three times the forward's arithmetic counted for a step.
No bar: no figure of another library is known for these sizes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from synthset.classifiers.models import ModelConfig, build_model
from synthset.classifiers.settings import Settings
from synthset.classifiers.train import compile_model, train_epoch
from synthset.classifiers.training_set import TrainingSet
from timing import not_measured, report_all, time_in_turns
from training import CLASS_NAMES, make_data

SIZE_PX = 32


def main() -> int:
    """Measure all; 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="a small network and small batches, to run the script")
    parser.add_argument("--output", type=Path, help="a file to add the JSON lines to")
    arguments = parser.parse_args()
    if not arguments.tiny and not torch.cuda.is_available():
        return report_all([not_measured("gpu_training", "", "no GPU")], arguments.output)
    return report_all(measure(torch.device(arguments.device), arguments.rounds, arguments.tiny), arguments.output)


def measure(device: torch.device, rounds: int, tiny: bool) -> Iterator[dict[str, object]]:
    """A line for each case, those that compile last."""
    architecture, batch_sizes, product_size = ("small_cnn", (8,), 256) if tiny else ("resnet50", (128, 1024), 8192)
    peak = measure_peak(device, product_size)
    for compiled, batch_size, small_images in product((False,) if tiny else (False, True), batch_sizes, (False, True)):
        model_config = ModelConfig(architecture, CLASS_NAMES, SIZE_PX, small_images=small_images and not tiny)
        rate, flop = time_training(device, model_config, batch_size, rounds, compiled)
        stem, engine = "small_stem" if small_images else "stem", "compiled" if compiled else "eager"
        yield {
            "name": f"gpu_training_{architecture}_{batch_size}_{stem}_{engine}",
            "ratio": round(rate * flop / peak, 4),
            "bar": "",
            "holds": None,
            "images_per_second": round(rate),
            "gflop_per_image": round(flop / 1e9, 3),
            "matmul_tflop_per_second": round(peak / 1e12, 3),
            "rounds": rounds,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        }


def time_training(
    device: torch.device, model_config: ModelConfig, batch_size: int, rounds: int, compiled: bool
) -> tuple[float, int]:
    """Images a second, and the arithmetic of an image."""
    settings = Settings(
        architecture=model_config.architecture,
        epochs=rounds + 2,
        batch_size=batch_size,
        optimizer="adamw",
        learning_rate=2e-4,
        weight_decay=0.05,
        normalisation="dataset",
        augmentation="standard",
        image_size_px=SIZE_PX,
        device=device.type,
    )
    data: TrainingSet = make_data(16 * batch_size, SIZE_PX).to(device)
    network = build_model(model_config).to(device)
    flop = count_flop(network, device)
    optimizer = torch.optim.AdamW(network.parameters(), settings.learning_rate, fused=True)
    model = compile_model(network, device) if compiled else network

    def train(epoch: int) -> int:
        # its loss is read at the end, so the device is done
        train_epoch(model, optimizer, data, model_config, settings, epoch, lambda _count: None)
        return len(data.training_rows)

    train(rounds)  # compiles, and finds the fastest convolutions
    train(rounds + 1)
    return 1 / statistics.median(time_in_turns({"training": train}, rounds)["training"]), flop


def count_flop(network: nn.Module, device: torch.device) -> int:
    """Arithmetic of a step an image: the forward's, and twice that backward."""
    network.eval()  # so that the statistics of batches stay
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, SIZE_PX, SIZE_PX, device=device))
    return 3 * counter.get_total_flops()


def measure_peak(device: torch.device, size: int) -> float:
    """Arithmetic a second of a bfloat16 matrix product."""
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))

    def multiply(_round_index: int) -> int:
        for _ in range(20):
            torch.mm(left, right)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return 20

    multiply(0)
    return 2 * size**3 / statistics.median(time_in_turns({"product": multiply}, 3)["product"])


if __name__ == "__main__":
    sys.exit(main())
