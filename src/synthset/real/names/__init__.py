"""The class names of the real sets, as words for prompts: one file a set, one name a line, in label order.

They are the names that CLIP was published with, where it was scored on the set (Radford et al. 2021), and the set's
own otherwise; without slashes, which no class name may have ("F-16A/B" is "F-16AB"). ImageNet's come from timm.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from importlib.resources import files


def read_names(name: str) -> tuple[str, ...]:
    """The lines of one of the files beside this one."""
    return tuple((files(__name__) / f"{name}.txt").read_text(encoding="utf-8").splitlines())


@cache
def imagenet_names() -> tuple[str, ...]:
    """The first lemma of each of the 1,000 synsets; where two share one, what tells them apart."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    lemmas = [info.index_to_description(index).split(", ") for index in range(info.num_classes())]
    count = Counter(first.casefold() for first, *_ in lemmas)  # "Cardigan" is a dog
    names = []
    for index, (first, *others) in enumerate(lemmas):
        if count[first.casefold()] == 1:
            names.append(first)
        elif others:
            names.append(others[0])
        else:
            detailed = info.index_to_description(index, detailed=True)  # "crane: large … bird of marshes …"
            gist = re.split(r"[,;:]| of | for | that ", detailed.removeprefix(f"{first}: "))[0]
            names.append(f"{first} ({gist.strip()})")
    return tuple(names)


@cache
def imagenet_ids() -> tuple[str, ...]:
    """The WordNet id of each of the 1,000 synsets, e.g. n01440764."""
    from timm.data import ImageNetInfo

    return tuple(ImageNetInfo("imagenet-1k").label_names())


@cache
def imagenet_r_names() -> tuple[str, ...]:
    """ImageNet's names of the 200 synsets that ImageNet-R draws."""
    name_of = dict(zip(imagenet_ids(), imagenet_names(), strict=True))
    return tuple(name_of[synset] for synset in read_names("imagenet-r"))


@cache
def openai_names() -> tuple[str, ...]:
    """The 1,000 names that CLIP was published with, by index, for two of them stand for two synsets each."""
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

    return tuple(IMAGENET_CLASSNAMES)


@cache
def imagenet_texts() -> dict[str, tuple[str, ...]]:
    """Other names of ImageNet's classes by WordNet id: the lemmas of a synset, and those that CLIP was asked for."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    texts = [info.index_to_description(index) for index in range(info.num_classes())]
    return {
        synset: (text, text.partition(",")[0], openai_names()[index])
        for index, (synset, text) in enumerate(zip(imagenet_ids(), texts, strict=True))
    }
