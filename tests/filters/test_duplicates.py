import numpy as np
import pytest
import torch
from filtered_pets import inputs
from PIL import Image

from parity_encoder import image_set, picture
from synthset.filters import FILTERS, FilterConfig
from synthset.filters.duplicates import first_copies, nearest_copies, perceptual_hashes


def test_the_first_of_several_copies_is_kept_within_and_across_classes():
    one, two = picture(1), picture(2)
    brighter = np.clip(one.astype(int) + 2, 0, 255).astype(np.uint8)
    larger = np.asarray(Image.fromarray(two).resize((24, 24), Image.Resampling.BICUBIC))
    encoder = inputs()
    encoder.encoder.guess = lambda image: 0
    images = image_set([one, two, brighter, picture(3), larger, one], [0, 0, 0, 0, 0, 1])
    judgement = FILTERS["duplicates"].judge(images, encoder)
    assert judgement.keep.tolist() == [True, True, False, True, False, False]
    assert "near copy of an earlier image: Image 0 of 'set', class cat" in judgement.reasons[2]
    assert "Image 1" in judgement.reasons[4]
    assert "Image 0 of 'set', class cat; cosine 1.000, hash differs in 0 of 64 bits" in judgement.reasons[5]
    assert judgement.reasons[0] == "no near copy found"
    assert ((judgement.score > 0.05) == judgement.keep).all()


def test_copies_of_real_images_are_rejected_all_of_them():
    images = image_set([picture(1), picture(2), picture(1)], [0, 1, 0])
    real = image_set([picture(9), picture(1)], [0, 0], name="test images")
    judgement = FILTERS["duplicates"].judge(images, inputs(real=real))
    assert judgement.keep.tolist() == [False, True, False]
    assert "near copy of a real image: Image 1 of 'test images'" in judgement.reasons[0]
    assert "a real image" in judgement.reasons[2]


def test_both_hash_and_embedding_must_agree():
    images = image_set([picture(1), picture(1), picture(2)], [0, 0, 0])
    config = FilterConfig(hash_distance=64, similarity=-1.0)  # all are copies of the first
    assert FILTERS["duplicates"].judge(images, inputs(config)).keep.tolist() == [True, False, False]
    config = FilterConfig(hash_distance=0, similarity=-1.0)  # the hash alone
    assert FILTERS["duplicates"].judge(images, inputs(config)).keep.tolist() == [True, False, True]


def test_hashes_are_those_of_imagehash_bit_by_bit():
    import imagehash

    rng = np.random.default_rng(0)
    sides = rng.integers(1, 120, (50, 2))
    arrays = [rng.integers(0, 256, (*side, 3), np.uint8) for side in sides]
    arrays += [np.add.outer(np.arange(h), np.arange(w)).astype(np.uint8)[:, :, None].repeat(3, 2) for h, w in sides]
    arrays += [np.full((9, 9, 3), level, np.uint8) for level in range(0, 250, 5)]
    images = image_set([picture(seed) for seed in range(50)] + arrays, [0] * 200)
    expected = [imagehash.phash(images.image(index)).hash.reshape(-1).tolist() for index in range(200)]
    assert (perceptual_hashes(images) > 0).tolist() == expected
    assert len(set(map(tuple, expected))) > 100


@pytest.mark.parametrize("block", [3, 8, 100])
def test_copies_are_the_same_in_blocks_as_one_by_one(monkeypatch, block):
    monkeypatch.setattr("synthset.filters.duplicates.BLOCK", block)
    monkeypatch.setattr("synthset.filters.duplicates.OTHER_BLOCK", block + 1)
    generator = torch.Generator().manual_seed(block)
    hashes = (
        torch.randint(0, 2, (6, 64), generator=generator)[torch.randint(0, 6, (50,), generator=generator)] * 2.0 - 1
    )
    vectors = torch.nn.functional.normalize(torch.randn(50, 3, generator=generator), dim=1)
    rejected = np.arange(50) % 7 == 0
    best, which = first_copies(hashes, vectors, rejected, 2, 0.6)

    kept, expected, places = [], [], []
    for i in range(50):
        near = [
            (float(vectors[i].double() @ vectors[j].double()), -j) for j in kept if (hashes[i] != hashes[j]).sum() <= 2
        ]
        cosine, j = max(near, default=(-np.inf, 0))
        expected.append(cosine)
        places.append(-j)
        if not rejected[i] and cosine < 0.6:
            kept.append(i)
    np.testing.assert_allclose(best, expected, atol=1e-5)
    assert [int(w) for w, b in zip(which, best, strict=True) if np.isfinite(b)] == [
        p for p, e in zip(places, expected, strict=True) if np.isfinite(e)
    ]
    assert 5 < len(kept) < 40


def test_nothing_is_near_where_no_hash_is():
    far = torch.ones(2, 64), -torch.ones(3, 64)
    best, _ = nearest_copies(far[0], torch.ones(2, 4) / 2, far[1], torch.ones(3, 4) / 2, 10)
    assert best.tolist() == [-np.inf, -np.inf]
