"""What learns in pre-training, by the name of the method: the network, and the loss of a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthset.core.seeds import derive_seed
from synthset.pretraining.config import PretrainConfig
from synthset.pretraining.moco import MoCo

if TYPE_CHECKING:
    from synthset.classifiers.distributed import World


@dataclass(frozen=True, eq=False)
class Part:
    """This process's part of the batch of a step, normalised and on its device.

    Attributes:
        views: float32 (n, 3, h, h) each.
        labels: int64 (n,).
        places: by view, the places of its images in the whole batch.
        size: images of the whole batch.
    """

    step: int
    views: tuple[Tensor, ...]
    labels: Tensor
    places: tuple[np.ndarray, ...]
    size: int


class Learner(Protocol):
    """A network that is pre-trained."""

    @property
    def network(self) -> nn.Module:
        """All that has weights or a state."""
        ...

    @property
    def backbone(self) -> nn.Module:
        """The part of it that is kept."""
        ...

    def loss(self, part: Part, world: World) -> Tensor:
        """The mean loss over the images of the process, in float32; called once a step."""
        ...


class SupervisedLearner:
    """A classifier of the classes that the images were drawn of."""

    def __init__(self, backbone: nn.Module, num_features: int, num_classes: int, config: PretrainConfig) -> None:
        from synthset.core.devices import seeded

        with seeded(derive_seed(config.seed, "head")):
            head = nn.Linear(num_features, num_classes)
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)
        self.backbone, self.config, self.num_classes = backbone, config, num_classes
        self.network = nn.Sequential(backbone, head)

    def loss(self, part: Part, world: World) -> Tensor:
        """Cross-entropy, with images and labels mixed where the config says so."""
        images, targets = part.views[0], F.one_hot(part.labels, self.num_classes).float()
        images, targets = self._mixed(images, targets, part.step)
        smoothing = self.config.label_smoothing
        return F.cross_entropy(self.network(images).float(), targets, label_smoothing=smoothing)

    def _mixed(self, images: Tensor, targets: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Each image with its neighbour, the first with the second and so on, so that processes can share a batch."""
        draws = np.random.default_rng(derive_seed(self.config.seed, "mix", step))
        kinds = [name for name in ("mixup", "cutmix") if getattr(self.config, name)]
        if not kinds:
            return images, targets
        kind = kinds[draws.integers(len(kinds))]
        alpha = getattr(self.config, kind)
        share = float(draws.beta(alpha, alpha))
        n = len(images)
        neighbours = (torch.arange(n, device=images.device) ^ 1).clamp_max(n - 1)
        others = images[neighbours]
        if kind == "mixup":
            images = torch.lerp(others, images, share)
        else:
            side = images.shape[-1]
            cut = round(side * (1 - share) ** 0.5)
            top, left = (int(value) for value in draws.integers(0, side - cut + 1, 2))
            images = images.clone()
            images[:, :, top : top + cut, left : left + cut] = others[:, :, top : top + cut, left : left + cut]
            share = 1 - cut**2 / side**2
        return images, torch.lerp(targets[neighbours], targets, share)


class MocoLearner:
    """MoCo v2, see moco.py."""

    def __init__(self, backbone: nn.Module, num_features: int, _num_classes: int, config: PretrainConfig) -> None:
        assert config.queue_size is not None  # the settings have one
        self.network = self.moco = MoCo(
            backbone,
            num_features,
            config.projection_dimension,
            config.queue_size,
            config.key_momentum,
            config.temperature,
            config.norm_groups,
            config.seed,
        )
        self.backbone: nn.Module = self.moco.query_encoder.get_submodule("backbone")

    def loss(self, part: Part, world: World) -> Tensor:
        """The loss of a step; the keys go into the queue. Those of an image may come from another process."""
        moco = self.moco
        queries = moco.query_encoder(part.views[0]).float()
        with torch.no_grad():
            moco.follow()
            own = moco.key_encoder(part.views[1]).float()
            keys = own.new_zeros(part.size, own.shape[1])
            keys[torch.from_numpy(part.places[1]).to(own.device)] = own
            keys = world.sum(keys)
        with torch.autocast(queries.device.type, enabled=False):
            loss = moco.loss(queries, keys[torch.from_numpy(part.places[0]).to(own.device)])
        moco.enqueue(keys)
        return loss


# the learner of each method, from (backbone, its number of features, number of classes, config)
LEARNERS: dict[str, Callable[[nn.Module, int, int, PretrainConfig], Learner]] = {
    "supervised": SupervisedLearner,
    "moco": MocoLearner,
}
