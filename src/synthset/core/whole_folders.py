"""Folders that appear whole or not at all, and replace nothing but an earlier one of their kind."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from synthset.core.errors import DataError, UsageError, setting
from synthset.core.locks import writing

Owned = Callable[[Path], Collection[str] | None]
"""The names of what an earlier export wrote into a folder, all of it; None where the folder is no export."""


@contextmanager
def whole_folder(output: Path, owned: Owned, *, overwrite: bool = False) -> Iterator[Path]:
    """A folder to write into, which stands at `output` when the block ends, and nowhere if it raises.

    Args:
        output: a new or empty folder; its parents are made.
        owned: tells an earlier export, see Owned.
        overwrite: replace an earlier export, if nothing else lies in its folder.
    Raises:
        UsageError: something else is in the way, or an earlier export is and `overwrite` is off.
        DataError: it cannot be written.
    """
    _check_target(output, owned, overwrite)
    target = output.absolute()
    partial = target.with_name(f".{target.name}.partial")
    try:
        with writing(partial), writing(target) if target.is_dir() else nullcontext():
            _check_target(output, owned, overwrite)  # as it is now that nobody else writes there
            try:
                _delete_all(partial)  # of an export that was killed
                yield partial
                _replace(partial, target)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
    except OSError as error:
        raise DataError(
            f"Expected to write '{output}', got: {error}. Nothing was exported; check space and rights."
        ) from error


def _check_target(output: Path, owned: Owned, overwrite: bool) -> None:
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise UsageError(f"Expected a new folder, got '{output}', a file or a link. Give another folder.")
    if not output.is_dir() or not any(output.iterdir()):
        return
    names = owned(output)
    if names is None:
        raise UsageError(
            f"Expected a new or empty folder, got '{output}', which holds other things. Give another folder."
        )
    if not overwrite:
        raise UsageError(f"'{output}' already holds an export. Give another folder, or {setting('overwrite')}.")
    foreign = sorted({entry.name for entry in output.iterdir()} - set(names))
    if foreign:
        raise UsageError(f"'{output}' holds an export and also '{foreign[0]}', which would be lost. Move that first.")


def _delete_all(folder: Path) -> None:
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _replace(new: Path, target: Path) -> None:
    """Put `new` at `target`; an older folder stays there until the new one is in place."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)  # of an export that was killed just here
    if target.exists():
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
