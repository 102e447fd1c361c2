"""The manifest of a dataset: job, libraries and accounting. Written and read here alone.

A manifest may come from anywhere, so that it is read strictly: whoever has one need not check it again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from synthset.core.errors import DataError, UsageError
from synthset.core.files import read_json, write_json
from synthset.core.versions import library_versions
from synthset.dataset.records import REQUIRED_COLUMNS
from synthset.prompts.classes import check_classes

MANIFEST_FILE = "manifest.json"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Accounting:
    """requested = ok + flagged + failed, always; retries counts the extra attempts behind them."""

    requested: int = 0
    ok: int = 0
    flagged: int = 0
    failed: int = 0
    retries: int = 0

    def __add__(self, other: Accounting) -> Accounting:
        return Accounting(**{key: value + getattr(other, key) for key, value in asdict(self).items()})

    def __str__(self) -> str:
        return f"{self.requested:,} requested = {self.ok:,} ok + {self.flagged:,} flagged + {self.failed:,} failed"


def write_manifest(
    folder: Path,
    status: str,
    job: Mapping[str, Any],
    batch_size: int,
    accounting: Accounting,
    seconds: float,
    refill: Mapping[str, Any] | None = None,
    columns: Sequence[str] | None = None,
) -> None:
    """Write the manifest of a dataset folder.

    Args:
        folder: of the dataset.
        status: "drawing" or "complete".
        job: entries that another run must share.
        batch_size: requests drawn together.
        accounting: of the whole dataset; zeros while it is drawn for the first time.
        seconds: of all runs so far.
        refill: outcome of refilling.
        columns: of the shards; None for a dataset that was begun before manifests listed them.
    """
    manifest = {
        "format_version": FORMAT_VERSION,
        "status": status,
        "job": dict(job),
        **({"columns": list(columns)} if columns else {}),
        "batch_size": batch_size,
        "accounting": asdict(accounting),
        **({"refill": dict(refill)} if refill else {}),
        "seconds": round(seconds, 2),
        "libraries": library_versions(),
    }
    write_json(folder / MANIFEST_FILE, manifest)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a dataset folder, with every entry of the kind that `write_manifest` gives it.

    Raises:
        DataError: it is not there, damaged, of a later format, or holds what no run of ours writes.
    """
    path = folder / MANIFEST_FILE
    try:
        manifest = read_json(path)
        version = manifest.get("format_version") if isinstance(manifest, dict) else None
        if type(version) is int and version > FORMAT_VERSION:
            raise DataError(f"'{path}' has format {version}, this version reads {FORMAT_VERSION}. Update synthset.")
        _check("manifest", manifest, _MANIFEST)
        _check("job", manifest["job"], _JOB)
        _check("accounting", manifest["accounting"], _ACCOUNTING)
        check_classes(manifest["job"]["classes"])
        if len(manifest["accounting"]) > len(_ACCOUNTING):
            raise ValueError("its accounting has other entries")
        accounting = Accounting(**manifest["accounting"])
        if accounting.requested != accounting.ok + accounting.flagged + accounting.failed:
            raise ValueError(f"its accounting does not add up: {accounting}")
    except (OSError, ValueError, UsageError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"Expected the manifest of a Synthset dataset in '{path}', it does not read ({reason.rstrip('.')}). "
            "Restore the file, or choose another folder."
        ) from error
    return manifest


def _check(what: str, value: object, entries: Mapping[str, Callable[[Any], bool]]) -> None:
    """Raise ValueError unless `value` has these entries, each as it should be; None stands for one not there."""
    if not isinstance(value, dict):
        raise ValueError(f"its {what} is no object")
    for key, is_right in entries.items():
        if not is_right(value.get(key)):
            raise ValueError(f"no usable '{key}' in its {what}")


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_seconds(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_columns(value: Any) -> bool:
    return _is_texts(value) and len(set(value)) == len(value) and REQUIRED_COLUMNS.issubset(value)


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict)


def _is_wording(value: object) -> bool:
    phrases = value.get("phrases", {}) if isinstance(value, dict) else None
    return isinstance(phrases, dict) and _is_texts(list(phrases.values()))


_MANIFEST: Mapping[str, Callable[[Any], bool]] = {
    "format_version": lambda version: _is_count(version) and version == FORMAT_VERSION,
    "status": lambda status: status in ("drawing", "complete"),
    "job": _is_mapping,
    "columns": lambda columns: columns is None or _is_columns(columns),
    "batch_size": lambda size: _is_count(size) and size > 0,
    "accounting": _is_mapping,
    "seconds": _is_seconds,
    "libraries": _is_mapping,
    "refill": lambda refill: refill is None or _is_mapping(refill),
}
# the entries that something reads; the others are only compared with those of the same job
_JOB: Mapping[str, Callable[[Any], bool]] = {
    "classes": _is_texts,
    "prompts": _is_wording,
    "generation": _is_mapping,
    "strategies": _is_mapping,
    "initial_images": lambda images: images is None or _is_mapping(images),
    "refill": lambda refill: refill is None or _is_mapping(refill),
}
_ACCOUNTING = {field.name: _is_count for field in fields(Accounting)}
