"""The first page of EXPERIMENTS.md is that of docs/findings.json, if that is there."""

import pytest

from findings.made_up import make_result
from synthset.core.errors import DataError
from synthset.findings.results import FILE, write_results
from tools import experiments

DOCUMENT = f"# Experiments\n\n{experiments.BEGIN}\nold\n{experiments.END}\n\n## More\n"


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    made = make_result(tmp_path_factory.mktemp("reproduction"), scale="miniature")
    write_results(made)
    return made


def test_the_page_is_that_of_the_saved_findings():
    text = experiments.DOCUMENT.read_text(encoding="utf-8")
    assert experiments.with_findings(text) == text, "run: python -m tools.experiments"


def test_without_saved_findings_the_document_stays(tmp_path):
    assert experiments.with_findings(DOCUMENT, tmp_path) == DOCUMENT


def test_every_finding_has_a_row_with_its_verdict(result):
    text = experiments.with_findings(DOCUMENT, result.folder)
    assert text.startswith(f"# Experiments\n\n{experiments.BEGIN}\n")
    assert text.endswith(f"{experiments.END}\n\n## More\n")
    assert "\nold\n" not in text
    rows = [line[2:-2].split(" | ") for line in text.splitlines() if line.startswith(("| F", "| B"))]
    assert [(row[0], row[-1]) for row in rows] == [(one.name, one.verdict) for one in result.findings]
    assert {len(row) for row in rows} == {6}
    told = dict(zip([row[0] for row in rows], rows, strict=True))
    assert told["F21"][4] == "a disk that was <full> & slow"
    assert told["F24"][2] == "clarified 26.3 %; guidance 2.5 43.4 %"
    (item,) = next(one for one in result.findings if one.name == "F24").differences
    assert told["F24"][4].startswith(f"guidance 2.5 - clarified: {100 * item.mean:+.1f} ({100 * item.low:+.1f} to ")
    assert "--scale miniature --seeds 3" in text
    assert experiments.with_findings(text, result.folder) == text


def test_results_of_a_run_are_taken_over_and_damaged_ones_refused(result, tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    (tmp_path / "EXPERIMENTS.md").write_text(DOCUMENT)
    monkeypatch.setattr(experiments, "DOCUMENT", tmp_path / "EXPERIMENTS.md")
    monkeypatch.setattr(experiments, "SAVED", tmp_path / "docs")
    experiments.main(str(result.folder))
    assert (tmp_path / "docs" / FILE).read_bytes() == (result.folder / FILE).read_bytes()
    written = (tmp_path / "EXPERIMENTS.md").read_text()
    assert "| F24 |" in written
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / FILE).write_text("{")
    with pytest.raises(DataError, match="Expected JSON"):
        experiments.main(str(tmp_path / "broken"))
    assert (tmp_path / "EXPERIMENTS.md").read_text() == written


def test_a_document_without_marks_is_refused():
    with pytest.raises(ValueError, match="end of findings"):
        experiments.with_findings(experiments.BEGIN)
