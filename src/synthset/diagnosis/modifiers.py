"""Modifiers: the words around a class in prompts, and whether they reach the images (Marwood et al. 2023, appendix B).

In the paper's Figure 10 "parts of the prompts are not captured in the image generation", by eye. Here an image's score
for a modifier is how much nearer it lies to the class with the modifier than to the class alone, as texts. Where a
modifier reaches its images, these score higher than images of the same class without it: the share of pairs in which
they do is the area under the ROC curve, 0.5 by chance.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

FAR = 0.7  # an area that a modifier has at least that plainly reaches its images; what excludes it counts as no sign
ERROR = 0.05  # false discoveries among the modifiers that are found to reach the images
MOST = 200  # modifiers that are told apart, the most frequent first
ARTICLES = ("a", "an", "the")

Reach = Literal["reaches the images", "no sign of it", "too few images to tell"]


@dataclass(frozen=True, order=True)
class Modifier:
    """Words around a class: each alone before it, and what stands between commas or stops after it."""

    place: Literal["before", "after"]
    words: str

    def text(self, noun: str) -> str:
        """The class with the modifier."""
        return f"{self.words} {noun}" if self.place == "before" else f"{noun} {self.words}"


@dataclass(frozen=True)
class Adherence:
    """Whether words reach images.

    Attributes:
        images, others: number of images with and without them.
        area: share of the pairs of one of each in which that with them is nearer to their text, in [0, 1].
        low, high: 95 % interval of the area.
        p_value: that it is no higher than 0.5, adjusted for all that were tried together.
    """

    images: int
    others: int
    area: float
    low: float
    high: float
    p_value: float
    reach: Reach


def find_class(prompt: str, noun: str) -> re.Match[str] | None:
    """Where the class stands in a prompt, by whole words, however it is capitalised."""
    return re.search(rf"(?<!\w){re.escape(noun)}(?!\w)", prompt, re.IGNORECASE)


def modifiers_of(prompt: str, noun: str) -> set[Modifier]:
    """The modifiers of a prompt; none where it lacks the class.

    >>> sorted(one.text("bus") for one in modifiers_of("a very old bus in a jungle, typical snapshot.", "bus"))
    ['bus in a jungle', 'bus typical snapshot', 'old bus', 'very bus']
    """
    if (found := find_class(prompt, noun)) is None:
        return set()
    before = re.findall(r"[^\s,.;:]+", prompt[: found.start()])
    after = (part.strip() for part in re.split(r"[,.;:]", prompt[found.end() :]))
    return {
        *(Modifier("before", word) for word in before if word.lower() not in ARTICLES),
        *(Modifier("after", part) for part in after if part),
    }


def told_apart(prompts: Sequence[str], noun: str) -> dict[Modifier, np.ndarray]:
    """The modifiers that some of the images have and others have not, and for each which have it, bool (n,).

    Args:
        prompts: of each image.
    """
    sets = {prompt: modifiers_of(prompt, noun) for prompt in set(prompts)}
    counts = Counter(one for prompt in prompts for one in sets[prompt])
    apart = sorted((one for one, count in counts.items() if count < len(prompts)), key=lambda one: (-counts[one], one))
    return {one: np.array([one in sets[prompt] for prompt in prompts]) for one in apart[:MOST]}


def scores(images: Tensor, text: Tensor, plain: Tensor) -> np.ndarray:
    """How much nearer each image lies to one text than to another: float64 (n,), differences of cosines.

    Args:
        images: (n, d), unit rows.
        text, plain: (d,), unit vectors.
    """
    return (images.double() @ (text.double() - plain.double())).cpu().numpy()


def try_adherence(tries: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[Adherence]:
    """Whether the first scores of each try are higher than the second: Mann-Whitney tests, adjusted for all of them.

    Args:
        tries: scores of images with some words, and of others without; each with one at least.
    Reference: Mann & Whitney 1947; the interval is that of Hanley & McNeil 1982; Benjamini & Hochberg 1995.
    Example:
        >>> generator = np.random.default_rng(0)
        >>> plain, with_words = generator.normal(0, 1, 40), generator.normal(2, 1, 40)
        >>> [one.reach for one in try_adherence([(with_words, plain), (plain, plain + 0), (plain[:2], plain[2:4])])]
        ['reaches the images', 'no sign of it', 'too few images to tell']
    """
    from scipy.stats import mannwhitneyu

    from synthset.diagnosis.evidence import adjust

    found = [mannwhitneyu(own, others, alternative="greater") for own, others in tries]
    p_values = adjust(np.array([float(one.pvalue) for one in found])) if found else []
    return [
        _adherence(len(own), len(others), float(one.statistic) / (len(own) * len(others)), float(p_value))
        for (own, others), one, p_value in zip(tries, found, p_values, strict=True)
    ]


def _adherence(images: int, others: int, area: float, p_value: float) -> Adherence:
    above, below = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (images - 1) * (above - area**2) + (others - 1) * (below - area**2)
    # where no pair or every pair is in order, the estimate is 0: what half a pair would make it
    half = 0.5 / (images * others)
    error = 1.96 * math.sqrt(max(variance / (images * others), half * (1 - half) / min(images, others)))
    low, high = max(0.0, area - error), min(1.0, area + error)
    reach: Reach = (
        "reaches the images" if p_value <= ERROR else "no sign of it" if high < FAR else "too few images to tell"
    )
    return Adherence(images, others, area, low, high, p_value, reach)


def columns_of(adherence: Adherence | None) -> dict[str, Any]:
    """As columns of a table, empty where nothing was tried."""
    names = {
        "area": "adherence",
        "low": "adherence_low",
        "high": "adherence_high",
        "p_value": "p_value",
        "reach": "reach",
    }
    return {column: getattr(adherence, name, None) for name, column in names.items()}
