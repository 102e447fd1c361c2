"""F10 to F22: He et al. 2023, "Is synthetic data from generative models ready for image recognition?"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from synthset.findings.drawing import Draw, Filter, Options, options, read_by
from synthset.findings.finding import Finding, Paper, RuleAt, published, shares
from synthset.findings.he2023_pretraining import PRETRAINING_FINDINGS, PretrainingScale
from synthset.findings.images import Drawn, Images, Real
from synthset.findings.learning import Test, Train, Tune
from synthset.findings.measuring import Worth
from synthset.findings.rules import Above, Every, Higher, best
from synthset.findings.shipard2023 import QUICK_TRAINING
from synthset.findings.work import Value
from synthset.miniature import DIGITS
from synthset.prompts.language_enhancement import SentenceConfig
from synthset.prompts.presets import preset_for
from synthset.real import class_names_of

FIRST_SEED = 2_000  # of the drawings of the first seed
LE = "language_enhancement"


@dataclass(frozen=True)
class Task:
    """Class names, and the real set that shots are drawn from and classifiers are tested on.

    Attributes:
        title: behind labels, where there are several tasks.
        drawing: fields of CreateConfig, of which a strategy has those that it reads.
        filtering, tuning, alone: fields of FilterConfig, of TuneConfig, and of the latter those of synthetic images
            alone.
    """

    title: str
    classes: tuple[str, ...]
    real: str
    drawing: Options
    filtering: Options = ()
    tuning: Options = ()
    alone: Options = ()


@dataclass(frozen=True)
class Scale:
    """What the experiments are made of.

    Attributes:
        tasks: of F10 to F12; the first is that of all others.
        from_scratch: of F15, whose real images are of `real_shots` of a class.
        encoder_shares: of F14: of the image encoder's parameters that learn too.
    """

    tasks: tuple[Task, ...]
    clip: str
    images_per_class: int
    guided_per_class: int
    shots: tuple[int, ...]
    tuning: Options
    encoder_shares: tuple[float, ...]
    from_scratch: Task
    scratch_per_class: int
    real_shots: tuple[int, ...]
    architecture: str
    training: Options
    pretraining: PretrainingScale
    guided_strategy: str = LE


_DIGITS = Task("", DIGITS, "digits", options(steps=15, resize_px=8))
_TUNING = options(clip="miniature", learning_rate=5e-2, epochs=30)


def _miniature(
    images_per_class: int,
    guided: int,
    shots: tuple[int, ...],
    pretrained: int,
    epochs: int,
    real_shots: tuple[int, ...] = (1, 2, 4, 8, 16, 32),
    training: Options = (),
) -> Scale:
    return Scale(
        tasks=(_DIGITS,),
        clip="miniature",
        images_per_class=images_per_class,
        guided_per_class=guided,
        shots=shots,
        tuning=_TUNING,
        encoder_shares=(0.1, 0.5, 1.0),
        from_scratch=_DIGITS,
        scratch_per_class=images_per_class,
        real_shots=real_shots,
        architecture="small_cnn",
        training=training,
        pretraining=PretrainingScale(
            classes=DIGITS,
            drawing=options(steps=15),
            strategy="all_combined",
            images_per_class=pretrained,
            less=("base", None),
            more=("all_combined", None),
            real="digits",
            shots=5,
            architecture="small_cnn",
            transformer="test_vit",  # of timm: a fifteenth of a ViT-Ti's weights
            supervised=options(
                epochs=epochs, batch_size=64, image_size_px=32, optimizer="adamw", learning_rate=2e-3, warmup_epochs=1.0
            ),
            moco=options(epochs=epochs, batch_size=64, image_size_px=32, learning_rate=0.06),
            finetuning=options(optimizer="adamw", epochs=60, batch_size=16),
            learning_rates=(3e-4, 1e-3, 3e-3),
            first_seed=64,
        ),
    )


def miniature() -> Scale:
    """Minutes on two cores."""
    return _miniature(100, 30, (1, 2, 4, 8, 16), 50, 20)


def quick() -> Scale:
    """A fifth of that, with wider intervals."""
    scale = _miniature(20, 10, (1, 16), 10, 20, (1, 2, 4, 8, 16), QUICK_TRAINING)
    finetuning = options(optimizer="adamw", epochs=30, batch_size=16)
    return replace(scale, pretraining=replace(scale.pretraining, finetuning=finetuning, learning_rates=(1e-3, 3e-3)))


_DRAWING = {
    "generator": "CompVis/stable-diffusion-v1-4",
    "scheduler": "ddpm",
    "steps": 100,
    "guidance_scale": 3.0,
}
_SENTENCES = SentenceConfig(count=200, source="mrm8488/t5-base-finetuned-common_gen", require_mention=False)


def _paper_task(
    name: str,
    title: str,
    words: str = "a photo of a {class}",
    sentence: str | None = None,
    templates: str = "cifar@he2023",
) -> Task:
    """One of the paper's sets: `words` of a class, those around a sentence, and those of the classifier."""
    preset = preset_for(name)
    own = {"resize_px": preset.size_px, "antialias": preset.antialias, "sentences": _SENTENCES, "template": words}
    own |= {"sentence_template": sentence} if sentence else {}
    return Task(
        title,
        tuple(class_names_of(name)),
        name,
        options(**_DRAWING, **own),
        options(templates=(f"{words}.",), keep_count=800),
        options(templates=(templates,)),
        options(validation_fraction=0.0),  # all images are tuned on
    )


def paper_scale() -> Scale:
    """The models, sets, counts and recipes of the paper; GLIDE, which it draws by, is not in diffusers."""
    satellite = "a centered satellite photo of"
    words = (f"{satellite} {{class}}", f"{satellite} {{sentence}}", "eurosat@he2023")
    eurosat = _paper_task("eurosat", "EuroSAT", *words)
    return Scale(
        tasks=(eurosat, _paper_task("cifar10", "CIFAR-10")),
        clip="RN50",
        images_per_class=2_000,
        guided_per_class=800,
        shots=(1, 2, 4, 8, 16),
        tuning=options(clip="RN50", epochs=30),
        encoder_shares=(0.02, 0.5, 0.92),
        from_scratch=_paper_task("cifar100", ""),
        scratch_per_class=500,
        real_shots=(25, 50, 95, 200, 500),
        architecture="resnet50",
        training=(),
        guided_strategy="base",
        pretraining=PretrainingScale(
            classes=tuple(class_names_of("cifar100")),
            drawing=options(**_DRAWING, resize_px=256, sentences=_SENTENCES),
            strategy=LE,
            images_per_class=24_000,
            less=(LE, 12_000),
            more=(LE, None),
            real="cifar100",
            shots=None,
            architecture="resnet50",
            transformer="deit_small_patch16_224",
            supervised=options(epochs=90, batch_size=256, image_size_px=224),
            moco=options(epochs=200, batch_size=256, image_size_px=224),
            finetuning=(),
            learning_rates=(),
            first_seed=FIRST_SEED,
        ),
    )


# ---- what is drawn and tuned --------------------------------------------------------------------------------


def _of(task: Task, label: str) -> str:
    return f"{label}, {task.title}" if task.title else label


def _draw(scale: Scale, task: Task, seed: int, strategy: str, **more: Any) -> Draw:
    count = more.pop("images_per_class", scale.images_per_class)
    return Draw(task.classes, (strategy,), count, FIRST_SEED + seed, read_by([strategy], dict(task.drawing) | more))


def _images(scale: Scale, task: Task, seed: int, strategy: str, *, filtered: bool = False) -> Drawn:
    drawing = _draw(scale, task, seed, strategy)
    judged = Filter(drawing, options=options(encoder=scale.clip, **dict(task.filtering)))
    return Drawn(drawing, strategy, judged if filtered else None)


def _tuned(scale: Scale, task: Task, images: Drawn | None, seed: int, shots: int = 0, **more: Any) -> Tune:
    own = dict(scale.tuning) | dict(task.tuning) | (dict(task.alone) if shots == 0 else {})
    return Tune(images, task.real, seed, shots, options(**{**own, **more}))


def _enhanced(scale: Scale, seed: int, shots: int = 0, **more: Any) -> Tune:
    """The first task's classifier, tuned on filtered images of language enhancement."""
    task = scale.tasks[0]
    return _tuned(scale, task, _images(scale, task, seed, LE, filtered=True), seed, shots, **more)


def _guided(scale: Scale, seed: int, shots: int, **more: Any) -> Tune:
    """The same on images that begin at the shots."""
    task = scale.tasks[0]
    real = {"initial_images": task.real, "shots": shots, "shots_seed": seed}
    drawing = _draw(scale, task, seed, scale.guided_strategy, images_per_class=scale.guided_per_class, **real)
    images = Drawn(drawing, scale.guided_strategy)
    return _tuned(scale, task, images, seed, shots, loss="sce", use_of_shots="real_guidance", **more)


def _real_alone(scale: Scale, seed: int, shots: int, **more: Any) -> Tune:
    return _tuned(scale, scale.tasks[0], None, seed, shots, **more)


# ---- F10 to F19 ---------------------------------------------------------------------------------------------


def _zero_shot(scale: Scale, seed: int) -> dict[str, Value]:
    found = {}
    for task in scale.tasks:
        work = _tuned(scale, task, _images(scale, task, seed, LE, filtered=True), seed, loss="sce")
        found |= {_of(task, "zero-shot CLIP"): work["zero-shot"], _of(task, "tuned on synthetic images"): work["tuned"]}
    return found


def _enhancement(scale: Scale, seed: int) -> dict[str, Value]:
    found = {}
    for task in scale.tasks:
        for label, strategy in (("basic prompts", "base"), ("language enhancement", LE)):
            found[_of(task, label)] = _tuned(scale, task, _images(scale, task, seed, strategy), seed)["tuned"]
    return found


def _filtering(scale: Scale, seed: int) -> dict[str, Value]:
    found = {}
    for task in scale.tasks:
        for label, filtered in (("all images", False), ("filtered images", True)):
            found[_of(task, label)] = _tuned(scale, task, _images(scale, task, seed, LE, filtered=filtered), seed)[
                "tuned"
            ]
    return found


def _each_task(this: str, than: str) -> RuleAt:
    return lambda scale: Every(tuple(Higher(_of(task, this), _of(task, than)) for task in scale.tasks))


def _losses(scale: Scale, seed: int) -> dict[str, Value]:
    return {
        "soft targets": _enhanced(scale, seed, loss="sce")["tuned"],
        "hard targets": _enhanced(scale, seed, loss="ce")["tuned"],
    }


def _share(share: float) -> str:
    return f"{share:.0%} of the encoder too"


def _shares(scale: Scale, seed: int) -> dict[str, Value]:
    found = {"classifier alone": _enhanced(scale, seed, loss="sce")["tuned"]}
    for share in scale.encoder_shares:
        found[_share(share)] = _enhanced(scale, seed, loss="sce", encoder_share=share)["tuned"]
    return found


def _worth(scale: Scale, seed: int) -> dict[str, Value]:
    task, test = scale.from_scratch, Real(scale.from_scratch.real, "test")
    drawing = _draw(scale, task, seed, LE, images_per_class=scale.scratch_per_class)

    def accuracy(images: Images) -> Value:
        # one real image of a class leaves none to hold back
        training = options(**{**dict(scale.training), "validation_fraction": 0.0})
        return Test(Train(images, scale.architecture, seed, training), test)["accuracy"]

    k = len(task.classes)
    synthetic = accuracy(Drawn(drawing, LE))
    real = tuple(accuracy(Real(task.real, "train", shots, seed, k)) for shots in scale.real_shots)
    worth = Worth(synthetic, drawing.count_of(), real, tuple(shots * k for shots in scale.real_shots))
    return {"synthetic images for one real": worth["synthetic images for one real"]}


def _gains(scale: Scale, seed: int) -> dict[str, Value]:
    return {
        f"gain at {shots} shot{'s' * (shots > 1)}": _guided(scale, seed, shots)["tuned"]
        - _real_alone(scale, seed, shots)["tuned"]
        for shots in scale.shots
    }


def _gains_rule(scale: Scale) -> Higher:
    first, *_, last = scale.shots
    return Higher(f"gain at {first} shot{'s' * (first > 1)}", f"gain at {last} shots")


def _uses(scale: Scale, seed: int) -> dict[str, Value]:
    most = max(scale.shots)
    return {
        "real guidance": _guided(scale, seed, most)["tuned"],
        "real filtering": _enhanced(scale, seed, most, loss="sce", use_of_shots="real_filtering")["tuned"],
        "basic": _enhanced(scale, seed, most, loss="sce")["tuned"],
    }


def _batch_norm(scale: Scale, seed: int) -> dict[str, Value]:
    most, found = max(scale.shots), {}
    for label, given in (("frozen", {}), ("unfrozen", {"freeze_batch_norm": False})):
        found[f"{label}, real images"] = _real_alone(scale, seed, most, **given)["tuned"]
        found[f"{label}, synthetic images"] = _enhanced(scale, seed, **given)["tuned"]
    return found


def _orders(scale: Scale, seed: int) -> dict[str, Value]:
    most = max(scale.shots)
    return {
        "mixed": _guided(scale, seed, most)["tuned"],
        "synthetic, then real": _guided(scale, seed, most, order="syn_then_real")["tuned"],
        "real, then synthetic": _guided(scale, seed, most, order="real_then_syn")["tuned"],
    }


FINDINGS: Sequence[Finding] = (
    Finding(
        "F10",
        "Tuning CLIP's classifier on synthetic images beats zero-shot CLIP.",
        "Table 1",
        shares(
            *(("zero-shot, mean of 17 sets", 55.13), ("tuned, mean of 17 sets", 59.47)),
            *(("zero-shot CLIP, EuroSAT", 37.51), ("tuned on synthetic images, EuroSAT", 55.37)),
        ),
        _zero_shot,
        _each_task("tuned on synthetic images", "zero-shot CLIP"),
        note="Language enhancement, CLIP filter and soft targets, as in the table.",
    ),
    Finding(
        "F11",
        "Language enhancement helps mostly, and can hurt by its noise.",
        "Table 2",
        shares(("gain, EuroSAT", 6.71), ("gain, CIFAR-10", -0.68)),
        _enhancement,
        lambda scale: Higher(*(_of(scale.tasks[0], label) for label in ("language enhancement", "basic prompts"))),
        note="The rule asks for the gain, on the first set.",
    ),
    Finding(
        "F12",
        "The CLIP filter repairs the noise of language enhancement.",
        "Table 2",
        shares(("all images, CIFAR-10", 77.2), ("filtered images, CIFAR-10", 80.01)),
        _filtering,
        _each_task("filtered images", "all images"),
    ),
    Finding(
        "F13",
        "Soft targets beat hard targets.",
        "Table 2",
        shares(
            *(
                ("soft targets", 45.69),
                ("hard targets", 44.55),
                ("soft, unfiltered", 44.25),
                ("hard, unfiltered", 43.99),
            )
        ),
        _losses,
        lambda scale: Higher("soft targets", "hard targets"),
    ),
    Finding(
        "F14",
        "Tuning the classifier alone is best; the more of the encoder learns too, the worse.",
        "Table 3",
        shares(("classifier alone", 55.37), (_share(0.92), 52.09)),
        _shares,
        lambda scale: best("classifier alone", *map(_share, scale.encoder_shares)),
        note="The paper's figures are of EuroSAT.",
    ),
    Finding(
        "F15",
        "From scratch, synthetic images are about five times less data-efficient than real ones.",
        "Table 4",
        published(("synthetic images for one real", 50_000 / 9_500)),
        _worth,
        lambda scale: Above("synthetic images for one real", 1),
        unit="number",
        note="Read off the curve of real images at the accuracy of the synthetic ones.",
    ),
    Finding(
        "F16",
        "What synthetic images add shrinks as real shots grow.",
        "Figure 1",
        (),
        _gains,
        _gains_rule,
        note="The figure is a picture, so no numbers of the paper stand here.",
    ),
    Finding(
        "F17",
        "Real guidance beats real filtering, which beats neither.",
        "Table 5",
        shares(("real guidance", 88.47), ("real filtering", 87.33), ("basic", 87.1)),
        _uses,
        lambda scale: Every((Higher("real guidance", "real filtering"), Higher("real filtering", "basic"))),
    ),
    Finding(
        "F18",
        "Batch norm that keeps its statistics is better, on real and on synthetic images.",
        "Table 6",
        shares(
            *(("frozen, real images", 85.63), ("unfrozen, real images", 75.31)),
            *(("frozen, synthetic images", 55.37), ("unfrozen, synthetic images", 44.73)),
        ),
        _batch_norm,
        lambda scale: Every(
            tuple(Higher(f"frozen, {kind} images", f"unfrozen, {kind} images") for kind in ("real", "synthetic"))
        ),
    ),
    Finding(
        "F19",
        "Mixed training beats either order of phases.",
        "Table 7",
        (),
        _orders,
        lambda scale: best("mixed", "synthetic, then real", "real, then synthetic"),
        note="At the most shots; the paper's table has the figures of each number of shots.",
    ),
    *PRETRAINING_FINDINGS,
)

SCALES: Mapping[str, Any] = {"miniature": miniature, "quick": quick, "paper": paper_scale}
PAPER = Paper("he2023", "He et al. 2023, Is synthetic data ready for image recognition?", SCALES, tuple(FINDINGS))
