"""The recipes of CONTRIBUTING.md, executed: each is applied to a copy of the package, and what it promises is seen.

A block whose first line is `# FILE, before: LINE` (or `after: LINE`) goes into that file of the copy, at the first line
that begins so; one with `# FILE, new` is a file of its own.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECTIONS = dict(re.findall(r"^### (Add .+?)\n(.+?)(?=^##)", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.M | re.S))
PLACE = re.compile(r"# (src/\S+), (?:(before|after): (.+)|new)\n")
HELPERS = f"""
import io, sys
from contextlib import redirect_stdout
from pathlib import Path
sys.path.insert(1, {str(ROOT)!r})
import synthset
from synthset.cli import main
from synthset.testing import FakeGenerator

def run(line, code=0):
    with redirect_stdout(io.StringIO()) as out:
        assert main(line.split()) == code
    return " ".join(out.getvalue().translate(dict.fromkeys(map(ord, "│╭╮╰╯─"), " ")).split())

def draw(folder, **options):
    options = {{"images_per_class": 4}} | options
    return synthset.create(["one", "five"], folder, generator=FakeGenerator(), **options).dataset
"""


def blocks(section):
    """File, side, line and code of each block of a recipe."""
    for code in re.findall(r"^```(?:python|yaml)\n(.+?)^```", SECTIONS[section], re.M | re.S):
        if place := PLACE.match(code):
            yield (*place.groups(), code[place.end() :])


def put(path, side, line, code):
    if side is None:
        path.write_text(code, encoding="utf-8")
        return
    lines = path.read_text("utf-8").splitlines(keepends=True)
    number = next(i for i, existing in enumerate(lines) if existing.startswith(line)) + (side == "after")
    path.write_text("".join([*lines[:number], code, *lines[number:]]), encoding="utf-8")


@pytest.fixture
def check(tmp_path):
    """Apply a recipe to a copy of the package, and run a script there that asserts what the recipe promises."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))

    def run(section, script, files=1):
        places = list(blocks(section))
        assert len({file for file, *_ in places}) == files
        for file, *place in places:
            put(tmp_path / file, *place)
        environment = os.environ | {"PYTHONPATH": str(tmp_path / "src"), "COLUMNS": "70"}
        done = subprocess.run(
            [sys.executable, "-c", HELPERS + script], capture_output=True, text=True, cwd=tmp_path, env=environment
        )
        assert done.returncode == 0, done.stderr

    return run


def test_a_strategy(check):
    check(
        "Add a strategy",
        """
assert "close_up (“a close-up of a {class}”)" in run("create --help")
line = "create --classes one five --strategy close_up --images-per-class 2 --generator nowhere/to-be-found"
assert "a close-up of a five" in run(line + " --dry-run")
Path("p.yaml").write_text("five: the digit five")
dataset = draw("d", strategies="close_up", style=synthset.PromptStyle(phrases="p.yaml"))
prompts = dataset.rows.column("prompt").to_pylist()
assert set(prompts) == {"a close-up of a one", "a close-up of the digit five"}
from tools.docs_pages import reference_pages
assert "a close-up of a {class}" in reference_pages()["strategies"]
""",
    )


def test_a_measure(check):
    check(
        "Add a measure to the diagnosis",
        """
images = draw("d").images()
result = synthset.diagnose([images], "diagnosis", encoder="miniature", tsne_images=0)
assert result.summary[0].smallest_class_share == 0.5
page = Path("diagnosis/report.html").read_text("utf-8")
assert "Smallest class" in page and "Share of the images" in page
assert "smallest_class_share" in Path("diagnosis/summary.csv").read_text("utf-8")
""",
    )


def test_a_family(check):
    check(
        "Add a family of pipelines",
        """
assert "Kolors" in run("create --help")
from synthset.generators.families import FAMILIES
assert FAMILIES["KolorsPipeline"].patch == 1
""",
    )


def test_a_finding(check):
    check(
        "Add a finding",
        """
assert "1 finding over 3 seeds; 900 images" in run("reproduce F33 --quick --dry-run --output-dir r")
from synthset.findings.registry import find_findings
from synthset.findings.plan import experiments_of
(one,) = experiments_of(find_findings(["F33"]), "quick", 1)
assert one.finding.rule(one.settings).text == "guidance 2.5 > clarified; guidance 2.5 > bare names"
assert {*one.finding.rule(one.settings).labels()} == set(one.figures[0])
""",
    )


def test_a_filter(check):
    check(
        "Add a filter",
        """
assert "odd (every second image)" in run("filter --help")
dataset = draw("d")
assert "odd 4 rejected" in run("filter d --method odd --encoder miniature")
assert "one of the odd ones" in dataset.verdicts()["odd"].table.column("reason").to_pylist()
assert draw("e", refill="odd", filter=synthset.FilterConfig(encoder="miniature"), images_per_class=3).kept().sum() == 6
""",
        files=2,
    )


def test_an_option(check):
    check(
        "Add an option",
        """
assert "--stretch INT Factor of the epochs. [default: 1]" in run("train --help")
assert synthset.TrainConfig(stretch=2).stretch == 2
run("train d --stretch 0", 2)
Path("c.yaml").write_text("stretch: 0")
run("train d --config c.yaml", 2)
""",
    )


def test_an_export_format(check):
    check(
        "Add an export format",
        """
assert "names (the class names, one a line)" in run("export --help")
draw("d")
run("export d --format names --output-dir e")
assert Path("e/names.txt").read_text().split() == ["one", "five"]
""",
    )


def test_an_augmentation(check):
    check(
        "Add an augmentation",
        """
import torch
from synthset.classifiers.augment import augment
assert "darker (up to half as bright)" in run("train --help")
images = torch.full((64, 3, 8, 8), 200, dtype=torch.uint8)
means = augment(images, "darker", torch.Generator().manual_seed(0)).mean((1, 2, 3))
assert len(means.unique()) > 32 and 100 / 255 <= means.min() < means.max() <= 200 / 255
""",
    )


def test_a_real_set(check):
    check(
        "Add a real set",
        """
out = run("create --dataset numerals --strategy base --generator nowhere/to-be-found --dry-run")
assert "total 5,000 500" in out
from synthset.real import class_names_of
assert class_names_of("numerals")[3] == "three"
""",
    )


def test_every_recipe_with_a_block_is_executed():
    text = Path(__file__).read_text("utf-8")
    for section in SECTIONS:
        assert not list(blocks(section)) or f'"{section}"' in text, section
