"""What a picture of the miniature's world shows, in words that both the painter and the captions use."""

from __future__ import annotations

from dataclasses import dataclass

DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ROMAN = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")

# Shipard et al. 2023, section 4.3: the ten domains of the multi-domain prompts; "plain" is none of them.
DOMAINS = (
    "photo",
    "drawing",
    "painting",
    "sketch",
    "collage",
    "poster",
    "digital art image",
    "rock drawing",
    "stick figure",
    "3D rendering",
)
FORMS = ("pen", "font", "roman", "dots", "word")  # the last three are the other meanings of a number's name


@dataclass(frozen=True)
class Scene:
    """One picture before it is painted; every field is a choice that a caption may name."""

    digit: int
    form: str = "pen"
    domain: str = "plain"
    size: str = "normal"  # small, normal, large
    thickness: str = "normal"  # thin, normal, thick
    place: str = "centered"  # centered, off-center, occluded
    focus: str = "normal"  # blurred, normal, sharp
    exposure: str = "normal"  # underexposed, normal, overexposed
    tilted: bool = False
    paper: str = "plain"  # plain, lined, squared, board
    medium: str = "ink"  # ink, chalk, paint
    colour: str = "any"  # any, or a name in world.INKS
