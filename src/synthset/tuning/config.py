"""What is tuned and how: the settings of He et al. 2023, as their released code has them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from synthset.core.devices import DTYPES
from synthset.core.errors import UnknownNameError, UsageError

LOSSES = ("ce", "sce")  # see losses.LOSSES
STRATEGIES = ("basic", "real_filtering", "real_guidance")
ORDERS = ("mix", "syn_then_real", "real_then_syn")
ZERO_SHOT_LEARNING_RATE, FEW_SHOT_LEARNING_RATE = 2e-3, 1e-3
HELD_BACK = 0.1  # of the synthetic images, in zero-shot tuning


@dataclass(frozen=True)
class TuneConfig:
    """How to tune a CLIP's classifier. With `shots` it is few-shot tuning, without it is zero-shot tuning.

    Attributes:
        clip: whose encoders are taken, by a name that `load_encoder` knows.
        templates: sentences with `{class}` or `{}`, or names in templates.TEMPLATES; empty for those of the real
            set, where it is known by name.
        loss: on synthetic images: "ce", cross-entropy; "sce", half of it against the zero-shot classifier's
            probabilities. Real images always have "ce".
        soft_share, temperature: of "sce", see losses.soft_cross_entropy.
        text_initialisation: begin as zero-shot CLIP; else with a random layer, which few real images must fill.
        shots: real images of each class; 0 for none.
        strategy: what the shots do for the synthetic images: "basic", nothing; "real_filtering", an image that is
            nearest to another class's shots is left out; "real_guidance", they were drawn from these shots.
        order: "mix", each step has synthetic and real images; "syn_then_real" or "real_then_syn", one phase each.
        epochs: passes over the larger of the two sources; in phases, over each.
        steps_per_epoch: instead of a pass, so many steps.
        batch_size, real_batch_size: synthetic and real images a step.
        learning_rate: of the classifier at the start; None is 2e-3 in zero-shot and 1e-3 in few-shot tuning.
        encoder_learning_rate: of what is tuned of the encoder; the paper has no figure.
        weight_decay: of AdamW.
        synthetic_weight, real_weight: factors of the two losses.
        max_grad_norm: gradients are scaled down to this norm.
        encoder_share: share of the image encoder's parameters that is tuned, from the top (Table 3); 0 for none.
        freeze_batch_norm: BatchNorm keeps its statistics (Table 6).
        augmentation: a key of classifiers.augment.AUGMENTATIONS; with any but "none" images are encoded anew in
            every epoch.
        validation_fraction: share of each class's synthetic images that is held back to choose the epoch by; None
            is 0.1 in zero-shot tuning and 0 in few-shot tuning. With 0 the last epoch is kept.
        seed: of the shots, the held-back images, the order and the augmentation.
        device: "auto" is a GPU where there is one.
        dtype: that the encoder computes in, see `load_encoder`; a model is tested in the one it was tuned in.
    """

    clip: str = "miniature"
    templates: tuple[str, ...] = ()
    loss: str = "ce"
    soft_share: float = 0.5
    temperature: float = 2.0
    text_initialisation: bool = True
    shots: int = 0
    strategy: str = "basic"
    order: str = "mix"
    epochs: int = 30
    steps_per_epoch: int | None = None
    batch_size: int = 512
    real_batch_size: int = 32
    learning_rate: float | None = None
    encoder_learning_rate: float = 1e-5
    weight_decay: float = 0.1
    synthetic_weight: float = 1.0
    real_weight: float = 1.0
    max_grad_norm: float = 1.0
    encoder_share: float = 0.0
    freeze_batch_norm: bool = True
    augmentation: str = "none"
    validation_fraction: float | None = None
    seed: int = 0
    device: str = "auto"
    dtype: str = "float32"

    @property
    def encodes_each_epoch(self) -> bool:
        """Whether vectors of images change while tuning, so that computing them once is not enough."""
        return self.encoder_share > 0 or not self.freeze_batch_norm or self.augmentation != "none"

    @property
    def changes_encoder(self) -> bool:
        """Whether the tuned model has an image encoder of its own."""
        return self.encoder_share > 0 or not self.freeze_batch_norm


def resolve_config(config: TuneConfig, *, has_synthetic: bool = True) -> TuneConfig:
    """Names in their one spelling, defaults filled in, every value checked.

    Raises:
        UsageError, UnknownNameError: a setting that cannot be right.
    """
    config = replace(
        config,
        strategy=config.strategy.replace("-", "_"),
        order=config.order.replace("-", "_"),
        loss=config.loss.lower(),
    )
    for kind, name, valid in (
        ("loss", config.loss, LOSSES),
        ("strategy", config.strategy, STRATEGIES),
        ("order", config.order, ORDERS),
        ("dtype", config.dtype, DTYPES),
    ):
        if name not in valid:
            raise UnknownNameError(kind, name, valid)
    few_shot = config.shots > 0
    if config.validation_fraction is None:
        # He et al. hold nothing back in few-shot tuning; real images are too few, and the epoch that is best on
        # synthetic ones need not be so on real ones: the schedule's end is kept
        config = replace(config, validation_fraction=0.0 if few_shot else HELD_BACK)
    if config.learning_rate is None:
        config = replace(config, learning_rate=FEW_SHOT_LEARNING_RATE if few_shot else ZERO_SHOT_LEARNING_RATE)
    _check_values(config)
    if not has_synthetic:
        _check_without_synthetic(config)
    if not few_shot and (config.strategy != "basic" or config.order != "mix"):
        what = f"strategy {config.strategy}" if config.strategy != "basic" else f"order {config.order}"
        raise UsageError(f"Expected real images for the {what}, got none. Give --real and --shots, e.g. --shots 16.")
    return config


def _check_values(config: TuneConfig) -> None:
    fraction, rate, steps = config.validation_fraction or 0.0, config.learning_rate or 0.0, config.steps_per_epoch
    for name, value, is_valid, expected in (
        ("shots", config.shots, config.shots >= 0, "at least 0"),
        ("epochs", config.epochs, config.epochs >= 1, "at least 1"),
        ("steps_per_epoch", steps, steps is None or steps >= 1, "at least 1"),
        ("batch_size", config.batch_size, config.batch_size >= 1, "at least 1"),
        ("real_batch_size", config.real_batch_size, config.real_batch_size >= 1, "at least 1"),
        ("learning_rate", rate, 0 < rate < math.inf, "above 0"),
        ("encoder_learning_rate", config.encoder_learning_rate, 0 < config.encoder_learning_rate < math.inf, "above 0"),
        ("weight_decay", config.weight_decay, 0 <= config.weight_decay < math.inf, "at least 0"),
        ("synthetic_weight", config.synthetic_weight, 0 <= config.synthetic_weight < math.inf, "at least 0"),
        ("real_weight", config.real_weight, 0 <= config.real_weight < math.inf, "at least 0"),
        ("max_grad_norm", config.max_grad_norm, config.max_grad_norm > 0, "above 0"),
        ("soft_share", config.soft_share, 0 <= config.soft_share <= 1, "in 0..1"),
        ("temperature", config.temperature, 0 < config.temperature < math.inf, "above 0"),
        ("encoder_share", config.encoder_share, 0 <= config.encoder_share <= 1, "in 0..1"),
        ("validation_fraction", fraction, 0 <= fraction < 1, "at least 0 and below 1"),
    ):
        if not is_valid:
            raise UsageError(f"Expected {name} {expected}, got {value}.")


def _check_without_synthetic(config: TuneConfig) -> None:
    """What only synthetic images can be asked for."""
    if not config.shots:
        raise UsageError(
            "Expected synthetic images, real ones, or both, got neither. Name a dataset, e.g. 'synthset tune digits', "
            "or give --real and --shots."
        )
    for name, asked in (
        ("strategy", config.strategy != "basic"),
        ("order", config.order != "mix"),
        ("loss", config.loss != "ce"),
        ("validation_fraction", bool(config.validation_fraction)),
    ):
        if asked:
            raise UsageError(f"Expected a dataset with {name} '{getattr(config, name)}', got real images only.")
