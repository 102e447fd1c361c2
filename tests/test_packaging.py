"""What is published: a wheel and an archive that hold the package and nothing else, and run where they are put."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def files_of_package(root=ROOT):
    """Files of the package as they lie in a wheel, without what running it leaves."""
    files = (path for path in (root / "src" / "synthset").rglob("*") if path.is_file())
    return {path.relative_to(root / "src").as_posix() for path in files if "__pycache__" not in path.parts}


def test_every_data_file_is_in_the_wheel():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]
    packaged = {
        path
        for package, globs in patterns.items()
        for pattern in globs
        for path in (ROOT / "src" / package.replace(".", "/")).glob(pattern)
    }
    files = (path for path in (ROOT / "src" / "synthset").rglob("*") if path.is_file())
    data = {path for path in files if path.suffix != ".py" and "__pycache__" not in path.parts}
    assert data - packaged == set()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A copy of the project with its wheel and its archive in dist/."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", *PROJECT["project"]["license-files"], PROJECT["project"]["readme"]):
        shutil.copy(ROOT / name, folder)
    # with the setuptools that is here: nothing is fetched
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist", "."]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


def test_wheel_and_archive_hold_the_whole_package_and_nothing_else(built):
    expected = files_of_package(built)
    (wheel,) = (built / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
        (entry_points,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert archive.read(entry_points).decode().strip() == "[console_scripts]\nsynthset = synthset.cli:main"
    assert inside == expected
    (source,) = (built / "dist").glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/{name}" for name in expected} <= names
    assert {"pyproject.toml", "README.md", "LICENSE", "NOTICE"} <= names


def test_the_index_would_take_them(built):
    """Description, metadata and form are what twine checks before an upload; no index is asked."""
    files = sorted(map(str, (built / "dist").iterdir()))
    command = [sys.executable, "-m", "twine", "--no-color", "check", "--strict", *files]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("PASSED") == 2


def test_an_installed_wheel_runs(built, tmp_path):
    """In an environment of its own, whose other packages are those that are here."""
    place = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True, timeout=300)
    (wheel,) = (built / "dist").glob("*.whl")
    python = place / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--quiet", wheel]
    subprocess.run(install, check=True, timeout=300)
    (site,) = place.glob("lib/python*/site-packages")
    # behind its own, and without what is here in development
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run(
        [place / "bin" / "synthset", "--version"], env=clean, cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    version = re.search(r'__version__ = "(.+)"', (ROOT / "src/synthset/version.py").read_text())[1]
    assert version in ran.stdout
    code = (
        "import synthset, synthset.miniature as m; print(synthset.__file__, (m.FOLDER / 'model_index.json').is_file())"
    )
    found = subprocess.run([python, "-c", code], env=clean, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert found.stdout.split() == [str(site / "synthset" / "__init__.py"), "True"], found.stderr


PAPERS = {
    "He": ("Is synthetic data from generative models ready for image recognition?", 2023),
    "Shipard": ("Diversity is definitely needed", 2023),
    "Marwood": ("Diversity and diffusion", 2023),
}


def test_the_citation_is_of_this_version_and_names_the_papers():
    """What the schema of the Citation File Format 1.2.0 asks for, and what this project does."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    known = {"cff-version", "message", "type", "title", "abstract", "authors", "version", "license", "keywords"}
    assert citation.keys() <= known | {"references", "date-released"}
    assert citation["type"] == "software"
    assert citation["license"] == PROJECT["project"]["license"]
    assert citation["keywords"] == PROJECT["project"]["keywords"]
    scope = {}
    exec((ROOT / "src/synthset/version.py").read_text(), scope)
    assert citation["version"] == scope["__version__"]
    for people in [citation["authors"], *(one["authors"] for one in citation["references"])]:
        assert people
        assert all(person.keys() in ({"family-names", "given-names"}, {"name"}) for person in people)
    assert {one["authors"][0]["family-names"] for one in citation["references"]} == set(PAPERS)
    for reference in citation["references"]:
        title, year = PAPERS[reference["authors"][0]["family-names"]]
        assert title.lower() in reference["title"].lower()
        assert reference["year"] == year
        assert reference["type"] in ("article", "conference-paper")
        assert {"type", "title", "authors", "year", "url"} <= reference.keys()
        assert re.fullmatch(r"https://arxiv\.org/abs/\d{4}\.\d{5}", reference["url"])


def docker_lines():
    """Instructions of the Dockerfile, each on one line."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def test_the_image_runs_as_a_user_offline_and_names_no_index():
    lines = docker_lines()
    words = [line.split(maxsplit=1)[0] for line in lines]
    assert words[0] == "ARG"
    assert words.count("FROM") == 2
    assert lines[words.index("USER")] != "USER root"
    assert words.index("USER") > max(i for i, word in enumerate(words) if word == "RUN")
    assert "HF_HUB_OFFLINE=1" in " ".join(lines)
    assert 'ENTRYPOINT ["synthset"]' in lines
    assert not re.search(r"https?://", "\n".join(lines))
    copied = [
        name for line in lines if line.startswith("COPY ") and "--from" not in line for name in line.split()[1:-1]
    ]
    assert all((ROOT / name).exists() for name in copied)
    ignored = (ROOT / ".dockerignore").read_text().split()  # no more than this is sent to the builder
    assert ignored[0] == "*"
    assert {f"!{name}" for name in copied} == {line for line in ignored if line.startswith("!")}
