"""Additions to a checkpoint: LoRAs and embeddings of textual inversion, found and hashed.

`adapting` puts them in; importing this loads no torch. All are safetensors files; a pickle is refused.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from synthset.core.errors import UsageError, setting
from synthset.core.files import sha256_of
from synthset.core.options import Option, check_options, expect
from synthset.generators.tensor_files import find_safetensors

MOST_CHARACTERS = 100
A_TOKEN = f"a token of at most {MOST_CHARACTERS} characters that can be seen, without spaces,"
_PLACEHOLDER = re.compile(r"<[\w-]+>")  # as tokens of textual inversion are mostly written


@dataclass(frozen=True)
class Additions:
    """What is put into a checkpoint before it draws; it becomes part of its weights, and of the job.

    Raises:
        UsageError: a value that cannot be.
    """

    lora: Annotated[tuple[str, ...], Option(default="none")] = ()
    """LoRAs to draw with, each a safetensors file or a folder with one, and after a colon its scale where that is not
    1: style.safetensors:0.8."""
    embedding: Annotated[tuple[str, ...], Option(default="none")] = ()
    """Embeddings of textual inversion, each a safetensors file or a folder with one, and after a colon the token that
    stands for it in prompts and `phrases`, where that is not the file's own: `toy.safetensors:<toy>`."""

    def __post_init__(self) -> None:
        for name in ("lora", "embedding"):
            given = getattr(self, name)
            several = given if isinstance(given, list | tuple) else (given,)
            object.__setattr__(self, name, tuple(str(one) if isinstance(one, Path) else one for one in several))
        check_options(self)


@dataclass(frozen=True)
class Lora:
    """A LoRA at hand: low-rank changes of weights (Hu et al. 2021), `scale` times."""

    path: Path
    scale: float
    sha256: str


@dataclass(frozen=True)
class Embedding:
    """An embedding of textual inversion at hand (Gal et al. 2022); without a token it has the file's own."""

    path: Path
    token: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.path.name}:{self.token}" if self.token else self.path.name


@dataclass(frozen=True)
class FoundAdditions:
    """Additions at hand, in the order in which they are put in."""

    loras: tuple[Lora, ...] = ()
    embeddings: tuple[Embedding, ...] = ()

    def describe(self) -> dict[str, Any]:
        """Their part of a generation config: names for people, scales, tokens, and hashes of contents."""
        entries: dict[str, Any] = {}
        if self.loras:
            entries["lora"] = tuple(lora.path.name for lora in self.loras)
            entries["lora_scale"] = tuple(lora.scale for lora in self.loras)
            entries["lora_hash"] = _hash(lora.sha256 for lora in self.loras)
        if self.embeddings:
            entries["embedding"] = tuple(str(embedding) for embedding in self.embeddings)
            entries["embedding_hash"] = _hash(f"{one.sha256} {one.token}" for one in self.embeddings)
        return entries


def _hash(contents: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(contents).encode()).hexdigest()


def find_additions(additions: Additions) -> FoundAdditions:
    """The files that are meant, with their hashes.

    Raises:
        UsageError: a scale or a token that cannot be, or a path that can be read in two ways.
        ModelError: a file that is not there, or no safetensors file.
    """
    loras, embeddings = list[Lora](), list[Embedding]()
    for text in additions.lora:
        path, scale = _split(text, "lora")
        path = find_safetensors(path, "LoRA", "lora")
        lora = Lora(path, _read_scale(scale, text), sha256_of(path))
        if same := [one.path for one in loras if one.sha256 == lora.sha256]:
            raise UsageError(
                f"Expected each LoRA once for {setting('lora')}, got '{same[0]}' and '{path}', which are the same. "
                "Give one of them, at the scale that is meant."
            )
        loras.append(lora)
    for text in additions.embedding:
        path, token = _split(text, "embedding")
        path = find_safetensors(path, "embedding", "embedding")
        expect(not token or is_token(token), f"{A_TOKEN} in {setting('embedding', text)}, got '{token}'")
        embeddings.append(Embedding(path, token, sha256_of(path)))
    return FoundAdditions(tuple(loras), tuple(embeddings))


def _split(text: str, option: str) -> tuple[Path, str]:
    """The path, and what stands after its last colon; a file may have a colon in its name."""
    before, colon, after = text.rpartition(":")
    if "://" in text:
        raise UsageError(f"Expected a file of this machine for {setting(option)}, got '{text}'. Fetch it before.")
    if not text or text == ":":
        raise UsageError(f"Expected a file for {setting(option)}, got an empty text. Is a variable not set?")
    if colon and not after and not Path(text).expanduser().exists():
        what = "scale" if option == "lora" else "token"
        raise UsageError(
            f"Expected a {what} behind the colon for {setting(option)}, got '{text}'. Is a variable not set? Or leave "
            "out the colon."
        )
    whole, part = Path(text).expanduser(), Path(before).expanduser()
    if before and whole.exists() and part.exists():
        raise UsageError(
            f"Expected {setting(option)} that can be read in one way, got '{text}': both '{whole}' and '{part}' exist. "
            "Rename one of them."
        )
    return (part, after) if before and not whole.exists() else (whole, "")


def _read_scale(scale: str, text: str) -> float:
    try:
        value = float(scale or 1)
    except ValueError:
        value = math.nan
    expect(
        math.isfinite(value),
        f"a safetensors file and its scale as {setting('lora', 'style.safetensors:0.8')}, got '{text}', whose scale "
        f"'{scale}' is no finite number",
    )
    return value


def is_token(text: str) -> bool:
    """Whether a text can stand for an embedding in prompts, see A_TOKEN.

    >>> is_token("<toy>"), is_token("a toy"), is_token("\\x1b[31m")
    (True, False, False)
    """
    return text.isprintable() and 0 < len(text) <= MOST_CHARACTERS and not any(map(str.isspace, text))


def placeholders(text: str) -> list[str]:
    """What of a text looks like the token of an embedding.

    >>> placeholders("a photo of a <cat-toy> on a table, 3 < 4")
    ['<cat-toy>']
    """
    return _PLACEHOLDER.findall(text)
