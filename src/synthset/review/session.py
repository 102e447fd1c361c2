"""All that the page needs of one dataset; read anew where the dataset or the verdicts of its filters change."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from synthset.core.errors import DataError, SynthsetError, UsageError, setting
from synthset.core.locks import reading, writing
from synthset.create.recorded import load_recorded
from synthset.dataset.card import refresh_card
from synthset.dataset.reader import Dataset, open_dataset
from synthset.dataset.relabels import FILE as RELABELS_FILE
from synthset.dataset.suited_encoder import model_of, suited_encoder
from synthset.dataset.verdicts import BY_HAND, FOLDER, verdicts_path
from synthset.images.imageset import ImageSet, readable
from synthset.images.opening import open_strictly
from synthset.images.splits import FOR_TESTS
from synthset.real.sets import path_of
from synthset.review.config import ReviewConfig
from synthset.review.contents import Contents, read_contents, signature_of
from synthset.review.decisions import Decisions
from synthset.review.neighbours import Neighbours
from synthset.review.phrases import Phrases
from synthset.review.previews import Previews
from synthset.review.thumbnails import FILES_BYTES, Thumbnails

if TYPE_CHECKING:
    from synthset.encoders.clip import Encoder
    from synthset.encoders.embed import EmbeddingCache
    from synthset.generators.base import Generator

log = logging.getLogger("synthset")

_JOIN_SECONDS = 2.0


class Session:
    """A dataset that is reviewed.

    Args:
        folder: of the dataset.
        encoder, generator: objects of your own, instead of those that the config names and the dataset recorded.
        cache: of embeddings; the user's by default.
    Raises:
        UsageError, DataError: as `open_dataset`, `read_contents` and `Phrases`.
    """

    def __init__(
        self,
        folder: Path,
        config: ReviewConfig,
        *,
        encoder: Encoder | None = None,
        generator: Generator | None = None,
        cache: EmbeddingCache | None = None,
    ) -> None:
        self.folder, self.config = folder, config
        self._encoder, self._generator, self._cache = encoder, generator, cache
        self._lock = threading.RLock()
        self._parts: _Parts | None = None
        self.phrases = self._open_phrases()

    def parts(self) -> _Parts:
        """What belongs to the images that are there now. Raises as the class says."""
        with self._lock:
            signature = signature_of(self.folder)
            if self._parts is None or self._parts.signature != signature:
                old = self._parts
                with reading(self.folder):
                    contents = self._read()
                    self._parts = _Parts(self, contents, signature_of(self.folder))
                if old is not None:
                    old.close()
            return self._parts

    def close(self) -> None:
        """End what is at work."""
        with self._lock:
            if self._parts is not None:
                self._parts.close()

    def write_card(self) -> None:
        """Have the dataset's card, by which `datasets` reads it, follow what a person said, where it does not yet.

        That takes a second for 100,000 images: so it is done when a review begins or ends, not for each verdict.
        """
        card, said = self.folder / "README.md", (self.folder / FOLDER, verdicts_path(self.folder, BY_HAND))
        times = [path.stat().st_mtime_ns for path in (*said, self.folder / RELABELS_FILE) if path.exists()]
        is_old = card.exists() and max(times, default=0) > card.stat().st_mtime_ns
        if not is_old and not (self._parts is not None and self._parts.decisions.version):
            return
        try:
            with writing(self.folder):
                refresh_card(open_dataset(self.folder))
        except (SynthsetError, OSError) as error:
            log.warning("The card does not follow the verdicts yet, the next review writes it. %s", error)

    def load_generator(self, dataset: Dataset) -> Generator:
        """The generator of previews."""
        recorded = replace(self.config.previews, device=self.config.device)
        return self._generator or load_recorded(dataset.manifest["job"], recorded)

    def neighbours_of(self, dataset: Dataset) -> Neighbours:
        """What finds neighbours; without an encoder it says why there is none."""
        images = replace(dataset.images(kept=False), read=dataset.files(FILES_BYTES))
        real = None if self.config.real is None else self._open_real
        if self._encoder is not None:
            return Neighbours(images, partial(_same, self._encoder), real, self._cache)
        try:
            name = suited_encoder(self.config.encoder, "encoder", [model_of(self.folder)], self.config.real)
        except UsageError:
            why_not = "Name an encoder when you start the review, such as RN50, to see which images are near this one."
            return Neighbours(images, None, None, None, why_not)
        return Neighbours(images, partial(_load_encoder, name, self.config.device), real, self._cache)

    def _read(self) -> Contents:
        return read_contents(open_dataset(self.folder), self.config.strategy or None, self.config.predictions)

    def _open_phrases(self) -> Phrases:
        dataset = open_dataset(self.folder)
        place = self.folder.resolve()
        path = self.config.phrases or place.with_name(f"{place.name}-phrases.yaml")
        if not path.absolute().parent.is_dir():
            raise UsageError(f"Expected {setting('phrases')} in a folder that is there, got '{path}'. Make the folder.")
        return Phrases(path, dataset.class_names, dataset.phrases)

    def _open_real(self) -> ImageSet:
        from synthset.real import open_set

        assert self.config.real is not None
        with reading(path_of(self.config.real)):
            images = open_set(self.config.real, FOR_TESTS)
            return readable(images, strict=open_strictly(self.config.real))


class _Parts:
    """What belongs to the images of a dataset as it is read once."""

    def __init__(self, session: Session, contents: Contents, signature: object) -> None:
        dataset = contents.dataset
        self.contents, self.signature = contents, signature
        self.read: Callable[[int], bytes] = dataset.files(FILES_BYTES)
        self.thumbnails = Thumbnails(self.read)
        self.decisions = Decisions(session.folder, contents.hashes, contents.labels, dataset.class_names)
        self.previews = Previews(dataset, partial(session.load_generator, dataset))
        _ = contents.id, contents.strategy_indices  # so that the page need not wait for them
        self._session = session

    @cached_property
    def neighbours(self) -> Neighbours:
        """What finds neighbours."""
        return self._session.neighbours_of(self.contents.dataset)

    @cached_property
    def real_thumbnails(self) -> Thumbnails:
        """Small pictures of the real images, once there are neighbours."""
        if self.neighbours.real is None:
            raise DataError("Expected real images, none are open.")
        return Thumbnails(self.neighbours.real.read)

    def close(self) -> None:
        """End what is at work."""
        self.thumbnails.close()
        works = [self.previews.work]
        if "neighbours" in self.__dict__:  # nobody asked for them: they are not made to be ended
            works.append(self.neighbours.work)
        for work in works:
            work.stop(_JOIN_SECONDS)
            if work.is_alive:
                log.warning(
                    "Still %s, which no signal interrupts: it ends after that. Ctrl-C once more ends it at once; what "
                    "was saved stays.",
                    work.progress.doing or "at work",
                )


def _same(encoder: Encoder) -> Encoder:
    return encoder


def _load_encoder(name: str, device: str) -> Encoder:
    from synthset.encoders.clip import load_encoder

    return load_encoder(name, device=device)
