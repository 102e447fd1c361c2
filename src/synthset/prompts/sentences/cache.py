"""Sentences kept in the dataset's folder, so that they are written once and an interrupted run goes on.

`sentences.jsonl` has a line for each class: its sentences, and all that they depended on. Lines are only ever added,
each in one write that is synced; a line that a crash tore is cut off. Another writer, count, seed or phrase finds no
line of its own and adds one, so sentences are never stale, and a job that is refused later has harmed nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from synthset.core.errors import DataError, ModelError, SynthsetError, UsageError, some
from synthset.core.files import with_checksum
from synthset.core.json_records import parse_record
from synthset.core.progress import track
from synthset.prompts.sentences.base import SentenceWriter, ServerError, WritesSideBySide, check_count

SENTENCES_FILE = "sentences.jsonl"
_FAILURES_IN_A_ROW = 3  # of a server, or as many as it is asked at once, until it is given up


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
        writer: asked for the classes that are missing, one after another, or several at once if it can; each is kept
            as soon as it is there.
        count: sentences a class.
        seed: of the run.
        folder: of the dataset; made when there is something to keep.
        on_class: told the name of each class that is done.
        others: folders of other datasets, whose sentences are as good.
    Returns:
        Sentences by class name, in the order of `classes`.
    Raises:
        ModelError, UsageError: of the writer; the classes that it wrote about are kept.
        DataError: the file does not read, or cannot be written.
    """
    check_count(count)
    path = Path(folder) / SENTENCES_FILE
    kept = {line.key: line.sentences for line in _read(path)}
    elsewhere = {line.key: line.sentences for other in others for line in _read(Path(other) / SENTENCES_FILE)}
    lines = [_Line(name, phrases.get(name, ""), writer.name, writer.fingerprint, count, seed) for name in classes]
    with track(len(classes), "sentences", "classes") as bar:

        def keep(line: _Line, sentences: tuple[str, ...]) -> None:
            if line.key not in kept:
                kept[line.key] = sentences
                _append(path, {**asdict(line), "sentences": sentences})
            on_class(line.class_name)
            bar.advance()

        missing = []
        for line in lines:
            if found := kept.get(line.key) or elsewhere.get(line.key):
                keep(line, found)
            else:
                missing.append(line)
        with closing(_written(writer, missing)) as written:
            for line, sentences in written:
                keep(line, sentences)
    return {line.class_name: kept[line.key] for line in lines}


def _written(writer: SentenceWriter, lines: Sequence[_Line]) -> Generator[tuple[_Line, tuple[str, ...]], None, None]:
    """The sentences of each line, as they come.

    Raises:
        ModelError: of the writer. Of one that writes side by side a class that fails costs that class alone, and all
            others are written before it is raised; unless the server fails so often in a row that it will fail on.
    """
    if not isinstance(writer, WritesSideBySide):
        for line in lines:
            yield line, tuple(writer.write(line.class_name, line.phrase, line.count, line.seed))
        return
    if not lines:
        return
    asked = [(line.class_name, line.phrase) for line in lines]
    failures: dict[int, SynthsetError] = {}
    in_a_row = num_written = 0
    with closing(writer.write_all(asked, lines[0].count, lines[0].seed)) as answers:
        for place, answer in answers:
            if isinstance(answer, UsageError):
                raise answer
            if isinstance(answer, SynthsetError):
                failures[place] = answer
                in_a_row += isinstance(answer, ServerError)
                if in_a_row >= max(_FAILURES_IN_A_ROW, writer.requests):
                    break
            else:
                in_a_row, num_written = 0, num_written + 1
                yield lines[place], tuple(answer)
    if failures:
        raise _failed(failures, lines, len(lines) - num_written)


def _failed(failures: Mapping[int, SynthsetError], lines: Sequence[_Line], num_missing: int) -> SynthsetError:
    """The error of the first class that failed, and which other classes lack sentences."""
    first = min(failures)
    if len(lines) == 1:
        return failures[first]
    names = some([lines[place].class_name for place in sorted(failures)])
    return ModelError(
        f"{failures[first].args[0]} So it was for {names}; {num_missing:,} of {len(lines):,} classes have no sentences "
        "yet. Those of the others are kept, and the same command goes on with what is missing."
    )


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
