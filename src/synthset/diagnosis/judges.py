"""Judges: classifiers that say which class each image of a set shows, in place of CLIP or beside it.

Marwood et al. 2023, Reason 1, and Tables 1 and 2: a network that learned from ImageNet is tested on synthetic images.
A judge is a classifier of ours, or one of timm's with its published head, whose outputs are ImageNet's synsets. One
class may be several of its outputs (a dog is 118 of them), which a file says; a class that it does not know is left
out, and said.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from timm import is_model
from torch import Tensor

from synthset.classifiers.models import Classifier, load_classifier
from synthset.classifiers.pretrained import IMAGENET, load_pretrained
from synthset.classifiers.scoring import wilson_interval
from synthset.core.errors import UnknownNameError, UsageError, setting, some
from synthset.core.options import expect
from synthset.core.yaml_files import read_yaml
from synthset.diagnosis.ambiguity import ClassAmbiguity, rank_ambiguity
from synthset.diagnosis.inputs import DiagnosedSet
from synthset.images.imageset import ImageSet
from synthset.real.matching import fold, labels_of, match_names
from synthset.real.sets import wordnet_ids_of

log = logging.getLogger("synthset")

_SYNSET = re.compile(r"n\d{8}")
_RANGE = re.compile(rf"({_SYNSET.pattern})\s*:\s*({_SYNSET.pattern})")


@dataclass(frozen=True, eq=False)
class Judge:
    """A classifier, and what of it stands for the classes of a set.

    Attributes:
        name: as it was asked for.
        class_names: the k classes of the set.
        outputs: of each class the outputs of the classifier that mean it; none where it knows no such class.
    """

    name: str
    classifier: Classifier
    class_names: tuple[str, ...]
    outputs: tuple[tuple[int, ...], ...]

    @property
    def known(self) -> list[int]:
        """The classes that it can tell, by their indices."""
        return [index for index, outputs in enumerate(self.outputs) if outputs]

    def words(self) -> dict[str, tuple[str, ...]]:
        """What stands for each class that it can tell, as it calls these itself."""
        named = self.classifier.class_names
        return {self.class_names[i]: tuple(_in_words(named[output]) for output in self.outputs[i]) for i in self.known}

    def predict(self, images: ImageSet, batch_size: int = 256) -> Tensor:
        """The class of each image among those that it can tell: int64 (n,), indices into `class_names`.

        That with the highest mean of the probabilities of its outputs: their sum, with the share of outputs that mean
        a class taken out, as classes of a set are equally frequent. By the sum alone, whatever is blurred were a dog.
        Images are decoded batch by batch.
        Raises:
            DataError: images that cannot be read.
        """
        config, known = self.classifier.config, self.known
        membership = torch.zeros(len(config.class_names), len(known))
        for column, index in enumerate(known):
            membership[list(self.outputs[index]), column] = 1 / len(self.outputs[index])
        predicted = []
        for start in range(0, len(images), batch_size):
            batch = images.select(np.arange(start, min(start + batch_size, len(images))))
            pixels = batch.tensor(config.image_size_px, config.antialias)
            predicted.append((self.classifier.predict(pixels, batch_size).softmax(1) @ membership).argmax(1))
        return torch.tensor(known)[torch.cat(predicted)]


@dataclass(frozen=True)
class JudgedSet:
    """How many images of a set a judge recognises: of the classes that it can tell, in [0, 1], with a 95 % interval."""

    set: str
    kind: str
    images: int
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class JudgedClass(ClassAmbiguity):
    """How it recognises one class of a set.

    Attributes:
        rank: within the set, from 1, worst first.
    """

    set: str
    kind: str
    rank: int


@dataclass(frozen=True)
class Judged:
    """What a judge made of the sets of a diagnosis.

    Attributes:
        seen: the images that it learned from, in words; empty where that is not known.
        meant: by class that it can tell, what it calls it.
        left_out: classes that it cannot tell.
    """

    judge: str
    seen: str
    meant: Mapping[str, tuple[str, ...]]
    left_out: tuple[str, ...]
    sets: tuple[JudgedSet, ...]
    classes: tuple[JudgedClass, ...]

    def note(self) -> dict[str, Any]:
        """All but the classes, which have a table, as JSON can hold it."""
        return {name: value for name, value in asdict(self).items() if name != "classes"}


def load_network(source: str | Path, device: str = "auto") -> Classifier:
    """A classifier of ours by its folder, or one of timm's, with its head: NAME for its usual weights, or NAME@FILE.

    Raises:
        UsageError, ModelError: no such model, weights that do not fit it, or ones without a head.
    """
    if is_ours(source):
        return load_classifier(Path(source), device)
    name, _, weights = str(source).partition("@")
    expect(is_model(name), f"the folder of a model, or the name of one of timm's, got '{source}', which is neither")
    return load_pretrained(name, weights or IMAGENET, device)


def is_ours(source: str | Path) -> bool:
    """Whether a model's name is the path of a folder, not that of an architecture."""
    name = str(source).partition("@")[0]
    return (
        isinstance(source, Path) or Path(source).exists() or len(Path(name).parts) != 1 or name.startswith((".", "~"))
    )


def load_judge(
    source: str | Path, class_names: Sequence[str], classes: str | Path | None = None, device: str = "auto"
) -> Judge:
    """A judge of images of these classes.

    Args:
        source: see load_network.
        class_names: of the images.
        classes: YAML file of what stands for a class, see read_outputs; classes that it leaves out go by their names.
    Raises:
        UsageError: fewer than two of the classes are known to it, or a file that cannot be.
        ModelError: see load_network.
    """
    classifier = load_network(source, device)
    own = is_ours(source)
    outputs = _by_name(classifier, class_names) if own else _by_synset(classifier, class_names)
    if classes is not None:
        outputs |= read_outputs(classes, class_names, classifier.class_names, not own)
        _check_apart(outputs, classifier.class_names, class_names)
    judge = Judge(str(source), classifier, tuple(class_names), tuple(outputs.get(name, ()) for name in class_names))
    expect(
        len(judge.known) > 1,
        f"a judge that knows at least two of the classes {some(class_names, 8)}, '{source}' knows {len(judge.known)}. "
        f"Say in a file what stands for them: {setting('judge_classes')}",
    )
    return judge


def read_outputs(
    path: str | Path, class_names: Sequence[str], outputs: Sequence[str], is_imagenet: bool = False
) -> dict[str, tuple[int, ...]]:
    """The outputs of a judge that stand for a class, from a YAML file.

        airplane: [airliner, warplane]
        dog: n02085620:n02113978     of ImageNet's synsets, all between these two

    Args:
        class_names: of the images.
        outputs: what the judge calls its classes; of ImageNet's the WordNet ids.
        is_imagenet: whether those are ImageNet's synsets, which go by their names too.
    Raises:
        UsageError: the file does not read, or names a class that the images or the judge do not have.
    """
    content = read_yaml(path, setting("judge_classes"), "airplane: [airliner, warplane]")
    found: dict[str, tuple[int, ...]] = {}
    for name, words in content.items():
        if name not in class_names:
            raise UnknownNameError(f"class in '{path}':", name, class_names)
        texts = words if isinstance(words, list) else [words]
        is_text = bool(texts) and all(isinstance(text, str) for text in texts)
        expect(is_text, f"one or several names for '{name}' in '{path}', got {words!r}")
        places = [place for text in texts for place in _places(text, outputs, is_imagenet, str(path))]
        found[name] = tuple(dict.fromkeys(places))
    return found


def _places(text: str, outputs: Sequence[str], is_imagenet: bool, path: str) -> list[int]:
    """The outputs that a text of the file means."""
    if is_imagenet and (ends := _RANGE.fullmatch(text.strip())):
        first, last = ends.groups()
        places = [place for place, synset in enumerate(outputs) if first <= synset <= last]
        expect(bool(places), f"synsets of the judge in '{path}', it has none from {first} to {last}")
        return places
    if is_imagenet:
        (place,) = _synset_places([text], outputs)
    else:
        place = {fold(name): place for place, name in enumerate(outputs)}.get(fold(text), -1)
    if place < 0:
        why = " It may name several synsets: give the WordNet id of one, e.g. n02690373." if is_imagenet else ""
        raise UsageError(f"Expected classes of the judge in '{path}', it has no '{text}'.{why}")
    return [place]


def _by_name(classifier: Classifier, class_names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    match = match_names(class_names, classifier.class_names, "the judge")
    found: dict[str, tuple[int, ...]] = {}
    for output, index in enumerate(map(int, match.index)):
        if index >= 0:
            found[class_names[index]] = (output,)
    return found


def _by_synset(classifier: Classifier, class_names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    places = _synset_places(class_names, classifier.class_names)
    found = {name: (place,) for name, place in zip(class_names, places, strict=True) if place >= 0}
    _check_apart(found, classifier.class_names, class_names)
    return found


def _synset_places(words: Sequence[str], synsets: Sequence[str]) -> list[int]:
    """The place of each word, a WordNet id or a name of one of ImageNet's 1,000 classes; -1 for other words."""
    place_of, ids = {synset: place for place, synset in enumerate(synsets)}, wordnet_ids_of("imagenet")
    labels = labels_of("imagenet", words).tolist()
    named = [ids[label] if label >= 0 else word.strip() for label, word in zip(labels, words, strict=True)]
    return [place_of.get(synset, -1) for synset in named]


def _in_words(name: str) -> str:
    """A class of a judge as a person reads it: a synset by its first lemma, beside its WordNet id."""
    words = _lemmas().get(name)
    return f"{words.split(', ')[0]} ({name})" if words else name


@cache
def _lemmas() -> dict[str, str]:
    """The words of every synset that a head of timm's may have, by its WordNet id."""
    from timm.data import ImageNetInfo

    infos = [ImageNetInfo(name) for name in ("imagenet-22k", "imagenet-1k")]  # of the 1,000 the former lacks one
    return {synset: info.label_name_to_description(synset) for info in infos for synset in info.label_names()}


def _check_apart(found: Mapping[str, Sequence[int]], outputs: Sequence[str], class_names: Sequence[str]) -> None:
    """Raise UsageError where one output stands for two classes."""
    owner: dict[int, str] = {}
    for name in class_names:
        for output in found.get(name, ()):
            other = owner.setdefault(output, name)
            expect(
                other == name,
                f"classes of the judge that each stand for one class, '{outputs[output]}' stands for '{other}' and "
                f"'{name}'. Say in {setting('judge_classes')} what stands for these",
            )


def judge_sets(judge: Judge, sets: Sequence[DiagnosedSet]) -> Judged:
    """How the judge recognises each set and its classes; images of classes that it cannot tell are left out."""
    left_out = tuple(name for index, name in enumerate(judge.class_names) if not judge.outputs[index])
    if left_out:
        log.warning("'%s' does not know %s: their images are left out of its view.", judge.name, some(left_out))
    judged, classes = [], []
    for item in sets:
        of_set, ranking = _judge_set(judge, item)
        judged.append(of_set)
        classes += [
            JudgedClass(**vars(place), set=item.name, kind=item.kind, rank=rank)
            for rank, place in enumerate(ranking, start=1)
        ]
    seen = judge.classifier.config.seen
    return Judged(judge.name, seen, judge.words(), left_out, tuple(judged), tuple(classes))


def _judge_set(judge: Judge, item: DiagnosedSet) -> tuple[JudgedSet, list[ClassAmbiguity]]:
    known = judge.known
    images = item.images.select(np.flatnonzero(np.isin(item.images.labels, known)))
    labels, predicted = (np.searchsorted(known, of) for of in (images.labels, judge.predict(images).numpy()))
    correct, total = int((labels == predicted).sum()), len(labels)
    ranking = rank_ambiguity(torch.from_numpy(predicted), labels, [judge.class_names[index] for index in known])
    own = JudgedSet(item.name, item.kind, total, correct / total, *wilson_interval(correct, total))
    return own, [replace(place, class_index=known[place.class_index]) for place in ranking]


def judged_table(judged: Judged) -> pa.Table:
    """A row a class of each set, as the judge sees it, with what it calls the class."""
    rows = [{**asdict(row), "meant": "; ".join(judged.meant[row.class_name])} for row in judged.classes]
    return pa.Table.from_pylist(rows)
