"""The class names of the real sets, as words for prompts: one file a set, one name a line, in label order.

They are the names that CLIP was published with, where it was scored on the set (Radford et al. 2021), and the set's
own otherwise; without slashes, which no class name may have ("F-16A/B" is "F-16AB"). ImageNet's come from timm.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from synthset.core.seeds import derive_seed


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


# Ids of WordNet 3.0 are places in its file of nouns, which goes by lexicographer's file: these are noun.person's. It
# holds the subtree of the synset person but for its root, which noun.Tops has, and imaginary beings.
_PERSON, _PERSONS = 7_846, range(9_483_738, 11_408_559)
_SEED_OF_2K = 0


def is_person(synset: str) -> bool:
    """Whether a synset of WordNet 3.0, by its id such as n10791115, is a person, or a being that is thought of as one.

    By its lexicographer's file, noun.person, which the number tells; no hierarchy is at hand.
    """
    number = int(synset[1:])
    return number == _PERSON or number in _PERSONS


@cache
def imagenet_2k() -> dict[str, str]:
    """The names of 2,000 classes by WordNet id: ImageNet-1K's, then 1,000 of ImageNet-21K, always the same ones.

    Those are drawn from its synsets but for ImageNet-1K's, for persons (see `is_person`), and for each whose first
    lemma another synset of either has too; they are called by that lemma. He et al. 2023, section 3.3, says no more of
    its IN-2K than that the 1,000 are random and do not overlap, so its list is another.
    """
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-21k-goog")  # all 21,843
    names = {synset: _first_lemma(info.label_name_to_description(synset)) for synset in info.label_names()}
    known = dict(zip(imagenet_ids(), imagenet_names(), strict=True))
    of_known = ImageNetInfo("imagenet-1k")
    firsts = {synset: _first_lemma(of_known.label_name_to_description(synset)) for synset in known}
    count = Counter(_key(name) for name in (names | firsts).values())
    taken = {_key(name) for name in known.values()}
    free = [
        synset
        for synset, name in names.items()
        if synset not in known and not is_person(synset) and count[_key(name)] == 1 and _key(name) not in taken
    ]
    drawn = sorted(free, key=lambda synset: derive_seed(_SEED_OF_2K, "imagenet-2k", synset))[:1000]
    return known | {synset: names[synset] for synset in sorted(drawn)}


def lemmas_of(synsets: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The lemmas of those of the WordNet ids that ImageNet-21K has; of ImageNet-1K's, its name there is first."""
    from timm.data import ImageNetInfo

    name_of = dict(zip(imagenet_ids(), imagenet_names(), strict=True))
    of_1k, of_21k = ImageNetInfo("imagenet-1k"), ImageNetInfo("imagenet-21k-goog")
    known, found = {*of_21k.label_names(), *name_of}, dict[str, tuple[str, ...]]()
    for synset in (synset for synset in synsets if synset in known):
        lemmas = (of_1k if synset in name_of else of_21k).label_name_to_description(synset).split(", ")
        found[synset] = tuple(dict.fromkeys([name_of.get(synset, lemmas[0]), *lemmas]))
    return found


def _first_lemma(description: str) -> str:
    return description.partition(", ")[0]


def _key(name: str) -> str:
    """A name as prompts read it, in lower case."""
    return " ".join(re.split(r"[\s_-]+", name.casefold()))


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
