"""MoCo v2: a query is to find the key of its own image among those of other images, which wait in a queue.

He et al. 2020, "Momentum Contrast", algorithm 1; Chen et al. 2020 for the head and the views.

    query = head(backbone(one view))              by the encoder that learns
    key   = head(backbone(another view))          by its moving average, without gradient
    loss  = cross entropy of [query · key, query · queue] / temperature, the first being right
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthset.core.devices import seeded
from synthset.core.seeds import derive_seed
from synthset.pretraining.split_norm import split_norms


class Encoder(nn.Module):
    """A backbone and the head that makes unit vectors of its features.

    Attributes:
        backbone: images to features (n, d).
        head: MLP of one hidden layer as wide as the features.
    """

    def __init__(self, backbone: nn.Module, num_features: int, dimension: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Sequential(
            nn.Linear(num_features, num_features), nn.ReLU(inplace=True), nn.Linear(num_features, dimension)
        )

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) to unit vectors (n, dimension)."""
        return F.normalize(self.head(self.backbone(images)).float(), dim=1)


class MoCo(nn.Module):
    """The encoders of queries and of keys, and the queue.

    Args:
        backbone: as Encoder.
        queue_size: keys of earlier steps, K.
        momentum: share of its weights that the encoder of keys keeps at each step, m.
        norm_groups: groups of a batch that batch norm sees, of this process's part.
        seed: of the head and of the queue, which begins with random unit vectors.
    """

    queue: Tensor
    pointer: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        num_features: int,
        dimension: int = 128,
        queue_size: int = 65_536,
        momentum: float = 0.999,
        temperature: float = 0.2,
        norm_groups: int = 8,
        seed: int = 0,
    ) -> None:
        super().__init__()
        with seeded(derive_seed(seed, "head")):
            self.query_encoder = split_norms(Encoder(backbone, num_features, dimension), norm_groups)
            queue = F.normalize(torch.randn(queue_size, dimension), dim=1)
        self.key_encoder = copy.deepcopy(self.query_encoder).requires_grad_(False)
        self.momentum, self.temperature = momentum, temperature
        self.register_buffer("queue", queue)
        self.register_buffer("pointer", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def follow(self) -> None:
        """Move the encoder of keys towards that of queries; before the keys of a step are made."""
        keys: list[Tensor] = [*self.key_encoder.parameters()]
        queries: list[Tensor] = [*self.query_encoder.parameters()]
        torch._foreach_mul_(keys, self.momentum)
        torch._foreach_add_(keys, queries, alpha=1 - self.momentum)

    def similarities(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Logits (n, 1 + K) of unit vectors (n, d): of each query its own key first, then the queue."""
        queries = queries / self.temperature  # of fewer numbers than the logits are
        own = (queries * keys).sum(1, keepdim=True)
        # the queue is changed in place after the loss, while the gradient may still need it as it was
        return torch.cat((own, queries @ self.queue.clone().T), 1)

    def loss(self, queries: Tensor, keys: Tensor) -> Tensor:
        """InfoNCE of float32 unit vectors, the mean over the queries."""
        logits = self.similarities(queries, keys)
        return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Put a batch of keys in place of the oldest. Its length divides that of the queue."""
        start = int(self.pointer)
        self.queue[start : start + len(keys)] = keys
        self.pointer.fill_((start + len(keys)) % len(self.queue))
