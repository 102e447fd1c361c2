"""Shortcuts and diversity that the sampling loop takes on request; off by default, for they change the images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from synthset.core.errors import setting
from synthset.core.options import Nested, Option, check_options, expect


@dataclass(frozen=True)
class ConditionAnnealing:
    """Condition-annealed sampling (CADS): early steps see the prompt through noise, so that images differ more.

    Time runs from 1, where an image is pure noise, to 0, where it is done. The defaults are the paper's for
    Stable Diffusion.

    Raises:
        UsageError: a value that cannot be.
    Reference: Sadat et al. 2024, CADS, section 4 and algorithm 1.
    """

    tau1: Annotated[float, Option(flag="cads-times", part=0, at_least=0, at_most=1)] = 0.6
    """Time of CADS from which on the prompt is seen as it is; time runs from 1, pure noise, to 0, the image."""
    tau2: Annotated[float, Option(flag="cads-times", part=1, at_least=0, at_most=1)] = 0.9
    """Time down to which noise alone is seen, at least the other."""
    noise_scale: Annotated[float, Option(flag="cads-noise", at_least=0, default="off")] = 0.25
    """Noise of CADS: early steps see the prompt through noise of this deviation, for more diverse images; 0.25 in its
    paper, and 0 for none."""
    mixing_factor: Annotated[float, Option(flag="cads-mixing", at_least=0, at_most=1)] = 1.0
    """Share of noisy prompts that is brought back to the mean and deviation of clean ones."""

    def __post_init__(self) -> None:
        check_options(self)
        expect(self.tau1 <= self.tau2, f"0 ≤ tau1 ≤ tau2 ≤ 1 for annealing, got {self.tau1:g} and {self.tau2:g}")

    def signal(self, time: float) -> float:
        """Share of the prompt's variance at `time`, gamma in the paper's equation 3.

        >>> [round(ConditionAnnealing().signal(time), 2) for time in (1.0, 0.75, 0.5)]
        [0.0, 0.5, 1.0]
        """
        if time <= self.tau1:
            return 1.0
        if time >= self.tau2:
            return 0.0
        return (self.tau2 - time) / (self.tau2 - self.tau1)


@dataclass(frozen=True)
class SamplingOptions:
    """Shortcuts and diversity: departures from plain sampling, the same for all images of a dataset.

    Raises:
        UsageError: a value that cannot be.
    Reference: Kynkäänniemi et al. 2024 for guidance_interval, who name noise levels where these are shares of the
    steps; Ma et al. 2023 for cache_interval.
    """

    guidance_interval: Annotated[tuple[float, float], Option(at_least=0, at_most=1, default="all")] = (0.0, 1.0)
    """Steps with guidance, as shares of all: the first that has it and the first that has it no more, e.g. 0.2 0.8.
    Outside, a step costs half."""
    cache_interval: Annotated[int, Option(at_least=1)] = 1
    """Interval of DeepCache: the UNet's deep blocks are computed in every so many-th step only, e.g. 3 for twice the
    speed."""
    annealing: Annotated[ConditionAnnealing | None, Nested(switch="noise_scale", job="annealing")] = None
    block_cache: Annotated[float, Option(at_least=0, default="off")] = 0.0
    """Threshold of the block cache of transformers (FirstBlockCache), e.g. 0.1: all blocks but the first are left out
    in a step where that one's answer changed by a smaller share; images are then drawn one by one."""

    def __post_init__(self) -> None:
        if isinstance(self.guidance_interval, list):  # from YAML or JSON
            object.__setattr__(self, "guidance_interval", tuple(self.guidance_interval))
        check_options(self)
        first, last = self.guidance_interval
        expect(
            first < last,
            f"{setting('guidance_interval')} with 0 ≤ first < last ≤ 1, e.g. 0.2 0.8, got {first:g} {last:g}",
        )

    @classmethod
    def from_job(cls, described: Mapping[str, Any] | None) -> SamplingOptions:
        """As they were recorded in a job's generation config; plain ones for None."""
        if described is None:
            return cls()
        annealing = described.get("annealing")
        return cls(**{**described, "annealing": annealing and ConditionAnnealing(**annealing)})

    def phrases(self) -> list[str]:
        """The departures in words for people.

        >>> SamplingOptions(guidance_interval=(0.2, 0.8), cache_interval=3).phrases()
        ['guidance from 20% to 80% of the steps', 'deep blocks in every 3rd step (DeepCache)']
        """
        departures = []
        if self.limits_guidance:
            departures.append("guidance from {:.0%} to {:.0%} of the steps".format(*self.guidance_interval))
        if self.cache_interval > 1:
            departures.append(f"deep blocks in every {_ordinal(self.cache_interval)} step (DeepCache)")
        if self.block_cache:
            departures.append(f"blocks left out where the first changes by less than {self.block_cache:g}")
        if self.annealing and self.anneals:
            departures.append(
                f"prompts through noise of {self.annealing.noise_scale:g}, alone down to time "
                f"{self.annealing.tau2:g}, gone at {self.annealing.tau1:g} (CADS)"
            )
        return departures

    @property
    def is_plain(self) -> bool:
        """Whether nothing departs."""
        return not self.limits_guidance and self.cache_interval == 1 and not self.block_cache and not self.anneals

    @property
    def limits_guidance(self) -> bool:
        """Whether there are steps without guidance."""
        return self.guidance_interval != (0.0, 1.0)

    @property
    def anneals(self) -> bool:
        """Whether prompts are seen through noise."""
        return self.annealing is not None and self.annealing.noise_scale > 0

    def guides(self, step: int, num_steps: int) -> bool:
        """Whether guidance is applied in step 0 ≤ `step` < `num_steps`.

        >>> [SamplingOptions(guidance_interval=(0.25, 0.75)).guides(step, 4) for step in range(4)]
        [False, True, True, False]
        """
        first, last = self.guidance_interval
        return first <= step / num_steps < last


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
