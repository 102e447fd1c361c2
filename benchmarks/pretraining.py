"""Pre-training: MoCo's loss and pace beside lightly's, and the memory and pace of streaming.

    python benchmarks/pretraining.py [--only memory loss views pace] [--images 20000] [--size 224]

`memory`: images streamed from a dataset as `create` writes it, with the memory of the process as it goes. `loss`: ours
and lightly's over 20 steps with the same queue. `pace`: images a second of MoCo v2 at 32 px in batches of 128, one
thread, ours beside the loop that lightly publishes, in turns and in a process each: each decodes, makes two views,
trains the same network, in the memory format and with the allocator that the one's `pretrain` or the other's loop
has; `--channels-last` gives ours to both. `views`: without the network.
"""

from __future__ import annotations

import argparse
import copy
import io
import os
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

import synthset
from synthset.classifiers.distributed import World
from synthset.classifiers.optimizers import group_weights, make_optimizer
from synthset.core.cpu import tune_for_cpu
from synthset.dataset.reader import open_dataset
from synthset.generators.base import GeneratedImage, ImageRequest
from synthset.images.imageset import ImageSet
from synthset.pretraining import loop
from synthset.pretraining.config import PretrainConfig
from synthset.pretraining.learners import LEARNERS
from synthset.pretraining.moco import MoCo
from synthset.pretraining.session import RecordedJob, Session
from synthset.pretraining.settings import Settings, settle
from synthset.pretraining.start import new_backbone
from synthset.pretraining.streaming import Crops, Stream
from synthset.testing import FakeGenerator
from timing import Work, in_a_process, median_ratio, not_measured, report_all, time_in_turns

Result = dict[str, object]
KINDS = ("memory", "loss", "views", "pace")
BATCH, SIZE_PX, QUEUE = 128, 32, 4096
PACE_BAR, LOSS_BAR, MEMORY_BAR = 1.8, 1e-6, 1.5e9
MEASURED_FROM = 5_000  # images, from which on memory is to stay as it is


class Photos(FakeGenerator):
    """Smooth pictures, which compress as photographs do."""

    def _draw(self, request: ImageRequest) -> GeneratedImage:
        rough = np.random.default_rng(request.seed).integers(0, 256, (9, 9, 3), np.uint8)
        smooth = Image.fromarray(rough).resize((self.size_px, self.size_px), Image.Resampling.BICUBIC)
        noise = np.random.default_rng(request.seed + 1).integers(0, 12, (self.size_px, self.size_px, 3), np.uint8)
        return GeneratedImage(np.asarray(smooth) // 2 + 60 + noise, "ok")


def measure_memory(num_images: int, size_px: int) -> Result:
    """Stream a dataset once; bytes of memory at its end, and how much it grew since MEASURED_FROM."""
    with tempfile.TemporaryDirectory() as folder:
        generator = Photos(size_px=size_px)
        synthset.create(["a", "b"], f"{folder}/set", generator=generator, images_per_class=num_images // 2)
        images = open_dataset(f"{folder}/set").images()
        stream = Stream(images, BATCH, Crops(size_px, views=2), seed=0)
        sizes, began = [], time.perf_counter()
        for batch in stream.batches(0, stream.steps_per_epoch):
            sizes.append(_memory_bytes())
            del batch
        seconds = time.perf_counter() - began
    settled = sizes[min(MEASURED_FROM // BATCH, len(sizes) - 1) :]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "name": f"memory of streaming {num_images:,} images of {size_px} px",
        "peak_megabytes": round(peak / 1e6),
        "growth": round(max(settled) / settled[0], 3),
        "images_a_second": round(len(sizes) * BATCH / seconds),
        "bar": f"<= {MEMORY_BAR / 1e6:.0f} MB",
        "holds": peak <= MEMORY_BAR,
    }


def _memory_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure_loss(steps: int = 20) -> Result:
    """The largest difference of the losses, and whether the queues are the same, from one queue on."""
    from lightly.loss import NTXentLoss  # pyright: ignore[reportMissingImports]

    # in float64: a loss of 8 in float32 is known to 1e-6 alone
    ours = MoCo(nn.Flatten(), 12, 16, queue_size=QUEUE, norm_groups=1).double()
    theirs = NTXentLoss(temperature=ours.temperature, memory_bank_size=(QUEUE, 16))
    theirs.memory_bank.bank = ours.queue.clone()
    theirs.memory_bank.bank_ptr = torch.zeros(1, dtype=torch.long)
    draw = torch.Generator().manual_seed(0)
    worst = 0.0
    for _ in range(steps):
        queries, keys = (
            F.normalize(torch.randn(BATCH, 16, generator=draw, dtype=torch.float64), dim=1) for _ in range(2)
        )
        queries.requires_grad_()  # lightly's queue moves on only then
        worst = max(worst, abs(ours.loss(queries, keys).item() - theirs(queries, keys).item()))
        ours.enqueue(keys)
    same = torch.allclose(ours.queue, theirs.memory_bank.bank, atol=1e-6)
    name = f"MoCo's loss and lightly's over {steps} steps"
    return {"name": name, "difference": worst, "bar": f"<= {LOSS_BAR}", "holds": worst <= LOSS_BAR and same}


def measure_pace(architecture: str, steps: int, rounds: int, *, channels_last: bool) -> Result:
    """Images a second of ours by those of lightly's loop."""
    files = [_png(seed) for seed in range(BATCH * steps)]
    with tempfile.TemporaryDirectory() as folder:
        sides = {
            "ours": in_a_process(_our_loop, files, Path(folder), architecture),
            "lightly": in_a_process(_their_loop, files, architecture, channels_last),
        }
        for side in sides.values():
            side(0)
        seconds = time_in_turns(sides, rounds)
    ratio = median_ratio(seconds["lightly"], seconds["ours"])
    return {
        "name": f"MoCo v2 of {architecture} at 32 px: images a second by those of lightly's loop"
        + (", channels-last in both" if channels_last else ""),
        "ratio": round(ratio, 2),
        "images_a_second": {name: round(1 / min(values)) for name, values in seconds.items()},
        "bar": f">= {PACE_BAR}",
        "holds": ratio >= PACE_BAR,
    }


def measure_views(steps: int, rounds: int) -> Result:
    """As `measure_pace`, of images that are decoded and made into views alone: what the network does not hide."""
    from lightly.transforms import MoCoV2Transform  # pyright: ignore[reportMissingImports]

    files = [_png(seed) for seed in range(BATCH * steps)]
    images, settings = _settle(files, "small_cnn")
    _, described = new_backbone(settings, None, len(images))
    stream = Stream(images, BATCH, Crops(SIZE_PX, 2, (settings.smallest_crop, 1.0)), 0)
    theirs = DataLoader(_Files(files, MoCoV2Transform(SIZE_PX)), BATCH, shuffle=True, drop_last=True)
    world = World(torch.device("cpu"))

    def ours(round_index: int) -> int:
        return sum(part.size for part in loop.parts(stream.batches(0, steps, workers=1), described, settings, world))

    sides: dict[str, Work] = {"ours": ours, "lightly": lambda _: sum(len(views) for views, _ in theirs)}
    seconds = time_in_turns(sides, rounds)
    ratio = median_ratio(seconds["lightly"], seconds["ours"])
    return {
        "name": "views of MoCo v2 at 32 px: images a second by those of lightly",
        "ratio": round(ratio, 2),
        "images_a_second": {name: round(1 / min(values)) for name, values in seconds.items()},
        "bar": f">= {PACE_BAR}",
        "holds": ratio >= PACE_BAR,
    }


def _png(seed: int) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (SIZE_PX, SIZE_PX, 3), np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _settle(files: list[bytes], architecture: str) -> tuple[ImageSet, Settings]:
    images = ImageSet("noise", ("a",), np.zeros(len(files), np.int64), files.__getitem__)
    config = PretrainConfig(
        method="moco", architecture=architecture, batch_size=BATCH, queue_size=QUEUE, epochs=1, workers=1, device="cpu"
    )
    return images, settle(config, images)


def _our_loop(files: list[bytes], folder: Path, architecture: str) -> Work:
    torch.set_num_threads(1)
    tune_for_cpu()
    images, settings = _settle(files, architecture)
    backbone, described = new_backbone(settings, None, len(images))
    learner = LEARNERS["moco"](backbone, described.num_features, 1, settings)
    groups = group_weights(learner.network, settings.weight_decay, decay_all=True)
    optimizer = make_optimizer(settings.optimizer, groups, settings.learning_rate)
    stream = Stream(images, BATCH, Crops(SIZE_PX, 2, (settings.smallest_crop, 1.0)), 0)
    world = World(torch.device("cpu"))

    def train(round_index: int) -> int:
        session = Session(folder, RecordedJob({}, ""), learner.network, optimizer, 1e9)
        loop.run(session, learner, stream, described, settings, world)
        return len(files)

    return train


class _Files(torch.utils.data.Dataset):
    def __init__(self, files: list[bytes], transform) -> None:
        self.files, self.transform = files, transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int):
        return self.transform(Image.open(io.BytesIO(self.files[index])).convert("RGB"))


def _their_loop(files: list[bytes], architecture: str, channels_last: bool) -> Work:
    """As lightly's documentation has it for MoCo, with the views of version 2."""
    from lightly.loss import NTXentLoss  # pyright: ignore[reportMissingImports]
    from lightly.models.modules import MoCoProjectionHead  # pyright: ignore[reportMissingImports]
    from lightly.models.utils import deactivate_requires_grad, update_momentum  # pyright: ignore[reportMissingImports]
    from lightly.transforms import MoCoV2Transform  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    torch.manual_seed(0)
    random.seed(0)
    images, settings = _settle(files, architecture)
    backbone, described = new_backbone(settings, None, len(images))
    layout = torch.channels_last if channels_last else torch.contiguous_format
    backbone, width = backbone.to(memory_format=layout), described.num_features
    head = MoCoProjectionHead(width, width, 128)
    key_backbone, key_head = copy.deepcopy(backbone), copy.deepcopy(head)
    deactivate_requires_grad(key_backbone)
    deactivate_requires_grad(key_head)
    criterion = NTXentLoss(temperature=0.2, memory_bank_size=(QUEUE, 128))
    optimizer = torch.optim.SGD([*backbone.parameters(), *head.parameters()], 0.015, momentum=0.9, weight_decay=1e-4)
    views = DataLoader(_Files(files, MoCoV2Transform(SIZE_PX)), BATCH, shuffle=True, drop_last=True)

    def train(round_index: int) -> int:
        for queries_of, keys_of in views:
            update_momentum(backbone, key_backbone, m=0.999)
            update_momentum(head, key_head, m=0.999)
            queries_of, keys_of = (views.to(memory_format=layout) for views in (queries_of, keys_of))
            queries = head(backbone(queries_of).flatten(start_dim=1))
            with torch.no_grad():
                keys = key_head(key_backbone(keys_of).flatten(start_dim=1))
            loss = criterion(queries, keys)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return len(files)

    return train


def results(given: argparse.Namespace) -> Iterator[Result]:
    """What was asked for, one after another."""
    if "memory" in given.only:
        yield measure_memory(given.images, given.size)
    needs = {"loss": LOSS_BAR, "pace": PACE_BAR, "views": PACE_BAR}
    for name in needs if find_spec("lightly") is None else ():
        if name in given.only:
            yield not_measured(f"MoCo's {name} beside lightly's", str(needs[name]), "lightly is not installed")
            given.only = [one for one in given.only if one != name]
    if "loss" in given.only:
        yield measure_loss()
    if "views" in given.only:
        yield measure_views(given.steps, given.rounds)
    if "pace" in given.only:
        for name in given.architectures:
            yield measure_pace(name, given.steps, given.rounds, channels_last=given.channels_last)


def main() -> int:
    """Measure; 0 if all that was measured holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=KINDS, default=[*KINDS])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--architectures", nargs="+", default=["small_cnn"])
    parser.add_argument("--channels-last", action="store_true", help="also for lightly's loop, which has it not")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    return report_all(results(given), given.output)


if __name__ == "__main__":
    raise SystemExit(main())
