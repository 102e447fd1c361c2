"""What a fault-injection script says of a row of faults, and how it runs commands in its own process."""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from synthset.cli import main
from synthset.dataset.manifest import Accounting
from synthset.dataset.reader import open_dataset

FAKE_MODEL = ("--generator", "fake/model")  # no miniature: that one draws digits alone


@dataclass(frozen=True)
class FaultReport:
    """A row of the table that `make faults` prints.

    Attributes:
        what: the faults, in a few words.
        faults: how many there were.
        requested: images, or inputs, that were asked for; always ok + flagged + failed.
        ok: those that came out whole.
        flagged: those that a safety checker refused.
        failed: those that were said to have failed, or were refused in one clear line.
        lost: what broke its promise, in words; nothing may be lost.
        note: a figure that belongs to the row.
    """

    what: str
    faults: int
    requested: int
    ok: int
    flagged: int = 0
    failed: int = 0
    lost: tuple[str, ...] = ()
    note: str = ""

    @property
    def held(self) -> bool:
        """Whether nothing was lost and every request is accounted for."""
        return not self.lost and self.requested == self.ok + self.flagged + self.failed


def report(what: str, faults: int, total: Accounting, lost: Iterable[str], note: str = "") -> FaultReport:
    """A row from the summed accounting of datasets."""
    return FaultReport(what, faults, total.requested, total.ok, total.flagged, total.failed, tuple(lost), note)


@dataclass(frozen=True)
class Ran:
    """What became of a command line: its exit code, its output, and whether it ended in a traceback."""

    code: int
    stdout: str
    stderr: str

    def fault(self, *codes: int) -> str:
        """What is wrong with how it ended, empty if nothing is: another code, or not one line that says why."""
        errors = [line for line in self.stderr.splitlines() if not line.startswith("WARNING: ")]
        if self.code not in codes:
            return f"exit code {self.code} instead of {' or '.join(map(str, codes))}: {self.stderr[-200:]!r}"
        if self.code == 0:
            return ""
        if len(errors) != 1 or not errors[0].startswith("error: "):
            return f"{len(errors)} lines instead of one error: {self.stderr[-200:]!r}"
        return "" if len(errors[0]) < 1500 else f"an error of {len(errors[0]):,} characters"


def run_command(*words: object, generator: object = None) -> Ran:
    """Run a command line here; `generator` stands in for whatever model it names. A traceback is exit code -1."""
    stdout, stderr = io.StringIO(), io.StringIO()
    stage = importlib.import_module("synthset.create.stage")  # the name in the package is the function
    with contextlib.ExitStack() as stack:
        if generator is not None:
            stack.enter_context(mock.patch.object(stage, "load", return_value=generator))
        stack.enter_context(contextlib.redirect_stdout(stdout))
        stack.enter_context(contextlib.redirect_stderr(stderr))
        try:
            code = main(["--quiet", *map(str, words)])
        except Exception as error:
            return Ran(-1, stdout.getvalue(), f"Traceback: {error!r}"[:300])
    return Ran(code, stdout.getvalue(), stderr.getvalue())


def contents(folder: Path) -> dict[Path, bytes | None]:
    """All that lies in a folder and below: bytes of files, None for the rest."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def changes(before: Mapping[Path, bytes | None], folder: Path, allowed: Path | None = None) -> list[str]:
    """What is no longer as it was in `folder`, but for what lies in `allowed`."""
    after = contents(folder)
    return [
        f"'{path}' was changed"
        for path in sorted(before.keys() | after.keys())
        if before.get(path, b"?") != after.get(path, b"?") and not (allowed and path.is_relative_to(allowed))
    ]


def hashes(folder: Path) -> dict[int, str]:
    """The SHA-256 of each image of a dataset, by its request."""
    rows = open_dataset(folder).rows
    return dict(zip(rows.column("request_id").to_pylist(), rows.column("sha256").to_pylist(), strict=True))


@contextlib.contextmanager
def environment(**values: str) -> Iterator[None]:
    """Variables of the environment, put back afterwards."""
    with mock.patch.dict("os.environ", values):
        yield
