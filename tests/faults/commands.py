"""Command lines as processes of their own that start at once: forks of one that has imported all of Synthset.

Their generator draws noise, their encoder gives each image a vector of its own, checkpoints are written after every
epoch, and the demo is a short one. Their disk has room for DISK_ROOM bytes; what they wrote stands in DISK_COUNT.
Their clock jumps by CLOCK_JUMPS seconds, forth and back.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import itertools
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from disks import Disk

MODULES = (
    *("classifiers.evaluate", "classifiers.stage", "classifiers.train", "cli.command_line", "cli.printing"),
    *("create.refill", "create.stage", "dataset.export", "demo", "diagnosis.stage", "evaluation.stage", "filters"),
    *("filters.duplicates", "images.pictures", "measures.tsne", "report.page", "tuning.curve", "tuning.evaluate"),
)
_EXPECTED = re.compile(r"WARNING: |[^:]+: [\d,]+/[\d,]+ .* left$")
LIBRARIES = ("PIL.PngImagePlugin", "plotly.offline", "scipy.stats", "sklearn.datasets", "timm", "torchvision")


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: its exit code; of one that a signal killed, the signal's number, negative.
        stderr: what it wrote there.
    """

    code: int
    stderr: str

    @property
    def errors(self) -> list[str]:
        """Lines of stderr that are neither warnings nor progress."""
        return [line for line in self.stderr.splitlines() if not _EXPECTED.match(line)]


class Command:
    """A command that runs."""

    def __init__(self, commands: Commands, pid: int, stderr: Path) -> None:
        self.commands, self.pid, self.stderr = commands, pid, stderr

    def send(self, signum: int) -> None:
        """Send it a signal; one that has ended is not there to hear it, but its number is not another's yet."""
        os.kill(self.pid, signum)

    def wait(self) -> Ended:
        """How it ended; once alone."""
        code = os.waitstatus_to_exitcode(self.commands.ask(("wait", self.pid)))
        is_there = self.stderr.exists()  # it may have ended before it had anything to write to
        return Ended(code, self.stderr.read_text(encoding="utf-8", errors="replace") if is_there else "")


class Commands:
    """The process that has imported all, and is asked for forks; see `warm`."""

    def __init__(self, process: subprocess.Popen[bytes], scratch: Path) -> None:
        self.process, self.scratch, self.count = process, scratch, 0

    def ask(self, question: Any) -> Any:
        """Its answer."""
        assert self.process.stdin
        assert self.process.stdout
        pickle.dump(question, self.process.stdin)
        self.process.stdin.flush()
        return pickle.load(self.process.stdout)

    def start(self, line: str, cwd: Path, **environment: object) -> Command:
        """Start a command line in a folder."""
        self.count += 1
        stderr = self.scratch / f"stderr-{self.count}"
        given = {name: str(value) for name, value in environment.items()}
        return Command(self, self.ask(("start", line.split(), str(cwd), str(stderr), given)), stderr)

    def run(self, line: str, cwd: Path, **environment: object) -> Ended:
        """Run a command line to its end."""
        return self.start(line, cwd, **environment).wait()


@functools.cache
def warm() -> Commands:
    """The process to fork commands from; it ends with this one."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    scratch = tempfile.TemporaryDirectory()

    def end() -> None:
        process.communicate()  # the end of its stdin is its end
        scratch.cleanup()

    atexit.register(end)
    return Commands(process, Path(scratch.name))


def serve() -> None:
    """Fork, and wait for forks, as asked on stdin."""
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _make_fast()
    for name in (*LIBRARIES, *(f"synthset.{module}" for module in MODULES)):
        importlib.import_module(name)
    while True:
        try:
            kind, *rest = pickle.load(questions)
        except EOFError:
            return
        answer = os.waitpid(rest[0], 0)[1] if kind == "wait" else _fork(*rest)
        pickle.dump(answer, answers)
        answers.flush()


def _make_fast() -> None:
    from synthset.testing import FakeEncoder, FakeGenerator

    def patch(module: str, **values: Any) -> None:
        for name, value in values.items():
            setattr(importlib.import_module(f"synthset.{module}"), name, value)

    patch("encoders.clip", load_encoder=lambda *arguments, **options: FakeEncoder())  # first, for others import it
    patch("create.stage", load=lambda config: FakeGenerator(size_px=16))
    patch("demo", EPOCHS=2)
    patch("classifiers.checkpoints", CHECKPOINT_SECONDS=0.0, CHECKPOINT_SHARE=float("inf"))


def _jumping(seconds: float) -> Callable[[], float]:
    """A clock that is so late, then so early, in turn."""
    now, signs = time.time, itertools.cycle((1, -1))
    return lambda: now() + next(signs) * seconds


def _fork(words: list[str], cwd: str, stderr: str, environment: dict[str, str]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.environ.update(environment)
        os.chdir(cwd)
        for number, path in ((0, os.devnull), (1, os.devnull), (2, stderr)):
            os.dup2(os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT), number)
        sys.argv = ["synthset", *words]
        from synthset.cli import main

        if years := environment.get("CLOCK_JUMPS"):
            time.time = _jumping(float(years))
        disk = Disk(float(environment.get("DISK_ROOM", "inf")))
        with disk.mounted():
            code = main()
        if count := environment.get("DISK_COUNT"):
            Path(count).write_text(str(disk.written_bytes))
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    serve()
