"""32 odd class names through create, card, pictures and export: kept as they are, or refused in one line."""

from __future__ import annotations

import json
import tempfile
import unicodedata
from itertools import zip_longest
from pathlib import Path

import yaml
from fault_report import FAKE_MODEL, FaultReport, changes, contents, run_command

from synthset.dataset.reader import open_dataset
from synthset.testing import FakeGenerator

GOOD = (
    "Größe",
    "猫",
    "قطة",
    "e\u0301clair",
    "🐈‍⬛",
    "CON",
    "nul.txt",
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)",
    "{{ 7*7 }}",
    "%s %(a)s {0} {}",
    "=cmd|' calc'!A0",
    "@SUM(1)",
    "'; DROP TABLE images; --",
    "yes: [no, ~]",
    "a\\b",
    ".hidden",
    "Speed limit (20km/h)",
    "AC/DC",
    "x" * 200,
)
BAD = (
    "",
    "   ",
    "_",
    "../x",
    "..",
    "/etc/passwd",
    "a\nb",
    "a\0b",
    "a\x1b[31mred",
    "x" * 300,
    "dog",  # there twice
    "D\u004fG",
)


def run(most: int) -> list[FaultReport]:
    """The first `most` names, good and bad in turn, each beside the class "dog"."""
    names = [name for pair in zip_longest(GOOD, BAD) for name in pair if name is not None][:most]
    lost, ok = [], 0
    with tempfile.TemporaryDirectory() as scratch:
        for number, name in enumerate(names):
            folder = Path(scratch) / f"{number}"
            folder.mkdir()
            ok += name in GOOD
            lost += [f"{name[:40]!r}: {fault}" for fault in (kept if name in GOOD else accepted)(name, folder)]
    count = len(names)
    return [FaultReport("odd and bad class names", count, count, ok, failed=count - ok, lost=tuple(lost))]


def create(name: str, folder: Path):
    """`synthset create` with the name and another."""
    words = ("create", "--classes", name, "dog", *FAKE_MODEL, "--images-per-class", 1, "--outdir", folder / "set")
    return run_command(*words, generator=FakeGenerator())


def kept(name: str, folder: Path) -> list[str]:
    """What became of a name that is fine."""
    before = contents(folder.parent)
    faults = [
        create(name, folder).fault(0),
        run_command("export", folder / "set", "--output-dir", folder / "e").fault(0),
    ]
    faults += changes(before, folder.parent, allowed=folder)
    if any(faults):
        return [fault for fault in faults if fault]
    name = unicodedata.normalize("NFC", name)
    card = (folder / "set" / "README.md").read_text(encoding="utf-8")
    (info, _) = yaml.safe_load(card.split("---\n")[1])["dataset_info"]  # of the kept images, and of all
    labels = next(feature for feature in info["features"] if feature["name"] == "label")
    stored = {
        "dataset": open_dataset(folder / "set").class_names[0],
        "card": labels["dtype"]["class_label"]["names"]["0"],
        "export": json.loads((folder / "e" / "classes.json").read_text(encoding="utf-8"))["classes"][0]["name"],
    }
    faults = [f"{where} has {there!r}" for where, there in stored.items() if there != name]
    if "<" in name and name in card.split("---\n")[2]:
        faults.append("the card holds it as HTML")
    paths = [path.relative_to(folder) for path in folder.rglob("*")]
    # an export may call a folder as the class is called; nothing else is called by a name
    others = [Path(*(part for part in path.parts if path.parts[0] != "e" or part != name)) for path in paths]
    return faults + [f"a path is called '{path}'" for path in map(str, others) if not path.isascii() or ".." in path]


def accepted(name: str, folder: Path) -> list[str]:
    """What is wrong with how a name that cannot be is refused."""
    before = contents(folder.parent)
    ran = create(name, folder)
    return ([ran.fault(2)] if ran.fault(2) else []) + changes(before, folder.parent)
