"""The command serves until it is stopped, quietly; what changes meanwhile is seen."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from review.pages import served
from small_datasets import damage_verdicts, make, reject_first
from synthset.cli import main
from synthset.core.errors import UsageError
from synthset.dataset.by_hand import read_by_hand, write_by_hand
from synthset.dataset.reader import open_dataset
from synthset.dataset.verdicts import verdicts_path
from synthset.review import ReviewConfig, review
from synthset.review import session as session_module
from synthset.review.stage import HOST, _listening
from synthset.testing import FakeEncoder


@pytest.fixture
def folder(tmp_path):
    make(tmp_path / "d")
    return tmp_path / "d"


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_it_ends_quietly_by_ctrl_c_and_the_card_follows(folder, signum, code):
    name = open_dataset(folder).rows.column("sha256")[2].as_py()
    write_by_hand(folder, {name: False})
    before = (folder / "README.md").read_text()
    words = [sys.executable, "-m", "synthset", "review", str(folder), "--no-browser", "--json"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    address = process.stderr.readline().split()[-1]
    port = int(address.split(":")[2].split("/")[0])
    assert urllib.request.urlopen(f"http://{HOST}:{port}/").status == 200
    with pytest.raises(OSError, match="refused"):  # on no other address of this machine
        socket.create_connection(("127.0.0.2", port), timeout=5)
    process.send_signal(signum)
    out, complaints = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in complaints
    if code == 0:
        result = json.loads(out)["review"]
        assert (result["images"], result["rejected"], result["left_out"]) == (20, 1, 1)
    assert "`review`" not in before
    assert "`review`" in (folder / "README.md").read_text()


def test_a_port_that_is_taken_is_refused_where_it_was_asked_for(folder, capsys):
    with _listening(None) as listener:
        port = listener.getsockname()[1]
        assert main(["review", str(folder), "--port", str(port), "--no-browser"]) == 2
    assert f"Expected a free port, --port {port} is taken" in capsys.readouterr().err


def test_what_cannot_be_reviewed_is_said_in_one_line(tmp_path, folder, capsys):
    assert main(["review", str(tmp_path / "none"), "--no-browser"]) == 1
    assert "Expected a Synthset dataset" in capsys.readouterr().err
    with pytest.raises(UsageError, match="in a folder that is there"):
        review(folder, ReviewConfig(open_browser=False, phrases=tmp_path / "none" / "p.yaml"))
    assert main(["review", str(folder), "--strategy", "multi_domain", "--no-browser"]) == 2
    assert "multi_domain" in capsys.readouterr().err


def test_a_filter_that_is_run_meanwhile_is_seen_and_stale_pages_are_told(folder):
    with served(folder) as (_, asker):
        head = asker.contents()
        assert head["methods"] == []
        reject_first(folder)
        assert asker.json("/api/changes?since=0")["contents"] != head["id"]
        change = {"contents": head["id"], "version": 0, "changes": [{"rows": [0], "hand": 1}]}
        status, data, _ = asker.ask("/api/decide", change)
        assert (status, b"Load the page anew" in data) == (409, True)
        head = asker.contents()
        assert head["methods"] == ["clip"]
        answer = asker.json("/api/decide", {**change, "contents": head["id"], "version": head["version"]})
        assert (answer["rows"], answer["hand"]) == ([0], [1])
    assert len(read_by_hand(folder)) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"[1]", b"{", b'{"contents": "x"}', b'{"contents":"x","version":0,"changes":[{"rows":["a"]}]}', b"\xff"],
)
def test_what_is_no_change_is_refused_in_one_line(folder, body):
    with served(folder) as (_, asker):
        status, data, _ = asker.ask("/api/decide", body)
        assert status == 409
        assert "what the page sent" in json.loads(data)["error"]
    assert read_by_hand(folder) == {}


def test_a_damaged_file_of_verdicts_is_told_and_nothing_is_written_over_it(folder):
    write_by_hand(folder, {open_dataset(folder).rows.column("sha256")[0].as_py(): False})
    with served(folder) as (_, asker):
        head = asker.contents()
        damage_verdicts(path := verdicts_path(folder, "review"), "cut")
        damaged = path.read_bytes()
        change = {"contents": head["id"], "version": 0, "changes": [{"rows": [3], "hand": 1}]}
        status, data, _ = asker.ask("/api/decide", change)
        assert (status, b"does not read" in data) == (409, True)
    assert path.read_bytes() == damaged


def test_a_page_names_options_by_their_flags(folder):
    reject_first(folder)
    with served(folder) as (_, asker):
        asker.contents()
        damage_verdicts(verdicts_path(folder, "clip"), "cut")
        assert b"with --method none" in asker.ask("/api/changes?since=0")[1]


def test_what_cannot_be_written_is_said_with_its_place(folder, monkeypatch):
    def refuse(folder, kept):
        raise PermissionError(13, "Permission denied", "a/place\udcff")

    with served(folder) as (_, asker):
        change = {"contents": asker.contents()["id"], "version": 0, "changes": [{"rows": [3], "hand": 1}]}
        monkeypatch.setattr("synthset.review.decisions.write_by_hand", refuse)
        status, data, _ = asker.ask("/api/decide", change)
        assert (status, json.loads(data)) == (500, {"error": "Permission denied: 'a/place\ufffd'."})
        monkeypatch.setattr("synthset.review.decisions.write_by_hand", lambda *_: 1 / 0)
        status, data, _ = asker.ask("/api/decide", change)
        assert (status, json.loads(data)) == (500, {"error": "It failed (division by zero)."})


def test_a_folder_whose_name_is_no_text_is_told_as_far_as_it_can_be(tmp_path, monkeypatch):
    place = tmp_path / os.fsdecode(b"caf\xe9")
    place.mkdir()
    monkeypatch.chdir(place)
    make("d")
    with served(Path("d")) as (_, asker):
        assert asker.json("/api/phrases")["path"].endswith("d-phrases.yaml")


def test_a_card_that_cannot_be_written_ends_no_review(folder, caplog, monkeypatch):
    def refuse(dataset):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(session_module, "refresh_card", refuse)
    with served(folder) as (session, asker):
        change = {"contents": asker.contents()["id"], "version": 0, "changes": [{"rows": [3], "hand": 1}]}
        asker.json("/api/decide", change)
        session.write_card()
    assert "The card does not follow the verdicts yet" in caplog.text
    assert len(read_by_hand(folder)) == 1


def test_a_dataset_that_goes_meanwhile_is_told_and_the_server_ends(folder):
    with served(folder) as (session, asker):
        asker.contents()
        shutil.rmtree(folder)
        assert b"found none" in asker.ask("/api/contents")[1]
        session.close()  # and reads nothing that is no longer there
    assert not folder.exists()


def test_it_is_said_what_a_review_waits_for_when_it_ends(folder, caplog, monkeypatch):
    monkeypatch.setattr(session_module, "_JOIN_SECONDS", 0.05)
    begun, go = threading.Event(), threading.Event()

    class Slow(FakeEncoder):
        def images(self, images):
            begun.set()
            go.wait(30)
            return super().images(images)

    with served(folder, encoder=Slow()) as (session, asker):
        asker.json("/api/neighbours", {})
        assert begun.wait(30)
        session.close()
        assert "Still embedding images by" in caplog.text
        assert "Ctrl-C once more ends it at once" in caplog.text
        go.set()
        session.parts().neighbours.work.stop(30)
