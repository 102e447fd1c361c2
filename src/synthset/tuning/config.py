"""How a CLIP's classifier is tuned: every option of `tune`, declared once, as the code of He et al. 2023 has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Any

from synthset.classifiers.config import augmentations
from synthset.core.devices import DTYPES
from synthset.core.errors import UsageError, setting
from synthset.core.options import Option, check_options
from synthset.encoders.clip import ENCODERS

ZERO_SHOT_LEARNING_RATE, FEW_SHOT_LEARNING_RATE = 2e-3, 1e-3
HELD_BACK = 0.1  # of the synthetic images, in zero-shot tuning

SHOTS = "Real images"
MODEL = "Model and training"
FINER = "Finer points of tuning"


@dataclass(frozen=True)
class UseOfShots:
    """A use of the shots beside being learned from: to leave out synthetic images, or to have drawn them from."""

    summary: str
    filters: bool = False
    guides: bool = False


USES_OF_SHOTS = {
    "basic": UseOfShots("nothing"),
    "real_filtering": UseOfShots("images nearest to another class's shots are left out", filters=True),
    "real_guidance": UseOfShots("the images were drawn from these shots", guides=True),
}


@dataclass(frozen=True)
class Order:
    """From the sources, synthetic before real, to those of each phase; and a line about it."""

    phases: Callable[[tuple[Any, ...]], tuple[tuple[Any, ...], ...]]
    summary: str


ORDERS = {
    "mix": Order(lambda sources: (sources,), "each step has images of both"),
    "syn_then_real": Order(lambda sources: tuple((one,) for one in sources), "synthetic images, then real ones"),
    "real_then_syn": Order(lambda sources: tuple((one,) for one in sources[::-1]), "real images, then synthetic ones"),
}


def _losses() -> Iterable[str]:
    from synthset.tuning.losses import LOSSES

    return LOSSES


@dataclass(frozen=True)
class TuneConfig:
    """How to tune a CLIP's classifier. With `shots` it is few-shot tuning, without it is zero-shot tuning."""

    clip: Annotated[str, Option(listed=ENCODERS)] = "miniature"
    """CLIP whose classifier is tuned: {choices}, any other ARCH/TAG of open_clip, a hub id, or local-dir:PATH."""
    templates: Annotated[tuple[str, ...], Option(flag="template", default="those of the real set")] = ()
    """Sentences with {class} in them, or names of known ones: default, eurosat, …"""
    loss: Annotated[str, Option(group=MODEL, choices=_losses)] = "ce"
    """Loss of synthetic images: ce, cross-entropy; sce, half of it against the probabilities of zero-shot CLIP. Real
    images always have ce."""
    soft_share: Annotated[float, Option(group=FINER, at_least=0, at_most=1)] = 0.5
    """Share of the loss sce that is against the probabilities of zero-shot CLIP."""
    temperature: Annotated[float, Option(group=FINER, above=0)] = 2.0
    """Temperature that softens these probabilities."""
    text_initialisation: Annotated[
        bool, Option(flag="random-start", group=MODEL, inverted="Begin with a random classifier, not with the texts.")
    ] = True
    """Begin as zero-shot CLIP, with the texts of the classes; else with a random layer, which few images must fill."""
    shots: Annotated[int, Option(group=SHOTS, at_least=0)] = 0
    """Real images of each class to learn from; 0 for none."""
    use_of_shots: Annotated[str, Option(flag="strategy", group=SHOTS, choices=tuple(USES_OF_SHOTS), job="strategy")] = (
        "basic"
    )
    """Use of the shots for the synthetic images: basic, none; real_filtering, images nearest to another class's shots
    are left out; real_guidance, the dataset was drawn from these shots."""
    order: Annotated[str, Option(group=SHOTS, choices=tuple(ORDERS))] = "mix"
    """Order of synthetic and real images: mix, both in each step; syn_then_real or real_then_syn, a phase each."""
    epochs: Annotated[int, Option(group=MODEL, at_least=1)] = 30
    """Passes over the larger of the two sources; in phases, over each."""
    steps_per_epoch: Annotated[int | None, Option(group=FINER, at_least=1, default="a pass")] = None
    """Steps of an epoch."""
    batch_size: Annotated[int, Option(group=MODEL, at_least=1)] = 512
    """Synthetic images a step."""
    real_batch_size: Annotated[int, Option(group=SHOTS, at_least=1)] = 32
    """Real images a step."""
    learning_rate: Annotated[float | None, Option(group=MODEL, above=0, default="2e-3; 1e-3 with shots")] = None
    """Learning rate of AdamW at the start; it falls to zero along one cosine."""
    encoder_learning_rate: Annotated[float, Option(group=MODEL, above=0)] = 1e-5
    """Learning rate of what is tuned of the image encoder."""
    weight_decay: Annotated[float, Option(group=MODEL, at_least=0)] = 0.1
    """Weight decay of AdamW."""
    synthetic_weight: Annotated[float, Option(group=SHOTS, at_least=0)] = 1.0
    """Factor of the loss of synthetic images."""
    real_weight: Annotated[float, Option(group=SHOTS, at_least=0)] = 1.0
    """Factor of the loss of real images."""
    max_grad_norm: Annotated[float, Option(group=FINER, above=0)] = 1.0
    """Norm that gradients are scaled down to."""
    encoder_share: Annotated[float, Option(group=MODEL, at_least=0, at_most=1)] = 0.0
    """Share of the image encoder's parameters that is tuned along, from the top."""
    freeze_batch_norm: Annotated[
        bool, Option(flag="unfreeze-batch-norm", group=MODEL, inverted="Let BatchNorm follow the batches.")
    ] = True
    """BatchNorm keeps its statistics."""
    augmentation: Annotated[str, Option(group=MODEL, choices=augmentations)] = "none"
    """Augmentation of the images: {choices}; with any but none they are encoded anew in every epoch."""
    validation_fraction: Annotated[
        float | None, Option(group=FINER, at_least=0, below=1, default="0.1; 0 with shots")
    ] = None
    """Share of each class's synthetic images that is held back to choose the epoch by; with 0 the last one is kept."""
    seed: Annotated[int, Option(at_least=0)] = 0
    """Seed of the shots, the held-back images and the order."""
    device: Annotated[str, Option(job=False)] = "auto"
    """Device to tune on: cpu, cuda, or auto, which is a GPU where there is one."""
    dtype: Annotated[str, Option(group=FINER, choices=DTYPES)] = "float32"
    """Number format of the encoder: {choices}; a model is tested in the one it was tuned in."""

    def __post_init__(self) -> None:
        for name in ("use_of_shots", "order", "loss"):
            object.__setattr__(self, name, getattr(self, name).lower().replace("-", "_"))
        check_options(self)

    @property
    def encodes_each_epoch(self) -> bool:
        """Whether vectors of images change while tuning, so that computing them once is not enough."""
        return self.changes_encoder or self.augmentation != "none"

    @property
    def changes_encoder(self) -> bool:
        """Whether the tuned model has an image encoder of its own."""
        return self.encoder_share > 0 or not self.freeze_batch_norm


def resolve_config(config: TuneConfig, *, has_synthetic: bool = True) -> TuneConfig:
    """The config with its defaults filled in.

    Raises:
        UsageError: settings that do not go together, or with the images.
    """
    few_shot = config.shots > 0
    # He et al. hold nothing back in few-shot tuning; real images are too few, and the epoch that is best on synthetic
    # ones need not be so on real ones: the schedule's end is kept
    rate, held_back = (FEW_SHOT_LEARNING_RATE, 0.0) if few_shot else (ZERO_SHOT_LEARNING_RATE, HELD_BACK)
    config = replace(
        config,
        learning_rate=rate if config.learning_rate is None else config.learning_rate,
        validation_fraction=held_back if config.validation_fraction is None else config.validation_fraction,
    )
    if not has_synthetic and not few_shot:
        raise UsageError(
            "Expected synthetic images, real ones, or both, got neither. Name a dataset, e.g. 'synthset tune "
            f"digits-synthetic', or give {setting('real')} and {setting('shots')}."
        )
    if not has_synthetic and (named := _asked(config, "use_of_shots", "order", "loss", "validation_fraction")):
        raise UsageError(f"Expected a dataset with {named}, got real images only.")
    if not few_shot and (named := _asked(config, "use_of_shots", "order")):
        raise UsageError(
            f"Expected real images for {named}, got none. Give {setting('real')} and {setting('shots')}, e.g. "
            f"{setting('shots', 16)}."
        )
    return config


def check_read(config: TuneConfig, *, has_synthetic: bool, has_shots: bool) -> None:
    """Refuse options that nothing reads, of whoever gives them: a curve passes them on to tunings of all kinds.

    Raises:
        UsageError: what the options are read with is not there.
    """
    shots = f"{setting('real')} and {setting('shots')}"
    readers = (
        (config.loss == "sce", setting("loss", "sce"), ("soft_share", "temperature")),
        (config.changes_encoder, setting("encoder_share"), ("encoder_learning_rate",)),
        (has_shots, shots, ("real_batch_size", "real_weight", "use_of_shots", "order")),
        (has_synthetic, "a dataset", ("batch_size", "synthetic_weight")),
    )
    for is_there, what, names in readers:
        if not is_there and (named := _asked(config, *names)):
            raise UsageError(f"Expected {what} with {named}, which has no effect without. Or leave it out.")


def _asked(config: TuneConfig, *names: str) -> str | None:
    """The first of the options that asks for other than the default, as a message names it."""
    for name in names:
        value = getattr(config, name)
        if value and value != getattr(TuneConfig, name):
            return setting(name, value)
    return None
