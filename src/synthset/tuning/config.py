"""How a CLIP's classifier is tuned: every option of `tune`, declared once, as the code of He et al. 2023 has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from synthset.classifiers.config import augmentations
from synthset.core.devices import DTYPES
from synthset.core.errors import UsageError, setting
from synthset.core.options import Option, check_options
from synthset.encoders.clip import DEFAULT_ENCODER, ENCODERS

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


@dataclass(frozen=True)
class Method:
    """What is tuned, and its paper's settings, some by the number of shots, of which there may be none.

    Attributes:
        summary: a line about it.
        optimizer: a key of loop.OPTIMIZERS.
        max_grad_norm: None where gradients are taken as they are.
        warm_up_rate: learning rate of the first epoch, from which on the cosine falls by epochs; None for one cosine
            over all steps.
    """

    summary: str
    optimizer: str
    epochs: Callable[[int], int]
    learning_rate: Callable[[int], float]
    weight_decay: float
    max_grad_norm: float | None = None
    warm_up_rate: float | None = None


METHODS = {
    # He et al. 2023 and their released code
    "classifier": Method(
        "the layer over the images' vectors", "adamw", lambda _: 30, lambda shots: 1e-3 if shots else 2e-3, 0.1, 1.0
    ),
    # Zhou et al. 2022, section 4.1, and their released code, whose ImageNet has 50 epochs whatever the shots
    "coop": Method(
        "vectors in place of the words before a class name",
        "sgd",
        lambda shots: 50 if shots < 2 else 100 if shots <= 4 else 200,
        lambda _: 2e-3,
        5e-4,
        warm_up_rate=1e-5,
    ),
}


def _losses() -> Iterable[str]:
    from synthset.tuning.losses import LOSSES

    return LOSSES


@dataclass(frozen=True)
class TuneConfig:
    """How to tune a CLIP's classifier. With `shots` it is few-shot tuning, without it is zero-shot tuning."""

    clip: Annotated[str | None, Option(listed=ENCODERS, default=DEFAULT_ENCODER)] = None
    """CLIP whose classifier is tuned: {choices}, any other ARCH/TAG of open_clip, a hub id, or local-dir:PATH."""
    method: Annotated[str, Option(group=MODEL, choices=tuple(METHODS))] = "classifier"
    """What is tuned: classifier, the layer over the images' vectors; coop, vectors in place of the words before a class
    name (CoOp), by its paper's settings."""
    templates: Annotated[tuple[str, ...], Option(flag="template", default="those of the real set")] = ()
    """Sentences with {class} in them, or names of known ones: default, imagenet7, eurosat, …; eurosat@he2023 calls the
    classes as the code of He et al. does."""
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
    epochs: Annotated[
        int | None, Option(group=MODEL, at_least=1, default="30; coop: 50, from 2 shots 100, from 5 200")
    ] = None
    """Passes over the larger of the two sources; in phases, over each."""
    steps_per_epoch: Annotated[int | None, Option(group=FINER, at_least=1, default="a pass")] = None
    """Steps of an epoch."""
    batch_size: Annotated[int, Option(group=MODEL, at_least=1)] = 512
    """Synthetic images a step."""
    real_batch_size: Annotated[int, Option(group=SHOTS, at_least=1)] = 32
    """Real images a step."""
    learning_rate: Annotated[
        float | None, Option(group=MODEL, above=0, default="2e-3; 1e-3 with shots; coop: 2e-3")
    ] = None
    """Learning rate at the start, of AdamW, or of SGD with coop; it falls along one cosine, with coop after an epoch at
    1e-5."""
    encoder_learning_rate: Annotated[float, Option(group=MODEL, above=0)] = 1e-5
    """Learning rate of what is tuned of the image encoder."""
    weight_decay: Annotated[float | None, Option(group=MODEL, at_least=0, default="0.1; coop: 5e-4")] = None
    """Weight decay of AdamW, or of SGD with coop."""
    synthetic_weight: Annotated[float, Option(group=SHOTS, at_least=0)] = 1.0
    """Factor of the loss of synthetic images."""
    real_weight: Annotated[float, Option(group=SHOTS, at_least=0)] = 1.0
    """Factor of the loss of real images."""
    max_grad_norm: Annotated[float | None, Option(group=FINER, above=0, default="1; coop: none")] = None
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
    context_length: Annotated[int | None, Option(group=FINER, at_least=1, default="16")] = None
    """Number of vectors before the class name, with coop; they begin at random."""
    context_words: Annotated[str | None, Option(group=FINER, default="random vectors")] = None
    """Words that these vectors begin as instead, one for each token, e.g. 'a photo of a'."""
    seed: Annotated[int, Option(at_least=0)] = 0
    """Seed of the shots, the held-back images and the order."""
    device: Annotated[str, Option(job=False)] = "auto"
    """Device to tune on: cpu, cuda, or auto, which is a GPU where there is one."""
    dtype: Annotated[str, Option(group=FINER, choices=DTYPES)] = "float32"
    """Number format of the encoder: {choices}; a model is tested in the one it was tuned in."""

    def __post_init__(self) -> None:
        for name in ("use_of_shots", "order", "loss", "method"):
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
    method = METHODS[config.method]
    usual: dict[str, Any] = {
        "epochs": method.epochs(config.shots),
        "learning_rate": method.learning_rate(config.shots),
        "weight_decay": method.weight_decay,
        "max_grad_norm": method.max_grad_norm,
        "validation_fraction": 0.0 if few_shot else HELD_BACK,
    }
    config = replace(config, **{name: value for name, value in usual.items() if getattr(config, name) is None})
    _check_method(config)
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


def _check_method(config: TuneConfig) -> None:
    """Refuse what does not go together with a method."""
    if config.method == "classifier":
        return
    for name in ("text_initialisation", "encoder_share", "freeze_batch_norm"):
        value = getattr(config, name)
        if value != getattr(TuneConfig, name):
            raise UsageError(
                f"Expected {setting('method', 'classifier')} with {setting(name, value)}, got {config.method}, which "
                "learns the words before a class name and nothing else. Drop one of the two."
            )
    if config.context_length is not None and config.context_words:
        raise UsageError(
            f"Expected {setting('context_length', config.context_length)} or "
            f"{setting('context_words', config.context_words)}, got both: words have as many vectors as tokens. "
            "Drop one."
        )


def check_read(config: TuneConfig, *, has_synthetic: bool, has_shots: bool, compare: Sequence[str] = ()) -> None:
    """Refuse options that nothing reads, of whoever gives them: a curve passes them on to tunings of all kinds.

    Args:
        compare: further methods of a curve.
    Raises:
        UsageError: what the options are read with is not there.
    """
    shots = f"{setting('real')} and {setting('shots')}"
    readers = (
        (config.loss == "sce", setting("loss", "sce"), ("soft_share", "temperature")),
        (config.changes_encoder, setting("encoder_share"), ("encoder_learning_rate",)),
        ("coop" in (config.method, *compare), setting("method", "coop"), ("context_length", "context_words")),
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
