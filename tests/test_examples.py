import subprocess
import sys
from pathlib import Path

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
