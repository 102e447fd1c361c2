"""`synthset reproduce`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from synthset.cli.arguments import Positional
from synthset.cli.commands import command
from synthset.findings.stage import ReproduceConfig


@dataclass(frozen=True)
class ReproduceCall:
    """Which findings, where to, and whether at all."""

    findings: Annotated[tuple[str, ...], Positional()] = ("all",)
    """Findings: F1 to F32, B (an appendix), those of a paper by its name (shipard2023, he2023, marwood2023), or all."""
    output_dir: Path = Path("reproduction")
    """Folder of the reproduction."""
    dry_run: bool = False
    """Show the plan, with counts and an estimate, and do nothing."""


@command("reproduce")
def reproduce(call: ReproduceCall, config: ReproduceConfig) -> None:
    """Run the experiments behind the papers' findings, and judge each by its rule.

    Run again, it goes on where it stopped, and adds what was asked for since.

    Example: `synthset reproduce F24 F32 --quick --output-dir digits-findings`
    """
    from synthset.cli.finding_tables import print_findings, print_reproduction_plan
    from synthset.findings.stage import plan_reproduction
    from synthset.findings.stage import reproduce as run_reproduce

    if call.dry_run:
        print_reproduction_plan(plan_reproduction(call.findings, call.output_dir, config))
        return
    print_findings(run_reproduce(call.findings, call.output_dir, config))
