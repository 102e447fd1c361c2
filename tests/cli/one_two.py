"""The classes that most command lines of tests draw, and what is recorded of a job."""

import json
from pathlib import Path

CLASSES = ("--classes", "one", "two")


def manifest(folder):
    return json.loads((Path(folder) / "manifest.json").read_text())["job"]
