"""findings.html: a reproduction as one page that works offline, built from its saved files alone."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from synthset.core.files import delete_parts, write_text
from synthset.core.locks import writing
from synthset.findings.charts import Picture, draw_pictures
from synthset.findings.registry import papers
from synthset.findings.results import FILE, MARKER, PAGE, FindingResult, read_findings
from synthset.findings.rules import CONTRADICTED, NOT_MEASURABLE, NOT_SHOWN, SHOWN
from synthset.findings.wording import count_seeds, count_verdicts, deciding, difference, figure, interval, side_by_side
from synthset.report.page import render_elsewhere

# classes of the style sheet
_TONES = {SHOWN: "fine", NOT_SHOWN: "unclear", CONTRADICTED: "bad", NOT_MEASURABLE: "mild"}


@dataclass(frozen=True)
class _Shown:
    """A picture as the page holds it."""

    caption: str
    uri: str


def is_reproduction(folder: Path) -> bool:
    """Whether a folder is that of a reproduction, finished or not."""
    return any((folder / name).is_file() for name in (FILE, MARKER))


def build_page(folder: str | Path) -> Path:
    """Draw the pictures of a reproduction anew and write its `findings.html`; gives its path.

    Raises:
        DataError: it is not finished, or a file is damaged; an earlier page is left as it is.
        UsageError: another command is at work in the folder.
    """
    with writing(Path(folder)):
        delete_parts(Path(folder), below=False)
        return write_page(Path(folder))


def write_page(folder: Path) -> Path:
    """As `build_page`, for a command that is alone with the folder already."""
    saved, path = read_findings(folder), folder / PAGE
    titles, by_paper = {paper.name: paper.title for paper in papers()}, dict[str, list[FindingResult]]()
    for one in saved.findings:
        by_paper.setdefault(titles.get(one.paper, one.paper), []).append(one)
    page = render_elsewhere(
        "synthset.findings",
        "findings.html.j2",
        saved=saved,
        counts=count_verdicts(saved.findings),
        seeds=count_seeds(saved.findings),
        by_paper=by_paper,
        pictures=[_as_shown(picture, folder) for picture in draw_pictures(saved.findings, folder)],
        tones=_TONES,
        side_by_side=side_by_side,
        deciding=deciding,
        figure=figure,
        difference=difference,
        interval=interval,
    )
    write_text(path, page)
    return path


def _as_shown(picture: Picture, folder: Path) -> _Shown:
    data = base64.b64encode((folder / picture.file).read_bytes()).decode()
    return _Shown(picture.caption, f"data:image/png;base64,{data}")
