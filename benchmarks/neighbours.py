"""What exact nearest neighbours cost on a CPU, against scikit-learn and against the bare matrix product.

    python benchmarks/neighbours.py [--queries 2048] [--references 65536] [--dimension 768] [--neighbours 5]

Prints one JSON line a ratio, on random unit vectors. `neighbours_cosine`: scikit-learn's brute force
by cosine takes at least 1.8 × as long. `neighbours_euclidean`: so does its other way, by Euclidean distance, which on
unit vectors gives the same order; it costs less than twice the bare product itself, so this can hardly be.
`neighbours_matrix_product`: we take at most 1.2 × as long as the float32 product of the same sizes into memory that
is there already. `neighbours_memory`: the resident memory of the process rises by at most 512 MiB at its highest, as
the kernel counts it, in the first call, before anything could be reused. `neighbours_exact`: the share of neighbours
that are those of float64, where two whose float64 cosines differ by less than 1e-12 count as the same.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits
from torch import Tensor

from synthset.measures.neighbours import nearest
from timing import Work, median_ratio, report, time_in_turns

Seconds = Mapping[str, list[float]]
METRICS = ("cosine", "euclidean")


def main() -> int:
    """Measure them all; 0 if all hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--queries", type=int, default=2048)
    parser.add_argument("--references", type=int, default=65_536)
    parser.add_argument("--dimension", type=int, default=768)
    parser.add_argument("--neighbours", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of every side")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="a file to add the JSON lines to")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    generator = torch.Generator().manual_seed(0)
    queries = make_units(arguments.queries, arguments.dimension, generator)
    references = make_units(arguments.references, arguments.dimension, generator)
    memory = measure_memory(queries, references, arguments.neighbours)
    exact = measure_exactness(queries, references, arguments.neighbours)
    with threadpool_limits(arguments.threads):
        seconds = time_sides(queries, references, arguments.neighbours, arguments.rounds)
    conditions = {key: value for key, value in vars(arguments).items() if key != "output"}
    results = [compare_with_brute_force(seconds, metric) for metric in METRICS]
    results += [compare_with_product(seconds), memory, exact]
    for result in results:
        report({**result, **conditions}, arguments.output)
    return 0 if all(result["holds"] for result in results) else 1


def time_sides(queries: Tensor, references: Tensor, num_neighbours: int, rounds: int) -> Seconds:
    """Seconds of a whole search by each side in each round."""
    numpy_queries = queries.numpy()
    peers = {
        metric: NearestNeighbors(n_neighbors=num_neighbours, algorithm="brute", metric=metric).fit(references.numpy())
        for metric in METRICS
    }
    product = torch.zeros(len(queries), len(references))  # its pages are there before the clock runs

    def multiply(_: int) -> int:
        torch.mm(queries, references.T, out=product)
        return 1

    def search(_: int) -> int:
        nearest(queries, references, num_neighbours, device="cpu")
        return 1

    def search_with(peer: NearestNeighbors) -> Work:
        return lambda _: len(peer.kneighbors(numpy_queries)) // 2

    sides: dict[str, Work] = {"product": multiply, "ours": search}
    sides |= {metric: search_with(peer) for metric, peer in peers.items()}
    for work in sides.values():
        work(0)
    return time_in_turns(sides, rounds)


def compare_with_brute_force(seconds: Seconds, metric: str) -> dict[str, object]:
    """scikit-learn's search over ours."""
    ratio = median_ratio(seconds[metric], seconds["ours"])
    medians = {f"{name}_seconds": round(statistics.median(seconds[name]), 3) for name in ("product", "ours", metric)}
    return {
        "name": f"neighbours_{metric}",
        "ratio": round(ratio, 3),
        "bar": ">= 1.8",
        "holds": ratio >= 1.8,
        **medians,
    }


def compare_with_product(seconds: Seconds) -> dict[str, object]:
    """Our search over the product alone."""
    ratio = median_ratio(seconds["ours"], seconds["product"])
    return {"name": "neighbours_matrix_product", "ratio": round(ratio, 3), "bar": "<= 1.2", "holds": ratio <= 1.2}


def measure_memory(queries: Tensor, references: Tensor, num_neighbours: int) -> dict[str, object]:
    """Highest resident memory during a search, above what was resident before, over 512 MiB."""
    # a search among few rows first: what the library itself loads at first use is not the search's
    nearest(queries[:64], references[:64], 1, device="cpu")
    Path("/proc/self/clear_refs").write_text("5")  # resets the kernel's high-water mark to what is resident now
    before = read_high_water_bytes()
    nearest(queries, references, num_neighbours, device="cpu")
    extra = read_high_water_bytes() - before
    ratio = extra / 2**29
    return {
        "name": "neighbours_memory",
        "ratio": round(ratio, 3),
        "bar": "<= 1",
        "holds": ratio <= 1,
        "extra_mib": round(extra / 2**20, 1),
    }


def measure_exactness(queries: Tensor, references: Tensor, num_neighbours: int) -> dict[str, object]:
    """Share of our neighbours that are those of float64 products."""
    indices, _ = nearest(queries, references, num_neighbours, device="cpu")
    exact_references = normalise(references)
    same = 0
    for start in range(0, len(queries), 256):
        cosines = normalise(queries[start : start + 256]) @ exact_references.T
        expected = cosines.topk(num_neighbours).values
        found = cosines.gather(1, indices[start : start + 256])
        same += int(((found - expected).abs() < 1e-12).sum())
    ratio = same / indices.numel()
    return {"name": "neighbours_exact", "ratio": ratio, "bar": ">= 1", "holds": ratio >= 1}


def read_high_water_bytes() -> int:
    """The highest resident memory of this process since the mark was reset (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def make_units(n: int, dimension: int, generator: torch.Generator) -> Tensor:
    """Random unit vectors (n, d), float32."""
    rows = torch.randn(n, dimension, generator=generator)
    return rows.div_(torch.linalg.vector_norm(rows, dim=1, keepdim=True))


def normalise(rows: Tensor) -> Tensor:
    """Unit vectors in float64."""
    return torch.nn.functional.normalize(rows.double(), dim=1)


if __name__ == "__main__":
    sys.exit(main())
