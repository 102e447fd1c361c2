"""Tables of `reproduce`: the plan, and the findings with their verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthset.cli.json_output import shows
from synthset.cli.printing import print_table, say
from synthset.core.progress import duration
from synthset.findings.results import FILE, PAGE
from synthset.findings.wording import count_verdicts, deciding, difference, interval

if TYPE_CHECKING:
    from synthset.findings.plan import ReproductionPlan
    from synthset.findings.results import FindingResult, ReproductionResult


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
    findings, seeds = (
        f"{n} {one}{'s' * (n != 1)}" for n, one in ((len(plan.findings), "finding"), (plan.seeds, "seed"))
    )
    say(f"\n{findings} over {seeds}; {plan.images:,} images are to be drawn")
    for name, reason in plan.unmeasurable.items():
        say(f"{name} is not measurable at this scale: {reason}")
    if plan.device == "cpu":
        cores = f"{plan.workers} core{'s' * (plan.workers != 1)}"
        say(f"about {duration(plan.seconds)} on {cores} of an Intel Xeon, and longer on slower ones")
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
    say("\n" + ", ".join(f"{count} {verdict}" for verdict, count in count_verdicts(result.findings).items()))
    say(f"results  {result.folder / FILE}")
    say(f"page     {result.folder / PAGE}")


def _deciding(one: FindingResult) -> tuple[str, str, str]:
    """The difference behind the verdict: the first that has it; and how many others there are."""
    own = deciding(one)
    if own is None:
        return one.reason, "", ""
    others = len(one.differences) - 1
    label = own.label + (f" (and {others} more)" if others else "")
    return label, difference(own.mean, one.unit), interval(own, one.unit)
