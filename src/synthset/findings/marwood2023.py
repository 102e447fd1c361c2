"""F23 to F32, and appendix B: Marwood et al. 2023, "Diversity and Diffusion": why synthetic sets fall short."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from synthset.findings.drawing import Draw, Options, options
from synthset.findings.finding import Figures, Finding, Paper, published, shares
from synthset.findings.images import Drawn, Real
from synthset.findings.learning import Test, Train
from synthset.findings.measuring import Correlate, Cosines, Diagnose, StudyPrompts
from synthset.findings.rules import Above, Alike, Every, Higher, Rule, rising
from synthset.findings.shipard2023 import FIRST_SEED, QUICK_TRAINING, TRICKS, phrases_of_digits
from synthset.findings.work import Value
from synthset.miniature import DIGITS
from synthset.prompts.phrases import load_phrases
from synthset.real import class_names_of

BARE, CLARIFIED, LOW, LOWEST, AUGMENTED = "bare names", "clarified", "guidance 2.5", "guidance 1", "augmented prompts"
HELD_OUT = 500  # beyond the seed of a drawing, that of further images of the same kind, which are tested on
MEASURES = {  # of the sets, that F31 correlates with accuracy
    "mean term": "frechet_mean",
    "covariance term": "frechet_covariance",
    "Fréchet distance": "frechet_distance",
    "Centroid Distance": "centroid_distance",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "centroid shift": "centroid_shift",
}


@dataclass(frozen=True)
class Scale:
    """What the experiments are made of.

    Attributes:
        phrases: that leave no doubt about a class.
        held_out_per_class: further images of a set, to test on.
        drawing, training: fields of CreateConfig and TrainConfig.
        tuned: a class, and prompts of it: its own, a narrower one, an unlikely one.
        tricks: whether the sets of Shipard's tricks, of the same classes and drawing, are among those of F31.
    """

    classes: tuple[str, ...]
    real: str
    phrases: tuple[tuple[str, str], ...]
    images_per_class: int
    held_out_per_class: int
    drawing: Options
    architecture: str
    training: Options
    encoder: str
    tuned: tuple[str, tuple[str, str, str]]
    tricks: bool


def _miniature(images_per_class: int, held_out: int, training: Options = ()) -> Scale:
    return Scale(
        classes=DIGITS,
        real="digits",
        phrases=phrases_of_digits(),
        images_per_class=images_per_class,
        held_out_per_class=held_out,
        drawing=options(steps=15),
        architecture="small_cnn",
        training=training,
        encoder="miniature",
        tuned=("seven", ("the digit seven", "a thick digit seven in ink", "a rock drawing of the digit seven")),
        tricks=True,
    )


def paper_scale() -> Scale:
    """The models, classes and counts of the paper; its phrases and the recipe of its training were not published.

    For its phrases of ambiguous classes stand the words of their synsets, as in the recipes.
    """
    classes = tuple(class_names_of("imagenet"))
    return Scale(
        classes=classes,
        real="imagenet",
        phrases=tuple(load_phrases("imagenet-synsets", classes).items()),
        images_per_class=1_250,
        held_out_per_class=50,
        drawing=options(generator="stable-diffusion-v1-5/stable-diffusion-v1-5", scheduler="pndm", steps=50),
        architecture="resnetrs152",
        training=options(validation_fraction=0.04),
        encoder="ViT-L-14",
        tuned=("school bus", ("school bus", "yellow school bus", "purple school bus in a jungle")),
        tricks=False,
    )


# ---- what is drawn and measured -----------------------------------------------------------------------------


def _draw(scale: Scale, seed: int, kind: str, *, held_out: bool = False) -> Draw:
    """The drawing of a kind of set, or further images of its kind."""
    scales: dict[str, dict[str, Any]] = {LOW: {"guidance_scale": 2.5}, LOWEST: {"guidance_scale": 1.0}}
    strategy = "prompt_augmentation" if kind == AUGMENTED else "class_prompt"
    return Draw(
        scale.classes,
        (strategy,),
        scale.held_out_per_class if held_out else scale.images_per_class,
        FIRST_SEED + seed + (HELD_OUT if held_out else 0),
        options(**{**dict(scale.drawing), **scales.get(kind, {})}),
        () if kind == BARE else scale.phrases,
    )


def _set(scale: Scale, seed: int, kind: str, *, held_out: bool = False) -> Drawn:
    drawing = _draw(scale, seed, kind, held_out=held_out)
    return Drawn(drawing, drawing.config.runs()[0].name)


def _trained(scale: Scale, images: Drawn, seed: int) -> Train:
    return Train(images, scale.architecture, seed, scale.training)


def _accuracy(scale: Scale, images: Drawn, seed: int) -> Value:
    return Test(_trained(scale, images, seed), Real(scale.real))["accuracy"]


def _diagnosed(scale: Scale, images: Drawn, seed: int) -> Diagnose:
    return Diagnose(images, Real(scale.real), scale.encoder, seed)


def _accuracies(*kinds: str) -> Figures:
    return lambda scale, seed: {kind: _accuracy(scale, _set(scale, seed, kind), seed) for kind in kinds}


# ---- F26 to F31 ---------------------------------------------------------------------------------------------


def _distances(scale: Scale, seed: int) -> dict[str, Value]:
    kinds = (CLARIFIED, LOW, AUGMENTED)
    diagnoses = {kind: _diagnosed(scale, _set(scale, seed, kind), seed) for kind in kinds}
    found = {kind: diagnosis["synthetic centroid_distance"] for kind, diagnosis in diagnoses.items()}
    return {**found, "real images": diagnoses[CLARIFIED]["real centroid_distance"]}


def _on(trained: str, tested: str) -> str:
    return f"{trained} on {'itself' if trained == tested else tested}"


def _crossed(scale: Scale, seed: int) -> dict[str, Value]:
    kinds = (CLARIFIED, LOW, AUGMENTED)
    return {
        _on(trained, tested): Test(
            _trained(scale, _set(scale, seed, trained), seed), _set(scale, seed, tested, held_out=True)
        )["accuracy"]
        for trained in kinds
        for tested in kinds
    }


def _errors(scale: Scale, seed: int) -> dict[str, Value]:
    diagnosis = _diagnosed(scale, _set(scale, seed, AUGMENTED), seed)
    return {"by diversity": diagnosis["synthetic diversity_error"], "by shift": diagnosis["synthetic shift_error"]}


def _modalities(scale: Scale, seed: int) -> dict[str, Value]:
    images = _set(scale, seed, AUGMENTED)
    cosines, diagnosis = Cosines(images, scale.encoder), _diagnosed(scale, images, seed)
    return {
        "held-out accuracy of a plane": diagnosis["plane accuracy"],
        "cosine within images": cosines["images"],
        "cosine within texts": cosines["texts"],
        "cosine across": cosines["across"],
        "images classified by texts": diagnosis["synthetic prompts to synthetic images centroid_accuracy"],
    }


def _modalities_rule(scale: Scale) -> Rule:
    return Every(
        (
            Above("held-out accuracy of a plane", 0.95),
            Higher("cosine within images", "cosine across"),
            Higher("cosine within texts", "cosine across"),
            Above("images classified by texts", 1 / len(scale.classes)),
        )
    )


def _neighbours(scale: Scale, seed: int) -> dict[str, Value]:
    diagnosis = _diagnosed(scale, _set(scale, seed, AUGMENTED), seed)
    names = {"five neighbours": "knn5_accuracy", "one neighbour": "knn1_accuracy", "centroid": "centroid_accuracy"}
    return {label: diagnosis[f"synthetic images to synthetic images {name}"] for label, name in names.items()}


def _correlations(scale: Scale, seed: int) -> dict[str, Value]:
    sets = [_set(scale, seed, kind) for kind in (BARE, CLARIFIED, LOW, LOWEST, AUGMENTED)]
    if scale.tricks:
        drawing = Draw(scale.classes, ("all_combined",), scale.images_per_class, FIRST_SEED + seed, scale.drawing)
        sets += [Drawn(drawing, strategy) for strategy in TRICKS.values()]
    accuracies = tuple(_accuracy(scale, images, seed) for images in sets)
    return {
        label: Correlate(
            label, tuple(_diagnosed(scale, images, seed)[f"synthetic {name}"] for images in sets), accuracies
        )["r"]
        for label, name in MEASURES.items()
    }


def _tuned_prompts(scale: Scale, seed: int) -> dict[str, Value]:
    class_name, prompts = scale.tuned
    study = StudyPrompts(
        _set(scale, seed, LOW), class_name, prompts, scale.images_per_class, scale.encoder, FIRST_SEED + seed
    )
    plain, narrow, unlikely = prompts
    return {
        "distance, plain": study[f"{plain} centroid_distance"],
        "distance, narrower prompt": study[f"{narrow} centroid_distance"],
        "shift, plain": study[f"{plain} centroid_shift"],
        "shift, unlikely prompt": study[f"{unlikely} centroid_shift"],
    }


FINDINGS = (
    Finding(
        "F23",
        "Phrases that say which meaning of an ambiguous class is meant help.",
        "Table 1",
        shares((BARE, 23.0), (CLARIFIED, 26.3)),
        _accuracies(CLARIFIED, BARE),
        lambda scale: Higher(CLARIFIED, BARE),
        unmeasurable={"paper": "the phrases of its 105 ambiguous classes were not published"},
    ),
    Finding(
        "F24",
        "Guidance 2.5 helps far more than 7.5.",
        "Table 2",
        shares((CLARIFIED, 26.3), (LOW, 43.4)),
        _accuracies(LOW, CLARIFIED),
        lambda scale: Higher(LOW, CLARIFIED),
        note="Both sets have clarified names; 'clarified' is drawn at 7.5.",
    ),
    Finding(
        "F25",
        "Prompts of their own for each image help a little more.",
        "Table 2",
        shares((LOW, 43.4), (AUGMENTED, 45.3)),
        _accuracies(AUGMENTED, LOW),
        lambda scale: Higher(AUGMENTED, LOW),
    ),
    Finding(
        "F26",
        "Centroid Distance rises from guidance 7.5 to 2.5 to augmented prompts, and is highest for real images.",
        "Figure 5",
        published((CLARIFIED, 1.23e-5), (LOW, 2.05e-5), (AUGMENTED, 2.49e-5), ("real images", 2.98e-5)),
        _distances,
        lambda scale: rising(CLARIFIED, LOW, AUGMENTED, "real images"),
        unit="number",
    ),
    Finding(
        "F27",
        "Trained and tested on one synthetic set, a classifier is near perfect, the less so the more diverse it is.",
        "Table 4",
        shares((_on(CLARIFIED, CLARIFIED), 98.8), (_on(LOW, LOW), 91.0), (_on(AUGMENTED, AUGMENTED), 81.2)),
        _crossed,
        lambda scale: rising(*(_on(kind, kind) for kind in (AUGMENTED, LOW, CLARIFIED))),
        note="Every network is tested on further images of every set, none of which it learned from.",
    ),
    Finding(
        "F28",
        "Lack of diversity costs more Centroid Accuracy than a shift of the centroids.",
        "Table 6",
        shares(("by diversity", 18.0), ("by shift", 7.1)),
        _errors,
        lambda scale: Higher("by diversity", "by shift"),
    ),
    Finding(
        "F29",
        "A plane parts texts from images in CLIP's space, and yet they classify each other.",
        "Section 4",
        published(("cosine across", 0.24), ("cosine within, at least", 0.7), ("cosine within, at most", 0.9)),
        _modalities,
        _modalities_rule,
        unit="number",
    ),
    Finding(
        "F30",
        "Five neighbours classify as well as a centroid, and one neighbour worse.",
        "Table 5",
        shares(("five neighbours", 77.3), ("centroid", 77.1), ("one neighbour", 74.6)),
        _neighbours,
        lambda scale: Every((Alike("five neighbours", "centroid", 0.02), Higher("five neighbours", "one neighbour"))),
    ),
    Finding(
        "F31",
        "Of the Fréchet distance the mean term follows accuracy, and the covariance term does not.",
        "Section 3",
        (),
        _correlations,
        lambda scale: Higher("covariance term", "mean term"),
        unit="number",
        note="Pearson's r with accuracy on real images, over the sets; of a distance that follows it, below zero.",
    ),
    Finding(
        "F32",
        "Guidance 1.0 is too low.",
        "Section 3",
        (),
        _accuracies(LOW, LOWEST),
        lambda scale: Higher(LOW, LOWEST),
    ),
    Finding(
        "B",
        "A prompt can narrow a class, which costs diversity, and call for unlikely images, which shifts its centroid.",
        "Appendix B, Figure 9",
        published(("distance, school bus", 10.96e-4), ("distance, yellow school bus", 5.33e-4)),
        _tuned_prompts,
        lambda scale: Every(
            (
                Higher("distance, plain", "distance, narrower prompt"),
                Higher("shift, unlikely prompt", "shift, plain"),
            )
        ),
        unit="number",
        note="Four prompts of one class in the paper, three here; an appendix, and none of the 32 findings.",
    ),
)

PAPER = Paper(
    "marwood2023",
    "Marwood et al. 2023, Diversity and Diffusion",
    {"miniature": lambda: _miniature(50, 20), "quick": lambda: _miniature(10, 5, QUICK_TRAINING), "paper": paper_scale},
    FINDINGS,
)
