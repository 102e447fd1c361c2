"""A reproduction's files: findings.json, and its two tables as Parquet and CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from synthset.core.errors import DataError, SynthsetError
from synthset.core.files import write_json, write_text
from synthset.core.json_records import Count, read_record
from synthset.core.parquet_files import write_table
from synthset.core.versions import library_versions
from synthset.diagnosis.saving import to_csv
from synthset.findings.finding import Published
from synthset.findings.rules import Difference

FORMAT = "synthset-findings-1"
FILE, VERDICTS, FIGURES = "findings.json", "verdicts", "figures"
PAGE = "findings.html"
MARKER = "reproduction.json"  # of the folder, from the first moment on

_VERDICTS = pa.schema(
    [
        *((name, pa.string()) for name in ("finding", "paper", "source", "claim", "verdict", "rule", "reason")),
        ("seeds", pa.int64()),
    ]
)
_FIGURES = pa.schema(
    [
        *((name, pa.string()) for name in ("finding", "kind", "label")),
        *((name, pa.float64()) for name in ("value", "low", "high")),
        ("verdict", pa.string()),
    ]
)


@dataclass(frozen=True)
class Measured:
    """A figure over seeds; `low` and `high` are its 95 % interval, None of one seed."""

    label: str
    mean: float
    low: float | None
    high: float | None
    values: tuple[float, ...]


@dataclass(frozen=True)
class Judged:
    """A verdict of an earlier run by another rule."""

    rule: str
    verdict: str


@dataclass(frozen=True)
class FindingResult:
    """What came of one finding.

    Attributes:
        unit: of the figures: "percent" where they are shares, which are in [0, 1].
        published, measured: figures of the paper, and ours, by label.
        differences: that the rule is about.
        rule: in words.
        verdict: shown, not shown, contradicted, or not measurable here.
        reason: why it is not measurable; empty otherwise.
        earlier: verdicts by other rules, the oldest first.
    """

    name: str
    paper: str
    source: str
    claim: str
    note: str
    unit: str
    published: tuple[Published, ...]
    measured: tuple[Measured, ...]
    differences: tuple[Difference, ...]
    rule: str
    verdict: str
    reason: str = ""
    earlier: tuple[Judged, ...] = ()


@dataclass(frozen=True)
class ReproductionResult:
    """All of a reproduction.

    Attributes:
        folder: where it lies.
        scale: miniature, quick or paper.
        seeds: repetitions of this run.
        findings: in the order of the papers; of an earlier run too, where this one was not asked for them.
        failed: work that could not be done, and why.
    """

    folder: Path
    scale: str
    seeds: int
    findings: tuple[FindingResult, ...]
    failed: tuple[str, ...] = ()


@dataclass(frozen=True)
class SavedFindings:
    """findings.json; see ReproductionResult."""

    format: Literal["synthset-findings-1"]
    scale: str
    seeds: Count
    findings: tuple[FindingResult, ...]
    failed: tuple[str, ...]
    libraries: dict[str, str]


def read_findings(folder: Path) -> SavedFindings:
    """What a finished reproduction found. Raises DataError if it is not finished, or damaged."""
    try:
        return read_record(SavedFindings, folder / FILE, "Run 'synthset reproduce' again.")
    except FileNotFoundError as error:
        raise DataError(
            f"Expected the results of a reproduction at '{folder / FILE}', found none: it is not finished. Run "
            "'synthset reproduce' again, which goes on there."
        ) from error


def with_earlier(folder: Path, findings: Sequence[FindingResult]) -> Iterator[FindingResult]:
    """The findings with what earlier runs into the folder said of them by another rule; then all others of these."""
    before: dict[str, FindingResult] = {}
    with suppress(SynthsetError):  # there was none, or a damaged one, which is written anew
        before = {one.name: one for one in read_findings(folder).findings}
    for finding in findings:
        earlier = before.get(finding.name)
        judged = earlier.earlier if earlier else ()
        if earlier and earlier.rule != finding.rule:
            judged = (*judged, Judged(earlier.rule, earlier.verdict))
        yield replace(finding, earlier=judged)
    asked = {finding.name for finding in findings}
    yield from (finding for name, finding in before.items() if name not in asked)


def write_results(result: ReproductionResult) -> None:
    """Write the tables, then findings.json."""
    for name, schema, rows in (
        (VERDICTS, _VERDICTS, list(_verdict_rows(result))),
        (FIGURES, _FIGURES, list(_figure_rows(result))),
    ):
        table = pa.Table.from_pylist(rows, schema)
        write_table(result.folder / f"{name}.parquet", table)
        write_text(result.folder / f"{name}.csv", to_csv(table))
    note = {"format": FORMAT, **asdict(result), "libraries": library_versions()}
    del note["folder"]
    write_json(result.folder / FILE, note)


def _verdict_rows(result: ReproductionResult) -> Iterator[dict[str, Any]]:
    for one in result.findings:
        named = {name: getattr(one, name) for name in ("paper", "source", "claim", "verdict", "rule", "reason")}
        yield {"finding": one.name, **named, "seeds": len(one.measured[0].values) if one.measured else None}


def _figure_rows(result: ReproductionResult) -> Iterator[dict[str, Any]]:
    for one in result.findings:
        for figure in one.published:
            yield {"finding": one.name, "kind": "published", "label": figure.label, "value": figure.value}
        for kind, figures in (("measured", one.measured), ("difference", one.differences)):
            for item in figures:
                values = {"value": item.mean, "low": item.low, "high": item.high}
                verdict = getattr(item, "verdict", None)
                yield {"finding": one.name, "kind": kind, "label": item.label, **values, "verdict": verdict}
