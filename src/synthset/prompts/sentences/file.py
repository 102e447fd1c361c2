"""Sentences from a file: written by hand, by another program, or kept by another dataset.

A YAML file has a list of sentences under each class:

    five:
      - a child wrote a five on a blackboard
      - five written in red ink

A .jsonl file has a class a line, in the form in which a dataset keeps its sentences (see cache.py); where a class
stands on several lines, the last one counts. Sentences of a file need not mention the class that they stand under.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from synthset.core.errors import UsageError, setting
from synthset.core.yaml_files import read_yaml
from synthset.prompts.classes import MAX_PHRASE_LENGTH
from synthset.prompts.phrases import name_key
from synthset.prompts.sentences.base import check_count, clean_sentence, sentence_key, words_of

ENDINGS = (".yaml", ".yml", ".jsonl")
_EXAMPLE = "five: [a five on a blackboard, a child wrote a five]"


@dataclass(frozen=True)
class FileWriter:
    """Gives the sentences of a file in their order; see `base.SentenceWriter`.

    Attributes:
        name: path of the file, as given.
        fingerprint: SHA-256 of its sentences.
        sentences: distinct ones, by the class names of the file.
    """

    name: str
    fingerprint: str
    sentences: Mapping[str, tuple[str, ...]]

    @classmethod
    def from_file(cls, path: str | Path) -> FileWriter:
        """Read a .yaml, .yml or .jsonl file. Raises UsageError in one line for whatever is wrong with it."""
        source = setting("SentenceConfig.source")
        if not Path(path).is_file():
            raise UsageError(f"Expected a file of sentences for {source}, found none at '{path}'.")
        by_line = Path(path).suffix.lower() == ".jsonl"
        lists = _read_lines(Path(path)) if by_line else read_yaml(path, source, _EXAMPLE).items()
        sentences: dict[str, tuple[str, ...]] = {}
        for class_name, texts in lists:
            if name_key(class_name) in sentences and not by_line:
                raise UsageError(f"Expected each class once in '{path}', got '{class_name}' under two spellings.")
            sentences[name_key(class_name)] = _check_sentences(class_name, texts, path)
        if not sentences:
            raise UsageError(f"Expected sentences such as '{_EXAMPLE}' in '{path}', found none.")
        digest = hashlib.sha256(json.dumps(sentences, sort_keys=True).encode()).hexdigest()
        return cls(str(path), digest, sentences)

    def write(self, class_name: str, phrase: str, count: int, seed: int) -> list[str]:
        """The first `count` sentences of a class; phrase and seed have no effect.

        Raises:
            UsageError: a count below 1, a class that is not in the file, or fewer sentences.
        """
        check_count(count)
        there = self.sentences.get(name_key(class_name), ())
        if not there:
            close = get_close_matches(name_key(class_name), self.sentences, n=1)
            hint = f"It has '{close[0]}'." if close else "Add them."
            raise UsageError(f"Expected sentences about '{class_name}' in '{self.name}', found none. {hint}")
        if len(there) < count:
            raise UsageError(
                f"Expected {count:,} distinct sentences about '{class_name}' in '{self.name}', found {len(there):,}. "
                f"Add some, or ask for fewer ({setting('SentenceConfig.count', len(there))})."
            )
        return list(there[:count])


def _read_lines(path: Path) -> Iterable[tuple[str, Any]]:
    """Class and sentences of each line of a .jsonl file."""
    form = '{"class_name": …, "sentences": […]}'
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    row = json.loads(line)
                    if not (isinstance(row, dict) and isinstance(row.get("class_name"), str) and "sentences" in row):
                        raise UsageError(f"Expected {form} on line {number} of '{path}', got something else.")
                    yield row["class_name"], row["sentences"]
    except (OSError, ValueError, RecursionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(f"Expected lines {form} in '{path}', it does not read ({reason}).") from error


def _check_sentences(class_name: str, texts: object, path: str | Path) -> tuple[str, ...]:
    """The distinct sentences of a class, cleaned, in their order."""
    if not isinstance(texts, list) or not texts:
        raise UsageError(f"Expected a list of sentences for '{class_name}' in '{path}', got {_brief(texts)}.")
    distinct: dict[str, str] = {}
    for number, text in enumerate(texts, 1):
        where = f"as sentence {number} of '{class_name}' in '{path}'"
        if not isinstance(text, str):
            raise UsageError(f"Expected text {where}, got {_brief(text)}. Put it in quotes.")
        sentence = clean_sentence(text)
        if not words_of(sentence):
            raise UsageError(f"Expected words {where}, at most {MAX_PHRASE_LENGTH} characters, got {_brief(text)}.")
        distinct.setdefault(sentence_key(sentence), sentence)
    return tuple(distinct.values())


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
