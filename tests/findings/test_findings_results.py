"""A reproduction's files: JSON, Parquet and CSV say the same, and so do pictures and page."""

import csv
import json
import os
import re
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from PIL import Image

from browser import Browser, find_browser
from findings.made_up import make_result
from synthset.findings.charts import VERDICTS, draw_pictures
from synthset.findings.page import build_page
from synthset.findings.results import read_findings, write_results
from synthset.findings.wording import count_seeds, count_verdicts, deciding, side_by_side


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduction")
    made = make_result(folder)
    write_results(made)
    return made


@pytest.fixture(scope="module")
def page(result):
    return build_page(result.folder)


def test_json_gives_back_what_was_written(result):
    saved = read_findings(result.folder)
    assert saved.findings == result.findings
    assert (saved.scale, saved.seeds, saved.failed) == (result.scale, result.seeds, result.failed)
    assert "torch" in saved.libraries


def test_parquet_csv_and_json_agree(result):
    saved = json.loads((result.folder / "findings.json").read_text())["findings"]
    for name in ("verdicts", "figures"):
        rows = pq.read_table(result.folder / f"{name}.parquet").to_pylist()
        with (result.folder / f"{name}.csv").open(newline="") as file:
            texts = list(csv.DictReader(file))
        assert len(rows) == len(texts)
        for row, text in zip(rows, texts, strict=True):
            for key, value in row.items():
                assert text[key] == ("" if value is None else value if isinstance(value, str) else text[key])
                if isinstance(value, float):
                    assert float(text[key]) == value
    verdicts = {row["finding"]: row for row in pq.read_table(result.folder / "verdicts.parquet").to_pylist()}
    for one in saved:
        assert all(verdicts[one["name"]][key] == one[key] for key in ("verdict", "rule", "reason", "claim", "source"))
        assert verdicts[one["name"]]["seeds"] == (3 if one["measured"] else None)
    found = pq.read_table(result.folder / "figures.parquet").to_pylist()
    told = [
        (one["name"], kind, item["label"], item.get("mean", item.get("value")), item.get("low"), item.get("verdict"))
        for one in saved
        for kind, items in (
            *(("published", one["published"]), ("measured", one["measured"])),
            ("difference", one["differences"]),
        )
        for item in items
    ]
    assert [tuple(row[key] for key in ("finding", "kind", "label", "value", "low", "verdict")) for row in found] == told


def test_the_papers_figures_stand_beside_ours_and_none_is_left_out(result):
    for one in result.findings:
        rows = side_by_side(one)
        assert {row.label: row.published for row in rows if row.published is not None} == {
            item.label: item.value for item in one.published
        }
        assert [row.measured for row in rows if row.measured] == list(one.measured)
    (clarified,) = [row for row in side_by_side(find(result, "F24")) if row.label == "clarified"]
    assert (clarified.published, bool(clarified.measured)) == (0.263, True)


def find(result, name):
    return next(one for one in result.findings if one.name == name)


def test_the_difference_that_decides_has_the_verdict(result):
    for one in result.findings:
        if one.differences:
            assert deciding(one).verdict == one.verdict
    assert deciding(find(result, "F21")) is None
    assert sum(count_verdicts(result.findings).values()) == len(result.findings) == 33


def test_seeds_are_counted_where_they_differ(result):
    assert count_seeds(result.findings) == "3 seeds"
    one = find(result, "F1")
    less = replace(one, measured=tuple(replace(item, values=item.values[:1]) for item in one.measured))
    assert count_seeds([less]) == "1 seed"
    assert count_seeds([less, one]) == "1 to 3 seeds"


# ---- pictures ----------------------------------------------------------------------------------------------


def colours(path):
    with Image.open(path) as picture:
        return {colour for _, colour in picture.convert("RGB").getcolors(1 << 24)}


def test_pictures_are_drawn_of_what_there_is_and_those_of_before_go(result, tmp_path):
    def files(findings):
        drawn = {picture.file for picture in draw_pictures(findings, tmp_path)}
        assert {path.name for path in tmp_path.iterdir()} == drawn
        return drawn

    assert files([find(result, "F26")]) == {"figure5.png", "differences-marwood2023.png"}
    assert files(result.findings) == {
        *("table2.png", "figure1.png", "figure5.png"),
        *(f"differences-{paper}.png" for paper in ("shipard2023", "he2023", "marwood2023")),
    }
    assert files([replace(one, measured=(), differences=()) for one in result.findings]) == set()


def test_a_verdict_has_its_colour(result, tmp_path):
    for verdict, colour in VERDICTS.items():
        own = [
            replace(one, differences=tuple(replace(item, verdict=verdict) for item in one.differences))
            for one in (find(result, "F24"), find(result, "F26"))
        ]
        draw_pictures(own, tmp_path)
        found = colours(tmp_path / "differences-marwood2023.png")
        assert colour in found


def test_intervals_beyond_the_axis_are_cut_and_one_seed_has_none(tmp_path):
    for seeds in (1, 2):  # of two seeds an interval is wider than anything that can be
        made = make_result(tmp_path, seeds=seeds)
        for picture in draw_pictures(made.findings, tmp_path):
            with Image.open(tmp_path / picture.file) as drawn:
                assert drawn.width == 1400
                edge = drawn.crop((1380, 0, 1400, drawn.height)).getcolors()
                assert edge == [(20 * drawn.height, (255, 255, 255))], picture.file


def test_the_papers_scale_has_more_bars_than_the_miniature(tmp_path):
    made = make_result(tmp_path, ("shipard2023",), scale="paper")
    assert "table2.png" in {picture.file for picture in draw_pictures(made.findings, tmp_path)}


# ---- the page ----------------------------------------------------------------------------------------------


def test_the_page_is_made_of_saved_files_alone(result, page, tmp_path):
    (tmp_path / "findings.json").write_bytes((result.folder / "findings.json").read_bytes())
    assert build_page(tmp_path).read_bytes() == page.read_bytes()


def test_the_page_says_all_of_every_finding(result, page):
    text = re.sub(r"&#39;", "'", page.read_text())
    for one in result.findings:
        assert f'id="{one.name}"' in text
        part = text.partition(f'id="{one.name}"')[2].partition("</article>")[0]
        for told in (one.claim, one.source, one.note, one.rule, one.reason, one.verdict):
            assert told.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in part
        for item in (*one.measured, *one.published, *one.differences):
            assert item.label.replace(">", "&gt;") in part
    assert "low &gt; high: shown" in text  # by another rule, before
    assert "moco on base: no space left" in text
    assert "too high by an unknown margin" in text
    assert "Its intervals are wide" in text


def test_one_seed_is_said_to_show_nothing(tmp_path):
    made = make_result(tmp_path, ("F24",), scale="miniature", seeds=1)
    write_results(made)
    text = build_page(tmp_path).read_text()
    assert "One seed has no interval" in text
    assert "Its intervals are wide" not in text  # which is of the quick scale


def test_it_is_one_file_that_asks_for_nothing_and_fits(page, tmp_path):
    if not find_browser():
        assert not os.environ.get("CI"), "Expected Chromium on the PATH, found none. Run .ci/run, or install chromium."
        pytest.skip("no Chromium on the PATH")
    with Browser(tmp_path / "profile") as browser:
        for width_px in (400, 1280, 1920):
            browser.show_as(width_px, 1000, "dark")
            browser.open(page)
            assert browser.complaints() == []
            assert browser.requests() == []
            assert browser.run("document.documentElement.scrollWidth") == width_px
        assert browser.run("Array.from(document.images).every(one => one.naturalWidth === 1400)")
        browser.click("#findings-table thead th:nth-child(5) button")
        values = browser.run(
            "Array.from(document.querySelectorAll('#findings-table tbody tr'))"
            ".map(row => parseFloat(row.cells[4].dataset.value)).filter(value => !isNaN(value))"
        )
        assert values == sorted(values, reverse=True)
