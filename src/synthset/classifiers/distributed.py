"""Several processes that train one model together: each takes its part of every batch.

The batch, and every number drawn for it, is that of one process, so that the result is too, up to rounding. What
looks beyond a process's own images is therefore shared: the statistics of BatchNorm, the mask of dropout, the
number of images that the loss is a mean over. accelerate joins the processes: gloo on CPUs, nccl on GPUs.
"""

from __future__ import annotations

import atexit
import logging
import os
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from synthset.classifiers.augment import Share
from synthset.core.devices import choose_device
from synthset.core.errors import UsageError
from synthset.core.progress import set_progress
from synthset.images.imageset import ImageSet

if TYPE_CHECKING:
    from accelerate import Accelerator

T = TypeVar("T")

# where torch's launcher, accelerate and MPI say how many processes there are
SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


class World:
    """This process alone: the calls of a training that is shared, none of which does anything.

    Attributes:
        device: where this process computes.
        rank, size: which process this is, 0..size-1, and of how many.
    """

    rank = 0
    size = 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.rank == 0

    def prepare(self, model: nn.Module) -> nn.Module:
        """The model on the device, with layers that see all images of a batch; its weights keep their names."""
        return model.to(self.device)

    def wrap(self, model: nn.Module) -> nn.Module:
        """The prepared model as a step of the training calls it."""
        return model

    def take(self, rows: Tensor) -> tuple[Tensor, Share]:
        """This process's part of a batch's rows, for the step that follows; and where it lies in the batch."""
        return rows, Share(0, len(rows))

    def mean_loss(self, logits: Tensor, labels: Tensor, num_images: int, label_smoothing: float) -> Tensor:
        """The loss to derive: the mean cross-entropy over the batch, of which `logits` are this process's part."""
        return F.cross_entropy(logits, labels, label_smoothing=label_smoothing)

    def mean(self, value: Tensor) -> Tensor:
        """The mean over the processes of a tensor that each has, in place."""
        return value

    def sum(self, value: Tensor) -> Tensor:
        """The sum over the processes of a tensor that each has, in place."""
        return value

    def from_first(self, make: Callable[[], T]) -> T:
        """The first process's result of `make`; the others wait for it. It has to consist of plain values."""
        return make()

    def wait(self) -> None:
        """Return when every process has come here."""


class SharedWorld(World):
    """One of several processes that train together."""

    def __init__(self, accelerator: Accelerator) -> None:
        super().__init__(accelerator.device)
        self.accelerator = accelerator
        self.rank, self.size = accelerator.process_index, accelerator.num_processes
        self.share = Share(0, 0)

    def prepare(self, model: nn.Module) -> nn.Module:
        """Synchronised BatchNorm (torch's where it can be used) and dropout; the model on the device."""
        if self.device.type == "cuda":
            from timm.layers import convert_sync_batchnorm

            model = convert_sync_batchnorm(model)
        else:
            model = _replace(model, nn.modules.batchnorm._BatchNorm, SharedBatchNorm)
        model = _replace(model, nn.Dropout, lambda dropout: SharedDropout(dropout.p, self))
        return model.to(self.device)

    def wrap(self, model: nn.Module) -> nn.Module:
        """DistributedDataParallel, which averages the gradients."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)  # its heir is too new
            return self.accelerator.prepare_model(model)

    def take(self, rows: Tensor) -> tuple[Tensor, Share]:
        """Consecutive rows, by at most one more or less than any other process; there may be none."""
        start, stop = (len(rows) * rank // self.size for rank in (self.rank, self.rank + 1))
        self.share = Share(start, len(rows))
        return rows[start:stop], self.share

    def mean_loss(self, logits: Tensor, labels: Tensor, num_images: int, label_smoothing: float) -> Tensor:
        """A sum, so that every image counts the same; times `size`, as gradients are averaged over processes."""
        total = F.cross_entropy(logits, labels, label_smoothing=label_smoothing, reduction="sum")
        return total * (self.size / num_images)

    def mean(self, value: Tensor) -> Tensor:
        """By an all-reduce."""
        return self.sum(value).div_(self.size)

    def sum(self, value: Tensor) -> Tensor:
        """By an all-reduce, after which all processes have the same bits."""
        dist.all_reduce(value)
        return value

    def from_first(self, make: Callable[[], T]) -> T:
        """By a broadcast."""
        values = [make() if self.is_first else None]
        dist.broadcast_object_list(values, device=self.device)
        return cast("T", values[0])

    def wait(self) -> None:
        """A barrier."""
        self.accelerator.wait_for_everyone()


def join(device: str) -> World:
    """The world that this process was started into: alone, or one of several, which then wait for one another.

    Args:
        device: as for `choose_device`; of several processes on GPUs each takes its own.
    Raises:
        UsageError: the device is not at hand, or there are more processes than GPUs.
    """
    if world_size() == 1:
        return World(choose_device(device))
    check_device(device, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs

    on_cpu = choose_device(device).type == "cpu"
    # BatchNorm is in step already; precision is the training's own setting
    parallel = DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)
    world = SharedWorld(Accelerator(cpu=on_cpu, mixed_precision="no", kwargs_handlers=[parallel]))
    atexit.register(lambda: dist.is_initialized() and dist.destroy_process_group())
    if not world.is_first:
        set_progress(False)
        logging.getLogger("synthset").setLevel(logging.ERROR)
    return world


def world_size() -> int:
    """Number of processes that a launcher started, this one among them."""
    return max(int(os.environ.get(name) or 1) for name in SIZES)


def is_first() -> bool:
    """Whether this process is the one that speaks, of those that train together, or alone."""
    return not (dist.is_available() and dist.is_initialized()) or dist.get_rank() == 0


def check_processes(processes: int, sources: Sequence[object]) -> None:
    """Raise UsageError unless so many processes can be started, and can all open the images: each has a path."""
    if processes < 1:
        raise UsageError(f"Expected at least one process, got {processes}.")
    if processes > 1 and any(isinstance(source, ImageSet) for source in sources):
        raise UsageError(
            f"Expected the path of the images for {processes} processes, got an ImageSet, which they cannot all open."
        )
    if processes > 1 and (started := world_size()) > 1:
        raise UsageError(f"A launcher started {started} processes, and {processes} were asked for. Leave one out.")


def check_device(device: str, num_processes: int) -> None:
    """Raise UsageError unless each of the processes on this machine can have a device of that kind."""
    kind = choose_device(device)
    if kind.index is not None:
        raise UsageError(f"Expected 'cuda', 'cpu' or 'auto' as the device of several processes, got '{device}'.")
    if kind.type == "cuda" and num_processes > torch.cuda.device_count():
        raise UsageError(
            f"Expected at most one process a GPU, of which there are {torch.cuda.device_count()}, got "
            f"{num_processes} processes. Ask for fewer, or for the device 'cpu'."
        )


# ---- layers that see the whole batch -----------------------------------------------------------------


class SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm by the mean and variance over the images of all processes, on any device.

    torch.nn.SyncBatchNorm does the same on GPUs and refuses CPUs. Weights and buffers are those of `norm`; where
    that is one of timm's with dropout and activation, so is this.
    """

    def __init__(self, norm: nn.modules.batchnorm._BatchNorm) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        self._parameters.update(norm._parameters)
        self._buffers.update(norm._buffers)
        self.drop = getattr(norm, "drop", nn.Identity())
        self.act = getattr(norm, "act", nn.Identity())

    def _check_input_dim(self, input: Tensor) -> None:
        pass  # the layer that this one stands for would have refused

    def forward(self, input: Tensor) -> Tensor:
        """(n, c, …) -> the same shape; n may be 0."""
        normalised = self._normalise_together(input) if self.training else super().forward(input)
        return self.act(self.drop(normalised))

    def _normalise_together(self, x: Tensor) -> Tensor:
        values = x.float()
        others = [dim for dim in range(x.ndim) if dim != 1]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        count = values.new_tensor([values.numel() / x.shape[1]])
        sums = _sum_over_processes(torch.cat((values.sum(others), count)))
        mean, total = sums[:-1] / sums[-1], sums[-1]
        centred = values - mean.view(shape)
        variance = _sum_over_processes(centred.square().sum(others)) / total
        self._follow(mean.detach(), (variance * total / (total - 1)).detach())
        scale = (variance + self.eps).rsqrt()
        normalised = centred * (scale * self.weight if self.affine else scale).view(shape)
        return (normalised + self.bias.view(shape) if self.affine else normalised).to(x.dtype)

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics, of which the variance is the unbiased one."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        momentum = self.momentum if self.momentum is not None else 1 / self.num_batches_tracked.item()
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


class SharedDropout(nn.Dropout):
    """Dropout with the mask of the whole batch, of which each process takes the rows of its images."""

    def __init__(self, p: float, world: SharedWorld) -> None:
        super().__init__(p)
        self.world = world

    def forward(self, input: Tensor) -> Tensor:
        """(n, …) -> the same shape."""
        if not self.training or self.p == 0:
            return input
        share = self.world.share
        whole = input.new_ones(share.num_images, *input.shape[1:])
        return input * F.dropout(whole, self.p)[share.start : share.start + len(input)]


class _SumOverProcesses(torch.autograd.Function):
    """A sum that each process goes on with, so that its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _sum_over_processes(value: Tensor) -> Tensor:
    return cast("Tensor", _SumOverProcesses.apply(value))


def _replace(module: nn.Module, kind: type[nn.Module], make: Callable[[Any], nn.Module]) -> nn.Module:
    """The module with every layer of a kind replaced by what `make` gives for it."""
    if isinstance(module, kind):
        return make(module)
    for name, child in module.named_children():
        setattr(module, name, _replace(child, kind, make))
    return module
