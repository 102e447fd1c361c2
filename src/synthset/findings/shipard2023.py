"""F1 to F9: Shipard et al. 2023, "Diversity is Definitely Needed": the bag of tricks, training from scratch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from synthset.findings.drawing import Draw, Options, options, read_by
from synthset.findings.finding import Figures, Finding, Paper, RuleAt, shares
from synthset.findings.images import Drawn, Images, Real
from synthset.findings.learning import Test, Train
from synthset.findings.measuring import Diagnose
from synthset.findings.rules import Above, Every, Higher, Rule, best
from synthset.findings.work import Value
from synthset.miniature import DIGITS
from synthset.prompts.presets import preset_for
from synthset.prompts.strategies import resolve_strategies
from synthset.real import class_names_of

FIRST_SEED = 64  # of the drawings of the first seed
TRICKS = {
    "base": "base",
    "class name": "class_prompt",
    "multi-domain": "multi_domain",
    "random guidance": "random_guidance",
}


@dataclass(frozen=True)
class Task:
    """Class names, and the real images that classifiers of them are tested on.

    Attributes:
        title: behind labels, where there are several tasks.
        are_ambiguous: whether a bare class name may mean something else.
        training: further fields of TrainConfig.
        drawn: the tricks that are drawn.
        union: those of them that "all combined" means.
    """

    title: str
    classes: tuple[str, ...]
    real: str
    drawing: Options
    training: Options = ()
    are_ambiguous: bool = True
    antialias_helps: bool = True
    drawn: str = "all_combined"
    union: str = "all_combined"


@dataclass(frozen=True)
class Scale:
    """What the experiments are made of.

    Attributes:
        images_per_class: of each trick, where a task does not say.
        architectures: of F6, trained by `short_training`.
        weight_decays: of F8, strong and weak, trained by `decayed_training`.
        small_px: that F5 shrinks images to.
        shots: real images of each class that F7 mixes.
        clarified: phrases that leave no doubt, for F4; none at the paper's scale, whose other task has such names.
    """

    tasks: tuple[Task, ...]
    images_per_class: int
    architecture: str
    architectures: tuple[str, ...]
    short_training: Options
    decayed_training: Options
    weight_decays: tuple[float, float]
    small_px: int
    shots: int
    mixed_per_class: int
    encoder: str
    clarified: tuple[tuple[str, str], ...] = ()


def phrases_of_digits() -> tuple[tuple[str, str], ...]:
    """The words that leave no doubt that a digit is meant."""
    return tuple((name, f"the digit {name}") for name in DIGITS)


QUICK_TRAINING = options(epochs=30, batch_size=16)  # a hundred images make six steps of a pass, not two
_DIGITS = Task("", DIGITS, "digits", options(steps=15))
_QUICK_DIGITS = replace(_DIGITS, training=QUICK_TRAINING)
_ANY = {"weight_decays": (0.9, 0.05), "small_px": 8, "encoder": "miniature"}
MINIATURE = Scale(
    tasks=(_DIGITS,),
    images_per_class=50,
    architecture="small_cnn",
    architectures=("small_cnn", "resnet18", "mobilenetv3_small_100", "convnext_atto", "vit_tiny_patch16_224"),
    short_training=options(epochs=12),
    decayed_training=options(recipe="shipard2023", epochs=60, batch_size=32, learning_rate=1e-3),
    shots=60,
    mixed_per_class=50,
    clarified=phrases_of_digits(),
    **_ANY,
)
QUICK = Scale(
    tasks=(_QUICK_DIGITS,),
    images_per_class=10,
    architecture="small_cnn",
    architectures=("small_cnn", "test_vit"),
    short_training=options(epochs=15, batch_size=16),
    decayed_training=options(recipe="shipard2023", epochs=30, batch_size=16, learning_rate=1e-3),
    shots=20,
    mixed_per_class=10,
    clarified=phrases_of_digits(),
    **_ANY,
)


def _paper_task(name: str, title: str, **details: Any) -> Task:
    """One of the paper's sets, as the recipes have it."""
    preset = preset_for(name)
    usual = {path[-1]: value for path, value in preset.defaults([preset.union]).items()}
    usual |= {"scheduler": "ddim", "steps": 40, "literal_articles": True}
    drawing = options(generator="CompVis/stable-diffusion-v1-4", **usual)
    training = options(recipe="shipard2023", dataset=name, validation_fraction=0.0)
    details = {"drawn": preset.union, "union": preset.union} | details
    return Task(title, tuple(class_names_of(name)), name, drawing, training, **details)


def paper_scale() -> Scale:
    """The models, sets, counts and recipes of the paper."""
    tasks = (
        _paper_task("cifar10", "CIFAR-10", are_ambiguous=False),
        _paper_task("cifar100", "CIFAR-100", union="all_but_class_prompt"),
        _paper_task("eurosat", "EuroSAT", antialias_helps=False),
    )
    return Scale(
        tasks=tasks,
        images_per_class=5_000,
        architecture="resnet50",
        architectures=("resnet50", "resnet101", "vit_base_patch16_224", "mobilenetv3_small_100", "convnext_small"),
        short_training=(),
        decayed_training=options(recipe="shipard2023"),
        weight_decays=(0.9, 0.05),
        small_px=32,
        shots=60,
        mixed_per_class=5_000,
        encoder="RN50",
    )


# ---- what is drawn and trained ------------------------------------------------------------------------------


def _of(task: Task, label: str) -> str:
    return f"{label}, {task.title}" if task.title else label


def _draw(scale: Scale, task: Task, seed: int, *strategies: str, **more: Any) -> Draw:
    own = dict(task.drawing) | more
    phrases = own.pop("phrases", ())
    count = own.pop("images_per_class", scale.images_per_class)
    return Draw(task.classes, strategies, count, FIRST_SEED + seed, read_by(strategies, own), phrases)


def all_tricks(scale: Scale, task: Task, seed: int) -> Draw:
    """The drawing that most findings share: every trick, and so their union."""
    return _draw(scale, task, seed, task.drawn)


def train_on(scale: Scale, task: Task, images: Images, seed: int, **more: Any) -> Train:
    """The classifier that the findings are about."""
    architecture = str(more.pop("architecture", scale.architecture))
    return Train(images, architecture, seed, options(**{**dict(task.training), **more}))


def tested(scale: Scale, task: Task, images: Images, seed: int, **more: Any) -> Value:
    """Its accuracy on real images."""
    return Test(train_on(scale, task, images, seed, **more), Real(task.real))["accuracy"]


def _drawn(task: Task, label: str) -> str | None:
    """The strategy behind a label, if it is drawn for the task."""
    strategy = (TRICKS | {"all combined": task.union})[label]
    plain = [run.name for run in resolve_strategies((task.drawn,), len(TRICKS))]
    return strategy if strategy in (*plain, task.union) else None


def _tricks(*labels: str) -> Figures:
    """The accuracy of each trick, or of all of them combined, for every task."""

    def figures(scale: Scale, seed: int) -> dict[str, Value]:
        return {
            _of(task, label): tested(scale, task, Drawn(all_tricks(scale, task, seed), strategy), seed)
            for task in scale.tasks
            for label in labels
            if (strategy := _drawn(task, label))
        }

    return figures


def _each_task(*pairs: tuple[str, str]) -> RuleAt:
    """The first of each pair is higher, for every task that has both."""

    def rule(scale: Scale) -> Rule:
        return Every(
            tuple(
                Higher(_of(task, this), _of(task, than))
                for task in scale.tasks
                for this, than in pairs
                if _drawn(task, this) and _drawn(task, than)
            )
        )

    return rule


# ---- F1 to F9 -----------------------------------------------------------------------------------------------


def _class_names(scale: Scale, seed: int) -> dict[str, Value]:
    found = dict(_tricks("base", "class name")(scale, seed))
    if scale.clarified:
        (task,) = scale.tasks
        for label, strategy in (("base", "base"), ("class name", "class_prompt")):
            drawing = _draw(scale, task, seed, strategy, phrases=scale.clarified)
            found[f"{label}, clarified"] = tested(scale, task, Drawn(drawing, strategy), seed)
    return found


def _class_names_rule(scale: Scale) -> Rule:
    rules = []
    for task in scale.tasks:
        pair = ("base", "class name") if task.are_ambiguous else ("class name", "base")
        if all(_drawn(task, label) for label in pair):
            rules.append(Higher(*(_of(task, label) for label in pair)))
    if scale.clarified:
        rules.append(Higher("class name, clarified", "base, clarified"))
    return Every(tuple(rules))


def _antialias(scale: Scale, seed: int) -> dict[str, Value]:
    found = {}
    for task in scale.tasks:
        drawing = all_tricks(scale, task, seed)
        if "resize_px" in dict(task.drawing):  # stored smaller than drawn
            drawing = _draw(scale, task, seed, "base", resize_px=None, antialias=True)
        for label, on in (("anti-aliased", True), ("aliased", False)):
            given = {"image_size_px": scale.small_px, "antialias": on}
            found[_of(task, label)] = tested(scale, task, Drawn(drawing, "base"), seed, **given)
    return found


def _antialias_rule(scale: Scale) -> Rule:
    names = ("anti-aliased", "aliased")
    return Every(
        tuple(
            Higher(*(_of(task, label) for label in (names if task.antialias_helps else names[::-1])))
            for task in scale.tasks
        )
    )


def _architectures(scale: Scale, seed: int) -> dict[str, Value]:
    task, found = scale.tasks[0], {}
    drawing = all_tricks(scale, task, seed)
    for name in scale.architectures:
        given = {**dict(scale.short_training), "architecture": name}
        for label, strategy in (("all combined", task.union), ("base", "base")):
            found[f"{name}, {label}"] = tested(scale, task, Drawn(drawing, strategy), seed, **given)
    return found


def _architectures_rule(scale: Scale) -> Rule:
    return Every(tuple(Higher(f"{name}, all combined", f"{name}, base") for name in scale.architectures))


def _mixtures(scale: Scale, seed: int) -> dict[str, Value]:
    task = scale.tasks[0]
    names = ("interpolate_three", "interpolate_all")
    real = {"initial_images": task.real, "shots": scale.shots, "shots_seed": seed, "guidance_scale": 7.5}
    drawing = _draw(scale, task, seed, *names, images_per_class=scale.mixed_per_class, **real)
    test = Real(task.real, "test")
    return {
        label: Test(train_on(scale, task, Drawn(drawing, strategy), seed), test)["accuracy"]
        for label, strategy in zip(("three at a time", "all at once"), names, strict=True)
    }


def _weight_decay(scale: Scale, seed: int) -> dict[str, Value]:
    task, found = scale.tasks[0], {}
    images = Drawn(all_tricks(scale, task, seed), "base")
    for label, decay in zip(("strong", "weak"), scale.weight_decays, strict=True):
        model = train_on(scale, task, images, seed, weight_decay=decay, **dict(scale.decayed_training))
        found[f"real images, {label} decay"] = Test(model, Real(task.real))["accuracy"]
        found[f"its own images, {label} decay"] = Test(model, images)["accuracy"]
    return found


def _heads(scale: Scale, seed: int) -> dict[str, Value]:
    task = scale.tasks[0]
    images = Drawn(all_tricks(scale, task, seed), task.union)
    network = train_on(scale, task, images, seed)
    diagnosis = Diagnose(images, Real(task.real), scale.encoder, seed, network)
    return {
        "real images": diagnosis["head real_accuracy"],
        "synthetic images": diagnosis["head synthetic_accuracy"],
    }


FINDINGS = (
    Finding(
        "F1",
        "Multi-domain prompts beat the base prompt, though most of their images are out of domain.",
        "Table 2",
        shares(
            *(("base, CIFAR-10", 60.5), ("multi-domain, CIFAR-10", 67.97), ("base, CIFAR-100", 29.72)),
            *(("multi-domain, CIFAR-100", 32.55), ("base, EuroSAT", 36.18), ("multi-domain, EuroSAT", 35.68)),
        ),
        _tricks("multi-domain", "base"),
        _each_task(("multi-domain", "base")),
    ),
    Finding(
        "F2",
        "A random guidance scale in [1, 5] beats a fixed one.",
        "Table 2",
        shares(
            *(("base, CIFAR-10", 60.5), ("random guidance, CIFAR-10", 72.93), ("base, CIFAR-100", 29.72)),
            *(("random guidance, CIFAR-100", 31.19), ("base, EuroSAT", 36.18), ("random guidance, EuroSAT", 40.18)),
        ),
        _tricks("random guidance", "base"),
        _each_task(("random guidance", "base")),
    ),
    Finding(
        "F3",
        "All tricks combined beat each alone.",
        "Table 2",
        shares(("all combined, CIFAR-10", 81), ("all combined, CIFAR-100", 45.63), ("all combined, EuroSAT", 39.92)),
        _tricks("all combined", *TRICKS),
        _each_task(*(("all combined", trick) for trick in TRICKS)),
        note="The union has the images of all tricks, so four times as many as each.",
    ),
    Finding(
        "F4",
        "The bare class name helps where names are unambiguous, and hurts where they are not.",
        "Table 2",
        shares(
            *(("base, CIFAR-10", 60.5), ("class name, CIFAR-10", 62.32)),
            *(("base, CIFAR-100", 29.72), ("class name, CIFAR-100", 26.4)),
        ),
        _class_names,
        _class_names_rule,
        note="In the miniature's world a bare digit word is ambiguous; clarified, it is 'the digit five'.",
    ),
    Finding(
        "F5",
        "Anti-aliased resizing helps on CIFAR, and not on EuroSAT.",
        "Section 5.3",
        shares(("gain, CIFAR-10", 3.34), ("gain, CIFAR-100", 3.89), ("gain, EuroSAT", -1.78)),
        _antialias,
        _antialias_rule,
        note="One drawing, stored at full size and shrunk in both ways.",
    ),
    Finding(
        "F6",
        "The gain of all tricks holds for five architectures.",
        "Table 3",
        shares(
            *(("resnet50, all combined", 81), ("resnet101, all combined", 81.84)),
            *(("vit_base_patch16_224, all combined", 75.72), ("mobilenetv3_small_100, all combined", 74.38)),
            ("convnext_small, all combined", 80.1),
        ),
        _architectures,
        _architectures_rule,
    ),
    Finding(
        "F7",
        "Mixtures of three real images' embeddings do better than mixtures of all sixty.",
        "Section 4.2.2",
        shares(("three at a time", 52.6), ("all at once", 35.01)),
        _mixtures,
        lambda scale: best("three at a time", "all at once"),
        note="Tested on real images that were not mixed.",
    ),
    Finding(
        "F8",
        "Strong weight decay keeps a network from fitting the synthetic images, and so reads real ones better.",
        "Section 5.1",
        (),
        _weight_decay,
        lambda scale: Every(
            (
                Higher("real images, strong decay", "real images, weak decay"),
                Higher("its own images, weak decay", "its own images, strong decay"),
            )
        ),
        note="The paper gives the decays that it chose (0.9; EuroSAT 0.3; MobileNetV3 0.1), none of others.",
    ),
    Finding(
        "F9",
        "Features of real and synthetic images mingle: a head that learned from real ones reads synthetic ones.",
        "Section 4.2.1",
        shares(("real images", 76.61), ("synthetic images", 63.8)),
        _heads,
        lambda scale: Above("synthetic images", 1 / len(scale.tasks[0].classes)),
        note="Above chance is what the rule asks; both accuracies are shown.",
    ),
)

PAPER = Paper(
    "shipard2023",
    "Shipard et al. 2023, Diversity is Definitely Needed",
    {"miniature": lambda: MINIATURE, "quick": lambda: QUICK, "paper": paper_scale},
    FINDINGS,
)
