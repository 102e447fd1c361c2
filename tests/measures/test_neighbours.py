import math

import numpy as np
import pytest
import torch

from synthset.core.errors import UsageError
from synthset.measures import neighbours
from synthset.measures.neighbours import knn_accuracy, nearest, vote


def at(*degrees):
    """Unit vectors in the plane."""
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], 1)


def gaussian(n, d=12, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def in_float64(queries, references, num_neighbours):
    """All scores at once, sorted; of equal ones the lower index first."""
    units = [torch.nn.functional.normalize(rows.double(), dim=1) for rows in (queries, references)]
    cosines, indices = (units[0] @ units[1].T).sort(dim=1, descending=True, stable=True)
    return indices[:, :num_neighbours], cosines[:, :num_neighbours].float()


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 16 queries and 64 references, so that small sets pass in many."""
    monkeypatch.setattr(neighbours, "_block_sizes", lambda n, m, *_: (min(n, 16), min(m, 64)))


def test_neighbours_by_hand():
    indices, cosines = nearest(at(0, 100) * 3, at(90, 20, -10, 180), 2, device="cpu")

    assert indices.tolist() == [[2, 1], [0, 3]]
    assert indices.dtype == torch.int64
    expected = [[math.cos(math.radians(a)) for a in row] for row in ([10, 20], [10, 80])]
    torch.testing.assert_close(cosines, torch.tensor(expected))


@pytest.mark.parametrize("references", [1, 5, 31, 32, 64, 200, 700])
@pytest.mark.parametrize("num_neighbours", [1, 5, 70])
def test_blocks_change_nothing(small_blocks, references, num_neighbours):
    num_neighbours = min(num_neighbours, references)
    queries, references = gaussian(37), gaussian(references, seed=1)

    indices, cosines = nearest(queries, references, num_neighbours, device="cpu")

    expected = in_float64(queries, references, num_neighbours)
    assert torch.equal(indices, expected[0])
    torch.testing.assert_close(cosines, expected[1])


def test_equal_cosines_come_in_the_order_of_their_indices(small_blocks):
    distinct = gaussian(9)
    references = distinct[torch.arange(900) % 9]  # each a hundred times, over many blocks

    indices, _ = nearest(distinct, references, 120, device="cpu")

    for row, own in enumerate(indices[:, :100].tolist()):
        assert own == list(range(row, 900, 9))
    assert indices[:, 100:].diff().eq(9).all()  # the second nearest, from its first copy on


def test_references_that_differ_by_less_than_float32_can_tell_are_told_apart():
    order = torch.randperm(500, generator=torch.Generator().manual_seed(0))
    offsets = 1e-6 * order.double()  # degrees: cosines 6e-9 apart
    references = at(*(offsets + 30).tolist())

    indices, _ = nearest(at(10), references, 500, device="cpu")

    assert torch.equal(offsets[indices[0]], offsets.sort().values)


def test_low_precision_of_products_is_made_up_for(monkeypatch):
    """Where a user allows bfloat16 products, more candidates are scored again, and the result stays."""
    queries, references = gaussian(20, 64), gaussian(3000, 64, seed=1)
    true_product = torch.mm

    def product(one, other, out):
        return true_product(one.bfloat16().float(), other.bfloat16().float(), out=out)

    monkeypatch.setattr(torch, "mm", product)
    monkeypatch.setattr(neighbours, "_multiplies_halves", lambda _: False)
    monkeypatch.setattr(neighbours, "_factor_rounding", lambda _: neighbours.ROUNDING["bf16"])

    indices, _ = nearest(queries, references, 5, device="cpu")

    assert torch.equal(indices, in_float64(queries, references, 5)[0])


@pytest.mark.parametrize(("spread", "types"), [(1.0, [torch.bfloat16]), (1e-3, [torch.bfloat16, torch.float32])])
def test_scores_in_bfloat16_find_the_neighbours_of_float64(monkeypatch, spread, types):
    """As on a processor with AMX; where references lie too close together for it, they are scored in float32."""
    queries, references = gaussian(20, 64), gaussian(1, 64, seed=2) + spread * gaussian(3200, 64, seed=1)
    multiply, multiplied = torch.mm, []
    monkeypatch.setattr(
        torch, "mm", lambda one, other, out: multiplied.append(out.dtype) or multiply(one, other, out=out)
    )
    monkeypatch.setattr(neighbours, "_multiplies_halves", lambda _: True)

    indices, _ = nearest(queries, references, 5, device="cpu")

    assert torch.equal(indices, in_float64(queries, references, 5)[0])
    assert multiplied == types


def test_the_error_bound_holds_and_is_far_below_what_matters():
    one, other = (torch.nn.functional.normalize(gaussian(400, 768, seed), dim=1) for seed in range(2))
    exact = torch.nn.functional.normalize(one.double()) @ torch.nn.functional.normalize(other.double()).T

    bound = neighbours._largest_error(768, neighbours._factor_rounding(torch.device("cpu")))

    assert (one @ other.T - exact).abs().max() < bound < 1e-3


@pytest.mark.parametrize("factor", [1e-25, 0.37, 1e25])
def test_neighbours_do_not_depend_on_scale(factor):
    queries, references = gaussian(20), gaussian(300, seed=1)
    scales = factor * torch.linspace(0.5, 2, 300)[:, None]

    indices, cosines = nearest(queries / factor, references * scales, 5, device="cpu")

    expected = nearest(queries, references, 5, device="cpu")
    assert torch.equal(indices, expected[0])
    torch.testing.assert_close(cosines, expected[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_floating_point_type_will_do(dtype):
    queries, references = gaussian(20).to(dtype), gaussian(300, seed=1).to(dtype)

    indices, _ = nearest(queries, references, 5, device="cpu")

    assert torch.equal(indices, in_float64(queries, references, 5)[0])


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_references_on_disk_are_read_in_blocks(tmp_path, small_blocks, monkeypatch, dtype):
    queries, references = gaussian(20), gaussian(300, seed=1).numpy().astype(dtype)
    np.save(tmp_path / "references.npy", references)
    mapped = np.load(tmp_path / "references.npy", mmap_mode="r")
    sizes = []
    load = neighbours._load
    monkeypatch.setattr(neighbours, "_load", lambda rows, device: (sizes.append(len(rows)), load(rows, device))[1])

    indices, _ = nearest(queries.numpy(), mapped, 5, device="cpu")

    assert torch.equal(indices, in_float64(queries, torch.from_numpy(references), 5)[0])
    assert sizes[0] == 20
    assert max(sizes[1:]) <= 64
    assert sum(sizes[1:]) == 300  # each once


def test_the_input_is_left_as_it_is():
    queries, references = gaussian(20), gaussian(300, seed=1)
    copies = queries.clone(), references.clone()

    nearest(queries.requires_grad_(), references, 5, device="cpu")

    assert torch.equal(queries, copies[0])
    assert torch.equal(references, copies[1])


@pytest.mark.parametrize("max_bytes", [2**19, 2**22, 2**28])
@pytest.mark.parametrize("num_neighbours", [1, 5, 5000])
def test_blocks_fit_into_the_memory_allowed(max_bytes, num_neighbours):
    num_queries, num_references = neighbours._block_sizes(50_000, 1_280_000, num_neighbours, 12, max_bytes)

    assert 46 * num_queries * num_references + 16 * num_references * 12 <= max_bytes
    assert num_queries >= 64
    assert num_references >= 64


def test_a_small_memory_changes_nothing():
    queries, references = gaussian(150), gaussian(2000, seed=1)

    small, large = (nearest(queries, references, 5, max_bytes=b, device="cpu")[0] for b in (2**18, 2**28))

    assert torch.equal(small, large)


def test_too_small_a_memory_is_refused():
    with pytest.raises(ValueError, match=r"max_bytes of at least [\d,]+ for vectors of 12, got 1,000\."):
        nearest(gaussian(99), gaussian(99), 1, max_bytes=1000, device="cpu")


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda rows: rows.index_fill(0, torch.tensor([83]), math.nan), r"finite .*NaN or infinity in row 83\.$"),
        (lambda rows: rows.index_fill(0, torch.tensor([83]), math.inf), r"finite .*NaN or infinity in row 83\.$"),
        (lambda rows: rows.index_fill(0, torch.tensor([83]), 0.0), r"direction, got only zeros in row 83\.$"),
        (lambda rows: rows[:, :8], r"of one dimension, got (8 and 12|12 and 8)\."),
        (lambda rows: rows[0], r"two axes \(n, d\), got shape \(12,\)\.$"),
        (lambda rows: rows[:0], r"at least one row and one column"),
        (lambda rows: rows.int().numpy(), r"of floating point, got int32\.$"),
    ],
)
def test_bad_input_is_refused_in_one_line(small_blocks, side, damage, message):
    sides = [gaussian(100), gaussian(100, seed=1)]
    sides[side] = damage(sides[side])
    with pytest.raises(ValueError, match=message) as caught:
        nearest(*sides, 2, device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", [0, -1, 101])
def test_a_number_of_neighbours_that_cannot_be_is_refused(number):
    with pytest.raises(ValueError, match=f"Expected 1 to 100 neighbours, one a reference at most, got {number}"):
        nearest(gaussian(3), gaussian(100), number, device="cpu")


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match="The device 'abacus' cannot be used"):
        nearest(gaussian(3), gaussian(3), 1, device="abacus")


@pytest.mark.gpu
def test_the_gpu_finds_the_same():
    queries, references = gaussian(3000, 64), gaussian(20_000, 64, seed=1)

    indices, cosines = nearest(queries, references, 5, device="cuda")

    expected = nearest(queries, references, 5, device="cpu")
    assert torch.equal(indices, expected[0])
    torch.testing.assert_close(cosines, expected[1])


def test_the_most_frequent_label_wins_and_ties_go_to_the_nearest():
    labels = torch.tensor([[4, 4, 2, 2, 2], [7, 2, 2, 4, 4], [3, 1, 1, 3, 0], [5, 4, 3, 2, 1]])

    assert vote(labels).tolist() == [2, 2, 3, 5]


def test_knn_accuracy_by_hand():
    references, reference_labels = at(0, 6, 8, 90, 95), torch.tensor([0, 1, 1, 0, 1])
    queries, query_labels = at(2, 93), torch.tensor([0, 1])

    shares = knn_accuracy(queries, query_labels, references, reference_labels, (1, 2, 3), device="cpu")

    # the neighbours of 2° are of classes 0, 1, 1 and those of 93° of classes 1, 0, 1
    assert shares == {1: 1.0, 2: 1.0, 3: 0.5}


def test_with_one_prompt_a_class_five_neighbours_say_what_one_says():
    """As in the paper's experiments 5, 11, 17 and 23."""
    queries, labels = gaussian(90), torch.arange(90) % 9

    shares = knn_accuracy(queries, labels, gaussian(9, seed=1), torch.arange(9), device="cpu")

    assert shares[1] == shares[5]


def test_fewer_references_than_neighbours_all_vote():
    references, labels = at(0, 10, 90), torch.tensor([0, 0, 1])

    assert knn_accuracy(at(1, 89), torch.tensor([0, 1]), references, labels, (1, 5), device="cpu") == {1: 1.0, 5: 0.5}


def test_a_class_missing_on_one_side_is_refused():
    with pytest.raises(ValueError, match="in query labels, got none of class 1"):
        knn_accuracy(gaussian(3), torch.zeros(3, dtype=torch.int64), gaussian(2), torch.arange(2))
    with pytest.raises(ValueError, match="in reference labels, got none of class 2"):
        knn_accuracy(gaussian(3), torch.arange(3), gaussian(2), torch.arange(2))


def test_no_number_of_neighbours_is_refused():
    with pytest.raises(ValueError, match=r"numbers of neighbours from 1 on, got \(5, 0\)"):
        knn_accuracy(gaussian(3), torch.arange(3), gaussian(3), torch.arange(3), (5, 0))
