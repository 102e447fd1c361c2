"""Two sides of a comparison, timed in turns, in one process or one each, so that both meet the same machine."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

Work = Callable[[int], int]  # does its part of a round, says how many units of work that was
_own: list[Work] = []  # of a process that `in_a_process` started


def time_in_turns(
    sides: Mapping[str, Work], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds a unit, by `clock`, of each side in each round; who goes first alternates.

    Call every side once before, so that no side's first round pays for warming up.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for round_index in range(rounds):
        names = list(sides)
        for name in names if round_index % 2 == 0 else names[::-1]:
            start = clock()
            units = sides[name](round_index)
            seconds[name].append((clock() - start) / units)
    return seconds


def in_a_process(begin: Callable[..., Work], *arguments: Any) -> Work:
    """The work that `begin` gives, done by a process of its own, whose allocator and threads no other side sets."""
    pool = ProcessPoolExecutor(1, get_context("spawn"), _begin, (begin, arguments))
    return lambda round_index: pool.submit(_go_on, round_index).result()


def _begin(begin: Callable[..., Work], arguments: tuple[Any, ...]) -> None:
    _own.append(begin(*arguments))


def _go_on(round_index: int) -> int:
    return _own[0](round_index)


def median_ratio(numerator: list[float], denominator: list[float]) -> float:
    """The median over the rounds of the ratio within a round."""
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))


def report(result: Mapping[str, object], output: Path | None) -> None:
    """Print a result as one JSON line, and add it to `output` where there is one."""
    line = json.dumps(result)
    print(line, flush=True)
    if output is not None:
        with output.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def not_measured(name: str, bar: str, reason: str) -> dict[str, object]:
    """The result of what this machine cannot measure, and why; it neither holds nor fails."""
    return {"name": name, "ratio": None, "bar": bar, "holds": None, "reason": reason}


def report_all(results: Iterable[Mapping[str, object]], output: Path | None) -> int:
    """Report each result as soon as it is there; the script's exit code: 0 if all that was measured holds."""
    failed = 0
    for result in results:
        report(result, output)
        failed += result["holds"] is False
    return 1 if failed else 0
