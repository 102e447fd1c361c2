import itertools

import numpy as np
import pytest
import torch

from parity_encoder import image_set, picture
from synthset.images.near_copies import near_pairs, perceptual_hashes
from synthset.images.parting import deal, group_ids, same

SHARES = (0.8, 0.1, 0.1)


def test_every_class_and_stratum_has_its_share():
    classes, strata = np.repeat([0, 1, 2], 100), ["base", "domain"] * 150
    parts = deal(np.arange(300), classes, strata, SHARES, seed=1)
    for label, stratum in itertools.product(range(3), ("base", "domain")):
        chosen = (classes == label) & (np.array(strata) == stratum)
        assert np.bincount(parts[chosen]).tolist() == [40, 5, 5]


def test_fractions_are_carried_from_class_to_class():
    parts = deal(np.arange(300), np.repeat(np.arange(100), 3), [""] * 300, SHARES, seed=0)
    assert np.bincount(parts).tolist() == [240, 30, 30]


def test_a_group_stays_together_and_the_shares_hold_all_the_same():
    groups = np.concatenate([np.repeat(np.arange(10), 7), np.arange(10, 140)])
    parts = deal(groups, np.zeros(200, int), [""] * 200, SHARES, seed=3)
    assert all(len(set(parts[groups == group])) == 1 for group in range(10))
    assert np.bincount(parts).tolist() == [160, 20, 20]


def test_the_seed_decides_and_nothing_else():
    dealt = [deal(np.arange(50), np.zeros(50, int), [""] * 50, SHARES, seed).tolist() for seed in (0, 0, 1)]
    assert dealt[0] == dealt[1] != dealt[2]


def test_groups_follow_chains_of_ties():
    assert group_ids(6, [np.array([[0, 1]]), same([None, "x", "x", "y", None, "y"])]).tolist() == [0, 0, 0, 1, 2, 1]


@pytest.mark.parametrize("block", [1, 3, 100])
def test_near_pairs_tie_what_all_pairs_would(monkeypatch, block):
    monkeypatch.setattr("synthset.images.near_copies._BLOCK", block)
    monkeypatch.setattr("synthset.images.near_copies._OTHER_BLOCK", block + 1)
    generator = np.random.default_rng(0)
    hashes = generator.choice([-1, 1], (30, 64)).astype(np.float32)
    hashes[10:20] = hashes[:10]  # the same
    hashes[20:25] = hashes[:5]
    hashes[20:25, :3] *= -1  # three bits away
    near = np.argwhere((64 - hashes @ hashes.T) / 2 <= 4)
    expected = group_ids(30, [near])
    assert len(set(expected)) < 30
    assert group_ids(30, [near_pairs(torch.from_numpy(hashes), 4)]).tolist() == expected.tolist()
    assert len(set(group_ids(30, [near_pairs(torch.from_numpy(hashes), 2)]))) == 20


def test_a_brighter_copy_is_near_and_another_picture_is_not():
    brighter = np.clip(picture(1).astype(int) + 2, 0, 255).astype(np.uint8)
    hashes = perceptual_hashes(image_set([picture(1), picture(2), brighter], [0, 0, 0]))
    assert near_pairs(hashes).tolist() == [[0, 2]]
