"""Classify images with a model of any kind, a batch at a time, into a table that is whole or not there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from synthset.core.errors import DataError, ModelError, UsageError, setting, some
from synthset.core.locks import reading
from synthset.core.progress import track
from synthset.images.decoding import FORMATS
from synthset.prediction.sources import Pictures, find_pictures
from synthset.prediction.tables import Layout, Row, TableWriter, open_table

if TYPE_CHECKING:
    from PIL import Image

    from synthset.classifiers.predictions import Picture, Predictions

log = logging.getLogger("synthset")

BATCH = 256  # images in memory at once


class Predictor(Protocol):
    """What classifies: a trained classifier or a tuned CLIP."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The k names."""
        ...

    def predict_images(self, pictures: Picture | Sequence[Picture]) -> Predictions:
        """Names and probabilities of images."""
        ...


@dataclass(frozen=True)
class PredictResult:
    """What was classified.

    Attributes:
        num_images: that were classified.
        counts: of each class, how often it was the most probable one.
        skipped: names of the images that could not be read.
        output: the table; None where it went elsewhere.
    """

    num_images: int
    counts: dict[str, int]
    skipped: tuple[str, ...]
    output: Path | None


def predict(
    model: str | Path,
    paths: Sequence[str],
    output: str | Path | Callable[[Layout], TableWriter],
    *,
    top_k: int = 1,
    device: str = "auto",
    overwrite: bool = False,
) -> PredictResult:
    """Classify images, and write a row for each: its name, the class, its probability, and further classes.

    Images of Synthset datasets have their ids and hashes too, by which `relabel` and `redraw` find them.

    Args:
        model: folder that `train` or `tune` wrote.
        paths: see `find_pictures`.
        output: a .csv, .jsonl or .parquet file; or what makes a table of such rows.
        top_k: classes of a row, the most probable first.
        overwrite: replace the file if it is there.
    Raises:
        UsageError: nothing at a path, a file that is there, or a number of classes that the model does not have.
        ModelError: no model, or a damaged one.
        DataError: not one image that can be read; no file was written.
    """
    with reading(model):
        pictures = find_pictures(paths)
        predictor = load_predictor(model, device)
        k = len(predictor.class_names)
        if not 1 <= top_k <= k:
            raise UsageError(f"Expected {setting('top_k')} in 1..{k}, the classes of '{model}', got {top_k}.")
        log.debug("'%s' knows %d classes; %d images to classify", model, k, len(pictures))
        counts, skipped = dict.fromkeys(predictor.class_names, 0), []
        layout = Layout(top_k, has_ids=bool(pictures.ids))
        opened = output(layout) if callable(output) else open_table(Path(output), layout, overwrite=overwrite)
        with opened as table:
            for rows in _classify(predictor, pictures, top_k, skipped):
                table.write(rows)
                for row in rows:
                    counts[row.top[0][0]] += 1
            if len(skipped) == len(pictures):
                raise DataError(
                    f"Expected images, got {some(skipped)}, of which none can be read. Convert them to "
                    f"{', '.join(FORMATS)}, or name others."
                )
    return PredictResult(sum(counts.values()), counts, tuple(skipped), None if callable(output) else Path(output))


def load_predictor(model: str | Path, device: str = "auto") -> Predictor:
    """The model in a folder that `train` or `tune` wrote. Raises ModelError if there is none, or it is damaged."""
    from synthset.classifiers.models import kind_of, load_classifier
    from synthset.tuning.saving import KIND, load_tuned

    if str(model).startswith("clip:"):
        raise ModelError(f"Expected a model that knows its classes, got '{model}', a CLIP as it came. Tune it first.")
    return load_tuned(model, device=device) if kind_of(model) == KIND else load_classifier(model, device)


def _row(pictures: Pictures, index: int, top: Sequence[tuple[str, float]]) -> Row:
    if not pictures.ids:
        return Row(pictures.names[index], tuple(top))
    return Row(pictures.names[index], tuple(top), pictures.ids[index], pictures.hashes[index])


def _classify(predictor: Predictor, pictures: Pictures, top_k: int, skipped: list[str]) -> Iterator[list[Row]]:
    """Rows by batches; the next batch is read while the model is at work."""
    from synthset.classifiers.predictions import open_picture

    def one(index: int) -> Image.Image | DataError:
        try:
            return open_picture(pictures.read(index))
        except DataError as error:
            return error

    pool = ThreadPoolExecutor()
    batches = [range(start, min(start + BATCH, len(pictures))) for start in range(0, len(pictures), BATCH)]
    try:
        with track(len(pictures), "predict", "images") as bar:
            ahead = pool.map(one, batches[0])
            for batch, following in zip(batches, [*batches[1:], range(0)], strict=True):
                opened, ahead = list(ahead), pool.map(one, following)
                images = []
                for index, image in zip(batch, opened, strict=True):
                    if isinstance(image, DataError):
                        skipped.append(pictures.names[index])
                        log.warning("left out '%s': %s", pictures.names[index], image)
                    else:
                        images.append((index, image))
                if images:
                    tops = predictor.predict_images([image for _, image in images]).top(top_k)
                    yield [_row(pictures, index, top) for (index, _), top in zip(images, tops, strict=True)]
                bar.advance(len(batch))
    finally:
        pool.shutdown(cancel_futures=True)
