"""F20 to F22: He et al. 2023, section 3.3: pre-training on synthetic images, and transfer to real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from synthset.findings.drawing import Draw, Options, options
from synthset.findings.finding import Figures, Finding, shares
from synthset.findings.images import Drawn
from synthset.findings.learning import Pretrain, Transfer
from synthset.findings.rules import Every, Higher
from synthset.findings.work import Value


@dataclass(frozen=True)
class PretrainingScale:
    """What F20 to F22 are made of.

    Attributes:
        classes, drawing: of the images that are pre-trained on.
        less, more: of these images, the strategies of the smaller and of the larger set, and images a class.
        real, shots: what the backbones are transferred to.
        finetuning, learning_rates: of all transfers alike, those of random weights too.
        transformer: whose gain F22 compares with that of `architecture`.
    """

    classes: tuple[str, ...]
    drawing: Options
    strategy: str
    images_per_class: int
    less: tuple[str, int | None]
    more: tuple[str, int | None]
    real: str
    shots: int | None
    architecture: str
    transformer: str
    supervised: Options
    moco: Options
    finetuning: Options
    learning_rates: tuple[float, ...]
    first_seed: int


def _pretrained(
    own: PretrainingScale, seed: int, method: str, architecture: str, part: tuple[str, int | None]
) -> Pretrain:
    drawing = Draw(own.classes, (own.strategy,), own.images_per_class, own.first_seed + seed, own.drawing)
    given = own.supervised if method == "supervised" else own.moco
    return Pretrain((Drawn(drawing, part[0], per_class=part[1]),), method, architecture, seed, given)


def _transferred(own: PretrainingScale, seed: int, backbone: Pretrain | None, architecture: str) -> Value:
    image_size = dict(own.supervised)["image_size_px"]
    training = dict(own.finetuning) | ({} if backbone else {"image_size_px": image_size})
    learned = (own.shots, options(**training), own.learning_rates)
    return Transfer(backbone, architecture, own.real, "finetune", seed, *learned)["accuracy"]


def _amounts(own: PretrainingScale, seed: int) -> dict[str, Value]:
    parts = {"fewer synthetic images": own.less, "more synthetic images": own.more}
    found = {"random weights": _transferred(own, seed, None, own.architecture)}
    for label, part in parts.items():
        backbone = _pretrained(own, seed, "supervised", own.architecture, part)
        found[label] = _transferred(own, seed, backbone, own.architecture)
    return found


def _methods(own: PretrainingScale, seed: int) -> dict[str, Value]:
    return {
        method: _transferred(own, seed, _pretrained(own, seed, method, own.architecture, own.more), own.architecture)
        for method in ("moco", "supervised")
    }


def _gain_of(own: PretrainingScale, seed: int, architecture: str) -> Value:
    backbone = _pretrained(own, seed, "supervised", architecture, own.more)
    return _transferred(own, seed, backbone, architecture) - _transferred(own, seed, None, architecture)


def _transformers(own: PretrainingScale, seed: int) -> dict[str, Value]:
    return {
        "gain of the transformer": _gain_of(own, seed, own.transformer),
        "gain of the convolutions": _gain_of(own, seed, own.architecture),
    }


def _at(figures: Callable[[PretrainingScale, int], dict[str, Value]]) -> Figures:
    """Figures of a scale of he2023, by its part about pre-training."""
    return lambda scale, seed: figures(scale.pretraining, seed)


PRETRAINING_FINDINGS: tuple[Finding, ...] = (
    Finding(
        "F20",
        "Pre-training on synthetic images nears that on ImageNet as they grow, passes it, and adds to it.",
        "Table 8",
        shares(
            *(("random weights", 78.83), ("1.2 M synthetic", 83.9), ("2.4 M synthetic", 85.03)),
            *(("3.6 M synthetic", 85.24), ("ImageNet", 84.5), ("ImageNet and synthetic", 85.52)),
        ),
        _at(_amounts),
        lambda scale: Every(
            (
                Higher("more synthetic images", "random weights"),
                Higher("more synthetic images", "fewer synthetic images"),
            )
        ),
        note="Of the finding, that pre-training helps, and more images more; weights of ImageNet are not at hand.",
    ),
    Finding(
        "F21",
        "Self-supervised pre-training uses synthetic images better than supervised.",
        "Tables 10 and 11",
        shares(
            *(("AP50, moco, 1.2 M", 81.55), ("AP50, moco, 2.4 M", 82.13)),
            *(("AP50, supervised, 1.2 M", 79.0), ("AP50, supervised, 2.4 M", 80.0)),
        ),
        _at(_methods),
        lambda scale: Higher("moco", "supervised"),
        note="By fine-tuning on few real images of the classes that were drawn, where the paper detects objects.",
    ),
    Finding(
        "F22",
        "Transformers gain more from pre-training on synthetic images.",
        "Tables 8 and 9",
        shares(
            *(("DeiT-S, random weights", 69.29), ("DeiT-S, 1.2 M synthetic", 87.98), ("DeiT-S, ImageNet", 88.07)),
            *(("ResNet-50, random weights", 78.83), ("ResNet-50, 1.2 M synthetic", 83.9)),
        ),
        _at(_transformers),
        lambda scale: Higher("gain of the transformer", "gain of the convolutions"),
        note="Of the finding, the gain of transformers; a larger label space than ten digits cannot be drawn.",
    ),
)
