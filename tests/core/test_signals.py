"""Signals unwind a block as Ctrl-C does; what was ignored stays so, and handlers come back."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from synthset.core.signals import Stopped, stoppable

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _plain_handlers():
    """As in a new process: other tests start libraries that set handlers of their own."""
    plain = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in plain.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_is_an_exception_with_its_number_and_handlers_come_back(signum):
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(Stopped) as caught, stoppable() as came:
        signal.raise_signal(signum)
    assert caught.value.signum == signum
    assert came == [signum]
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_signal_that_was_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable() as came:
            signal.raise_signal(signal.SIGHUP)
        assert came == []
    finally:
        signal.signal(signal.SIGHUP, before)


def test_elsewhere_than_in_the_main_thread_nothing_is_changed():
    handlers = []

    def look():
        with stoppable():
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert handlers == [signal.SIG_DFL]


# the work of a command that hears of its signal, lets a library make another error of it, or is just done
WORK = """
import signal, sys, synthset.cli.command_line as line
def run(tokens):
    if tokens[0] == "swallow":
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException:
            return 1
    if tokens[0] == "translate":
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException as error:
            raise RuntimeError("a library's") from error
    if tokens[0] == "done":
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException:
            return 0
    return signal.raise_signal(int(tokens[0]))
line.run = run
from synthset.cli import main
code = main()
if tokens := sys.argv[2:]:
    signal.raise_signal(signal.SIGINT)
sys.exit(code)
"""
INTERRUPTED = "error: Interrupted. Run the same command again to finish.\n"


def run(*words):
    ended = subprocess.run([sys.executable, "-c", WORK, *map(str, words)], capture_output=True, text=True, check=False)
    return ended.returncode, ended.stderr


@pytest.mark.parametrize(
    ("word", "code", "err"),
    [
        (int(signal.SIGINT), 130, INTERRUPTED),
        (int(signal.SIGTERM), 143, INTERRUPTED),
        (int(signal.SIGHUP), 129, INTERRUPTED),
        ("swallow", 143, ""),
        ("translate", 143, INTERRUPTED),
        ("done", 0, ""),
    ],
)
def test_the_exit_code_of_a_command_is_that_of_the_signal(word, code, err):
    assert run(word) == (code, err)


def test_ctrl_c_after_the_end_is_no_traceback():
    assert run("done", "and", "again") == (-signal.SIGINT, "")


def test_nohup_is_heard(tmp_path):
    words = ["nohup", sys.executable, "-c", WORK, str(int(signal.SIGHUP))]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, env=os.environ)
    assert ended.returncode == 0  # it was not stopped
