"""What exact nearest neighbours cost on a GPU: 50,000 queries among 1.28 million references of 768 dimensions.

    python benchmarks/gpu_neighbours.py
    python benchmarks/gpu_neighbours.py --tiny --device cpu   # runs the script, measures nothing

Prints one JSON line: `ratio` is the time of a search, with all references on their way to the device, over that of the
bare float32 product, which is timed on a part of it; `exact` the share of the neighbours of some queries that are those
of float64. No bar.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from neighbours import make_units, normalise
from synthset.measures.neighbours import nearest
from timing import not_measured, report_all

NEIGHBOURS = 5
CHECKED = 64


def main() -> int:
    """Measure it; 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="few vectors, to run the script")
    parser.add_argument("--output", type=Path, help="a file to add the JSON line to")
    arguments = parser.parse_args()
    if not arguments.tiny and not torch.cuda.is_available():
        return report_all([not_measured("gpu_neighbours", "", "no GPU")], arguments.output)
    sizes = (128, 4096, 16) if arguments.tiny else (50_000, 1_280_000, 768)
    return report_all([measure(torch.device(arguments.device), *sizes)], arguments.output)


def measure(device: torch.device, num_queries: int, num_references: int, dimension: int) -> dict[str, object]:
    """A search, timed once: it takes long enough."""
    random = torch.Generator().manual_seed(0)
    queries = make_units(num_queries, dimension, random)
    references = make_units(num_references, dimension, random)
    nearest(queries[:1024], references[:4096], NEIGHBOURS, device=str(device))
    start = time.perf_counter()
    indices, _ = nearest(queries, references, NEIGHBOURS, device=str(device))
    seconds = time.perf_counter() - start
    bare = time_product(queries.to(device), references, device)
    return {
        "name": "gpu_neighbours",
        "ratio": round(seconds / bare, 3),
        "bar": "",
        "holds": None,
        "seconds": round(seconds, 2),
        "product_seconds": round(bare, 2),
        "exact": share_of_exact(queries[:CHECKED], references, indices[:CHECKED], device),
        "queries": num_queries,
        "references": num_references,
        "dimension": dimension,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }


def time_product(queries: Tensor, references: Tensor, device: torch.device) -> float:
    """Seconds that the whole product would take, by that of some of its columns."""
    some = references[:8192].to(device)
    product = torch.empty(len(queries), len(some), device=device)
    seconds = []
    for _ in range(4):  # the first warms up
        start = time.perf_counter()
        torch.mm(queries, some.T, out=product)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds) * len(references) / len(some)


def share_of_exact(queries: Tensor, references: Tensor, indices: Tensor, device: torch.device) -> float:
    """Of the neighbours found, those of float64; equal cosines count as the same."""
    exact = normalise(queries.to(device))
    blocks = [exact @ normalise(block.to(device)).T for block in references.split(65_536)]
    cosines = torch.cat(blocks, 1)
    found, expected = cosines.gather(1, indices.to(device)), cosines.topk(NEIGHBOURS).values
    return float(((found - expected).abs() < 1e-12).double().mean())


if __name__ == "__main__":
    sys.exit(main())
