"""Report: the saved files of a diagnosis -> one HTML file that works offline. It computes nothing.

reading.py     the files of the folder, checked
verdicts.py    which classes will fail, why, and what to change
sections.py    what the other sections show, and in which order
galleries.py   thumbnails as data URIs
figures.py     charts as plotly's plain dictionaries
formatting.py  numbers and hostile texts as they stand in the page
page.py        template, styles and scripts in one file, under a policy that forbids the network
"""

from __future__ import annotations

from pathlib import Path

from synthset.core.files import delete_parts, write_text
from synthset.core.locks import writing

FILE_NAME = "report.html"


def build_report(folder: str | Path) -> Path:
    """Write `report.html` into the folder of a diagnosis, from the files there alone; gives its path.

    Raises:
        DataError: a file is missing or damaged; an earlier report is left as it is.
        UsageError: another command is at work in the folder.
    """
    with writing(Path(folder)):
        return write_report(Path(folder))


def write_report(folder: Path) -> Path:
    """As `build_report`, for a command that is alone with the folder already."""
    from synthset.report.page import render_page
    from synthset.report.reading import read_diagnosis

    path = folder / FILE_NAME
    page = render_page(read_diagnosis(folder))
    delete_parts(folder)
    write_text(path, page.encode("utf-8", "replace").decode())  # a lone surrogate, which JSON may hold, has no UTF-8
    return path
