"""How a checkpoint shall draw: as it was asked for, checked, and as it comes out on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from synthset.core.devices import DTYPES, choose_device, choose_dtype
from synthset.core.errors import UnknownNameError, UsageError
from synthset.generators.base import COMPILED, EAGER, GenerationConfig, StoredSize
from synthset.generators.checkpoint import Checkpoint
from synthset.generators.names import AUTO_SCHEDULER, ENGINES, SCHEDULERS
from synthset.generators.sampling import SamplingOptions

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Drawing:
    """How a checkpoint shall draw; `loading.load_generator` explains the fields.

    Raises:
        UnknownNameError: the scheduler, the dtype or the engine.
        UsageError: fewer than one step.
    """

    scheduler: str = AUTO_SCHEDULER
    num_inference_steps: int = 40
    height_px: int | None = None
    width_px: int | None = None
    dtype: str = "auto"
    device: str = "auto"
    sampling: SamplingOptions | None = None
    stored: StoredSize | None = None
    image_conditions: bool = False
    engine: str = EAGER

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

    def choose_machine(self) -> tuple[torch.device, torch.dtype]:
        """The device to draw on, and the number format of the networks there.

        Raises:
            UsageError: a device that is not at hand.
            ModelError: no compiler for the engine 'compiled'.
        """
        import torch

        device = choose_device(self.device)
        if self.engine == COMPILED:
            from synthset.generators.compiled_unet import check_compiler

            check_compiler(device)
        return device, getattr(torch, choose_dtype(self.dtype, device))

    def config_for(
        self, checkpoint: Checkpoint, scheduler: str, size_px: tuple[int, int], dtype: torch.dtype
    ) -> GenerationConfig:
        """The settings that are recorded.

        Args:
            checkpoint: that draws.
            scheduler: of the checkpoint, where 'auto' was asked for.
            size_px: height and width that the checkpoint was trained for.
            dtype: from `choose_machine`.
        """
        departs = self.sampling is not None and not self.sampling.is_plain
        return GenerationConfig(
            model=checkpoint.name,
            revision=checkpoint.revision,
            weights_hash=checkpoint.weights_hash,
            scheduler=scheduler,
            num_inference_steps=self.num_inference_steps,
            height_px=size_px[0] if self.height_px is None else self.height_px,
            width_px=size_px[1] if self.width_px is None else self.width_px,
            dtype=str(dtype).removeprefix("torch."),
            sampling=self.sampling if departs else None,
            engine=self.engine,
        )
