"""The tensors of condition-annealed sampling (CADS); `sampling.ConditionAnnealing` has the settings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from synthset.core.seeds import derive_seed
from synthset.generators.sampling import ConditionAnnealing


class ConditionNoise:
    """Noise on the prompts of a batch: each image's from a generator of its own, whatever it is drawn with."""

    def __init__(self, annealing: ConditionAnnealing, seeds: Sequence[int]) -> None:
        self.annealing = annealing
        self._generators = [torch.Generator().manual_seed(derive_seed(seed, "annealing")) for seed in seeds]

    def add(self, conditions: Tensor, time: float) -> Tensor:
        """Embeddings (n, tokens, d) as they are seen at `time`, 1 for pure noise to 0 for the image.

        The very same tensor where there is no noise. Further rows, past the number of seeds, stay clean.
        """
        signal = self.annealing.signal(time)
        if signal == 1:
            return conditions
        n = len(self._generators)
        shape = conditions.shape[1:]
        noise = torch.stack([torch.randn(shape, generator=generator) for generator in self._generators])
        noise = noise.to(conditions.device)
        noisy = anneal(conditions[:n].float(), noise, signal, self.annealing)
        return torch.cat([noisy.to(conditions.dtype), conditions[n:]])


def anneal(conditions: Tensor, noise: Tensor, signal: float, annealing: ConditionAnnealing) -> Tensor:
    """Mix embeddings with noise and rescale the mixture to the embeddings' own mean and standard deviation.

    Args:
        conditions, noise: float (n, tokens, d).
        signal: gamma, 0..1.
        annealing: the noise's scale and the mixing factor.
    Reference: Sadat et al. 2024, section 4 (the noisy condition, and its rescaling by psi); each image by its own
    mean and deviation, so that it does not depend on its batch.
    """
    noisy = math.sqrt(signal) * conditions + annealing.noise_scale * math.sqrt(1 - signal) * noise
    standard = (noisy - noisy.mean((1, 2), keepdim=True)) / noisy.std((1, 2), keepdim=True)
    rescaled = standard * conditions.std((1, 2), keepdim=True) + conditions.mean((1, 2), keepdim=True)
    return annealing.mixing_factor * rescaled + (1 - annealing.mixing_factor) * noisy
