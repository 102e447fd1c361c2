"""What help and docs say of the families follows from the table."""

from __future__ import annotations

import subprocess
import sys

import diffusers
import pytest

from synthset.generators.families import (
    FAMILIES,
    FAMILY_COLUMNS,
    Family,
    describe_auto_scheduler,
    family_rows,
    family_titles,
)
from synthset.generators.names import SCHEDULERS


def test_every_family_is_a_pipeline_of_diffusers_with_a_title_of_its_own():
    assert len(set(family_titles())) == len(FAMILIES)
    for class_name, family in FAMILIES.items():
        pipeline = getattr(diffusers, class_name)
        assert pipeline.__module__.startswith(f"diffusers.pipelines.{family.module}.")
        assert family.scheduler is None or family.scheduler in SCHEDULERS
        assert family.own_loop == (family.images != "none")


@pytest.mark.parametrize("name", SCHEDULERS.values())
def test_every_scheduler_is_one_of_diffusers(name):
    assert getattr(diffusers, name).__name__ == name


def test_a_family_that_is_added_is_in_all_lists(monkeypatch):
    added = Family("Another", "another", guidance="embedded", scheduler="euler")
    monkeypatch.setitem(FAMILIES, "AnotherPipeline", added)
    assert family_titles()[-1] == "Another"
    assert describe_auto_scheduler().endswith(
        "; euler for Another; the checkpoint's own for others, and where that does not fit"
    )
    row = dict(zip(FAMILY_COLUMNS, family_rows()[-1], strict=True))
    assert row["model"] == "Another"
    assert row["pipeline of diffusers"] == "AnotherPipeline"
    assert (row["guidance"], row["negative prompt"], row["scheduler auto"]) == ("read by the network", "no", "euler")


def test_the_table_loads_no_torch():
    code = "import sys, synthset.generators.families, synthset.generators.loading; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
