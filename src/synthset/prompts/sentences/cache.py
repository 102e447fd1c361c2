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
from pathlib import Path
from typing import Any

from synthset.core.errors import DataError, UsageError
from synthset.prompts.sentences.base import SentenceWriter

SENTENCES_FILE = "sentences.jsonl"
_KEY = ("class_name", "phrase", "fingerprint", "count", "seed")


def sentences_for(
    classes: Sequence[str],
    phrases: Mapping[str, str],
    writer: SentenceWriter,
    count: int,
    seed: int,
    folder: str | Path,
    on_class: Callable[[str], None] | None = None,
) -> dict[str, tuple[str, ...]]:
    """`count` distinct sentences about each class, from the folder where they are, else from the writer.

    Args:
        classes: class names.
        phrases: what stands for some classes in prompts, by class name.
        writer: asked for the classes that are missing, one after another; each is kept as soon as it is there.
        count: sentences a class.
        seed: of the run.
        folder: of the dataset; made when there is something to keep.
        on_class: told the name of each class that is done, for a progress bar.
    Returns:
        Sentences by class name, in the order of `classes`.
    Raises:
        ModelError, UsageError: of the writer; the classes before it are kept.
        DataError: the file does not read, or cannot be written.
    """
    if count < 1:
        raise UsageError(f"Expected at least 1 sentence a class, got {count}.")
    path = Path(folder) / SENTENCES_FILE
    kept = {_key(row): row["sentences"] for row in _read(path)}
    sentences = {}
    for name in classes:
        row: dict[str, Any] = {
            "class_name": name,
            "phrase": phrases.get(name, ""),
            "writer": writer.name,
            "fingerprint": writer.fingerprint,
            "count": count,
            "seed": seed,
        }
        if _key(row) not in kept:
            row["sentences"] = writer.write(name, row["phrase"], count, seed)
            _append(path, row)
            kept[_key(row)] = row["sentences"]
        sentences[name] = tuple(kept[_key(row)])
        if on_class:
            on_class(name)
    return sentences


def sentence_job(writer: SentenceWriter, count: int, sentences: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What a dataset's job records of its sentences: the writer, how many, and a hash over all of them."""
    content = json.dumps({name: list(texts) for name, texts in sentences.items()}, ensure_ascii=False)
    return {
        "writer": writer.name,
        "fingerprint": writer.fingerprint,
        "count": count,
        "sha256": hashlib.sha256(content.encode()).hexdigest(),
    }


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[part] for part in _KEY)


def _read(path: Path) -> list[dict[str, Any]]:
    """The rows of the file, without a torn last one."""
    try:
        data = path.read_bytes() if path.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        rows = [json.loads(line) for line in whole.decode("utf-8").split("\n")[:-1]]
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{_damaged(path)} ({(str(error).splitlines() or [type(error).__name__])[0]}).") from error
    for number, row in enumerate(rows, 1):
        if not _is_row(row):
            raise DataError(f"{_damaged(path)} (line {number}).")
    return rows


def _is_row(row: Any) -> bool:
    if not isinstance(row, dict) or not all(type(row.get(part)) in (str, int) for part in _KEY):
        return False
    texts = row.get("sentences")
    return isinstance(texts, list) and all(isinstance(text, str) for text in texts) and len(texts) == row["count"]


def _damaged(path: Path) -> str:
    return f"Expected the sentences of a dataset in '{path}'. Delete the file to have them written anew; it is damaged"


def _append(path: Path, row: Mapping[str, Any]) -> None:
    """Add a line and sync it, after cutting off what an interrupted run left."""
    line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _cut_torn_line(path)
        with path.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DataError(
            f"Expected to write sentences to '{path}' ({error.strerror}). Choose another folder."
        ) from error


def _cut_torn_line(path: Path) -> None:
    if path.exists():
        with path.open("rb") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read() == b"\n":
                    return
        os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
