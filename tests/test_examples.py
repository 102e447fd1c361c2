import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_compare_strategies_runs_as_written(tmp_path):
    sizes = ["--classes", "one", "two", "--images-per-class", "20", "--steps", "2", "--epochs", "1"]
    ran = subprocess.run(
        [sys.executable, EXAMPLES / "compare_strategies.py", *sizes],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "80 requested = 80 ok" in ran.stdout
    assert "base" in ran.stdout
    assert "multi_domain@1:5" in ran.stdout
    assert (tmp_path / "comparison" / "dataset" / "preview.png").is_file()
