"""Tables of `reproduce`: the plan, and the findings with their verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthset.cli.json_output import shows
from synthset.cli.tables import print_table, say
from synthset.core.progress import duration

if TYPE_CHECKING:
    from synthset.findings.plan import ReproductionPlan
    from synthset.findings.results import FindingResult, ReproductionResult
    from synthset.findings.rules import Difference


@shows("plan")
def print_reproduction_plan(plan: ReproductionPlan) -> None:
    """Counts of each kind of work, and an estimate."""
    print_table(
        ("work", ">pieces", ">done", ">UNet rows", ">trained images", ">encoded images"),
        [
            (
                one.kind,
                f"{one.pieces:,}",
                f"{one.done:,}",
                *(f"{value:,}" if value else "" for value in vars(one.cost).values()),
            )
            for one in plan.kinds
        ],
    )
    say(f"\n{len(plan.findings)} findings over {plan.seeds} seeds; {plan.images:,} images are to be drawn")
    for name, reason in plan.unmeasurable.items():
        say(f"{name} is not measurable at this scale: {reason}")
    if plan.device == "cpu":
        say(f"about {duration(plan.seconds)} on two cores of an Intel Xeon, and longer on slower ones")
    else:
        hours = f"{plan.seconds / 3600:,.0f} GPU hours"
        say(f"about {hours}, reckoned with 40 % of the 312 TFLOPS of an A100 in bfloat16; not measured")


@shows("reproduction")
def print_findings(result: ReproductionResult) -> None:
    """A line a finding: the difference that decides, and the verdict."""
    print_table(
        ("finding", "verdict", "what it turns on", ">difference", "95 % interval"),
        [(one.name, one.verdict, *_deciding(one)) for one in result.findings],
    )
    for one in result.failed:
        say(f"not done: {one}")
    counts = {verdict: sum(one.verdict == verdict for one in result.findings) for verdict in _VERDICTS}
    say("\n" + ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count))
    say(f"results  {result.folder / 'findings.json'}")


_VERDICTS = ("shown", "not shown", "contradicted", "not measurable here")


def _deciding(one: FindingResult) -> tuple[str, str, str]:
    """The difference behind the verdict: the first that has it; and how many others there are."""
    own = next((item for item in one.differences if item.verdict == one.verdict), None)
    if own is None:
        return one.reason, "", ""
    others = len(one.differences) - 1
    label = own.label + (f" (and {others} more)" if others else "")
    return label, _number(own.mean, one.unit), _interval(own, one.unit)


def _number(value: float, unit: str) -> str:
    return f"{100 * value:+.1f}" if unit == "percent" else f"{value:+.3g}"


def _interval(item: Difference, unit: str) -> str:
    if item.low is None or item.high is None:
        return ""
    return f"{_number(item.low, unit)} to {_number(item.high, unit)}"
