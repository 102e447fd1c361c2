"""Images that stream from where they lie: each pass in an order of its own, decoded and cropped by threads.

Memory holds a few batches and a window of encoded images, however many there are. What a step is given follows from
(seed, step) alone, so that a training goes on at any step as if it had never stopped.

Where a file is read a block of images at a time, an order is random in two ways: blocks are shuffled, and so are the
images of each window, which is as many blocks as memory has room for.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from synthset.core.parquet_files import KeptGroups
from synthset.core.seeds import derive_seed
from synthset.images.imageset import ImageSet
from synthset.pretraining.rand_augment import OPERATIONS_AN_IMAGE, draw, rand_augment

WINDOW_BYTES = KeptGroups.budget_bytes // 2  # of encoded images that are shuffled together; the next are read meanwhile
SAMPLED = 8  # images whose sizes stand for all
AHEAD = 3  # batches that are decoded while one is learned from
TRIES = 10  # at a crop that fits, as torchvision has it


@dataclass(frozen=True)
class Crops:
    """How images are cropped.

    Attributes:
        size_px: side of the crops.
        views: crops of each image.
        area: smallest and largest share of an image's area.
        aspect: smallest and largest ratio of width to height.
        magnitude: of RandAugment, of the crops; 0 leaves them as they are.
    """

    size_px: int
    views: int = 1
    area: tuple[float, float] = (0.2, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    magnitude: float = 0.0

    def box(self, width: int, height: int, draws: np.ndarray) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of a crop, in pixels.

        Of the first of TRIES draws that fits; else of the largest crop in the middle whose aspect does not go beyond
        the limits, as torchvision's RandomResizedCrop.
        Args:
            draws: in [0, 1), (TRIES, 4): of area, aspect, left and top.
        """
        for area, aspect, left, top in draws.tolist():
            wanted = width * height * (self.area[0] + area * (self.area[1] - self.area[0]))
            low, high = map(math.log, self.aspect)
            ratio = math.exp(low + aspect * (high - low))
            w, h = round(math.sqrt(wanted * ratio)), round(math.sqrt(wanted / ratio))
            if 0 < w <= width and 0 < h <= height:
                x, y = math.floor(left * (width - w + 1)), math.floor(top * (height - h + 1))
                return x, y, x + w, y + h
        ratio = min(max(width / height, self.aspect[0]), self.aspect[1])
        w, h = min(width, round(height * ratio)), min(height, round(width / ratio))
        x, y = (width - w) // 2, (height - h) // 2
        return x, y, x + w, y + h

    def cut(self, image: Image.Image, draws: np.ndarray, changes: np.ndarray) -> np.ndarray:
        """A crop, bilinear with anti-aliasing, changed by draws of RandAugment: uint8 (3, size, size)."""
        box = self.box(*image.size, draws)
        crop = image.resize((self.size_px, self.size_px), Image.Resampling.BILINEAR, box=box)
        if self.magnitude:
            crop = rand_augment(crop, self.magnitude, changes)
        return np.asarray(crop).transpose(2, 0, 1)


@dataclass(frozen=True, eq=False)
class Batch:
    """What a process learns from in one step.

    Attributes:
        step: its number, from 0.
        pixels: by view, uint8 (images of this process, 3, size, size).
        labels: of the images of the first view, int64.
        places: by view, the places of these images in the whole batch.
        size: images of the whole batch.
    """

    step: int
    pixels: tuple[np.ndarray, ...]
    labels: np.ndarray
    places: tuple[np.ndarray, ...]
    size: int


class Stream:
    """The batches of a training, in order.

    Attributes:
        steps_per_epoch: whole batches of a pass.
    """

    def __init__(self, images: ImageSet, batch_size: int, crops: Crops, seed: int) -> None:
        self.images, self.batch_size, self.crops, self.seed = images, batch_size, crops, seed
        self.steps_per_epoch = len(images) // batch_size
        self._window = _blocks_of_window(images)
        self._order = lru_cache(maxsize=2)(self._order_of)

    def batches(self, first: int, last: int, *, rank: int = 0, size: int = 1, workers: int = 0) -> Iterator[Batch]:
        """The batches of steps first..last-1.

        Args:
            rank, size: which process this is, of how many that share every batch.
            workers: threads; one a core by default.
        Raises:
            DataError: an image that cannot be read; it is named.
        """
        with ThreadPoolExecutor(workers or None, "crops") as pool:
            waiting: deque[_Waiting] = deque()
            try:
                for step in range(first, last):
                    waiting.append(self._begin(step, rank, size, pool))
                    if len(waiting) > AHEAD:
                        yield waiting.popleft().finish()
                while waiting:
                    yield waiting.popleft().finish()
            finally:
                for batch in waiting:
                    batch.cancel()

    def rows(self, step: int) -> np.ndarray:
        """The images of a step, by their rows: int64 (batch_size,)."""
        epoch, place = divmod(step, self.steps_per_epoch)
        return self._order(epoch)[place * self.batch_size : (place + 1) * self.batch_size]

    def _order_of(self, epoch: int) -> np.ndarray:
        generator = np.random.default_rng(derive_seed(self.seed, "order", epoch))
        block = self.images.together
        blocks = generator.permutation(math.ceil(len(self.images) / block))
        windows = []
        for start in range(0, len(blocks), self._window):
            rows = (blocks[start : start + self._window, None] * block + np.arange(block)).ravel()
            windows.append(generator.permutation(rows[rows < len(self.images)]))
        return np.concatenate(windows)

    def _begin(self, step: int, rank: int, size: int, pool: ThreadPoolExecutor) -> _Waiting:
        rows, views = self.rows(step), self.crops.views
        generator = np.random.default_rng(derive_seed(self.seed, "crops", step))
        draws = generator.random((len(rows), views, TRIES, 4))
        changing = np.random.default_rng(derive_seed(self.seed, "changes", step))
        changes = draw(changing, len(rows) * views).reshape(len(rows), views, OPERATIONS_AN_IMAGE, -1)
        # the second view of an image is seen in another place, so that batch norm sees it beside others
        orders = [np.arange(len(rows)), *(generator.permutation(len(rows)) for _ in range(views - 1))]
        start, stop = (len(rows) * part // size for part in (rank, rank + 1))
        places = tuple(order[start:stop] for order in orders)
        side = self.crops.size_px
        pixels = tuple(np.empty((stop - start, 3, side, side), np.uint8) for _ in places)
        wanted: dict[int, list[tuple[int, int]]] = {}
        for view, own in enumerate(places):
            for at, place in enumerate(own.tolist()):
                wanted.setdefault(place, []).append((view, at))

        def crop(place: int) -> None:
            image = self.images.image(int(rows[place]))
            for view, at in wanted[place]:
                pixels[view][at] = self.crops.cut(image, draws[place, view], changes[place, view])

        batch = Batch(step, pixels, self.images.labels[rows[places[0]]], places, len(rows))
        return _Waiting(batch, [pool.submit(crop, place) for place in wanted])


def _blocks_of_window(images: ImageSet) -> int:
    if images.together == 1:
        return len(images)
    sampled = np.linspace(0, len(images) - 1, SAMPLED).astype(int).tolist()
    mean_bytes = sum(len(images.read(row)) for row in sampled) / SAMPLED
    return max(1, int(WINDOW_BYTES / (images.together * max(1, mean_bytes))))


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A batch whose images are on their way."""

    batch: Batch
    tasks: list[Future[None]]

    def finish(self) -> Batch:
        for task in self.tasks:
            task.result()
        return self.batch

    def cancel(self) -> None:
        for task in self.tasks:
            task.cancel()
