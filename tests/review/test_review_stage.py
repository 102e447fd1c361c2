"""The command serves until it is stopped, quietly; what changes meanwhile is seen."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from review.pages import served
from small_datasets import make, reject_first
from synthset.cli import main
from synthset.core.errors import UsageError
from synthset.dataset.by_hand import read_by_hand, write_by_hand
from synthset.dataset.reader import open_dataset
from synthset.review import ReviewConfig, review
from synthset.review.stage import HOST, _listening


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
        answer = asker.json("/api/decide", {**change, "contents": head["id"]})
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
