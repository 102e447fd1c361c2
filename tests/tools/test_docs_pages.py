import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

import synthset
from synthset.cli.commands import NAMES, load_command
from synthset.filters import FILTERS
from synthset.generators.families import FAMILIES
from synthset.measures.registry import MEASURES
from synthset.prompts.strategies import STRATEGIES
from synthset.real import known_sets
from tools import docs_pages

DOCS = Path(__file__).parent.parent.parent / "docs"


@pytest.fixture(scope="module")
def pages():
    return docs_pages.reference_pages()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site as `make docs` builds it, warnings being errors."""
    folder = tmp_path_factory.mktemp("site")
    line = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "--quiet", "-b", "html", "-d", folder / "doctrees"]
    built = subprocess.run([*line, DOCS, folder / "html"], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder / "html"


def test_examples_of_the_functions():
    failed, attempted = doctest.testmod(docs_pages)
    assert attempted
    assert not failed


@pytest.mark.parametrize("name", NAMES)
def test_every_option_stands_in_the_page_of_its_command(pages, name):
    text = pages[name]
    command = load_command(name)
    for item in command.arguments:
        heading = item.flag.upper() if item.is_positional else f"--{item.flag}"
        (line,) = re.findall(rf"^:::\{{option\}} ({re.escape(heading)}(?:[ ,].*)?)$", text, re.MULTILINE)[:1]
        assert line.split()[0].rstrip(",") == heading
    for variable in command.variables():
        assert f"`{variable}`" in text


def test_a_new_option_changes_the_page():
    before = docs_pages.command_page(load_command("export"))
    command = load_command("train")
    assert docs_pages.option_entry(command, command.arguments[-1], {}) not in before.text


def test_every_entry_of_a_registry_stands_in_its_table(pages):
    columns = [column for measure in MEASURES for column in measure.columns]
    for page, names in (
        ("strategies", STRATEGIES),
        ("filters", FILTERS),
        ("pipelines", FAMILIES),
        ("real-sets", known_sets()),
        ("measures", columns),
    ):
        for name in names:
            assert f"`{name}`" in pages[page]


def test_tables_keep_their_shape():
    text = docs_pages.table(("name", "value"), [("a|b", "two\nlines")])
    assert text.splitlines()[2] == "| a\\|b | two lines |"


def test_pages_that_are_no_more_go(tmp_path):
    docs_pages.write_pages(tmp_path)
    stale = tmp_path / "reference" / "stale.md"
    stale.write_text("# Stale\n")
    page = tmp_path / "reference" / "index.md"
    written = page.stat().st_mtime_ns
    docs_pages.write_pages(tmp_path)
    assert not stale.exists()
    assert page.stat().st_mtime_ns == written  # what is right is left alone


def test_nothing_is_loaded_from_elsewhere(site):
    remote = re.compile(
        r"<(?:script|img|iframe|source|embed|object)\b[^>]*\b(?:src|data|srcset)=[\"']?(?:https?:)?//"
        r"|<link\b[^>]*\bhref=[\"']?(?:https?:)?//"
        r"|@import\s+(?:url\()?[\"']?(?:https?:)?//"
        r"|url\([\"']?(?:https?:)?//"
    )
    files = [path for path in site.rglob("*") if path.suffix in (".html", ".css")]
    assert len(files) > 30
    for path in files:
        assert not remote.search(path.read_text(encoding="utf-8")), path
    assert remote.search('<link rel="stylesheet" href="https://fonts.example/x.css">')
    assert remote.search('<script src="//cdn.example/x.js">')


def test_every_public_name_has_its_place(site):
    text = (site / "python.html").read_text(encoding="utf-8")
    for name in synthset.__all__:
        assert f'id="synthset.{name}"' in text


def test_no_flag_became_a_dash(site):
    for path in site.rglob("*.html"):
        text = re.sub(r"<[^>]+>", "", path.read_text(encoding="utf-8"))
        assert not re.search(r"(?<![\w–])–[a-z]", text), path


def test_figures_of_the_summary_stand_in_the_sections():
    text = (DOCS.parent / "EXPERIMENTS.md").read_text(encoding="utf-8")
    _, mark, rest = text.partition("## Other questions, in one table")
    table, _, sections = rest.partition("\n## ")
    assert mark
    figures = {
        figure for row in table.split("\n|")[3:] for figure in re.findall(r"\d[\d,]*(?:\.\d+)?", row.split("|")[1])
    }
    assert len(figures) > 30  # of 16 rows; the findings above them are held to findings.json by test_experiments.py
    for figure in figures:
        assert re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d.]*\d)", sections), figure


@pytest.mark.parametrize("page", ["security", "scale", "decisions", "papers"])
def test_files_that_a_page_names_are_there(page):
    root = DOCS.parent
    for line in (DOCS / f"{page}.md").read_text(encoding="utf-8").splitlines():
        spans = re.findall(r"`([^`]+)`", line)
        paths = [span for span in spans if re.fullmatch(r"[\w/]+/\w+\.py", span)]
        places = [folder / path for path in paths for folder in (root, root / "src/synthset", root / "tests")]
        files = [place for place in places if place.is_file()]
        assert len(files) == len(paths), line
        written = "".join(path.read_text(encoding="utf-8") for path in files)
        for name in spans:
            assert not re.fullmatch(r"test_\w+", name) or f"def {name}(" in written, name
