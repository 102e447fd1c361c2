"""Shortcuts and diversity that the sampling loop takes on request; off by default, for they change the images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synthset.core.errors import UsageError


@dataclass(frozen=True)
class ConditionAnnealing:
    """Condition-annealed sampling (CADS): early steps see the prompt through noise, so that images differ more.

    Time runs from 1, where an image is pure noise, to 0, where it is done. The defaults are the paper's for
    Stable Diffusion.

    Attributes:
        tau1: the time from which on the prompt is seen as it is.
        tau2: the time down to which noise alone is seen, 0 ≤ tau1 ≤ tau2 ≤ 1.
        noise_scale: standard deviation of the noise, s in the paper, at least 0; at 0 annealing is off.
        mixing_factor: how far the noisy embedding is brought back to the mean and the standard deviation of
            the clean one, psi in the paper: 1 fully, 0 not at all.
    Raises:
        UsageError: a value that cannot be.
    Reference: Sadat et al. 2024, CADS, section 4 and algorithm 1.
    """

    tau1: float = 0.6
    tau2: float = 0.9
    noise_scale: float = 0.25
    mixing_factor: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.tau1 <= self.tau2 <= 1:
            raise UsageError(f"Expected 0 ≤ tau1 ≤ tau2 ≤ 1 for annealing, got {self.tau1:g} and {self.tau2:g}.")
        if not 0 <= self.noise_scale < float("inf"):
            raise UsageError(f"Expected a noise scale of at least 0 for annealing, got {self.noise_scale:g}.")
        if not 0 <= self.mixing_factor <= 1:
            raise UsageError(f"Expected a mixing factor from 0 to 1 for annealing, got {self.mixing_factor:g}.")

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
    """What departs from plain sampling, the same for all images of a dataset.

    Attributes:
        guidance_interval: the first share of the steps at which guidance is applied and the first at which it
            is no more, 0 ≤ first < last ≤ 1. Outside, a step costs one row of the UNet an image, not two
            (Kynkäänniemi et al. 2024, who name noise levels where these are shares of the steps).
        cache_interval: the UNet's deep blocks are computed in every so many-th step only, at least 1, and
            remembered in between (DeepCache, Ma et al. 2023).
        annealing: of the prompt; None for none.
    Raises:
        UsageError: a value that cannot be.
    """

    guidance_interval: tuple[float, float] = (0.0, 1.0)
    cache_interval: int = 1
    annealing: ConditionAnnealing | None = None

    def __post_init__(self) -> None:
        interval = tuple(self.guidance_interval)
        if len(interval) != 2 or not 0 <= interval[0] < interval[1] <= 1:
            raise UsageError(f"Expected a guidance interval with 0 ≤ first < last ≤ 1, e.g. 0.2 0.8, got {interval}.")
        object.__setattr__(self, "guidance_interval", interval)  # a list, from YAML or JSON, is as good
        if self.cache_interval < 1 or self.cache_interval % 1:
            raise UsageError(f"Expected a whole cache interval of at least 1 step, got {self.cache_interval}.")

    @classmethod
    def from_job(cls, described: Mapping[str, Any] | None) -> SamplingOptions:
        """As they were recorded in a job's generation config; plain ones for None."""
        if described is None:
            return cls()
        annealing = described["annealing"]
        return cls(**{**described, "annealing": annealing and ConditionAnnealing(**annealing)})

    def phrases(self) -> list[str]:
        """What departs, in words for people.

        >>> SamplingOptions(guidance_interval=(0.2, 0.8), cache_interval=3).phrases()
        ['guidance from 20% to 80% of the steps', 'deep blocks in every 3rd step (DeepCache)']
        """
        said = []
        if self.limits_guidance:
            said.append("guidance from {:.0%} to {:.0%} of the steps".format(*self.guidance_interval))
        if self.cache_interval > 1:
            said.append(f"deep blocks in every {_ordinal(self.cache_interval)} step (DeepCache)")
        if self.annealing and self.anneals:
            said.append(
                f"prompts through noise of {self.annealing.noise_scale:g}, alone down to time "
                f"{self.annealing.tau2:g}, gone at {self.annealing.tau1:g} (CADS)"
            )
        return said

    @property
    def is_plain(self) -> bool:
        """Whether nothing departs."""
        return not self.limits_guidance and self.cache_interval == 1 and not self.anneals

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
