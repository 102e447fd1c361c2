"""A reproduction of findings by two processes that is killed at random moments, and run again: the same findings."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fault_report import FaultReport

COMMAND = ("reproduce", "F24", "F32", "--quick", "--seeds", "2", "--workers", "2", "--output-dir", "out")


def run(times: int, findings: int) -> list[FaultReport]:
    """Kill one run `times` times, each time a while later, and finish it; of the first so many findings."""
    command = [word for word in COMMAND if word != "F32" or findings > 1]
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        start = time.monotonic()
        whole, fault = finish(scratch / "whole", command)
        seconds, moments = time.monotonic() - start, random.Random(0)
        lost = [fault] if fault else []
        for number in range(times):
            kill(scratch / "killed", command, moments.uniform(0.3, 0.9) * seconds / times)
            lost += [f"kill {number + 1}: a finding was there before its work"] * (
                scratch / "killed/out/findings.json"
            ).exists()
        resumed, fault = finish(scratch / "killed", command)
        lost += [fault] if fault else []
        lost += [] if resumed == whole else ["other findings than those of a run that nothing happened to"]
        shutil.rmtree(scratch, ignore_errors=True)
    return [FaultReport("findings killed, and run again", times, findings, findings, lost=tuple(lost))]


def start(folder: Path, command: list[str]) -> subprocess.Popen[str]:
    """The command in a session of its own."""
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "SYNTHSET_CACHE": str(folder / "cache")}
    line = [sys.executable, "-m", "synthset", "--quiet", *command]
    return subprocess.Popen(
        line,
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill(folder: Path, command: list[str], after_seconds: float) -> None:
    """Kill the parent alone: the others are to end by themselves."""
    process = start(folder, command)
    time.sleep(after_seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()


def finish(folder: Path, command: list[str]) -> tuple[Any, str]:
    """What a run comes to, and what was wrong with how it ended."""
    process = start(folder, command)
    _, errors = process.communicate()
    if process.returncode:
        return None, f"exit code {process.returncode}: {errors[-300:]!r}"
    return json.loads((folder / "out/findings.json").read_text())["findings"], ""
