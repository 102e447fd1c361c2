"""Embeddings of images and texts, computed once: a cache that is keyed by content.

A vector is found again by the bytes it came from and by the fingerprint of the encoder, never by the name of a set
or of a model, so that another backbone or another set cannot be given it:

    <cache>/<encoder's fingerprint>/images/part-*.parquet    sha256 of the encoded image, its vector
    <cache>/<encoder's fingerprint>/texts/part-*.parquet     sha256 of the UTF-8 text, its vector

Parts are only ever added, each whole or not there, so that a killed run goes on where it was and any number of
processes may write at once. A part that cannot be read is left aside, and its vectors are computed again.
"""

from __future__ import annotations

import hashlib
import logging
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from synthset.core.errors import DataError, ModelError, UsageError, first_line, setting
from synthset.core.files import atomic_write, cache_folder, delete_parts
from synthset.core.parquet_files import open_parquet, write_parquet
from synthset.core.progress import track
from synthset.encoders.clip import Encoder, OpenClipEncoder
from synthset.encoders.templates import TEMPLATES, fill_templates
from synthset.executors import Executor
from synthset.images.imageset import ImageSet
from synthset.prompts.classes import tell_codes

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

DEFAULT_TEMPLATES = TEMPLATES["default"]
PART_ROWS = 4096  # vectors that a kill may cost; 8 MB at 512 dimensions
TEXT_BATCH = 1024
_GROUP_ROWS = 1024  # what is read to find one vector
_KEY = "S32"  # a sha256: unlike Python's bytes, many of them sort and compare fast


def embed_images(
    images: ImageSet, encoder: Encoder, cache: EmbeddingCache | None = None, *, batch_size: int = 256
) -> Tensor:
    """The vector of each image: float32 (n, d), unit rows. Equal files of a set are embedded once.

    Args:
        cache: where vectors are looked up and added; None keeps nothing.
        batch_size: images that the encoder is given at once; about two batches are in memory.
    Raises:
        DataError: images that cannot be read; all are named, and what was embedded before the first is in the cache.
        ModelError: the encoder gives something other than finite vectors of its dimension.
    """
    if batch_size < 1:
        raise UsageError(f"Expected a batch size of at least 1, got {batch_size}.")
    encode = partial(_encode_images, images, encoder, batch_size)
    try:
        return _embed("images", _image_keys(images), encode, encoder, cache)
    except DataError:
        images.check()  # names all of them where the images are at fault
        raise


def fill_cache(
    images: ImageSet, encoder: Encoder, cache: EmbeddingCache, executor: Executor, *, chunk: int = PART_ROWS
) -> None:
    """Embed the images by an executor, each chunk of them into the cache, from which `embed_images` then has them.

    Args:
        encoder, images: travel to the workers, so both can be pickled.
        cache: in a folder that all workers reach.
        executor: see executors/; the item of work is a chunk of that many images, and one that is there already
            costs no more than reading its images.
    Raises:
        As `embed_images`.
    """
    work = partial(_embed_rows, images, encoder, cache)
    with track(len(images), f"embedding with {encoder.name}", unit="images") as progress:
        for count in executor.map(work, _split(np.arange(len(images)), chunk)):
            progress.advance(count)


def _embed_rows(images: ImageSet, encoder: Encoder, cache: EmbeddingCache, rows: np.ndarray) -> int:
    """Embed these rows; how many they are."""
    embed_images(images.select(rows), encoder, cache)
    return len(rows)


def embed_texts(texts: Sequence[str], encoder: Encoder, cache: EmbeddingCache | None = None) -> Tensor:
    """The vector of each text: float32 (n, d), unit rows. Equal texts are embedded once.

    Raises:
        ModelError: the encoder gives something other than finite vectors of its dimension.
    """
    keys = _as_keys(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts)

    def encode(rows: np.ndarray) -> Iterator[tuple[np.ndarray, Tensor]]:
        for some in _split(rows, TEXT_BATCH):
            yield some, encoder.texts([texts[int(row)] for row in some])

    return _embed("texts", keys, encode, encoder, cache)


def cut_texts(texts: Sequence[str], encoder: Encoder) -> list[str]:
    """Those of the texts that the encoder would cut; none where it does not tell."""
    return encoder.cut_texts(texts) if isinstance(encoder, OpenClipEncoder) else []


def embed_classes(
    class_names: Sequence[str],
    encoder: Encoder,
    templates: Sequence[str] = DEFAULT_TEMPLATES,
    cache: EmbeddingCache | None = None,
) -> Tensor:
    """The vector of each class, for zero-shot classification: float32 (k, d), unit rows.

    The mean of its sentences' unit vectors, at length 1 again.
    Args:
        templates: sentences with `{class}` or `{}` for the name, see templates.TEMPLATES, or with `{class:WAY}` for
            what a way of naming calls it, see real.spoken.
    Raises:
        UsageError: no template, one without a place for the class, or a sentence that is too long for the encoder.
        ModelError: as embed_texts.
    Reference: Radford et al. 2021, section 3.1.4 (prompt ensembling in embedding space).
    """
    import torch

    if isinstance(templates, str) or not templates:
        raise UsageError("Expected a list of at least one template, e.g. 'a photo of a {class}.'.")
    texts = fill_templates(templates, class_names)
    if cut := cut_texts(texts, encoder):
        raise UsageError(
            f"Expected sentences that '{encoder.name}' reads whole, got {len(cut):,} that it would cut, e.g. "
            f"'{cut[0]}'. Shorten {setting('templates')}, or the names and phrases of the classes."
        )
    tell_codes(class_names, "a CLIP", "Name the classes, or the known set that they are of.")
    rows = embed_texts(texts, encoder, cache).reshape(len(class_names), len(templates), -1)  # ktd
    return torch.nn.functional.normalize(rows.mean(1), dim=1)


# ---- what is not in the cache -----------------------------------------------------------------------------


def _embed(
    kind: str,
    keys: np.ndarray,
    encode: Callable[[np.ndarray], Iterator[tuple[np.ndarray, Tensor]]],
    encoder: Encoder,
    cache: EmbeddingCache | None,
) -> Tensor:
    """Vectors by content: from the cache, or from `encode`, which takes rows and yields them with their vectors."""
    import torch

    vectors = np.empty((len(keys), encoder.dimension), np.float32)
    unique, first, which = np.unique(keys, return_index=True, return_inverse=True)
    found = np.zeros(len(unique), bool)
    if cache is not None:
        found = cache.read(encoder.fingerprint, kind, unique, vectors, first)
    logger.debug("%s: %d of %d vectors of %s are in the cache", encoder.name, found.sum(), len(unique), kind)
    missing = np.sort(first[~found])  # in the order of the set, as its files are read fastest
    if len(missing):
        _fill(kind, keys, missing, encode(missing), vectors, encoder, cache)
    copies = np.flatnonzero(first[which] != np.arange(len(keys)))
    vectors[copies] = vectors[first[which[copies]]]
    return torch.from_numpy(vectors)


def _fill(
    kind: str,
    keys: np.ndarray,
    missing: np.ndarray,
    batches: Iterator[tuple[np.ndarray, Tensor]],
    vectors: np.ndarray,
    encoder: Encoder,
    cache: EmbeddingCache | None,
) -> None:
    """Write the vectors of the rows `missing` into `vectors`, and part by part into the cache."""
    done = kept = 0

    def keep() -> None:
        nonlocal kept
        rows, kept = missing[kept:done], done
        if cache is not None and len(rows):
            cache.write(encoder.fingerprint, kind, keys[rows], vectors[rows])

    with track(len(missing), f"embedding with {encoder.name}", unit=kind) as progress:
        try:
            for rows, batch in batches:
                vectors[rows] = _checked(batch, len(rows), encoder)
                done += len(rows)
                if done - kept >= PART_ROWS:
                    keep()
                progress.advance(len(rows))
        finally:  # an image that cannot be read, or Ctrl-C, need not cost what was embedded before it
            keep()


def _checked(batch: Tensor, n: int, encoder: Encoder) -> np.ndarray:
    """The rows of one batch. Nothing else gets into a cache, where it would stay."""
    rows = batch.detach().float().cpu().numpy()
    if rows.shape != (n, encoder.dimension) or not np.isfinite(rows).all():
        got = "NaN or infinity" if rows.shape == (n, encoder.dimension) else f"an array of shape {rows.shape}"
        raise ModelError(
            f"Expected {n} finite vectors of dimension {encoder.dimension} from the encoder '{encoder.name}', "
            f"got {got}. Are its weights whole?"
        )
    return rows


def _encode_images(
    images: ImageSet, encoder: Encoder, batch_size: int, rows: np.ndarray
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Batches of rows with their vectors; the next batch is decoded while the encoder is at work."""
    # An encoder may have a `prepare`: then photos are shrunk in the threads, and never many in memory as they are
    prepare: Callable[[Any], Any] = getattr(encoder, "prepare", lambda image: image)

    def one(row: int) -> Any:
        return prepare(images.image(row))

    pool = ThreadPoolExecutor()
    try:
        batches = _split(rows, batch_size)
        ahead = pool.map(one, batches[0].tolist())
        for some, following in zip(batches, [*batches[1:], rows[:0]], strict=True):
            decoded, ahead = list(ahead), pool.map(one, following.tolist())
            yield some, encoder.images(decoded)
    finally:
        pool.shutdown(cancel_futures=True)


def _image_keys(images: ImageSet) -> np.ndarray:
    """The sha256 of each image's encoded bytes: S32 (n,)."""

    def one(index: int) -> bytes:
        try:
            return hashlib.sha256(images.read(index)).digest()
        except (DataError, OSError) as error:
            raise DataError(f"{images.place(index)}: {error}") from error

    digests: list[bytes] = []
    with ThreadPoolExecutor() as pool, track(len(images), f"reading {images.name}") as progress:
        for some in _split(np.arange(len(images)), PART_ROWS):
            digests.append(b"".join(pool.map(one, some.tolist())))
            progress.advance(len(some))
    return _as_keys(digests)


def _as_keys(digests: Iterable[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(digests), _KEY)


def _split(rows: np.ndarray, size: int) -> list[np.ndarray]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


# ---- the cache --------------------------------------------------------------------------------------------


class EmbeddingCache:
    """Vectors on disk, by encoder and content; see the top of this file.

    Attributes:
        folder: where it lies: as given, or `embeddings` in $SYNTHSET_CACHE, or in `synthset` in $XDG_CACHE_HOME or
            ~/.cache. It is made when something is kept; any part of it may be deleted at any time.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = Path(folder) if folder is not None else cache_folder("embeddings")
        self._unreadable: set[Path] = set()
        self._tidy: set[Path] = set()
        self._writable = True

    def read(
        self, fingerprint: str, kind: str, keys: np.ndarray, vectors: np.ndarray, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """Fill in what is stored, and say what was: bool (m,).

        Parts are looked at one after the other, so a large cache takes no memory.
        Args:
            fingerprint: of the encoder.
            kind: "images" or "texts".
            keys: what to look for: S32 (m,), sorted, each once.
            vectors: float32 (n, d), written to.
            rows: the row of `vectors` for each key; 0..m-1 by default.
        """
        rows = np.arange(len(keys)) if rows is None else rows
        found = np.zeros(len(keys), bool)
        for part in sorted(self._space(fingerprint, kind).glob("part-*.parquet")):
            if found.all():
                break
            if part in self._unreadable:
                continue
            try:
                self._read_part(part, keys, vectors, rows, found)
            except (pa.ArrowException, OSError, ValueError, KeyError) as error:
                if part.exists():  # someone may just have emptied the cache
                    self._unreadable.add(part)
                    reason = first_line(error)
                    logger.warning("Damaged file in the embedding cache, left aside: '%s' (%s).", part, reason)
        return found

    def write(self, fingerprint: str, kind: str, keys: np.ndarray, vectors: np.ndarray) -> None:
        """Store one part: keys S32 (m,) and their vectors float32 (m, d).

        Where it cannot be written (a full disk, a folder that is read-only) a warning says so once, and no more is
        tried: the vectors are right all the same.
        """
        if not self._writable:
            return
        part = self._space(fingerprint, kind) / f"part-{uuid.uuid4().hex}.parquet"
        try:
            if part.parent not in self._tidy:
                delete_parts(part.parent)  # what was killed left it, and would never write it again
                self._tidy.add(part.parent)
            with atomic_write(part, private=True) as file:  # it may tell what somebody's images show
                write_parquet(
                    file,
                    _table(keys, vectors),
                    row_group_size=_GROUP_ROWS,
                    compression="none",  # noise, as far as a compressor can tell
                    use_dictionary=False,
                    write_statistics=False,
                )
        except OSError as error:
            self._writable = False
            logger.warning(
                "Embeddings are not kept: '%s' cannot be written (%s). Set SYNTHSET_CACHE to another folder.",
                self.folder,
                error.strerror or error,
            )

    def _space(self, fingerprint: str, kind: str) -> Path:
        # a fingerprint may be anyone's; only a plain one becomes a path as it is
        plain = re.fullmatch(r"[0-9a-f]{1,64}", fingerprint) is not None
        return self.folder / (fingerprint if plain else hashlib.sha256(fingerprint.encode()).hexdigest()) / kind

    def _read_part(
        self, part: Path, keys: np.ndarray, vectors: np.ndarray, rows: np.ndarray, found: np.ndarray
    ) -> None:
        """Take from one part what is wanted and was not found yet; only the row groups that hold it are read."""
        with open_parquet(part) as file:
            stored = _stored_keys(file.read(columns=["sha256"]).column("sha256"))
            place = np.searchsorted(keys, stored)
            place[place == len(keys)] = 0
            wanted = (keys[place] == stored) & ~found[place]
            start = 0
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                here = np.flatnonzero(wanted[start : start + count])
                if len(here):
                    column = file.read_row_group(group, columns=["embedding"]).column("embedding").combine_chunks()
                    values = column.flatten().to_numpy().reshape(count, vectors.shape[1])
                    at = place[start + here]
                    vectors[rows[at]] = values[here]
                    found[at] = True
                start += count


def _table(keys: np.ndarray, vectors: np.ndarray) -> pa.Table:
    """Keys and vectors as Arrow arrays over the same memory."""
    vector = pa.list_(pa.field("item", pa.float32(), nullable=False), vectors.shape[1])
    fields = [("sha256", pa.binary(32)), ("embedding", vector)]
    columns = [
        pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), len(keys), [None, pa.py_buffer(keys.tobytes())]),
        pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1), pa.float32()), type=vector),
    ]
    return pa.table(columns, pa.schema([pa.field(name, kind, nullable=False) for name, kind in fields]))


def _stored_keys(column: pa.ChunkedArray) -> np.ndarray:
    """The keys of a part: S32 (m,), over the same memory."""
    if column.type != pa.binary(32):
        raise ValueError(f"expected 32 bytes a key, got {column.type}")
    array: Any = column.combine_chunks()
    return np.frombuffer(array.buffers()[1] or b"", _KEY, len(array), 32 * array.offset)
