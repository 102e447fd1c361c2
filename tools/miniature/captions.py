"""Says what a scene shows: draws a scene and one caption that is true of it.

The sentence shapes are those that the strategies of the papers produce (base, class prompt, multi-domain,
the satellite form, prompt augmentation, language enhancement), so that the miniature obeys them all. As in
language, the bare name of a number is ambiguous: "five" may be a digit, a Roman numeral, dots, or the word.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from numpy.random import Generator

from tools.miniature.scenes import DIGIT_NAMES, DOMAINS, Scene

LOOKS = ("beautiful", "ugly", "pretty", "plain", "elegant", "awkward", "nice", "strange", "lovely", "odd")
EXTENTS = ("", "slightly", "somewhat", "fairly", "very", "extremely")
TYPICAL = ("typical", "uncommon", "common", "unusual", "ordinary", "rare", "normal", "weird")
SIZES = {
    "small": ("small", "little", "tiny", "short"),
    "normal": ("medium sized", "average sized"),
    "large": ("large", "big", "huge", "tall"),
}
PLACES = {
    "centered": ("centered", "in the middle", "in the center"),
    "off-center": ("off-center", "off to the side", "in the corner"),
    "occluded": ("partially occluded", "partly hidden", "partially covered"),
}
LOOK_OF_THE_SHOT = {
    "overexposed": {"exposure": "overexposed"},
    "underexposed": {"exposure": "underexposed"},
    "blurred": {"focus": "blurred"},
    "out of focus": {"focus": "blurred"},
    "hyper sharp image": {"focus": "sharp"},
    "sharp": {"focus": "sharp"},
    "tilted": {"tilted": True},
    "rotated": {"tilted": True},
    "black and white": {"colour": "black"},
}
PENS = {
    "thin": ("with a thin pen", "with a sharp pencil", "in thin lines"),
    "normal": ("with a pen", "by hand", "with a pencil"),
    "thick": ("with a thick marker", "with a brush", "in bold lines", "with a thick pen"),
}
PAPERS = {
    "plain": ("on white paper", "on paper", "on a sheet of paper", "on a plain page"),
    "lined": ("on lined paper", "in a notebook"),
    "squared": ("on squared paper", "on graph paper"),
    "board": ("on a blackboard", "on a chalkboard", "on a dark board"),
}
WRITERS = (
    "someone wrote",
    "a child wrote",
    "a teacher wrote",
    "a student writes",
    "a person draws",
    "she wrote",
    "he wrote",
)


def say(rng: Generator) -> tuple[str, Scene]:
    """One caption and a scene that it is true of."""
    scene = Scene(digit=int(rng.integers(10)))
    shapes, weights = zip(*SHAPES, strict=True)
    return shapes[rng.choice(len(shapes), p=weights)](scene, rng)


def _pick(rng: Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def _with_article(noun: str, rng: Generator) -> str:
    """ "an eight", and now and then the papers' literal "a eight"."""
    correct = "an" if (noun[0] in "aeiou" and not noun.startswith("one")) or noun.startswith("8") else "a"
    return f"{correct if rng.random() < 0.75 else 'a'} {noun}"


def _name(scene: Scene, rng: Generator) -> str:
    return DIGIT_NAMES[scene.digit] if rng.random() < 0.9 else str(scene.digit)


def _meaning(scene: Scene, ambiguity: float, pen: float, rng: Generator) -> Scene:
    """What the name turns out to mean: a digit, pen or print, unless `ambiguity` strikes."""
    if rng.random() < ambiguity:
        # nobody counts zero dots, and the Romans had no numeral for it
        form = "word" if scene.digit == 0 else str(rng.choice(["roman", "dots", "word"]))
        return replace(scene, form=form)
    return replace(scene, form="pen" if rng.random() < pen else "font")


def _any_domain(scene: Scene, plain: float, rng: Generator) -> Scene:
    return scene if rng.random() < plain else replace(scene, domain=_pick(rng, DOMAINS))


def _any_details(scene: Scene, rng: Generator) -> Scene:
    """The unsaid: a caption need not mention the pen, the paper or the size."""
    return replace(
        scene,
        thickness=str(rng.choice(["thin", "normal", "thick"], p=[0.15, 0.7, 0.15])),
        size=str(rng.choice(["small", "normal", "large"], p=[0.08, 0.84, 0.08])),
        paper=str(rng.choice(["plain", "lined", "squared", "board"], p=[0.84, 0.05, 0.05, 0.06])),
    )


def _base(scene: Scene, rng: Generator) -> tuple[str, Scene]:
    scene = _any_details(_any_domain(_meaning(scene, 0.1, 0.66, rng), 0.8, rng), rng)
    return f"an image of {_with_article(_name(scene, rng), rng)}", scene


def _bare(scene: Scene, rng: Generator) -> tuple[str, Scene]:
    scene = _any_details(_any_domain(_meaning(scene, 0.22, 0.66, rng), 0.6, rng), rng)
    return _name(scene, rng), scene


def _in_a_domain(scene: Scene, rng: Generator) -> tuple[str, Scene]:
    domain = _pick(rng, DOMAINS)
    pen = {"poster": 0.4, "3D rendering": 0.35, "digital art image": 0.55, "photo": 0.65}.get(domain, 0.88)
    scene = _any_details(replace(_meaning(scene, 0.04, pen, rng), domain=domain), rng)
    named = domain if rng.random() < 0.9 else {"photo": "photograph", "drawing": "pencil drawing"}.get(domain, domain)
    article = "a" if rng.random() < 0.97 else "an"
    if rng.random() < 0.08:
        seen_from_above = "realistic photo" if domain == "photo" else domain
        return (
            f"a satellite photo of {_with_article(_name(scene, rng), rng)} in the style of a {seen_from_above}",
            scene,
        )
    if rng.random() < 0.15:
        return f"{article} {named} of the digit {_name(scene, rng)}", replace(scene, form=_digit_form(scene))
    return f"{article} {named} of {_with_article(_name(scene, rng), rng)}", scene


def _digit_form(scene: Scene) -> str:
    return scene.form if scene.form in ("pen", "font") else "pen"


def _clear(scene: Scene, rng: Generator) -> tuple[str, Scene]:
    """Captions that leave no doubt: the digit, handwritten or printed."""
    kind = str(rng.choice(["digit", "handwritten", "printed"], p=[0.35, 0.5, 0.15]))
    pen = {"digit": 0.65, "handwritten": 1.0, "printed": 0.0}[kind]
    scene = _any_details(_any_domain(_meaning(scene, 0.0, pen, rng), 0.82, rng), rng)
    name = _name(scene, rng)
    lead = _pick(rng, ("", "an image of ", "a photo of ", "a picture of "))
    if lead == "a photo of " and rng.random() < 0.5:
        scene = replace(scene, domain="photo")
    if kind == "digit":
        return lead + _pick(
            rng, (f"the digit {name}", f"the number {name}", f"the numeral {name}", f"number {name}")
        ), scene
    return lead + _pick(rng, (f"a {kind} {name}", f"a {kind} digit {name}", f"the {kind} number {name}")), scene


def _other_meaning(scene: Scene, rng: Generator) -> tuple[str, Scene]:
    """Captions that name one of the other meanings outright."""
    scene = _any_domain(_meaning(scene, 1.0, 0.0, rng), 0.8, rng)
    name = DIGIT_NAMES[scene.digit]
    if scene.form == "roman":
        return _pick(
            rng,
            (
                f"the roman numeral {name}",
                f"{name} as a roman numeral",
                f"a photo of the roman numeral {name}",
            ),
        ), scene
    if scene.form == "dots":
        dots = "dot" if scene.digit == 1 else "dots"
        return _pick(rng, (f"{name} {dots}", f"an image of {name} {dots}", f"a dice face with {name} {dots}")), scene
    return _pick(rng, (f"the word {name}", f"the word {name} spelled out", f"an image of the word {name}")), scene


def _augmented(scene: Scene, rng: Generator) -> tuple[str, Scene]:
    """Marwood et al. 2023, Figure 4: looks, extent × typical, extent × size, class, location, style."""
    scene = _any_domain(_meaning(scene, 0.05, 0.65, rng), 0.7, rng)
    size = str(rng.choice(list(SIZES)))
    place = str(rng.choice(list(PLACES), p=[0.5, 0.3, 0.2]))
    shot = _pick(rng, tuple(LOOK_OF_THE_SHOT))
    scene = replace(scene, size=size, place=place, **LOOK_OF_THE_SHOT[shot])
    words = [
        _pick(rng, LOOKS) if rng.random() < 0.8 else "",
        f"{_pick(rng, EXTENTS)} {_pick(rng, TYPICAL)}" if rng.random() < 0.8 else "",
        f"{_pick(rng, EXTENTS)} {_pick(rng, SIZES[size])}",
    ]
    lead = " ".join(" ".join(words).split())
    tail = f"{_pick(rng, PLACES[place])}, {shot}" if rng.random() < 0.8 else ""
    if not tail:
        scene = replace(scene, place="centered", focus="normal", exposure="normal", tilted=False)
    return " ".join(f"{_with_article(lead, rng)} {_name(scene, rng)} {tail}".split()), scene


def _sentence(scene: Scene, rng: Generator) -> tuple[str, Scene]:
    """Sentences as a word-to-sentence model writes them: who wrote the digit, with what, on what."""
    scene = _meaning(scene, 0.0, 1.0, rng)
    thickness = str(rng.choice(list(PENS)))
    paper = str(rng.choice(list(PAPERS), p=[0.4, 0.2, 0.2, 0.2]))
    medium = "chalk" if paper == "board" else str(rng.choice(["ink", "paint"], p=[0.8, 0.2]))
    scene = replace(scene, thickness=thickness, paper=paper, medium=medium)
    colour = ""
    if paper != "board" and rng.random() < 0.4:
        colour = str(rng.choice(["black", "blue", "red", "green", "grey"]))
        scene = replace(scene, colour=colour)
    material = {
        "chalk": "in chalk",
        "ink": f"in {colour} ink" if colour else "",
        "paint": f"in {colour} paint" if colour else "in paint",
    }
    size = str(rng.choice(list(SIZES), p=[0.25, 0.5, 0.25]))
    scene = replace(scene, size=size)
    adjective = "" if size == "normal" else _pick(rng, SIZES[size])
    if rng.random() < 0.2:
        scene, adjective = replace(scene, tilted=True), f"tilted {adjective}".strip()
    noun = " ".join(f"{adjective} {_name(scene, rng)}".split())
    parts = [
        _with_article(noun, rng),
        material[medium],
        _pick(rng, PENS[thickness]),
        _pick(rng, PAPERS[paper]),
    ]
    if rng.random() < 0.4:
        parts.insert(0, _pick(rng, WRITERS))
    elif rng.random() < 0.5:
        parts.insert(1, "written")
    return " ".join(part for part in parts if part), scene


Shape = Callable[[Scene, Generator], tuple[str, Scene]]
SHAPES: list[tuple[Shape, float]] = [
    (_base, 0.19),
    (_bare, 0.14),
    (_in_a_domain, 0.25),
    (_clear, 0.17),
    (_other_meaning, 0.03),
    (_augmented, 0.11),
    (_sentence, 0.11),
]
