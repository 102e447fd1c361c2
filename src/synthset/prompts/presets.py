"""How the papers drew each data set, as defaults for `create --dataset`.

Shipard et al. 2023, sections 4.3 and 5, where they drew it, and He et al. 2023, section 3.1, for the others. The whole
settings of a paper's run, with its generator and its training, are in recipes/.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from synthset.prompts.strategies import readers, resolve_strategies, strategy_name
from synthset.real import find_set

# of the released code of He et al. 2023 (src/glide/glide_zsl.py), by the set
_BIRD = "a photo of {sentence}, a type of bird"
SENTENCE_TEMPLATES = {"birdsnap": _BIRD, "cub": _BIRD, "imagenet-sketch": "sketch of {sentence}"}


@dataclass(frozen=True)
class Preset:
    """Defaults of `create` that follow from the real set that a synthetic one shall stand in for.

    Attributes:
        satellite: whether the strategies that have a form for satellite images take it, the base prompt excepted.
        union: what all_combined is of this set.
        sentence_template: words around a sentence of language_enhancement.
    """

    images_per_class: int
    size_px: int | None
    satellite: bool = False
    antialias: bool = True
    union: str = "all_combined"
    sentence_template: str | None = None

    def strategies(self, names: Sequence[str]) -> tuple[str, ...]:
        """The strategies that are meant: of these names, all_combined is the paper's union for this set."""
        return tuple(self.union if strategy_name(name) == "all_combined" else name for name in names)

    def defaults(self, strategies: Sequence[str]) -> dict[tuple[str, ...], Any]:
        """Values of `CreateConfig` by path, as far as one of the strategies reads them."""
        values: dict[tuple[str, ...], Any] = {
            ("images_per_class",): self.images_per_class,
            ("resize_px",): self.size_px,
            ("antialias",): self.antialias,
        }
        plain = [run.name for run in resolve_strategies(strategies, 1)]
        of_base = readers("satellite_base", plain)
        if self.satellite and set(readers("satellite", plain)) - set(of_base):
            values["style", "satellite"] = True
            if of_base:
                values["style", "satellite_base"] = False
        if self.sentence_template is not None and readers("sentence_template", strategies):
            values["style", "sentence_template"] = self.sentence_template
        return values


def preset_for(dataset: str) -> Preset:
    """The defaults for a known real set. Raises UnknownNameError."""
    real = find_set(dataset)
    # the eight-pixel digits are shown large, so that people and classifiers can see them
    size_px = 32 if real.name == "digits" else real.size_px
    if real.name == "eurosat":
        # Shipard et al. 2023: section 4.3 has a satellite form of multi_domain alone; section 5.3 found anti-aliasing
        # to hurt, and left the bare class name out, which says nothing of satellites
        return Preset(real.images_per_class, size_px, satellite=True, antialias=False, union="all_but_class_prompt")
    return Preset(real.images_per_class, size_px, sentence_template=SENTENCE_TEMPLATES.get(real.name))
