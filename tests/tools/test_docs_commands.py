"""The guide's commands and examples run as they stand, page after page in one folder; the others are read."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from synthset.cli import main
from synthset.cli.app import build_app
from synthset.cli.commands import NAMES, load_command
from synthset.cli.compat import SCRIPT_NAMES
from synthset.core import progress

DOCS = Path(__file__).parent.parent.parent / "docs"
GUIDE = re.findall(r"^([a-z-]+)$", (DOCS / "guide" / "index.md").read_text().partition("{toctree}")[2], re.MULTILINE)
PAGES = [f"guide/{name}" for name in GUIDE] + ["python"]
BLOCK = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMON = {"--config", "--quiet", "--verbose", "--help", "--version"}


def blocks(page, *kinds):
    """The fenced blocks of a page that are marked as one of the kinds."""
    return [(kind, text) for kind, text in BLOCK.findall((DOCS / f"{page}.md").read_text()) if kind in kinds]


def lines_of(text):
    """Commands of a block, each with the exit code that it promises."""
    for line in text.replace("\\\n", " ").splitlines():
        command, _, code = line.partition("  # exit ")
        if command.strip() and not command.startswith("#"):
            yield command, int(code or 0)


def needs_more(text):
    return text.startswith("# needs ")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("reader")


@pytest.fixture
def reader(folder, monkeypatch):
    """A reader with a terminal in the folder."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SYNTHSET_CACHE", str(folder / "cache"))
    monkeypatch.setattr(progress, "_enabled", False)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_as_it_stands(page, reader, monkeypatch):
    for kind, text in blocks(page, "sh", "python", "yaml"):
        if needs_more(text):
            continue
        if kind == "yaml":
            name, _, content = text.partition("\n")
            Path(name.removeprefix("# ")).write_text(content)
        elif kind == "python":
            exec(compile(text, page, "exec"), {"__name__": "__main__"})
        else:
            for command, code in lines_of(text):
                assert run(command, monkeypatch) == code, command


def run(command, monkeypatch):
    """The exit code of a line; what is ours runs in this process, which has torch loaded."""
    words = shlex.split(command)
    settings = [word for word in words if re.match(r"SYNTHSET_[A-Z_]+=", word)]
    if words[len(settings)] != "synthset":
        return subprocess.run(["bash", "-ec", command], check=False).returncode
    with monkeypatch.context() as patch:
        for setting in settings:
            patch.setenv(*setting.split("=", 1))
        return main(words[len(settings) + 1 :])


def test_the_folder_is_as_the_pages_say(reader):
    if not Path("curve").is_dir():
        pytest.skip("the pages have not run")
    for file in ("digits/preview.png", "digits-model/evaluation/digits.json", "digits-diagnosis/report.html"):
        assert Path(file).is_file()
    assert {"curve.json", "curve.csv", "curve.png"} <= {path.name for path in Path("curve").iterdir()}
    assert Path("digits-files/003_three").is_dir()


@pytest.mark.parametrize("page", ["index", "papers", "scale", "security", *PAGES])
def test_what_is_not_run_is_a_command_all_the_same(page):
    for _, text in blocks(page, "sh", ""):
        for command, _ in lines_of(text):
            words = shlex.split(command)
            if words[0] == "synthset" and words[1] in NAMES and "…" not in words:
                read(words[1:])


def test_commands_of_the_readme_are_commands():
    lines = re.findall(r"^    (synthset .+)$", (DOCS.parent / "README.md").read_text(), re.MULTILINE)
    commands = [command.split("  #")[0].strip() for line in lines for command in line.split(" && ")]
    assert len(commands) >= 3
    for command in commands:
        if "…" not in command:
            read(shlex.split(command)[1:])


def read(words):
    """Raises where a flag is not there, or its value is of another type."""
    while "--config" in words:
        del words[words.index("--config") : words.index("--config") + 2]
    build_app([words[0]], with_help=False).parse_args(words, exit_on_error=False, print_error=False)


def test_a_flag_that_is_not_there_is_found():
    with pytest.raises(Exception, match="strateggy"):
        read(["create", "--classes", "one", "--strateggy", "base"])


@pytest.mark.parametrize("page", ["index", "papers", *PAGES])
def test_every_flag_that_is_named_is_one(page):
    known = set(COMMON)
    for name in NAMES:
        for item in load_command(name).arguments:
            known |= {f"--{flag}" for flag in (item.flag, *SCRIPT_NAMES.get(name, {}).get(item.flag, ()))}
            known |= {f"--{item.option.option.negative}"} if item.option.option.negative else set()
    for span in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", (DOCS / f"{page}.md").read_text()):
        for flag in re.findall(r"--[A-Za-z][\w-]*", span):
            assert flag.replace("_", "-") in known, span
