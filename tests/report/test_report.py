"""The report is built from saved files alone, shows what is there, and holds no more than text of hostile names."""

import json
import re
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from report.make_example import HOSTILE, OPTIONAL, SETS, write_example
from synthset.cli import main
from synthset.core.errors import DataError
from synthset.core.files import write_json
from synthset.diagnosis.failure_modes import VERDICTS
from synthset.measures.registry import MEASURES, measures_of
from synthset.report import build_report
from synthset.report.figures import build_figures
from synthset.report.galleries import MAX_CLASSES
from synthset.report.page import ROWS_SHOWN_FIRST
from synthset.report.parts import TURN
from synthset.report.reading import LATER, MEASURED, read_diagnosis
from synthset.report.verdicts import FINE, TONES, count_verdicts, find_ailments, order_by_need


class Page(HTMLParser):
    """The elements and texts of a page."""

    def __init__(self, path):
        super().__init__(convert_charrefs=True)
        self.tags, self.texts, self._open = [], [], []
        self.html = path.read_text("utf-8")
        self.feed(self.html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._open.append(tag)

    def handle_endtag(self, tag):
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data):
        if self._open and self._open[-1] not in ("script", "style"):
            self.texts.append(data)

    def sections(self):
        return [attributes["id"] for tag, attributes in self.tags if tag == "section"]

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    def text(self):
        return " ".join(" ".join(self.texts).split())

    def figures(self):
        return json.loads(re.search(r'<script type="application/json" id="figures">(.*?)</script>', self.html, re.S)[1])


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    return write_example(tmp_path_factory.mktemp("example") / "diagnosis")


@pytest.fixture(scope="module")
def page(example):
    return Page(build_report(example))


def test_every_section_is_there_and_verdicts_come_first(page):
    assert page.sections() == [
        *("verdicts", "accuracy", "classes", "ambiguity", "galleries", "filters", "diversity", "errors"),
        *("correlations", "matrix", "confusion", "tsne", "prompts", "making"),
    ]
    links = [attributes["href"] for attributes in page.all("a")]
    assert links[1 : 1 + len(page.sections())] == [f"#{name}" for name in page.sections()]


def test_the_figures_of_the_files_are_in_the_page(example, page):
    text = page.text()
    for evaluation in read_diagnosis(example).evaluations:
        assert f"{evaluation.accuracy:.1%}" in text
        assert f"{evaluation.low:.1%} to {evaluation.high:.1%}" in text
    for row in pq.read_table(example / "classes.parquet").to_pylist():
        assert f"{row['real_accuracy']:.1%}" in text
        assert row["explanation"] in text or row["verdict"] == "fine"
    assert "threshold 0.1, encoder miniature" in text
    assert '"failed": 4' in text


def test_what_a_tested_classifier_learned_from_is_said(page, tmp_path):
    start, teacher = "timm/resnet18.a1_in1k, head alone trained", "abababababab…, share 0.5, temperature 2.0"
    assert (
        f"Of all 3 models Architecture resnet18 Synthetic images 450 Began with {start} Teacher {teacher}"
        in page.text()
    )
    assert "Epoch 38 of 40 Batch 64 Learning rate 0.00125 Weight decay 0.05 Augmentation standard" in page.text()
    named = " , ".join(f"{name}-model" for name in SETS[:2]) + f" and {SETS[2]}-model"
    assert f"{named} learned from other images too: the photographs that timm/zero learned from." in page.text()
    path = write_example(tmp_path) / "evaluations" / "000.json"
    note = json.loads(path.read_text())
    write_json(path, {**note, "model": {**note["model"], "settings": {"epochs": "<b>", "weights": 3}}})
    strange = Page(build_report(tmp_path))  # of another version, or by hand
    assert f"{SETS[0]}-model – 3 – 38 – – – – –" in strange.text()


def test_each_chart_has_its_place_and_plotly_takes_it(page):
    check_figures(page)


def check_figures(page):
    """Raises where a chart has no place, or is none to plotly."""
    figures = page.figures()
    places = [attributes["data-figure"] for attributes in page.all("div") if "data-figure" in attributes]
    assert sorted(places) == sorted(figures)
    for figure in figures.values():
        go.Figure(data=_with_colours(figure["data"]), layout=_with_colours(figure["layout"]))


def test_the_page_is_one_file_that_may_load_nothing(page):
    (policy,) = (a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert "http" not in policy
    for attributes in page.all("img"):
        assert attributes["src"].startswith("data:image/png;base64,")
        assert attributes["loading"] == "lazy"
    assert not page.all("link")
    assert not page.all("iframe")
    assert not any("src" in attributes for attributes in page.all("script"))
    assert not any("style" in attributes for _, attributes in page.tags)
    assert page.html.count("plotly.js v") == 1


@pytest.mark.parametrize("part", OPTIONAL)
def test_a_part_that_is_not_there_is_left_out(tmp_path, part):
    page = Page(build_report(write_example(tmp_path, without=(part,))))
    gone = {"evaluations": {"accuracy", "confusion"}}.get(part, {part})
    if part == "filters":
        gone = set()  # rejected images are in the galleries still
        assert "threshold" not in page.figures()
    assert not gone & set(page.sections())
    assert len(page.sections()) == 14 - len(gone)


def test_the_least_there_can_be(tmp_path):
    folder = write_example(tmp_path, class_names=("a", "b"), sets=SETS[:1], without=OPTIONAL, has_real=False)
    (folder / "matrix.parquet").unlink()
    pq.write_table(pa.Table.from_pylist([]), folder / "matrix.parquet")
    page = Page(build_report(folder))
    assert page.sections() == ["verdicts", "classes", "diversity", "errors", "making"]
    assert "without real images" in page.text()
    assert "real:" not in json.dumps(page.figures())


def test_hostile_names_are_only_text(tmp_path):
    folder = write_example(tmp_path, class_names=HOSTILE, sets=('<i onclick="x">', "</style>", "<!--"))
    page = Page(build_report(folder))
    known = {tag for tag, _ in page.tags}
    assert len(page.sections()) == 14
    assert not known & {"br", "iframe", "object", "form"}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert all("src" not in attributes for attributes in page.all("script"))
    assert len(page.all("script")) == 3
    assert HOSTILE[0] in page.text()
    assert "{{ 7*7 }}" in page.text()
    assert "49$" not in page.text()
    # in charts, plotly would make elements of tags
    texts = json.dumps(page.figures(), ensure_ascii=False)
    assert "<img" not in texts
    assert "&lt;img" in texts
    assert "w" * 100 not in texts
    block = re.search(r'id="figures">(.*?)</script>', page.html, re.S)[1]
    assert block.isascii()
    assert "<" not in block


def test_two_classes_of_one_name_stay_apart(tmp_path):
    figure = build_figures(read_diagnosis(write_example(tmp_path, class_names=HOSTILE)))["confusion-0"]
    assert figure["layout"]["xaxis"]["ticktext"][-3:-1] == ["1", "1"]
    assert figure["layout"]["xaxis"]["tickvals"] == list(range(10))


def test_a_thousand_classes_show_first_what_matters(tmp_path):
    names = tuple(f"class {i}" for i in range(1000))
    page = Page(build_report(write_example(tmp_path, class_names=names, sets=SETS[:2])))
    rows = [attributes for attributes in page.all("tr") if "data-verdict" in attributes]
    shown = [row for row in rows if "hidden" not in row]
    assert len(rows) == 2000
    assert len(shown) == ROWS_SHOWN_FIRST
    assert all(row["data-verdict"] != "fine" for row in shown)
    galleries = [a for a in page.all("details") if a.get("class") == "gallery"]
    assert len(galleries) <= 2 * MAX_CLASSES
    assert "confusion-0" not in page.figures()
    assert "200 of 2,000 rows" in page.text()
    assert len(page.html) < 20e6


def test_the_gravest_verdicts_come_first(example):
    diagnosis = read_diagnosis(example)
    rows = order_by_need(diagnosis.classes.to_pylist())
    verdicts = [row["verdict"] for row in rows]
    assert verdicts == sorted(verdicts, key=list(TONES).index)
    findings = find_ailments(diagnosis, rows)
    assert [finding.verdict for finding in findings] == list(
        dict.fromkeys(verdict for verdict in verdicts if verdict != FINE)
    )
    for one in count_verdicts(diagnosis, rows):
        ailing = [
            name for finding in findings for own in finding.sets if own.set == one.info.name for name in own.class_names
        ]
        assert one.num_fine + len(ailing) == one.num_classes == 10
        assert one.num_in_need + one.num_open == len(ailing)


def test_every_verdict_has_its_colour():
    assert set(TONES) == {verdict.name for verdict in VERDICTS}


def test_the_threshold_curve_is_the_share_of_saved_scores(example):
    diagnosis = read_diagnosis(example)
    scores = np.array(diagnosis.filters.column("score").to_pylist())
    figure = build_figures(diagnosis)["threshold"]
    trace = figure["data"][0]
    expected = [(scores >= x).mean() for x in trace["x"]]
    np.testing.assert_allclose(trace["y"], expected)
    assert figure["layout"]["shapes"][0]["x0"] == 0.1


def test_columns_of_a_later_version_and_nan_do_no_harm(tmp_path):
    folder = write_example(tmp_path)
    table = pq.read_table(folder / "summary.parquet")
    values = [*table.column("centroid_distance").to_pylist()[:-1], float("nan")]
    table = table.drop_columns(["centroid_distance"]).append_column("centroid_distance", pa.array(values))
    pq.write_table(table.append_column("new", pa.nulls(table.num_rows)), folder / "summary.parquet")
    page = Page(build_report(folder))
    assert len(page.figures()["centroid-distance"]["data"][0]["x"]) == len(SETS) - 1
    assert "nan" not in page.text()


def test_measures_that_an_older_version_did_not_take_are_empty(tmp_path):
    folder = write_example(tmp_path)
    for name, of in MEASURED.items():
        columns = {column for measure in measures_of(of) for column in measure.columns}
        table = pq.read_table(folder / f"{name}.parquet")
        older = [column for column in table.column_names if column not in columns]
        pq.write_table(table.select(older), folder / f"{name}.parquet")
    diagnosis = read_diagnosis(folder)
    assert diagnosis.summary.column("vendi_score").null_count == diagnosis.summary.num_rows == 1 + len(SETS)
    page = Page(build_report(folder))
    assert not {"centroid-distance", "vendi", "frechet", "error-split"} & set(page.figures())
    assert "errors" not in page.sections()
    assert len(page.sections()) == 13
    assert "None" not in page.text()


def test_the_evidence_stands_beside_the_verdict_and_the_draft_beside_the_ranking(example, page):
    (verdicts,) = re.findall(r'<section id="verdicts">(.*?)</section>', page.html, re.S)
    for row in pq.read_table(example / "classes.parquet").to_pylist():
        assert (row["evidence"].replace("<", "&lt;") in verdicts) == (row["verdict"] != FINE)
    assert "phrases.yaml" in page.text()
    assert page.html.count("<td>yes</td>") == len(SETS)


def test_a_diagnosis_without_evidence_nor_draft_is_of_an_older_version(tmp_path):
    folder = write_example(tmp_path)
    for name, later in LATER.items():
        table = pq.read_table(folder / f"{name}.parquet")
        there = [column for column in later if column in table.column_names]
        pq.write_table(table.drop_columns(there), folder / f"{name}.parquet")
    page = Page(build_report(folder))
    assert "The evidence" not in page.text()
    assert "phrases.yaml" not in page.text()
    assert "None" not in page.text()
    assert {"verdicts", "classes", "ambiguity"} <= set(page.sections())


def test_each_measure_is_explained_beside_its_table(page):
    text = page.text()
    hints = [attributes["title"] for attributes in page.all("button") if "title" in attributes]
    for measure in MEASURES:
        assert text.count(measure.help) >= 1
        assert measure.help in hints


def test_the_headline_says_which_is_best_and_whom_chance_may_have_put_behind(tmp_path, example, page):
    text = page.text()
    first = max(read_diagnosis(example).evaluations, key=lambda evaluation: evaluation.accuracy)
    (best,) = re.findall(r"Highest accuracy on digits: (\S+)", text)
    assert best == first.name
    assert re.search(r"Too near for chance to be ruled out: .*-model and .*-model \.", text)
    assert re.search(r"Highest share of digits that is nearest to synthetic images of its class: ", text)
    assert f"Most classes that are fine: {SETS[2]} ." in text
    one = Page(build_report(write_example(tmp_path, sets=SETS[:1]))).text()
    assert "Highest" not in one
    assert "Most classes that are fine" not in one


def test_a_remedy_is_said_once_for_all_sets_and_classes(page, example):
    remedies = {row["remedy"] for row in pq.read_table(example / "classes.parquet").to_pylist()} - {""}
    plain = re.sub(r"</?span[^>]*>", "", page.html)
    assert remedies
    assert all(plain.count(remedy) == 1 for remedy in remedies)


def test_shares_of_few_images_have_a_caveat(tmp_path, page):
    assert "of few images" not in page.text()
    assert "of few queries" not in page.text()
    folder = write_example(tmp_path)
    _replace(folder, "classes.parquet", images=2)
    _replace(folder, "matrix.parquet", queries=25)
    text = Page(build_report(folder)).text()
    assert "Some of these shares are of few images: 2 of a class where they are fewest." in text
    assert "Some of these shares are of few queries: about 2 images of a class where they are fewest." in text


def test_a_zero_and_a_negative_error_are_explained(tmp_path, page):
    assert "coverage of 0" not in page.text()
    assert "is below 0" not in page.text()
    folder = write_example(tmp_path)
    _replace(folder, "summary.parquet", precision=0.0, recall=0.0, shift_error=-0.02)
    text = Page(build_report(folder)).text()
    assert "Precision, density and coverage of 0: no image of base , guidance 2.5 and prompt_augmentation is" in text
    assert "A recall of 0: no real image" in text
    assert re.search(r"The error by shift of .*base , guidance 2.5 and prompt_augmentation is below 0", text)


def test_where_nothing_is_misread_there_is_a_sentence_and_no_empty_chart(tmp_path):
    folder = write_example(tmp_path)
    _replace(folder, "summary.parquet", shift_error=0.0, diversity_error=0.0, prompt_accuracy=1.0)
    page = Page(build_report(folder))
    assert "error-split" not in page.figures()
    assert "No image is misread" in page.text()


def test_a_column_that_no_row_has_is_left_out(tmp_path):
    folder = write_example(tmp_path, has_real=False, without=("evaluations",))
    needing = [column for measure in measures_of("set") if measure.needs_real for column in measure.columns]
    _replace(folder, "summary.parquet", **dict.fromkeys(needing))
    page = Page(build_report(folder))
    assert "Distance to the real set" not in page.text()
    headings = [attributes["data-title"] for attributes in page.all("th") if "data-title" in attributes]
    assert "Real div." not in headings
    assert "Diversity" in headings


def test_classes_of_all_sets_are_one_ranking(page):
    (table,) = re.findall(r'<table id="ambiguity-table".*?</table>', page.html, re.S)
    shares = [float(value) for value in re.findall(r'data-value="([0-9.]+)"', table)]
    assert len(shares) == 10 * len(SETS)
    assert shares == sorted(shares)


def test_what_is_written_on_a_heat_map_can_be_read_in_both_themes():
    style = (files("synthset.report") / "assets" / "report.css").read_text("utf-8")
    light, dark = style.split("@media screen and (prefers-color-scheme: dark)")
    for theme in (light, dark):
        ramp = [_rgb(theme, f"--ramp-{i}") for i in range(5)]
        for value in np.linspace(0, 1, 101):
            name = "--on-high" if value >= TURN else "--on-low"
            below = np.array([np.interp(value, np.linspace(0, 1, 5), channel) for channel in zip(*ramp, strict=True)])
            assert _contrast(_rgb(theme, name), below) >= 4.5, f"{value:.2f}"
        for i in range(2):  # the bars with texts in them
            assert _contrast(_rgb(theme, f"--on-series-{i}"), _rgb(theme, f"--series-{i}")) >= 4.5


def _rgb(style, name):
    text = re.search(rf"{name}: #([0-9a-f]{{6}})", style)[1]
    return np.array([int(text[i : i + 2], 16) for i in (0, 2, 4)])


def _contrast(one, other):
    """Of WCAG 2, from the luminances of two colours."""
    shares = np.array([one, other]) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    low, high = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return (high + 0.05) / (low + 0.05)


def _replace(folder, name, **columns):
    table = pq.read_table(folder / name)
    for column, value in columns.items():
        table = table.drop_columns([column]).append_column(column, pa.array([value] * table.num_rows))
    pq.write_table(table, folder / name)


def _edit_json(path, **changes):
    write_json(path, json.loads(path.read_text()) | changes)


DIAGNOSE, EVAL = "Run 'synthset diagnose'", "Run 'synthset eval' again"
DAMAGE = {
    "no folder": (DIAGNOSE, "", lambda f: f.rename(f.with_name("away"))),
    "no json": (DIAGNOSE, "diagnosis.json", lambda f: (f / "diagnosis.json").unlink()),
    "cut json": (DIAGNOSE, "diagnosis.json", lambda f: (f / "diagnosis.json").write_text('{"format')),
    "json list": (DIAGNOSE, "diagnosis.json", lambda f: (f / "diagnosis.json").write_text("[]")),
    "version": ("update synthset", "diagnosis.json", lambda f: _edit_json(f / "diagnosis.json", format_version=9)),
    "interrupted": (DIAGNOSE, "diagnosis.json", lambda f: _edit_json(f / "diagnosis.json", status="writing")),
    "sets": (DIAGNOSE, "diagnosis.json", lambda f: _edit_json(f / "diagnosis.json", sets=[{"name": "a"}])),
    "encoder": (DIAGNOSE, "diagnosis.json", lambda f: _edit_json(f / "diagnosis.json", encoder=None)),
    "no sets": (DIAGNOSE, "diagnosis.json", lambda f: _edit_json(f / "diagnosis.json", sets=[])),
    "names": (DIAGNOSE, "diagnosis.json", lambda f: _edit_json(f / "diagnosis.json", class_names=[1, 2])),
    "no table": (DIAGNOSE, "classes.parquet", lambda f: (f / "classes.parquet").unlink()),
    "cut table": (DIAGNOSE, "matrix.parquet", lambda f: (f / "matrix.parquet").write_bytes(b"PAR1 and so on")),
    "column": (
        DIAGNOSE,
        "tsne.parquet",
        lambda f: pq.write_table(pq.read_table(f / "tsne.parquet").drop_columns(["x"]), f / "tsne.parquet"),
    ),
    "kind": (DIAGNOSE, "summary.parquet", lambda f: _replace(f, "summary.parquet", images="many")),
    "null": (DIAGNOSE, "classes.parquet", lambda f: _replace(f, "classes.parquet", verdict=None)),
    "index": (DIAGNOSE, "tsne.parquet", lambda f: _replace(f, "tsne.parquet", class_index=10)),
    "image": (DIAGNOSE, "galleries.parquet", lambda f: _replace(f, "galleries.parquet", image=b"<svg onload=x>")),
    "evaluation": (EVAL, "000.json", lambda f: _edit_json(f / "evaluations" / "000.json", confusion=[[1]])),
    "accuracy": (EVAL, "000.json", lambda f: _edit_json(f / "evaluations" / "000.json", accuracy="good")),
    "another accuracy": (EVAL, "000.json", lambda f: _edit_json(f / "evaluations" / "000.json", accuracy=0.999)),
    "another count": (EVAL, "000.json", lambda f: _edit_json(f / "evaluations" / "000.json", correct=1)),
    "a share": (EVAL, "000.json", lambda f: _edit_json(f / "evaluations" / "000.json", low=-1)),
    "no images": (DIAGNOSE, "diagnosis.json", lambda f: _edit_json(f / "diagnosis.json", seconds=float("inf"))),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_one_line_that_names_the_file_and_the_remedy(tmp_path, name):
    remedy, file, damage = DAMAGE[name]
    folder = write_example(tmp_path / "diagnosis", sets=SETS[:1])
    (folder / "report.html").write_text("the earlier report")
    damage(folder)
    with pytest.raises(DataError, match=f"Expected .*{re.escape(file)}.*{remedy}") as caught:
        build_report(folder)
    assert "\n" not in str(caught.value)
    if folder.exists():
        assert (folder / "report.html").read_text() == "the earlier report"


def test_the_command_builds_the_report_again(example, capsys):
    (example / "report.html").unlink(missing_ok=True)
    assert main(["report", str(example)]) == 0
    assert capsys.readouterr().out.split() == ["report", str(example / "report.html")]
    assert (example / "report.html").exists()
    assert main(["report", str(example / "nowhere")]) == 1
    assert "Run 'synthset diagnose', 'compare', 'transfer', 'detect' or 'tune' first." in capsys.readouterr().err


def _with_colours(value):
    """Names of colours as colours, for plotly's own check."""
    if isinstance(value, dict):
        return {key: _with_colours(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_colours(item) for item in value]
    return "#123456" if isinstance(value, str) and re.fullmatch(r"--[a-z]+(-[a-z]+)?(-\d)?", value) else value
