"""Benchmarks that this machine cannot measure, or has no time to, still run, in a tiny form."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from browser import find_browser

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.mark.slow  # loads the compiler's front end
def test_the_tiny_form_of_what_takes_a_gpu_runs_anywhere(tmp_path):
    output = tmp_path / "benchmarks.json"
    line = [sys.executable, BENCHMARKS, "--only", "gpu_generation", "--quick", "--output", output]
    ran = subprocess.run(line, capture_output=True, text=True, check=True)
    results = {result["name"]: result for result in json.loads(output.read_text())["results"]}
    assert list(results) == [
        "gpu_generation_speed",
        "gpu_generation_matmul_share",
        "gpu_generation_recompiles",
        "gpu_job_unet_share",
    ], ran.stderr
    assert all(result["holds"] is None and result["ratio"] is not None for result in results.values())
    assert results["gpu_generation_recompiles"]["compiled_before"] >= 1
    assert results["gpu_generation_recompiles"]["ratio"] == 0
    assert results["gpu_job_unet_share"]["job_images"] == 20


@pytest.mark.skipif(not find_browser(), reason="no Chromium on the PATH")
def test_the_tiny_form_of_a_review_measures_screen_and_memory(tmp_path):
    output = tmp_path / "results.jsonl"
    line = [sys.executable, BENCHMARKS / "review.py", "--images", "200", "--jumps", "3", "--output", output]
    ran = subprocess.run(line, capture_output=True, text=True)  # a busy machine may miss the bar of seconds
    screen, memory = map(json.loads, output.read_text().splitlines())
    assert (screen["name"], memory["name"]) == ("review_first_screen", "review_memory"), ran.stderr
    assert screen["pictures"] >= 30
    assert screen["ratio"] > 0
    assert memory["at_start"] <= memory["at_first_screen"]
    assert memory["holds"]
