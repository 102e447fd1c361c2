"""What the trainers share: the world's data, a budget, checkpoints, a moving average, progress on stderr.

A trainer stops when its budget is spent, which is a number of steps (the same result every time) or of minutes
(the same waiting time everywhere); the learning rate follows the fraction spent. A checkpoint holds all that is
needed to go on, and the same command again goes on from it.
"""

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tools.miniature.settings import BUILD_FOLDER


@dataclass(frozen=True)
class World:
    """The drawn images, (n, 32, 32, 3) uint8, with a caption and a digit 0..9 each."""

    images: np.ndarray
    captions: list[str]
    digits: np.ndarray

    def __len__(self) -> int:
        return len(self.captions)


def open_world(folder: Path) -> World:
    """Open a folder that `tools.miniature.draw` wrote; the images stay on disk until they are read."""
    if not (folder / "captions.json").is_file():
        raise SystemExit(f"Expected the world in '{folder}', found none. Run 'python -m tools.miniature.draw' first.")
    captions = json.loads((folder / "captions.json").read_text(encoding="utf-8"))
    images = np.load(folder / "images.npy", mmap_mode="r")
    digits = np.load(folder / "digits.npy")
    if not len(images) == len(captions) == len(digits):
        counts = f"{len(images)} images, {len(captions)} captions, {len(digits)} digits"
        raise SystemExit(f"Expected as many images as captions and digits in '{folder}', got {counts}. Draw it again.")
    return World(images, captions, digits)


def read_images(world: World, rows: np.ndarray, device: str = "cpu") -> Tensor:
    """Rows of the world as a network sees them."""
    pixels = torch.from_numpy(np.ascontiguousarray(world.images[rows])).to(device)
    return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous()  # NHWC uint8 -> NCHW -1..1


def trainer_arguments(description: str | None, *, steps: int, batch_size: int) -> argparse.ArgumentParser:
    """The flags that every trainer has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--world", type=Path, default=BUILD_FOLDER / "world", help="what draw.py wrote")
    parser.add_argument("--build", type=Path, default=BUILD_FOLDER, help="folder of the parts")
    parser.add_argument("--steps", type=int, default=steps, help="budget in steps")
    parser.add_argument("--minutes", type=float, help="budget in minutes, in place of --steps")
    parser.add_argument("--batch-size", type=int, default=batch_size)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint-minutes", type=float, default=5)
    parser.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="go on from the checkpoint, if there is one",
    )
    return parser


def prepare(args: argparse.Namespace) -> None:
    """Set this process's threads, seed and what makes training fast.

    Denormal numbers slow a CPU tenfold. On a CPU, the backward pass of fused attention took a third of the UNet's
    step and half of CLIP's (torch 2.15, sequences of 16 to 65 tokens); plain matrix products are faster there.
    """
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    torch.set_flush_denormal(True)
    if args.device == "cpu":
        torch.backends.cuda.enable_flash_sdp(False)  # despite its name, for the CPU too
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.benchmark = True


def autocast(args: argparse.Namespace):
    """bfloat16 where the machine computes it natively, or as `--precision` says."""
    wanted = args.precision == "bfloat16"
    if args.precision == "auto":
        wanted = args.device != "cpu" or has_native_bfloat16()
    return torch.autocast(torch.device(args.device).type, torch.bfloat16) if wanted else nullcontext()


def has_native_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; without it, autocast is slower than float32."""
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.is_file() and any(flag in cpuinfo.read_text() for flag in ("avx512_bf16", "amx_bf16"))


def learning_rate(fraction: float, step: int, *, peak: float, warmup_steps: int = 200) -> float:
    """Linear warm-up, then half a cosine down to zero at the end of the budget."""
    return peak * min(1.0, (step + 1) / warmup_steps) * 0.5 * (1 + math.cos(math.pi * min(1.0, fraction)))


class Average:
    """Exponential moving average of a module's weights (short at first, so that early checkpoints serve)."""

    def __init__(self, model: nn.Module, decay: float = 0.999):
        self.decay = decay
        self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self._floats = [name for name, value in self.weights.items() if value.is_floating_point()]

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the model's weights."""
        state = model.state_dict()
        weight = 1 - min(self.decay, (step + 1) / (step + 10))
        torch._foreach_lerp_([self.weights[n] for n in self._floats], [state[n] for n in self._floats], weight)


@dataclass
class Run:
    """One training run: what it has done so far, and where its checkpoint lies."""

    folder: Path
    args: argparse.Namespace
    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: Average
    peak_rate: float
    step: int = 0
    seconds: float = 0.0
    losses: list[Tensor] = field(default_factory=list)

    @property
    def fraction(self) -> float:
        """How much of the budget is spent, 0..1."""
        if self.args.minutes:
            return self.seconds / (60 * self.args.minutes)
        return self.step / max(1, self.args.steps)


def start(folder: Path, args: argparse.Namespace, model: nn.Module, *, peak_rate: float, decay: float = 0.999) -> Run:
    """A run from its checkpoint, or from nothing."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=peak_rate, betas=(0.9, 0.98), fused=True)
    run = Run(folder, args, model, optimizer, Average(model, decay), peak_rate)
    checkpoint = folder / "checkpoint.pt"
    if args.resume and checkpoint.is_file():
        state = torch.load(checkpoint, map_location=args.device, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        run.average.weights = state["average"]
        run.step, run.seconds = state["step"], state["seconds"]
        log(f"{folder.name}: going on from step {run.step:,} ({run.seconds / 60:.1f} minutes in)")
    return run


def steps(run: Run, *, clip_norm: float = 1.0) -> Iterator[Callable[[Tensor], None]]:
    """Yield a `learn(loss)` per step until the budget is spent; reports each 100 steps, saves now and then."""
    began_step, began = run.step, time.monotonic()
    last_time = last_save = began
    while run.fraction < 1:
        rate = learning_rate(run.fraction, run.step, peak=run.peak_rate)
        for group in run.optimizer.param_groups:
            group["lr"] = rate

        def learn(loss: Tensor) -> None:
            run.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(run.model.parameters(), clip_norm)
            run.optimizer.step()
            run.losses.append(loss.detach())

        yield learn
        run.average.update(run.model, run.step)
        run.step += 1
        now = time.monotonic()
        run.seconds, last_time = run.seconds + now - last_time, now
        if run.step % 100 == 0 or run.fraction >= 1:
            report(run, (run.step - began_step) / (now - began))
        if now - last_save > 60 * run.args.checkpoint_minutes or run.fraction >= 1:
            save_checkpoint(run)
            last_save = time.monotonic()


def report(run: Run, steps_per_second: float) -> None:
    """One line on stderr: where the run is, how it goes, how long it will take."""
    left = 60 * run.args.minutes - run.seconds if run.args.minutes else (run.args.steps - run.step) / steps_per_second
    loss = float(torch.stack(run.losses).float().mean())
    run.losses.clear()
    log(
        f"{run.folder.name}: step {run.step:,}, loss {loss:.4f}, {steps_per_second:.2f} steps/s, "
        f"{run.args.batch_size * steps_per_second:.0f} images/s, {max(0, left) / 60:.1f} minutes left"
    )


def save_checkpoint(run: Run) -> None:
    """Write the run's state under a temporary name, then take the place of the last one."""
    run.folder.mkdir(parents=True, exist_ok=True)
    state = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "average": run.average.weights,
        "step": run.step,
        "seconds": run.seconds,
    }
    partial = run.folder / "checkpoint.pt.part"
    torch.save(state, partial)
    partial.replace(run.folder / "checkpoint.pt")


def load_average(folder: Path) -> dict[str, Tensor]:
    """The averaged weights of a part's newest checkpoint, finished or not."""
    checkpoint = folder / "checkpoint.pt"
    if not checkpoint.is_file():
        raise SystemExit(
            f"Expected '{checkpoint}', found none. Run 'python -m tools.miniature.train_{folder.name}' first."
        )
    return torch.load(checkpoint, map_location="cpu", weights_only=True)["average"]


def write_json(path: Path, content: object) -> None:
    """Write JSON so that a reader sees all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(path.suffix + ".part")
    partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def finish(folder: Path, **figures: float | int | str) -> None:
    """Mark a part as finished, with its measured figures; the whole-way command skips finished parts."""
    write_json(folder / "finished.json", figures)
    log(f"{folder.name}: finished, " + ", ".join(f"{name} {value}" for name, value in figures.items()))


def log(line: str) -> None:
    """Print to stderr at once."""
    print(line, file=sys.stderr, flush=True)
