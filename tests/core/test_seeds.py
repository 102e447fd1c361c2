"""Derived seeds: fixed for ever, apart for other parts, and in the range that generators take."""

from synthset.core.seeds import MAX_SEED, derive_seed


def test_seeds_are_pinned():
    # a dataset that was begun with them must be finished with them
    assert derive_seed(64, "cat", "base", 0) == 4123328179755475381
    assert derive_seed("condition") == 6653596325440818430


def test_other_parts_give_other_seeds():
    parts = [(1, 2), (12,), (1, "2"), ("1", 2), ("12",), ("1", "2"), (2, 1), (1, 2, ""), ("a\x1fb",), ("a", "b")]
    assert len({derive_seed(*each) for each in parts}) == len(parts)


def test_seeds_fill_the_range_of_a_torch_generator():
    seeds = [derive_seed(number) for number in range(2000)]
    assert min(seeds) >= 0
    assert MAX_SEED // 1.01 < max(seeds) < MAX_SEED == 2**63
    assert 900 < sum(seed % 2 for seed in seeds) < 1100
