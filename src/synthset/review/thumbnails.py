"""Small pictures of images, made when they are asked for; memory holds the latest, however many there are."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from synthset.core.errors import DataError
from synthset.images.decoding import decode, read_size

SIDE_PX = 192
BUDGET_BYTES = 2**26  # of pictures that are at hand: some 10,000
FILES_BYTES = 2**26  # of row groups of shards that are at hand
MOST_AT_ONCE = 96
_THREADS = 4


class Thumbnails:
    """Pictures of at most SIDE_PX a side; an image that is no larger is its own.

    Args:
        read: gives the file of an image. Raises DataError.
    """

    def __init__(self, read: Callable[[int], bytes], budget_bytes: int = BUDGET_BYTES) -> None:
        self._read, self._budget_bytes = read, budget_bytes
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(_THREADS, "thumbnails")

    def get(self, indices: Sequence[int]) -> list[bytes]:
        """The files of the pictures, in order; an empty one where an image cannot be read."""
        return list(self._pool.map(self._one, indices))

    def packed(self, indices: Sequence[int]) -> bytes:
        """Several in one: their number and lengths, of 4 bytes each, and they."""
        files = self.get(indices)
        lengths = [len(file) for file in files]
        return b"".join([value.to_bytes(4, "little") for value in (len(files), *lengths)] + files)

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _one(self, index: int) -> bytes:
        with self._lock:
            if index in self._kept:
                self._kept.move_to_end(index)
                return self._kept[index]
        try:
            file = shrink(self._read(index))
        except (DataError, OSError):
            return b""
        with self._lock:
            if index not in self._kept:
                self._kept[index] = file
                self._bytes += len(file)
                while self._bytes > self._budget_bytes and len(self._kept) > 1:
                    self._bytes -= len(self._kept.popitem(last=False)[1])
        return file


def shrink(data: bytes, side_px: int = SIDE_PX) -> bytes:
    """A picture of at most `side_px` a side, as JPEG; the file itself where it is no larger. Raises DataError."""
    if max(read_size(data)) <= side_px:
        return data
    image = decode(data)
    image.thumbnail((side_px, side_px), Image.Resampling.BICUBIC, reducing_gap=2.0)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()
