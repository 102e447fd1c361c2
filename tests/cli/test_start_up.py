"""What a command loads before it has something to do for it: nothing heavy, so that it begins at once."""

import json
import os
import subprocess
import sys

import pytest

# packages that neither drawing with the miniature nor a job that is finished has a use for
UNUSED = {"pandas", "sklearn", "datasets", "plotly", "matplotlib", "timm", "open_clip", "torchmetrics", "ray"}
HEAVY = {"torch", "torchvision", "diffusers", "transformers", "scipy"}
LINE = ("create", "--classes", "one", "two", "--strategy", "class_prompt", "--images-per-class", "1", "--steps", "1")
CODE = """
import json, sys
from synthset.cli import main
code = main(sys.argv[1:])
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
sys.exit(code)
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Packages that a drawing, and the same command again, load in a process of their own."""
    folder = tmp_path_factory.mktemp("start-up")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-c", CODE, *LINE, "--output-dir", str(folder / "digits")]
    outputs = [subprocess.run(line, env=environment, capture_output=True, text=True, check=True) for _ in range(2)]
    return [set(json.loads(ran.stdout.splitlines()[-1])) for ran in outputs]


def test_drawing_with_the_miniature_loads_no_library_that_it_does_not_use(loaded):
    drawing, _ = loaded
    assert {"torch", "diffusers"} <= drawing
    assert not UNUSED & drawing


def test_a_job_that_is_finished_loads_no_network(loaded):
    _, again = loaded
    assert "pyarrow" in again
    assert not (UNUSED | HEAVY) & again
