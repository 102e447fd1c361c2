"""What Muon's iterations cost on a CPU in bfloat16, as timm has them, over float32, as we have them.

    python benchmarks/muon.py [--rounds 15]
    ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 python benchmarks/muon.py   # as a processor of 2017 would

Prints one JSON line: the time of a step's iterations on the matrices of small_cnn, in turns in one process, one thread.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from timm.optim.muon import _COEFFICIENTS, zeropower_via_newtonschulz

from synthset.classifiers.architectures import SmallCNN
from timing import median_ratio, report_all, time_in_turns


def main() -> int:
    """Measure; there is no bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, help="a file to add the JSON lines to")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    matrices = [torch.randn_like(weight).flatten(1) for weight in SmallCNN(10, 32).parameters() if weight.ndim > 1]

    def iterate(dtype: torch.dtype) -> int:
        for matrix in matrices:
            zeropower_via_newtonschulz(matrix, 5, _COEFFICIENTS["quintic"], dtype=dtype)
        return 1

    sides = {str(dtype): lambda _, dtype=dtype: iterate(dtype) for dtype in (torch.bfloat16, torch.float32)}
    seconds = time_in_turns(sides, arguments.rounds)
    result = {
        "name": "muon_bfloat16",
        "ratio": round(median_ratio(seconds["torch.bfloat16"], seconds["torch.float32"]), 2),
        "bar": "",
        "holds": None,
        "milliseconds": {name: round(1000 * sorted(times)[len(times) // 2], 1) for name, times in seconds.items()},
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }
    return report_all([result], arguments.output)


if __name__ == "__main__":
    sys.exit(main())
