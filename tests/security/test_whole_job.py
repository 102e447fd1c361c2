"""A whole job under watch: it reaches for no network, and its files and words hold no token and no key."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from prompts.sentences.chat_server import Server, chat
from synthset.core.redaction import SECRET_VARIABLES

SECRETS = {name: f"value-of-{name}-SecretOfThisTest" for name in SECRET_VARIABLES}


@dataclass
class Job:
    """What a job left: its folder, what it printed, where it tried to connect to, and what the chat model was sent."""

    folder: Path
    printed: str
    asked: list[str]
    headers: dict[str, str]


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    folder = tmp_path_factory.mktemp("job")
    server = Server()
    server.answers = [chat("a one in ink\na one in chalk"), chat("a two in ink\na two in chalk")]
    # without HF_HUB_OFFLINE, which would hide that somebody reaches for the hub
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    environment |= SECRETS | {"SYNTHSET_CACHE": str(folder / "cache"), "HF_HOME": str(folder / "hub")}
    words = [sys.executable, str(Path(__file__).with_name("whole_job.py")), str(folder), server.url]
    ran = subprocess.run(words, capture_output=True, text=True, env=environment)
    server.close()
    assert ran.returncode == 0, ran.stderr[-2000:]
    asked = json.loads(ran.stdout.splitlines()[-1])
    return Job(folder, ran.stdout + ran.stderr, asked, server.requests[0][1])


def test_the_watch_sees_who_reaches_out():
    attempts = """
import contextlib, socket, urllib.request, whole_job
asked = whole_job.watch_connections(None)
for attempt in (
    lambda: urllib.request.urlopen("https://hub.example/model"),
    lambda: socket.create_connection(("192.0.2.1", 443)),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"here I am", ("192.0.2.2", 53)),
):
    with contextlib.suppress(OSError):
        attempt()
print(asked)
"""
    words = [sys.executable, "-c", attempts]
    ran = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parent)
    assert ran.stdout.count("'hub.example'") == 1, ran.stderr
    assert ran.stdout.count("192.0.2.") == 2


def test_nothing_is_connected_to(job):
    """No telemetry, no look for updates, no model or page part from elsewhere."""
    assert job.asked == []


def test_no_file_holds_a_secret(job):
    assert job.headers["Authorization"] == f"Bearer {SECRETS['OPENAI_API_KEY']}"  # it was in use
    files = [path for path in job.folder.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert names >= {"manifest.json", "README.md", "sentences.jsonl", "model.safetensors", "report.html"}
    for path in files:
        assert b"SecretOfThisTest" not in path.read_bytes(), path


def test_no_printed_line_holds_a_secret(job):
    assert "48 requested = 48 ok" in job.printed
    assert "WARNING: " in job.printed
    assert "SecretOfThisTest" not in job.printed


def test_the_card_says_which_model_under_which_terms(job):
    card = (job.folder / "data" / "README.md").read_text(encoding="utf-8")
    generation = json.loads((job.folder / "data" / "manifest.json").read_text())["job"]["generation"]
    assert len(generation["weights_hash"]) == 64
    for words in (generation["weights_hash"], f"`{generation['model']}`, revision `", "The licence of", "license: "):
        assert words in card
