"""What `diagnose` prints: the measures of the sets, judges, and studies of prompts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from synthset.cli.json_output import shows
from synthset.cli.printing import MAX_ROWS, percent, print_table, say, span

if TYPE_CHECKING:
    from synthset.diagnosis.judges import Judged
    from synthset.diagnosis.prompt_study import StudyResult
    from synthset.diagnosis.stage import DiagnosisResult


log = logging.getLogger("synthset")


@shows("diagnosis")
def print_diagnosis(result: DiagnosisResult) -> None:
    """One row a set, the classes that need something, and where the report lies."""
    headings = ("set", ">images", ">diversity", ">images read by prompts", ">real images read by it", ">shift")
    rows = []
    for row in result.summary:
        shift = "–" if row.centroid_shift is None else f"{row.centroid_shift:.3f}"
        read = (percent(row.prompt_accuracy), percent(row.transfer_accuracy))
        rows.append((row.set, f"{row.images:,}", f"{row.centroid_distance:.2e}", *read, shift))
    print_table(headings, rows)
    open_ones = [row for row in result.classes if row.is_unresolved]
    troubled = [row for row in result.classes if row.remedy and not row.is_unresolved]
    judged = len(result.classes)
    fine = judged - len(troubled) - len(open_ones)
    num_sets = len({row.set for row in result.classes})
    where = f" of {num_sets:,} sets" if num_sets > 1 else ""
    say(f"\n{fine:,} of {judged:,} classes{where} are fine." + (" In need:" if troubled else ""))
    if troubled:
        rows = [(f"  {row.class_name}", row.set, row.verdict, row.remedy) for row in troubled[:MAX_ROWS]]
        print_table(("  class", "set", "verdict", "what to do"), rows)
    if len(troubled) > MAX_ROWS:
        say(f"  … {len(troubled) - MAX_ROWS:,} more in {result.folder / 'classes.csv'}")
    if open_ones:
        first = open_ones[0]
        say(f"Of {len(open_ones):,} there are {first.verdict}.")
        say(f"  For example {first.class_name} of {first.set}: {first.evidence}")
    if result.judged is not None:
        _print_judged(result.judged)
    say(f"report  {result.report}")


def _print_judged(judged: Judged) -> None:
    say(f"\nAs '{judged.judge}' sees them, of the {len(judged.meant):,} classes that it can tell:")
    rows = [(row.set, f"{row.images:,}", percent(row.accuracy), span(row.low, row.high)) for row in judged.sets]
    print_table(("set", ">images", ">recognised", ">95 % interval"), rows)


@shows("prompt_study")
def print_study(result: StudyResult) -> None:
    """One row a prompt, the words that reach the images and those that do not, and where the report lies."""
    headings = ("prompt", ">images", ">recognised", ">95 % interval", ">diversity", ">shift", ">adherence", "verdict")
    rows = []
    for row in result.variants:
        interval = "–" if row.low is None or row.high is None else span(row.low, row.high)
        recognised = (f"{row.images:,}", percent(row.accuracy), interval)
        measured = (f"{row.centroid_distance:.2e}", f"{row.centroid_shift:.3f}", percent(row.adherence))
        rows.append((row.prompt or row.source, *recognised, *measured, row.reach or "–"))
    print_table(headings, rows)
    diversity = f"{result.reference_distance:.2e}"
    say(f"\nHeld against '{result.reference}', whose images of '{result.class_name}' have a diversity of {diversity}.")
    if result.modifiers:
        words = [
            (f"  {row.modifier}", f"{row.images:,}", percent(row.adherence), row.reach)
            for row in result.modifiers[:MAX_ROWS]
        ]
        print_table(("  words", ">images", ">adherence", "verdict"), words)
    if len(result.modifiers) > MAX_ROWS:
        say(f"  … {len(result.modifiers) - MAX_ROWS:,} more in {result.folder / 'modifiers.csv'}")
    for doubt in result.doubts:
        log.warning("%s", doubt)
    say(f"report  {result.report}")
