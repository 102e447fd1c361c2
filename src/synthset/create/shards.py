"""One shard of a plan: draw its requests, retry those that failed, encode, commit. Where memory runs out, in halves.

draw ─▶ encode ─▶ commit        the device draws, threads encode behind it; and behind the drawing of the
        draw ─▶ encode ─▶ …     next shard, where the executor does work in two parts, this one is committed
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from synthset.core.errors import ModelError, SynthsetError, setting
from synthset.core.progress import hearing, track
from synthset.create.config import CreateConfig
from synthset.create.reuse import Copies, Reuse
from synthset.create.storage import PNG_UP_TO_PX, encode_image, image_row
from synthset.dataset.manifest import Accounting
from synthset.dataset.records import MAX_RETRIES, Request, failure_row
from synthset.dataset.writer import DatasetWriter
from synthset.executors import Executor
from synthset.generators.plug_in import describe_generation

if TYPE_CHECKING:
    from synthset.generators.base import GeneratedImage, GenerationConfig, Generator
    from synthset.generators.source import GeneratorSource

log = logging.getLogger("synthset")

PIXELS_AT_ONCE = 2**20  # encoded by one task: with less to do, threads wait for Python's lock more than they encode

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Filled:
    """The images that a run drew, and those that it copied."""

    drawn: int = 0
    copied: int = 0

    def __add__(self, other: Filled) -> Filled:
        return Filled(self.drawn + other.drawn, self.copied + other.copied)


def draw_missing(
    writer: DatasetWriter, source: GeneratorSource, config: CreateConfig, executor: Executor, reuse: Reuse
) -> Filled:
    """Draw the shards of the writer's plan that are not there yet, but for images that are copied from elsewhere.

    Raises:
        DataError: a dataset to copy from is damaged.
    """
    missing = writer.missing_shards()
    if not missing:
        return Filled()
    log.debug("%d shards of '%s' are to be drawn", len(missing), writer.folder)
    copies = reuse.find(writer.plan) if reuse.sources else None
    if copies:
        for text in reuse.complaints(copies):
            log.warning("%s", text)
    rows = [writer.shard_rows(shard) for shard in missing]
    total = sum(map(len, rows))
    copied = sum(sum(copies.counts(part.start, part.stop)) for part in rows) if copies else 0
    with track(total, f"drawing {writer.folder.name}") as bar:
        shown = finished = 0

        def advance(count: float) -> None:
            nonlocal shown
            shown += count
            bar.advance(count)

        for accounting in executor.map(ShardWorker(writer, source, config, advance, copies), missing):
            finished += accounting.requested
            advance(max(0, finished - shown))  # of a worker elsewhere only its whole shards are heard of
    return Filled(total - copied, copied)


@dataclass(eq=False)
class ShardWorker:
    """Draws and commits shards of one plan; it may travel to another process, and loads its generator there.

    All workers reach the writer's folder, and those that images are copied from; `advance` hears of images as they are
    there, in this process only.
    """

    writer: DatasetWriter
    source: GeneratorSource
    config: CreateConfig
    advance: Callable[[float], None] | None = None
    copies: Copies | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "advance": None}

    def __call__(self, shard: int) -> Accounting:
        """Copy or draw, retry, encode and commit the requests of one shard. Raises as `begin` does."""
        return self.begin(shard)()

    def begin(self, shard: int) -> Callable[[], Accounting]:
        """Copy, draw and retry; the function returned waits for the last images to be encoded, and commits the shard.

        Raises:
            ModelError: the generator here is not the one that the job was planned with.
            DataError: a dataset to copy from is damaged.
        """
        place = self.writer.shard_rows(shard)
        requests = list(self.writer.plan.requests(place.start, place.stop))
        copied = list(self.copies.rows(place.start, requests, self.config)) if self.copies else []
        origins = self.copies.records(place.start, place.stop) if self.copies else []
        there = {row["request_id"] for row in copied}
        pending = [request for request in requests if request.id not in there]
        if self.advance and copied:
            self.advance(len(copied))
        encoding, failures, retries = self._draw_all(pending) if pending else ([], {}, 0)
        retries += sum(row["attempts"] - 1 for row in copied)

        def commit() -> Accounting:
            rows = sorted(chain(copied, *(part.result() for part in encoding)), key=itemgetter("request_id"))
            return self.writer.write_shard(shard, rows, [failures[i] for i in sorted(failures)], retries, origins)

        return commit

    def _draw_all(self, pending: list[Request]) -> tuple[list[Future[Rows]], dict[int, dict[str, Any]], int]:
        """As `_draw`, by the generator of this process, which is loaded for it."""
        generator = self.source.get()
        self._check_same_generator(generator)
        with _encoding_behind(generator.config) as pool:
            return self._draw(generator, pending, pool)

    def _draw(
        self, generator: Generator, pending: list[Request], pool: ThreadPoolExecutor
    ) -> tuple[list[Future[Rows]], dict[int, dict[str, Any]], int]:
        """The rows of images, on their way, those of failures by the request's id, and the number of retries."""
        size = self.writer.batch_size
        encoding, failures, retries = list[Future[Rows]](), dict[int, dict[str, Any]](), 0
        for attempt in range(MAX_RETRIES + 1):
            retries += len(pending) if attempt else 0
            for batch in [pending[start : start + size] for start in range(0, len(pending), size)]:
                tries = [request.retried(attempt) for request in batch]
                drawn: list[tuple[Request, np.ndarray]] = []
                steps = _Steps(len(batch), self.advance if attempt == 0 else None)
                with hearing(steps):
                    images = draw_batch(generator, tries)
                for tried, image in zip(tries, images, strict=True):
                    if image.status == "ok" and image.pixels is not None:
                        drawn.append((tried, image.pixels))
                        failures.pop(tried.id, None)
                    else:
                        outcome = {"attempts": attempt + 1, "status": image.status, "reason": image.reason}
                        failures[tried.id] = failure_row(tried) | outcome
                together = max(1, PIXELS_AT_ONCE // max((pixels.size // 3 for _, pixels in drawn), default=1))
                parts = (drawn[i : i + together] for i in range(0, len(drawn), together))
                encoding += [pool.submit(_encoded, part, attempt + 1, self.config) for part in parts]
                steps.finish()
            pending = [request for request in pending if request.id in failures]
        return encoding, failures, retries

    def _check_same_generator(self, generator: Generator) -> None:
        planned = self.writer.job["generation"]
        local = describe_generation(generator.config, self.config.generator)
        if local != planned:
            names = [name for name in {**planned, **local} if local.get(name) != planned.get(name)]
            raise ModelError(
                f"Expected the same generator on every machine, it differs here in {', '.join(names)}. "
                f"Give a {setting('dtype')} and a {setting('revision')}, so that no machine chooses its own."
            )


class _Steps:
    """Counts the steps of a batch as parts of its images, and never more than there are."""

    def __init__(self, count: int, advance: Callable[[float], None] | None) -> None:
        self._left, self._advance = float(count), advance

    def __call__(self, images: float) -> None:
        some = min(images, self._left)
        self._left -= some
        if self._advance:
            self._advance(some)

    def finish(self) -> None:
        """All of it is there, whatever was heard."""
        self(self._left)


@contextmanager
def _encoding_behind(config: GenerationConfig) -> Iterator[ThreadPoolExecutor]:
    """Threads that go on with their work when the block ends, unless it raises.

    Of small images most of the work holds Python's lock: a second thread would cost a fifth of the time of a job.
    """
    is_small = config.height_px * config.width_px <= PNG_UP_TO_PX**2
    pool = ThreadPoolExecutor(max_workers=1 if is_small else 2)
    try:
        yield pool
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown(wait=False)


def draw_batch(generator: Generator, requests: Sequence[Request]) -> list[GeneratedImage]:
    """Draw requests together; where memory runs out, in halves, so that nothing drawn is drawn again."""
    try:
        images = generator.generate(requests)
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        if len(requests) == 1:
            raise SynthsetError(
                f"Out of memory with a single image. Give a smaller {setting('height_px')} and {setting('width_px')}."
            ) from error
    else:
        if len(images) != len(requests):
            raise SynthsetError(f"Expected {len(requests)} images from the generator, got {len(images)}.")
        return images
    half = len(requests) // 2
    log.warning("Out of memory with %d images at once: drawing them in halves.", len(requests))
    return draw_batch(generator, requests[:half]) + draw_batch(generator, requests[half:])


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def _encoded(drawn: Sequence[tuple[Request, np.ndarray]], attempts: int, config: CreateConfig) -> Rows:
    rows = []
    for request, pixels in drawn:
        data, image_format = encode_image(pixels, config)
        rows.append(image_row(request, data, image_format, attempts))
    return rows
