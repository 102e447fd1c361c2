"""The phrases of classes in a file that `create --phrases` reads, edited by the page."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from synthset.core.errors import DataError
from synthset.prompts.classes import check_phrase
from synthset.prompts.phrases import load_phrases, name_key, write_phrases

_ON_TOP = "Say in a few words what each class is, then: synthset create --phrases THIS_FILE"


@dataclass(frozen=True)
class PhraseRow:
    """A class, what stands for it in prompts, and what a diagnosis said of it; empty where it said nothing."""

    class_name: str
    phrase: str
    comment: str = ""


class Phrases:
    """A file of phrases, or one that is still to be made.

    Args:
        path: of the file.
        class_names: the k names.
        present: phrases that the dataset was drawn by.
    Raises:
        UsageError: a file there that holds no phrases of these classes.
    """

    def __init__(self, path: Path, class_names: Sequence[str], present: Mapping[str, str]) -> None:
        self.path, self._class_names, self._present = path, class_names, present
        self._lock = threading.Lock()
        self._phrases: dict[str, str] = {}
        self._comments: dict[str, str] = {}
        self._seen: bytes | None = None
        self._read()

    def rows(self) -> list[PhraseRow]:
        """Every class, those that a diagnosis named first, in the order of the file."""
        with self._lock:
            named = [name for name in self._comments if name]
            names = [*named, *(name for name in self._class_names if name not in self._comments)]
            return [PhraseRow(name, self._phrase(name), self._comments.get(name, "")) for name in names]

    def save(self, class_name: str, phrase: str) -> None:
        """Write one phrase; the name of the class, or nothing, takes it back.

        Raises:
            UsageError: a phrase that cannot be.
            DataError: no such class, or a file that was changed meanwhile.
        """
        if class_name not in self._class_names:
            raise DataError("Expected a class of the dataset, got another. Load the page anew.")
        phrase = check_phrase(class_name, phrase.strip() or class_name)
        with self._lock:
            if self._seen != _bytes(self.path):
                self._read()
            self._phrases[class_name] = phrase
            told = {name: text for name, text in self._comments.items() if name}
            stated = {name: self._phrase(name) for name in (*told, *self._phrases)}
            comments = {"": self._comments.get("", _ON_TOP), **{name: f"\n{text}" for name, text in told.items()}}
            write_phrases(self.path, stated, comments)
            self._seen = _bytes(self.path)

    def _phrase(self, name: str) -> str:
        return self._phrases.get(name, self._present.get(name, name))

    def _read(self) -> None:
        self._seen = _bytes(self.path)
        if self._seen is None:
            return
        self._phrases = load_phrases(self.path, self._class_names)
        self._comments = _comments_of(self._seen.decode("utf-8"), self._class_names)


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _comments_of(text: str, class_names: Sequence[str]) -> dict[str, str]:
    """What stands above each class of a file that `write_phrases` wrote; under the empty name, on top of it."""
    known, comments, lines = {name_key(name): name for name in class_names}, dict[str, str](), list[str]()
    for line in text.splitlines():
        if line.startswith("#"):
            lines.append(line.removeprefix("#").strip())
            continue
        if not line.strip():
            continue
        blocks, lines = "\n".join(lines).split("\n\n"), []
        try:
            (spelled,) = yaml.safe_load(line)
        except (yaml.YAMLError, TypeError, ValueError):
            continue  # a phrase that goes over several lines
        name = known.get(name_key(str(spelled)))
        if name and blocks[-1]:
            if len(blocks) > 1 and not comments:
                comments[""] = blocks[0].strip()
            comments[name] = blocks[-1].strip()
    return comments
