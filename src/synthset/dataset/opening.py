"""Images to learn from, by path: a Synthset dataset, an image folder or Parquet files."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from synthset.core.errors import DataError, UsageError, setting
from synthset.dataset.parts import one_part, parts_in
from synthset.dataset.reader import Dataset, Strategies, is_dataset, open_dataset, strategies_of
from synthset.dataset.verdicts import BY_HAND, told
from synthset.images.archives import exists
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImagePath, ImageSource, load_path

log = logging.getLogger("synthset")


def open_images(
    data: ImageSource, strategy: Strategies = None, *, all_images: bool | None = None, tell: bool = True
) -> ImageSet:
    """The images of a dataset folder, or of any image folder or Parquet file.

    Never those of a real set by its name: `train digits` means the folder, and must not find a test set.

    Args:
        data: a path, or an ImageSet, which is given back.
        strategy: of a Synthset dataset: a strategy or combination, or several, taken together.
        all_images: of a Synthset dataset: also the images that are rejected. None as False, for a caller whose own
            caller has no such choice.
        tell: whether warnings count the images that are left out, and the verdicts that do not count.
    Raises:
        UsageError: a strategy of what is no Synthset dataset, or one that was not drawn; a split dataset, of which no
            part is named.
        DataError: nothing to read there, or the verdicts of a filter that do not fit the images.
    """
    if not isinstance(data, ImageSet) and (parts := parts_in(str(data))):
        data = one_part(ImagePath.of(data), parts)
    if not isinstance(data, ImageSet) and is_dataset(str(data)):
        dataset = open_dataset(str(data))
        if isinstance(data, ImagePath):
            check_opening(data)
        if tell and not all_images:
            _warn_of_rejected(dataset, "" if all_images is None else f" Give {setting('all_images', True)} for all.")
            warn_of_outdated(dataset)
        images = dataset.images(strategy, kept=not all_images)
        log.debug("%s", images.summary)
        return images
    if strategies_of(strategy):
        name, option = data.name if isinstance(data, ImageSet) else data, setting("strategy")
        raise UsageError(f"Expected a Synthset dataset for {option}, '{name}' is none. Leave {option} out.")
    if isinstance(data, ImageSet):
        return data
    if not exists(Path(data)):
        raise DataError(f"Expected images in '{data}', found nothing there. Run 'synthset create' first.")
    return load_path(data)


def check_opening(data: ImagePath) -> None:
    """Refuse to open a Synthset dataset otherwise: it has one split, train, and one label of each image."""
    opening = data.opening if data.opening.split != "train" else replace(data.opening, split=None)
    asked = [name for name in ("split", "label_column", "label_names") if getattr(opening, name)]
    if named := [setting(f"{data.prefix}{name}") for name in asked]:
        raise UsageError(
            f"Expected no {' and '.join(named)} of '{data}', a Synthset dataset: it has one split, train, and its own "
            "labels. Leave it out."
        )


def warn_of_outdated(dataset: Dataset) -> None:
    """Say which verdicts do not count, for they are on images that have other classes now, see `verdicts.in_force`."""
    for method, verdicts in dataset.verdicts().items():
        if verdicts.outdated:
            log.warning(
                "%s",
                UsageError(
                    f"The filter {method} judged {verdicts.outdated:,} of {verdicts.table.num_rows:,} images of "
                    f"'{dataset.folder}' as of other classes than they have now: what it said of these does not count. "
                    f"Run it again: 'synthset filter {dataset.folder}' with {setting('method', method)}."
                ),
            )


def _warn_of_rejected(dataset: Dataset, advice: str) -> None:
    kept, verdicts = dataset.kept(), dataset.verdicts()
    if kept.all():
        return
    rejecting = {method: int((~one.keep).sum()) for method, one in verdicts.items() if not one.keep.all()}
    by_hand = rejecting.get(BY_HAND, 0)
    by_filters = int((~kept).sum()) - by_hand
    counts = [f"{by_filters:,} {told(method for method in rejecting if method != BY_HAND)}"] * bool(by_filters)
    counts += [f"{by_hand:,} {told([BY_HAND])}"] * bool(by_hand)
    log.warning(
        "%s",
        UsageError(f"{(~kept).sum():,} of {len(kept):,} images are left out: {', '.join(counts)}.{advice}"),
    )
