"""Which images a model learned from, as its training.json says: it is not tested on them unless somebody asks."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from synthset.classifiers.checkpoints import TRAINING_FILE, RecordedJob
from synthset.classifiers.training_set import fingerprint
from synthset.core.errors import UsageError, setting
from synthset.core.json_records import read_record
from synthset.dataset.reader import Strategies, strategies_of
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImagePath, Opening
from synthset.images.sketch import Sketch, hash_files

log = logging.getLogger("synthset")

REFUSED_SHARE, NAMED_SHARE = 0.5, 0.01  # of the images of a test that were learned from


@dataclass(frozen=True)
class DataPath:
    """Where images that are learned from lie, and which of them they are; nothing of it is the training's identity.

    Attributes:
        path: absolute, so that it is found from anywhere; or a URL.
        opening: how it is opened.
        strategies: of a Synthset dataset, the strategies or combinations that are learned from; none for all.
        all_images: of a Synthset dataset, also what filters rejected.
        strategy: the only one of `strategies`, as earlier versions wrote it.
    """

    path: str
    opening: Opening = field(default_factory=Opening)
    strategies: tuple[str, ...] = ()
    all_images: bool = False
    strategy: str | None = None

    def __post_init__(self) -> None:
        if self.strategy is not None:
            object.__setattr__(self, "strategies", (self.strategy,))
            object.__setattr__(self, "strategy", None)

    def to_json(self) -> dict[str, Any]:
        """As training.json has it."""
        return {name: value for name, value in asdict(self).items() if name != "strategy"}

    @staticmethod
    def of(data: str | Path | ImagePath, strategy: Strategies = None, *, all_images: bool = False) -> DataPath:
        """The path as it was given, made absolute."""
        given = ImagePath.of(data)
        path = given.path if "://" in given.path else str(Path(given.path).absolute())
        return DataPath(path, given.opening, strategies_of(strategy), all_images)


@dataclass(frozen=True)
class _Note:
    """What concerns the images in training.json; a training by an earlier version has no sketch of them."""

    job: RecordedJob
    learned_from: Sketch | None = None


def check_unseen(model: Path, images: ImageSet, *, allowed: bool = False) -> None:
    """Refuse to test a model on the images that it learned from.

    Args:
        model: folder of a model; one without notes of its training learned from nothing that is known.
        allowed: a warning will do.
    Raises:
        UsageError: more than half of the images were learned from.
        DataError: the notes are damaged.
    """
    try:
        note = read_record(_Note, model / TRAINING_FILE, "Train it again.")
    except FileNotFoundError:
        return
    if note.learned_from is None:
        share = float(len(images) > 0 and fingerprint(images) == note.job.fingerprint)
    else:
        share = note.learned_from.share_in(hash_files(images))
    tell_seen(f"'{model}'", images, share, allowed=allowed)


def tell_seen(model: str, images: ImageSet, share: float, *, allowed: bool = False) -> None:
    """Refuse, or warn, where a share of the images of a test was learned from. Raises UsageError."""
    if share < NAMED_SHARE:
        return
    part = "all" if share == 1 else f"about {share:.0%}"
    if share > REFUSED_SHARE and not allowed:
        raise UsageError(
            f"Expected images that {model} did not learn from, got {part} of the {len(images):,} in '{images.name}' "
            "that it did: how it does on those says nothing of others. Give other images, or "
            f"{setting('allow_training_images', True)} to test on these all the same."
        )
    log.warning("%s learned from %s of the images of '%s': it may do worse on others", model, part, images.name)
