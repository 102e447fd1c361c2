"""How an export is written, beside its format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from synthset.core.errors import UsageError, setting
from synthset.core.options import Option, check_options
from synthset.dataset.parts import PART_NAMES, TIES

SPLITS = "Splits"  # heading of their options


@dataclass(frozen=True)
class ExportConfig:
    """How an export is written; each format reads some of these options, and those of others are refused."""

    numbered: bool = False
    """Folders called by the number and a slug of their class, so that they sort as the dataset numbers its classes."""
    shard_size: Annotated[int, Option(at_least=1)] = 1000
    """Images in a tar file of webdataset."""
    train: Annotated[float | None, Option(above=0, at_most=1, group=SPLITS, default="0.8 for yolo, else no splits")] = (
        None
    )
    """Share of the images to train on; the shares add up to 1. Each class and strategy has them, and no image comes to
    one split of which another has a near copy, or one drawn on the same noise or real image."""
    validation: Annotated[float | None, Option(above=0, at_most=1, group=SPLITS, default="0.1 for yolo")] = None
    """Share of the images to choose by."""
    test: Annotated[float | None, Option(above=0, at_most=1, group=SPLITS, default="0.1 for yolo")] = None
    """Share of the images to test on."""
    seed: Annotated[int, Option(at_least=0, below=2**63, group=SPLITS)] = 0
    """Seed of the choice."""
    ties: Annotated[tuple[str, ...], Option(choices=(*TIES, "none"), group=SPLITS, default="all three")] = tuple(TIES)
    """Images that are kept in one split: copies (near ones, by their hashes), noise (drawn on the same), source (a real
    image behind both); none parts them all."""

    def __post_init__(self) -> None:
        check_options(self)
        if "none" in self.ties and len(self.ties) > 1:
            raise UsageError(f"Expected {setting('ties', 'none')} alone, got {', '.join(self.ties)}.")

    @property
    def shares(self) -> dict[str, float]:
        """The shares of the splits, by name; empty where there are to be none."""
        shares = {name: getattr(self, name) for name in PART_NAMES}
        return {name: share for name, share in shares.items() if share is not None}
