"""DeepCache: the answers of the UNet's deep blocks change little from step to step, so they are kept for some steps.

Reference: Ma et al. 2023, DeepCache: Accelerating Diffusion Models for Free, section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from diffusers import UNet2DConditionModel


class DeepCache:
    """Makes a UNet compute all of its blocks but the outermost down and up block in every `interval`-th pass only.

    In between, the deep blocks repeat their last answer, whatever they are shown. The passes are those of one
    batch; `forget` before the next.
    """

    def __init__(self, unet: UNet2DConditionModel, interval: int) -> None:
        """Take over `unet`, whose blocks are changed in place. At `interval` 1 it computes as before."""
        self.interval = interval
        self.forget()
        unet.register_forward_pre_hook(self._begin_pass)
        for block in (*unet.down_blocks[1:], unet.mid_block, *unet.up_blocks[:-1]):
            if block is not None:  # some have nothing in the middle
                # the method alone: the UNet asks its blocks for more than an answer
                block.forward = self._cached(block.forward)

    def forget(self) -> None:
        """Free the memory; the next pass computes all blocks."""
        self._passes = 0
        self._answers: dict[Callable[..., Any], Any] = {}

    def _begin_pass(self, *_: Any) -> None:
        if self._passes % self.interval == 0:
            self._answers.clear()
        self._passes += 1

    def _cached(self, compute: Callable[..., Any]) -> Callable[..., Any]:
        def forward(*args: Any, **kwargs: Any) -> Any:
            if compute not in self._answers:
                self._answers[compute] = compute(*args, **kwargs)
            return self._answers[compute]

        return forward
