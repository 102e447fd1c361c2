"""Sentences kept in the dataset's folder, so that they are written once and an interrupted run goes on.

`sentences.jsonl` has a line for each class: its sentences, and all that they depended on. Lines are only ever added,
each in one write that is synced; a line that a crash tore is cut off. Another writer, count, seed or phrase finds no
line of its own and adds one, so sentences are never stale, and a job that is refused later has harmed nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from synthset.core.errors import DataError
from synthset.core.files import with_checksum
from synthset.core.json_records import parse_record
from synthset.core.progress import track
from synthset.prompts.sentences.base import SentenceWriter, check_count

SENTENCES_FILE = "sentences.jsonl"


@dataclass(frozen=True)
class _Line:
    """The sentences of a class, and all that they depended on."""

    class_name: str
    phrase: str
    writer: str
    fingerprint: str
    count: int
    seed: int
    sentences: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[Any, ...]:
        """Whose sentences they are; the writer may be known by another name."""
        return self.class_name, self.phrase, self.fingerprint, self.count, self.seed


def sentences_for(
    classes: Sequence[str],
    phrases: Mapping[str, str],
    writer: SentenceWriter,
    count: int,
    seed: int,
    folder: str | Path,
    on_class: Callable[[str], object] = lambda name: None,
    others: Sequence[str | Path] = (),
) -> dict[str, tuple[str, ...]]:
    """`count` distinct sentences about each class, from the folders where they are, else from the writer.

    Args:
        classes: class names.
        phrases: what stands for some classes in prompts, by class name.
        writer: asked for the classes that are missing, one after another; each is kept as soon as it is there.
        count: sentences a class.
        seed: of the run.
        folder: of the dataset; made when there is something to keep.
        on_class: told the name of each class that is done.
        others: folders of other datasets, whose sentences are as good.
    Returns:
        Sentences by class name, in the order of `classes`.
    Raises:
        ModelError, UsageError: of the writer; the classes before it are kept.
        DataError: the file does not read, or cannot be written.
    """
    check_count(count)
    path = Path(folder) / SENTENCES_FILE
    kept = {line.key: line.sentences for line in _read(path)}
    elsewhere = {line.key: line.sentences for other in others for line in _read(Path(other) / SENTENCES_FILE)}
    sentences = {}
    with track(len(classes), "sentences", "classes") as bar:
        for name in classes:
            line = _Line(name, phrases.get(name, ""), writer.name, writer.fingerprint, count, seed)
            if line.key not in kept:
                kept[line.key] = elsewhere.get(line.key) or tuple(writer.write(name, line.phrase, count, seed))
                _append(path, {**asdict(line), "sentences": kept[line.key]})
            sentences[name] = kept[line.key]
            on_class(name)
            bar.advance()
    return sentences


def kept_sentences(
    classes: Sequence[str],
    phrases: Mapping[str, str],
    writer: SentenceWriter,
    count: int,
    seed: int,
    folders: Sequence[str | Path],
) -> dict[str, tuple[str, ...]]:
    """The sentences that are in one of the folders, of those classes that have any. Arguments as of `sentences_for`."""
    kept = {line.key: line.sentences for folder in folders for line in _read(Path(folder) / SENTENCES_FILE)}
    keys = {
        name: _Line(name, phrases.get(name, ""), writer.name, writer.fingerprint, count, seed).key for name in classes
    }
    return {name: kept[key] for name, key in keys.items() if key in kept}


def sentence_job(writer: SentenceWriter, count: int, sentences: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What a dataset's job records of its sentences: the writer, how many, and a hash over all of them."""
    content = json.dumps({name: list(texts) for name, texts in sentences.items()}, ensure_ascii=False)
    return {
        "writer": writer.name,
        "fingerprint": writer.fingerprint,
        "count": count,
        "sha256": hashlib.sha256(content.encode()).hexdigest(),
    }


def _read(path: Path) -> list[_Line]:
    """The lines of the file, without a torn last one."""
    try:
        whole = path.read_bytes().split(b"\n")[:-1]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataError(f"Expected the sentences of a dataset in '{path}', got: {error.strerror}.") from error
    remedy = "The file is damaged. Delete it to have the sentences written anew."
    lines = []
    for number, data in enumerate(whole, 1):
        line = parse_record(_Line, data, f"line {number} of '{path}'", remedy)
        if len(line.sentences) != line.count:
            raise DataError(
                f"Expected as many sentences as 'count' says in line {number} of '{path}', {line.count}, "
                f"got {len(line.sentences)}. {remedy}"
            )
        lines.append(line)
    return lines


def _append(path: Path, row: Mapping[str, Any]) -> None:
    """Add a line and sync it, after cutting off what an interrupted run left."""
    line = json.dumps(with_checksum(row), ensure_ascii=False).encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            _cut_torn_line(file)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DataError(
            f"Expected to write sentences to '{path}' ({error.strerror}). Choose another folder."
        ) from error


def _cut_torn_line(file: BinaryIO) -> None:
    if file.seek(0, os.SEEK_END):
        file.seek(-1, os.SEEK_END)
        if file.read() != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
