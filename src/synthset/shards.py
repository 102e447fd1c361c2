"""One shard of a plan: draw its requests, retry what failed, encode, commit. Where memory runs out, in halves."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from synthset.dataset import Accounting, DatasetWriter
from synthset.errors import SynthsetError
from synthset.executors import Executor, LocalExecutor
from synthset.images import encode, resize
from synthset.plan import Request
from synthset.progress import track

if TYPE_CHECKING:
    from synthset.create import CreateConfig
    from synthset.generators import GeneratedImage, Generator

log = logging.getLogger("synthset")

MAX_RETRIES = 5
PNG_UP_TO_PX = 64  # below this PNG is small anyway; above it JPEG saves ten times the disk


def draw_missing(writer: DatasetWriter, generator: Generator, config: CreateConfig, executor: Executor | None) -> int:
    """Draw the shards of the writer's plan that are not there yet; the number of images drawn."""
    missing = writer.missing_shards()
    to_draw = sum(len(writer.shard_rows(shard)) for shard in missing)
    with track(to_draw, f"drawing {writer.folder.name}") as bar:

        def draw(shard: int) -> Accounting:
            return _draw_shard(shard, writer, generator, config, bar.advance)

        for _ in (executor or LocalExecutor()).map(draw, missing):
            pass
    return to_draw


def _draw_shard(
    shard: int,
    writer: DatasetWriter,
    generator: Generator,
    config: CreateConfig,
    advance: Callable[[int], None],
) -> Accounting:
    """Draw, retry, encode and commit the requests of one shard."""
    rows: dict[int, Future[dict[str, Any]]] = {}
    failures: dict[int, dict[str, Any]] = {}
    where = writer.shard_rows(shard)
    pending = list(writer.plan.requests(where.start, where.stop))
    retries = 0
    with ThreadPoolExecutor(max_workers=2) as pool:  # encodes while the next batch is drawn
        for attempt in range(MAX_RETRIES + 1):
            retries += len(pending) if attempt else 0
            failed = []
            for start in range(0, len(pending), writer.batch_size):
                batch = pending[start : start + writer.batch_size]
                tries = [request.retried(attempt) for request in batch]
                for request, tried, image in zip(batch, tries, draw_batch(generator, tries), strict=True):
                    if image.status == "ok" and image.pixels is not None:
                        rows[request.id] = pool.submit(_row, tried, attempt + 1, image.pixels, config)
                        failures.pop(request.id, None)
                    else:
                        failures[request.id] = _failure(tried, attempt + 1, image)
                        failed.append(request)
                advance(len(batch) if attempt == 0 else 0)
            pending = failed
            if not pending:
                break
        encoded = [rows[request_id].result() for request_id in sorted(rows)]
    return writer.write_shard(shard, encoded, [failures[i] for i in sorted(failures)], retries)


def draw_batch(generator: Generator, requests: Sequence[Request]) -> list[GeneratedImage]:
    """Draw requests together; where memory runs out, in halves, so that nothing drawn is drawn again."""
    try:
        images = generator.generate(requests)
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        if len(requests) == 1:
            raise SynthsetError("Out of memory with a single image. Give a smaller --height and --width.") from error
    else:
        if len(images) != len(requests):
            raise SynthsetError(f"Expected {len(requests)} images from the generator, got {len(images)}.")
        return images
    half = len(requests) // 2
    log.warning("Out of memory with %d images at once: drawing them in halves.", len(requests))
    return draw_batch(generator, requests[:half]) + draw_batch(generator, requests[half:])


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def _row(request: Request, attempts: int, pixels: np.ndarray, config: CreateConfig) -> dict[str, Any]:
    if config.resize_px is not None:
        pixels = np.asarray(resize(Image.fromarray(pixels), config.resize_px, config.antialias))
    image_format = config.image_format
    if image_format == "auto":
        image_format = "png" if max(pixels.shape[:2]) <= PNG_UP_TO_PX else "jpeg"
    data = encode(pixels, image_format, config.quality)
    # built from numbers and known words: a class name never becomes a path
    name = f"{request.class_index:04d}-{request.strategy.replace(':', '_')}-{request.index:06d}.{image_format}"
    return {
        "image": {"bytes": data, "path": name},
        "label": request.class_index,
        "class_name": request.class_name,
        "strategy": request.strategy,
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "guidance_scale": request.guidance_scale,
        "seed": request.seed,
        "index": request.index,
        "request_id": request.id,
        "attempts": attempts,
        "sha256": hashlib.sha256(data).hexdigest(),
        "initial_image": request.initial_image,  # these two are stored where the job has initial images
        "strength": request.strength,
    }


def _failure(request: Request, attempts: int, image: GeneratedImage) -> dict[str, Any]:
    return {
        "request_id": request.id,
        "class_name": request.class_name,
        "strategy": request.strategy,
        "prompt": request.prompt,
        "guidance_scale": request.guidance_scale,
        "seed": request.seed,
        "attempts": attempts,
        "status": image.status,
        "reason": image.reason,
    }
