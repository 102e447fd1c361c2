"""A review whose server is killed while two tabs judge images: no verdict that was answered is lost, none is made up.

Each tab says one thing after the other of images of its own: keep, reject, another class, or all of it back. SIGKILL
comes at a random moment. Then every image is as it was last answered to be, or as the one change says that was on its
way, and none is kept in a class that nobody said; the next server starts, takes up from there, and takes away what the
one before was writing.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import signal
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commands import Command, Commands, warm
from fault_report import FaultReport

import synthset
from synthset.dataset.by_hand import read_by_hand
from synthset.dataset.reader import open_dataset
from synthset.dataset.relabels import read_relabels
from synthset.testing import FakeGenerator

CLASSES = ("cat", "dog")
TABS, IMAGES = 2, 24
LONGEST_SECONDS = 0.6  # of a server, until it is killed
_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/#(\S+)")

State = tuple[int, int]  # of an image: what was said of it, and its class


@dataclass
class Tab:
    """One that judges the images of its rows.

    Attributes:
        answered: states of its images, as the server said that they are.
        on_its_way: row and state of the change that was not answered.
        count: changes that were answered.
    """

    rows: range
    drawn: list[int]
    moments: random.Random
    answered: dict[int, State] = field(default_factory=dict)
    on_its_way: tuple[int, State] | None = None
    count: int = 0

    def judge(self, port: int, token: str, contents: str) -> None:
        """Say one thing after the other, until nobody answers."""
        origin = f"http://127.0.0.1:{port}"
        headers = {"X-Synthset-Token": token, "Origin": origin, "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            while True:
                row, hand = self.moments.choice(self.rows), self.moments.choice((-1, 0, 1))
                label = self.drawn[row] if hand < 1 else self.moments.choice((0, 1))
                change = {"rows": [row], "hand": hand, "label": label}
                self.on_its_way = row, (hand, label)
                body = json.dumps({"contents": contents, "version": 0, "changes": [change]})
                connection.request("POST", "/api/decide", body, headers)
                response = connection.getresponse()
                data = response.read()
                assert response.status == 200, data
                self.answered[row] = hand, label
                self.on_its_way, self.count = None, self.count + 1
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()


def run(kills: int) -> list[FaultReport]:
    """So many servers, one after the other, on one dataset."""
    moments, commands, lost, total = random.Random(0), warm(), list[str](), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "set"
        synthset.create(CLASSES, folder, generator=FakeGenerator(), strategies=("base",), images_per_class=IMAGES)
        rows = open_dataset(folder).drawn_rows
        drawn, hashes = rows.column("label").to_pylist(), rows.column("sha256").to_pylist()
        parts = [range(tab, len(drawn), TABS) for tab in range(TABS)]
        tabs = [Tab(part, drawn, random.Random(tab)) for tab, part in enumerate(parts)]
        before: dict[int, State] = {row: (0, label) for row, label in enumerate(drawn)}
        for number in range(kills):
            for tab in tabs:
                tab.answered, tab.on_its_way, tab.count = {}, None, 0
            kill_while_judging(commands, folder, tabs, moments.uniform(0, LONGEST_SECONDS))
            now = states(folder, hashes, drawn)
            for row, state in now.items():
                tab = tabs[row % TABS]
                possible = [tab.answered.get(row, before[row])]
                possible += [tab.on_its_way[1]] if tab.on_its_way and tab.on_its_way[0] == row else []
                hands, labels = zip(*possible, strict=True)  # a verdict and a class are two files
                if state not in possible and (state[0] == 1 or state[0] not in hands or state[1] not in labels):
                    lost.append(f"kill {number}: image {row} is {state}, not {' or '.join(map(str, possible))}")
            before, total = now, total + sum(tab.count for tab in tabs)
        command = commands.start(f"review {folder} --no-browser", folder.parent)
        address_of(command)
        lost += [f"'{path.name}' was left" for path in folder.rglob("*.part")]
        command.send(signal.SIGINT)
        ended = command.wait()
        lost += [f"the last review ended with {ended.code}: {ended.stderr[-300:]}"] if ended.code else []
    return [FaultReport("review killed while two tabs judge", kills, total, total, lost=tuple(lost))]


def kill_while_judging(commands: Commands, folder: Path, tabs: list[Tab], seconds: float) -> None:
    """Start a server, have all tabs judge, and kill it so long after the first was answered."""
    command = commands.start(f"review {folder} --no-browser", folder.parent)
    port, token = address_of(command)
    contents = contents_of(port, token)
    threads = [threading.Thread(target=tab.judge, args=(port, token, contents)) for tab in tabs]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 60
    while not any(tab.count for tab in tabs) and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(seconds)
    command.send(signal.SIGKILL)
    ended = command.wait()
    for thread in threads:
        thread.join()
    assert ended.code == -signal.SIGKILL, (
        f"expected a server that was killed, got exit code {ended.code}: {ended.stderr[-300:]}"
    )


def address_of(command: Command) -> tuple[int, str]:
    """Port and token of a server, once it says them."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        text = command.stderr.read_text(encoding="utf-8") if command.stderr.exists() else ""
        if (found := _ADDRESS.search(text)) and text.endswith("\n"):
            return int(found[1]), found[2]
        time.sleep(0.01)
    raise AssertionError("expected the address of a server within a minute, it says none")


def contents_of(port: int, token: str) -> str:
    """What a page calls the images that it speaks of."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/api/changes?since=0", headers={"X-Synthset-Token": token})
    answer: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return answer["contents"]


def states(folder: Path, hashes: list[str], drawn: list[int]) -> dict[int, State]:
    """What is on disk of each image, by row."""
    said, relabels = read_by_hand(folder), read_relabels(folder)
    hands = {True: 1, False: -1, None: 0}
    labels = [CLASSES.index(relabels[name]) if name in relabels else drawn[row] for row, name in enumerate(hashes)]
    return {row: (hands[said.get(name)], labels[row]) for row, name in enumerate(hashes)}
