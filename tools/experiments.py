"""Writes the first page of EXPERIMENTS.md, the papers' findings with their verdicts, from docs/findings.json:
`python -m tools.experiments`, or with the folder of a reproduction to take its findings.json over first.

    synthset reproduce all --output-dir reproduction
    python -m tools.experiments reproduction
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from synthset.core.files import atomic_write
from synthset.findings.results import FILE, FindingResult, SavedFindings, read_findings
from synthset.findings.rules import NOT_MEASURABLE
from synthset.findings.wording import count_seeds, count_verdicts, deciding, difference, figure, interval, side_by_side

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "EXPERIMENTS.md"
SAVED = ROOT / "docs"  # findings.json in it
BEGIN, END = "<!-- findings: written by python -m tools.experiments -->", "<!-- end of findings -->"
_MOST_FIGURES = 6  # in a cell


def main(folder: str | None = None) -> None:
    """Replace the page in the document, after taking over the results of a folder if one is given."""
    if folder is not None:
        read_findings(Path(folder))  # which refuses a damaged file, and one of a run that is not finished
        with atomic_write(SAVED / FILE) as file:
            file.write((Path(folder) / FILE).read_bytes())
    text = with_findings(DOCUMENT.read_text(encoding="utf-8"))
    DOCUMENT.write_text(text, encoding="utf-8", newline="\n")


def with_findings(text: str, folder: Path | None = None) -> str:
    """The document with the saved findings, or those of a folder; as it is where there are none.

    Raises:
        ValueError: the document is without its marks.
    """
    saved = folder or SAVED
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"Expected '{BEGIN}' and '{END}' around the findings, found at most one of them.")
    if not (saved / FILE).is_file():
        return text
    return f"{before}{begin}\n{page(read_findings(saved))}\n{end}{after}"


def page(saved: SavedFindings) -> str:
    """The findings as a table, below what it is of."""
    seeds = count_seeds(saved.findings)
    scale = "miniature --quick" if saved.scale == "quick" else saved.scale
    counts = ", ".join(f"{count} {verdict}" for verdict, count in count_verdicts(saved.findings).items())
    most = max((len(item.values) for one in saved.findings for item in one.measured), default=saved.seeds)
    lines = [
        f"`synthset reproduce all --scale {scale} --seeds {most}`, Synthset {saved.libraries.get('synthset', '?')}, "
        f"{seeds}: {counts}.",
        "",
        "| | what the paper found | the paper | here | what the verdict turns on | verdict |",
        "|---|---|---|---|---|---|",
        *(f"| {' | '.join(_cell(text) for text in _row(one))} |" for one in saved.findings),
    ]
    if saved.failed:
        lines += ["", f"Not done: {'; '.join(_cell(one) for one in saved.failed)}."]
    return "\n".join(lines)


def _row(one: FindingResult) -> Iterator[str]:
    yield one.name
    yield f"{one.claim} ({one.source})"
    yield _figures((item.label, figure(item.value, one.unit)) for item in one.published)
    read = [
        row for row in side_by_side(one) if row.measured and any(row.label in item.label for item in one.differences)
    ]
    yield _figures((row.label, figure(row.measured.mean, one.unit)) for row in read if row.measured)
    yield one.reason if one.verdict == NOT_MEASURABLE else "; ".join(_differences(one))
    yield one.verdict


def _differences(one: FindingResult) -> Iterator[str]:
    """The difference that decides, with its interval, and how many others there are."""
    if item := deciding(one):
        within = interval(item, one.unit)
        others = f", the first of {len(one.differences)}" if len(one.differences) > 1 else ""
        yield f"{item.label}: {difference(item.mean, one.unit)}{f' ({within})' if within else ''}{others}"


def _figures(pairs: Iterator[tuple[str, str]]) -> str:
    """Figures with their labels; of many the first."""
    texts = [f"{label} {value}" for label, value in pairs]
    return "; ".join([*texts[:_MOST_FIGURES], *(["…"] if len(texts) > _MOST_FIGURES else [])])


def _cell(text: str) -> str:
    """A text that stays in its cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    main(*sys.argv[1:2])
