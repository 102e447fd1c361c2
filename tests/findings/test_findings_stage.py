"""The stage, on work that takes no time: resumed at every piece, added to, refused, and judged by the rules."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest
import torch

from outcomes import contents
from synthset.core.errors import ConfigChangedError, DataError, UsageError
from synthset.findings import registry, stage
from synthset.findings.finding import Finding, Paper, shares
from synthset.findings.page import write_page
from synthset.findings.results import read_findings
from synthset.findings.rules import Above, Higher
from synthset.findings.stage import plan_reproduction, reproduce
from synthset.findings.work import Cost, Work

done: list[str] = []  # titles, in the order in which they were done
faults: dict[str, BaseException] = {}  # by title, what doing it comes to


@dataclass(frozen=True)
class Toss(Work):
    """Work that is nothing but its figure."""

    kind = "toss"
    name: str
    seed: int
    of: Toss | None = None

    @property
    def title(self):
        return f"{self.name} {self.seed}"

    @property
    def cost(self):
        return Cost(encoded_images=10)

    def run(self, home, lab):
        (home / "begun").write_text("")  # what a kill leaves
        if self.title in faults:
            raise faults[self.title]
        done.append(self.title)
        under = lab.values(self.of)["accuracy"] if self.of else 0.0
        return {"accuracy": under + {"low": 0.2, "high": 0.6, "flat": 0.2}[self.name] + self.seed / 100}


def toss(name, seed, of=None):
    return Toss(name, seed, of)["accuracy"]


FINDINGS = (
    Finding(
        "F1",
        "High is higher.",
        "Table 1",
        shares(("high", 60.0)),
        lambda scale, seed: {"high": toss("high", seed), "low": toss("low", seed)},
        lambda scale: Higher("high", "low"),
        note="Of chance.",
    ),
    Finding(
        "F2",
        "What stands on the low is low.",
        "Table 2",
        (),
        lambda scale, seed: {"on low": toss("low", seed, Toss("low", seed)), "low": toss("low", seed)},
        lambda scale: Higher("low", "on low"),
    ),
    Finding(
        "F3",
        "Never here.",
        "Table 3",
        (),
        lambda scale, seed: {},
        lambda scale: Above("x", 0),
        unmeasurable={"miniature": "no moon"},
    ),
    Finding(
        "F4",
        "Flat is alike.",
        "Table 4",
        (),
        lambda scale, seed: {"flat": toss("flat", seed), "low": toss("low", seed)},
        lambda scale: Higher("flat", "low"),
        unit="number",
    ),
)
VERDICTS = {"F1": "shown", "F2": "contradicted", "F3": "not measurable here", "F4": "not shown"}


@pytest.fixture(autouse=True)
def own_findings(monkeypatch):
    done.clear()
    faults.clear()
    use(monkeypatch, FINDINGS)
    monkeypatch.setattr(stage, "default_workers", lambda device: 1)  # several are in test_crew.py
    monkeypatch.setattr(stage, "write_page", lambda folder: None)  # whose pictures take longer than all else
    yield
    faults.clear()


@pytest.fixture
def with_page(monkeypatch):
    monkeypatch.setattr(stage, "write_page", write_page)


def use(monkeypatch, findings):
    scales = {name: lambda: None for name in registry.SCALES}
    monkeypatch.setattr(registry, "papers", lambda: (Paper("own2026", "Our own", scales, tuple(findings)),))


def verdicts(result):
    return {one.name: one.verdict for one in result.findings}


def test_each_finding_has_its_verdict_and_shared_work_is_done_once(tmp_path, with_page):
    result = reproduce("all", tmp_path / "out")
    assert verdicts(result) == VERDICTS
    # of the first seed all, before the second of any; "low" three times, for it stands below three findings
    assert done == [f"{name} {seed}" for seed in range(3) for name in ("high", "low", "low", "flat")]
    one = result.findings[0]
    assert [(item.label, item.values) for item in one.measured] == [
        ("high", pytest.approx((0.6, 0.61, 0.62))),
        ("low", pytest.approx((0.2, 0.21, 0.22))),
    ]
    assert one.differences[0].mean == pytest.approx(0.4)
    assert result.findings[2].reason == "no moon"
    assert {"findings.json", "findings.html", "verdicts.csv", "figures.parquet", "differences-own2026.png"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }


def test_killed_at_any_piece_it_comes_to_the_same(tmp_path, monkeypatch):
    reproduce("all", tmp_path / "whole")
    whole, pieces = (tmp_path / "whole" / "findings.json").read_bytes(), list(dict.fromkeys(done))
    folder = tmp_path / "killed"
    for title in pieces:  # into one folder: each run goes one piece further
        faults.clear()
        faults[title] = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            reproduce("all", folder)
    assert not (folder / "findings.json").exists()
    faults.clear()
    for name in ("write_results", "write_page"):
        with monkeypatch.context() as patch:
            patch.setattr(stage, name, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                reproduce("all", folder)
    done.clear()
    reproduce("all", folder)
    assert done == []
    assert (folder / "findings.json").read_bytes() == whole


def test_work_that_fails_leaves_its_findings_unmeasured_and_the_others_go_on(tmp_path):
    faults["flat 1"] = DataError("Expected a coin, found none.")
    result = reproduce("all", tmp_path / "out")
    assert verdicts(result) == VERDICTS | {"F4": "not measurable here"}
    assert result.findings[3].reason == "Expected a coin, found none."
    assert result.failed == ("flat 1: Expected a coin, found none.",)
    faults.clear()
    assert verdicts(reproduce("all", tmp_path / "out")) == VERDICTS  # tried again


def test_what_needs_failed_work_has_the_reason_at_its_bottom(tmp_path):
    faults["low 0"] = DataError("Expected a coin, found none.")
    result = reproduce(["F2"], tmp_path / "out", seeds=2)
    assert [one.reason for one in result.findings] == ["needs toss low 0: Expected a coin, found none."]
    assert [line.rpartition(": ")[2] for line in result.failed] == ["Expected a coin, found none."] * 2


@pytest.mark.parametrize("figures", [{}, {"accuracy": float("nan")}])
def test_a_figure_that_cannot_be_is_no_figure(tmp_path, monkeypatch, figures):
    monkeypatch.setattr(Toss, "run", lambda self, home, lab: {"accuracy": 0.5} if self.name != "flat" else figures)
    result = reproduce(["F4", "F1"], tmp_path / "out")
    assert verdicts(result) == {"F1": "not shown", "F4": "not measurable here"}
    assert "accuracy" in result.findings[1].reason


def test_a_bug_is_not_a_verdict(tmp_path):
    faults["flat 0"] = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        reproduce("all", tmp_path / "out")


def test_more_seeds_add_to_those_that_are_done(tmp_path):
    first = reproduce(["F1"], tmp_path / "out", seeds=2)
    assert done == ["high 0", "low 0", "high 1", "low 1"]
    more = reproduce(["F1"], tmp_path / "out", seeds=3)
    assert done[4:] == ["high 2", "low 2"]
    assert more.findings[0].measured[0].values[:2] == first.findings[0].measured[0].values
    assert reproduce(["F1"], tmp_path / "fresh", seeds=3).findings == more.findings


def test_one_seed_shows_nothing(tmp_path):
    assert verdicts(reproduce(["F1", "F2"], tmp_path / "out", seeds=1)) == {"F1": "not shown", "F2": "not shown"}


def test_other_findings_add_to_those_of_the_folder(tmp_path):
    reproduce(["F4"], tmp_path / "out")
    result = reproduce(["F1"], tmp_path / "out")
    assert [one.name for one in result.findings] == ["F1", "F4"]
    assert read_findings(tmp_path / "out").findings == result.findings
    assert reproduce(["F1", "F4"], tmp_path / "fresh").findings == result.findings


def test_a_changed_rule_is_visible_in_the_saved_file(tmp_path, monkeypatch, with_page):
    def by(rule):
        use(monkeypatch, [replace(FINDINGS[0], rule=lambda scale: rule), *FINDINGS[1:]])
        reproduce("all", tmp_path / "out")
        return json.loads((tmp_path / "out" / "findings.json").read_text())["findings"][0]

    assert by(Higher("high", "low"))["earlier"] == []
    changed = by(Higher("low", "high"))
    assert (changed["verdict"], changed["rule"]) == ("contradicted", "low > high")
    assert changed["earlier"] == [{"rule": "high > low", "verdict": "shown"}]
    again = by(Above("high", 0.61))
    assert again["earlier"] == [
        {"rule": "high > low", "verdict": "shown"},
        {"rule": "low > high", "verdict": "contradicted"},
    ]
    assert by(Above("high", 0.61)) == again  # the same rule again adds nothing
    page = (tmp_path / "out" / "findings.html").read_text()
    assert "high &gt; low: shown" in page
    assert "low &gt; high: contradicted" in page
    assert len(done) == 12  # nothing was done again


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("all of it")
    before = contents(tmp_path)
    with pytest.raises(UsageError, match="holds something else; nothing was changed"):
        reproduce("all", tmp_path)
    assert contents(tmp_path) == before
    assert done == []


def test_a_folder_of_another_scale_is_left_alone(tmp_path):
    reproduce(["F1"], tmp_path / "out", quick=True)
    before = contents(tmp_path)
    with pytest.raises(ConfigChangedError, match="scale quick, not miniature; nothing was changed"):
        reproduce(["F1"], tmp_path / "out")
    assert contents(tmp_path) == before


def test_the_papers_scale_asks_for_a_gpu_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "choose_device", lambda name: torch.device("cpu"))
    with pytest.raises(UsageError, match=r"Expected a GPU for .*scale"):
        reproduce("all", tmp_path / "out", scale="paper")
    assert contents(tmp_path) == {}


def test_quick_is_of_the_miniature():
    with pytest.raises(UsageError, match="quick"):
        stage.ReproduceConfig(scale="paper", quick=True)


def test_the_plan_counts_what_is_left(tmp_path):
    config = stage.ReproduceConfig(seeds=2)
    (before,) = plan_reproduction("all", tmp_path / "out", config).kinds
    assert (before.pieces, before.done, before.cost.encoded_images) == (8, 0, 80)
    reproduce(["F1"], tmp_path / "out", config)
    plan = plan_reproduction("all", tmp_path / "out", config)
    assert [(kind.pieces, kind.done, kind.cost.encoded_images) for kind in plan.kinds] == [(8, 4, 40)]
    assert plan.unmeasurable == {"F3": "no moon"}


# ---- the command -------------------------------------------------------------------------------------------


def test_the_command_prints_a_line_a_finding_and_its_files(own_folder, run):
    code, out, _ = run("reproduce", "--seeds", "2", "--output-dir", "out")
    assert code == 0
    lines = out.splitlines()
    assert [line.split()[0] for line in lines if line[:1] == "F"] == list(VERDICTS)
    assert "high - low" in out
    assert "+40.0" in out
    assert "1 shown, 1 not shown, 1 contradicted, 1 not measurable here" in out
    assert out.rstrip().endswith("findings.html")


def test_the_command_gives_json(own_folder, run):
    code, out, _ = run("reproduce", "F1", "F4", "--seeds", "2", "--output-dir", "out", "--json")
    told = json.loads(out)["reproduction"]
    assert code == 0
    assert {one["name"]: one["verdict"] for one in told["findings"]} == {"F1": "shown", "F4": "not shown"}
    assert told["findings"] == json.loads((own_folder / "out" / "findings.json").read_text())["findings"]


def test_a_dry_run_does_nothing(own_folder, run):
    code, out, _ = run("reproduce", "--dry-run", "--json", "--output-dir", "out")
    assert code == 0
    assert json.loads(out)["plan"]["findings"] == ["F1", "F2", "F4"]
    code, out, _ = run("reproduce", "--dry-run", "--output-dir", "out")
    assert code == 0
    assert "F3 is not measurable at this scale: no moon" in out
    assert contents(own_folder) == {}
    assert done == []


@pytest.mark.parametrize(
    ("words", "about"),
    [
        (["F99"], "Unknown finding 'F99'"),
        (["--scale", "vast"], "Unknown scale 'vast'. Valid: miniature, paper."),
        (["--seeds", "0"], "--seeds"),
        (["--scale", "paper", "--quick"], "--quick"),
    ],
)
def test_the_command_refuses_what_cannot_be(own_folder, refuse, words, about):
    assert about in refuse("reproduce", *words, "--output-dir", "out")
    assert done == []


def test_report_builds_the_page_again(own_folder, run, refuse, with_page):
    reproduce("all", "out", seeds=2)
    page = (own_folder / "out" / "findings.html").read_bytes()
    (own_folder / "out" / "findings.html").unlink()
    assert run("report", "out")[0] == 0
    assert (own_folder / "out" / "findings.html").read_bytes() == page
    (own_folder / "out" / "findings.json").unlink()
    assert "it is not finished" in refuse("report", "out", code=1)


def test_a_damaged_result_is_named_and_the_page_left(own_folder, refuse):
    reproduce("all", "out", seeds=2)
    text = (own_folder / "out" / "findings.json").read_text()
    (own_folder / "out" / "findings.json").write_text(text.replace('"seeds": 2', '"seeds": 5'))
    assert "findings.json" in refuse("report", "out", code=1)
