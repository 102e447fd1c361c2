"""Work that learns from images, and tests of what was learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthset.findings.drawing import Options
from synthset.findings.images import Drawn, Images
from synthset.findings.work import Cost, Lab, Work

AUTO_PASSES, AUTO_IMAGES = 40, 2_000  # what the recipe auto takes; its rule is in classifiers/recipes.py


@dataclass(frozen=True)
class Train(Work):
    """A classifier trained from scratch.

    Attributes:
        options: fields of TrainConfig; what they leave open is chosen by the recipe.
    """

    kind = "train"
    images: Images
    architecture: str
    seed: int
    options: Options = ()

    @property
    def title(self) -> str:
        """The architecture and its images."""
        given = "".join(f" {name} {value}" for name, value in self.options if name in ("weight_decay", "antialias"))
        return f"{self.architecture} on {self.images.title}{given}"

    @property
    def cost(self) -> Cost:
        """Passes over the images."""
        passes = dict(self.options).get("epochs") or AUTO_PASSES * (AUTO_IMAGES / max(1, self.images.count)) ** 0.25
        return Cost(trained_images=round(passes * self.images.count))

    def run(self, home: Path, lab: Lab) -> Mapping[str, float]:
        """Train, or go on with it."""
        from synthset.classifiers.stage import train

        given = dict(self.options)
        trained = train(self.images.open(lab), home / "model", architecture=self.architecture, seed=self.seed, **given)
        held_back = trained.chosen.held_back_accuracy
        return {"images": trained.num_training, **({} if held_back is None else {"held back": held_back})}


@dataclass(frozen=True)
class Test(Work):
    """A classifier tested; images that it learned from count where they are asked for by name."""

    kind = "test"
    model: Train
    on: Images

    @property
    def title(self) -> str:
        """The model and the images."""
        return f"{self.model.title} tested on {self.on.title}"

    @property
    def cost(self) -> Cost:
        """Each image once."""
        return Cost(encoded_images=self.on.count)

    def run(self, home: Path, lab: Lab) -> Mapping[str, float]:
        """Test it; predictions.parquet lies in the folder."""
        from synthset.evaluation.stage import evaluate

        result = evaluate(
            lab.home(self.model) / "model",
            self.on.open(lab),
            home / "evaluation",
            allow_training_images=self.on == self.model.images,
        )
        return {"accuracy": result.accuracy, "images": result.n}


@dataclass(frozen=True)
class Tune(Work):
    """The classifier of a CLIP, tuned and tested on images that tuning never reads.

    Attributes:
        images: synthetic ones; None for shots alone.
        real: set that shots are drawn from, and that it is tested on.
        options: fields of TuneConfig.
    """

    kind = "tune"
    images: Drawn | None
    real: str
    seed: int
    shots: int = 0
    options: Options = ()

    @property
    def title(self) -> str:
        """The images and the shots."""
        learned = ([self.images.title] if self.images else []) + [f"{self.shots} shots"] * (self.shots > 0)
        skipped = ("learning_rate", "epochs", "clip", "templates")
        given = " ".join(f"{name} {value}" for name, value in self.options if name not in skipped)
        return f"{' and '.join(learned)} {given}".strip()

    @property
    def cost(self) -> Cost:
        """Vectors are computed once, or in every pass where the encoder learns too."""
        given, count = dict(self.options), self.images.count if self.images else self.shots * 10
        if given.get("encoder_share") or given.get("freeze_batch_norm") is False:
            return Cost(trained_images=count * (given.get("epochs") or 30))
        return Cost(encoded_images=count)

    def run(self, home: Path, lab: Lab) -> Mapping[str, float]:
        """Tune and test."""
        from synthset.tuning.evaluate import evaluate_on
        from synthset.tuning.stage import tune

        data: dict[str, Any] = {"data": None}
        if self.images is not None:
            data = {"data": lab.home(self.images.of) / "dataset", "prompt_strategy": self.images.strategy}
            data["all_images"] = self.images.filtered is None
        tuned = tune(
            output_dir=home / "model", real=self.real, shots=self.shots, seed=self.seed, **data, **dict(self.options)
        )
        before, after = evaluate_on(home / "model", self.real)
        return {"zero-shot": before.accuracy, "tuned": after.accuracy, "share": tuned.tuned_share}


@dataclass(frozen=True)
class Pretrain(Work):
    """A backbone pre-trained on synthetic images."""

    kind = "pretrain"
    images: tuple[Drawn, ...]
    method: str
    architecture: str
    seed: int
    options: Options = ()

    @property
    def title(self) -> str:
        """Method, architecture, images."""
        return f"{self.method} {self.architecture} on {' and '.join(one.title for one in self.images)}"

    @property
    def cost(self) -> Cost:
        """Two views of each image count as two."""
        views = 2 if self.method == "moco" else 1
        passes = dict(self.options).get("epochs") or 200
        return Cost(trained_images=views * passes * sum(one.count for one in self.images))

    def run(self, home: Path, lab: Lab) -> Mapping[str, float]:
        """Pre-train, or go on with it."""
        from synthset.pretraining.stage import pretrain

        images = [one.open(lab) for one in self.images]
        made = pretrain(
            images[0] if len(images) == 1 else images,
            home / "backbone",
            method=self.method,
            architecture=self.architecture,
            seed=self.seed,
            **dict(self.options),
        )
        return {"last loss": made.history[-1].train_loss}


@dataclass(frozen=True)
class Transfer(Work):
    """A backbone, or random weights, judged on a real set: one seed of its training split, tested on the other.

    Attributes:
        backbone: None for random weights.
        training: fields of TrainConfig.
        learning_rates: of fine-tuning, of which one is chosen on held-out training images; the recipe's if empty.
    """

    kind = "transfer"
    backbone: Pretrain | None
    architecture: str
    real: str
    mode: str
    seed: int
    shots: int | None = None
    training: Options = ()
    learning_rates: tuple[float, ...] = ()

    @property
    def title(self) -> str:
        """The weights and the way."""
        weights = self.backbone.title if self.backbone else f"random {self.architecture}"
        return f"{self.mode} {f'{self.shots} shots ' if self.shots else ''}{weights}"

    @property
    def cost(self) -> Cost:
        """Few images, some passes, once for each learning rate and once more."""
        passes = (dict(self.training).get("epochs") or 100) * (1 + (len(self.learning_rates) or 3))
        return Cost(trained_images=self.shots * 10 * passes if self.mode == "finetune" and self.shots else 0)

    def run(self, home: Path, lab: Lab) -> Mapping[str, float]:
        """Learn on top of the backbone, and test."""
        from synthset.classifiers.config import TrainConfig
        from synthset.transfer.stage import transfer

        model = lab.home(self.backbone) / "backbone" if self.backbone else "random"
        architecture: dict[str, Any] = {} if self.backbone else {"architecture": self.architecture}
        result = transfer(
            model,
            home / "transfer",
            real=self.real,
            mode=self.mode,
            shots=self.shots,
            first_seed=self.seed,
            **architecture,
            training=TrainConfig(**dict(self.training)),
            learning_rates=self.learning_rates,
        )
        return {"accuracy": result.trials[0].score}
