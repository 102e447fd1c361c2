import json
import subprocess
import sys
from pathlib import Path

from tiny_image_models import build_with_adapter

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_shared_noise_runs_as_written(tmp_path):
    sizes = ["--seeds", "3", "--images-per-class", "1", "--steps", "2"]
    line = [sys.executable, EXAMPLES / "shared_noise.py", *sizes]
    ran = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=True)
    rows = [line.strip("| ").split(" | ") for line in ran.stdout.splitlines()[2:]]
    assert [row[0] for row in rows] == ["brightness, of 255", "cosine to the text of its class"]
    correlation, _, paired, unpaired = map(float, rows[0][1:])
    assert 0.5 < correlation <= 1
    assert paired < unpaired


def test_image_interpolation_runs_as_written(tmp_path):
    model = build_with_adapter(tmp_path / "model")
    sizes = ["--seeds", "2", "--shots", "4", "--images-per-class", "4", "--steps", "2", "--epochs", "1"]
    ran = subprocess.run(
        [sys.executable, EXAMPLES / "image_interpolation.py", *sizes, "--generator", model],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "95 % interval over 2 seeds" in ran.stdout
    results = json.loads((tmp_path / "image-interpolation" / "results.json").read_text())
    assert {len(values) for values in results.values()} == {2}
    for measure in ("accuracy on real digits", "Centroid Distance"):
        for seed in range(2):
            three, everything = (results[f"{title}: {measure}"][seed] for title in ("three at a time", "all"))
            assert results[f"three minus all: {measure}"][seed] == three - everything
    distances = [results[f"{title}: Centroid Distance"] for title in ("three at a time", "all", "base prompt")]
    assert len({*map(tuple, distances)}) == 3  # three sets, not one of them thrice
