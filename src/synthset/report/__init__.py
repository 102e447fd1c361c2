"""Report: the saved files of a diagnosis, a comparison or any other result -> one HTML file that works offline. It
computes nothing.

reading.py     the files of a diagnosis, checked
comparison.py  the files of a comparison, and its charts
prompt_study.py  those of a prompt study
results.py     transfers, detectors, curves over shots, and their charts
best.py        which of several is best, for the headline
models.py      what classifiers learned from
verdicts.py    which classes will fail, why, and what to change
sections.py    what the other sections show, and in which order
galleries.py   thumbnails as data URIs
figures.py     charts of a diagnosis as plotly's plain dictionaries
parts.py       what charts are made of
formatting.py  numbers and hostile texts as they stand in the page
page.py        template, styles and scripts in one file, under a policy that forbids the network
"""

from __future__ import annotations

from pathlib import Path

from synthset.core.files import delete_parts, write_text
from synthset.core.locks import writing

FILE_NAME = "report.html"


def build_report(folder: str | Path) -> Path:
    """Write `report.html` into a folder of one of these, from the files there alone; gives its path.

    Of transfers, detectors and curves the folder may be one that holds theirs: they stand side by side.

    Raises:
        DataError: a file is missing or damaged, or the comparison is not finished; an earlier report is left as it is.
        UsageError: another command is at work in the folder.
    """
    with writing(Path(folder)):
        return write_report(Path(folder))


def write_report(folder: Path) -> Path:
    """As `build_report`, for a command that is alone with the folder already."""
    from synthset.comparison.results import MARKER
    from synthset.report.comparison import read_comparison
    from synthset.report.page import render_comparison, render_diagnosis, render_results, render_study
    from synthset.report.prompt_study import MARKER as OF_STUDY
    from synthset.report.prompt_study import read_study
    from synthset.report.reading import INFO_FILE, read_diagnosis
    from synthset.report.results import read_results_of_models

    path = folder / FILE_NAME
    if (folder / MARKER).is_file():
        page = render_comparison(read_comparison(folder))
    elif (folder / OF_STUDY).is_file():
        page = render_study(read_study(folder))
    elif not (folder / INFO_FILE).exists() and (results := read_results_of_models(folder)):
        page = render_results(results)
    else:
        page = render_diagnosis(read_diagnosis(folder))
    delete_parts(folder)
    write_text(path, page.encode("utf-8", "replace").decode())  # a lone surrogate, which JSON may hold, has no UTF-8
    return path
