"""Benchmarks that this machine cannot measure, or has no time to, run in a tiny form; all of them end in time."""

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from browser import find_browser

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
QUARTER_HOUR = 900


@pytest.fixture
def benchmarks(monkeypatch):
    """The module that runs them."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    found = importlib.util.spec_from_file_location("benchmarks_main", BENCHMARKS / "__main__.py")
    module = importlib.util.module_from_spec(found)
    monkeypatch.setitem(sys.modules, "benchmarks_main", module)
    found.loader.exec_module(module)
    return module


def test_all_that_runs_without_a_gpu_ends_in_a_quarter_of_an_hour(benchmarks):
    usual = [script for script in benchmarks.SCRIPTS if benchmarks.is_chosen(script, None, gpu=False)]
    assert sum(script.limit_s for script in usual if not script.needs_gpu) <= QUARTER_HOUR
    assert all((BENCHMARKS / f"{script.name}.py").exists() for script in benchmarks.SCRIPTS)


def test_a_script_is_stopped_at_its_limit_and_what_it_measured_stands(benchmarks, monkeypatch, tmp_path):
    (tmp_path / "endless.py").write_text(
        "import json, sys, time\n"
        "line = {'name': 'first', 'ratio': 1.5, 'bar': '', 'holds': None}\n"
        "open(sys.argv[-1], 'a').write(json.dumps(line) + '\\n')\n"
        "time.sleep(600)\n"
    )
    monkeypatch.setattr(benchmarks, "FOLDER", tmp_path)
    start = time.monotonic()
    results = benchmarks.run(benchmarks.Script("endless", 2), quick=False)
    assert time.monotonic() - start < 60
    assert [result["name"] for result in results] == ["first", "endless"]
    assert results[1]["reason"] == "stopped at its limit of 2 s"
    assert benchmarks.run_limited([sys.executable, "-c", "raise SystemExit(3)"], 60) == 3


def test_the_figures_name_their_processor(benchmarks):
    machine = benchmarks.describe_machine()
    assert machine["processor"]
    assert machine["instructions"]


@pytest.mark.slow  # loads the compiler's front end
def test_the_tiny_form_of_what_takes_a_gpu_runs_anywhere(tmp_path):
    output = tmp_path / "benchmarks.json"
    line = [sys.executable, BENCHMARKS, "--gpu", "--quick", "--output", output]
    ran = subprocess.run(line, capture_output=True, text=True, check=True)
    results = {result["name"]: result for result in json.loads(output.read_text())["results"]}
    assert list(results) == [
        "gpu_generation_compile_seconds",
        "gpu_generation_speed",
        "gpu_generation_eager",
        "gpu_generation_matmul_share",
        "gpu_generation_recompiles",
        "gpu_job_unet_share",
        "gpu_generation_kernels",
        "gpu_generation_bfloat16",
        "gpu_training_small_cnn_8_stem_eager",
        "gpu_training_small_cnn_8_small_stem_eager",
        "gpu_neighbours",
    ], ran.stderr
    assert all(result["holds"] is None and result["ratio"] is not None for result in results.values())
    assert results["gpu_generation_recompiles"]["compiled_before"] >= 1
    assert results["gpu_generation_recompiles"]["ratio"] == 0
    assert results["gpu_job_unet_share"]["job_images"] == 20
    assert len(results["gpu_generation_kernels"]["kernels"]) == 3
    assert results["gpu_neighbours"]["exact"] == 1


@pytest.mark.skipif(not find_browser(), reason="no Chromium on the PATH")
def test_the_tiny_form_of_a_review_measures_screen_and_memory(tmp_path):
    output = tmp_path / "results.jsonl"
    line = [sys.executable, BENCHMARKS / "review.py", "--images", "200", "--jumps", "3", "--output", output]
    ran = subprocess.run(line, capture_output=True, text=True)  # a busy machine may miss the bar of seconds
    screen, memory = map(json.loads, output.read_text().splitlines())
    assert (screen["name"], memory["name"]) == ("review_first_screen", "review_memory"), ran.stderr
    assert screen["pictures"] >= 30
    assert screen["ratio"] > 0
    assert min(memory["at_start"], memory["at_first_screen"], memory["after_jumps"]) > 0  # it may shrink between
    assert memory["holds"]
