"""The phrases of classes in a file that `create --phrases` reads, edited by the page."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from synthset.core.errors import DataError, UsageError
from synthset.core.files import write_text
from synthset.core.yaml_files import parse_yaml
from synthset.prompts.classes import check_phrase
from synthset.prompts.phrases import load_phrases, name_key, write_phrases

_NOTE = re.compile(r"[ \t]+#[^'\"\r\n]*$", re.MULTILINE)  # what stands behind a phrase
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
            self._look()
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
            self._look()
            edited = None if self._seen is None else _edited(self._seen.decode("utf-8"), class_name, phrase)
            self._phrases[class_name] = phrase
            if edited is not None:
                write_text(self.path, edited)
            else:
                self._write_anew()
            self._seen = _bytes(self.path)

    def _write_anew(self) -> None:
        told = {name: text for name, text in self._comments.items() if name}
        stated = {name: self._phrase(name) for name in (*told, *self._phrases)}
        comments = {"": self._comments.get("", _ON_TOP), **{name: f"\n{text}" for name, text in told.items()}}
        write_phrases(self.path, stated, comments)

    def _look(self) -> None:
        """Take over what others wrote meanwhile."""
        if self._seen != _bytes(self.path):
            self._read()

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


def _edited(text: str, class_name: str, phrase: str) -> str | None:
    """The text of a file with another phrase in its line, or in a new one, and all else as it stands.

    None where that is not so simple: a phrase that goes over several lines, a file in one pair of braces.
    """
    lines, key, spelled = text.splitlines(keepends=True), name_key(class_name), class_name
    place = len(lines)
    for number, line in enumerate(lines):
        for name in _entry(line):
            if name_key(str(name)) == key:
                place, spelled = number, str(name)
    old = lines[place] if place < len(lines) else ""
    note = _NOTE.search(old)
    end = note[0] if note and note[0].strip() not in str(_entry(old).get(spelled)) else ""
    line = yaml.safe_dump({spelled: phrase}, allow_unicode=True, width=2**20).rstrip("\n") + end + "\n"
    before = "".join(lines[:place])
    edited = before + ("" if not before or before.endswith("\n") else "\n") + line + "".join(lines[place + 1 :])
    return edited if _said(edited) == {**_said(text), spelled: phrase} else None


def _entry(line: str) -> Mapping[str, object]:
    """What a line says of a class; nothing where it belongs to the line before."""
    return _said(line) if line[:1].strip() else {}


def _said(text: str) -> Mapping[str, object]:
    """What a text holds, as `load_phrases` reads it; nothing where it does not read."""
    with suppress(UsageError):
        value = parse_yaml(text, "", "")
        return value if isinstance(value, dict) else {}
    return {}


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
        (spelled,) = entry if len(entry := _entry(line)) == 1 else ("",)
        name = known.get(name_key(str(spelled)))
        if name and blocks[-1]:
            if len(blocks) > 1 and not comments:
                comments[""] = blocks[0].strip()
            comments[name] = blocks[-1].strip()
    return comments
