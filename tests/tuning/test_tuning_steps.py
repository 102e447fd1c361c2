import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from tuning_bars import encoder, real, synthetic

from bars import make_set
from synthset.core.errors import DataError, UnknownNameError, UsageError
from synthset.images.imageset import ImageSet
from synthset.real.learning import load_test_part
from synthset.tuning.config import TuneConfig, resolve_config
from synthset.tuning.features import Features, compute_features
from synthset.tuning.few_shot import draw_shots, filter_by_shots
from synthset.tuning.phases import Source, arrange
from synthset.tuning.stage import tune


def source(n, batch_size, kind="synthetic"):
    images = ImageSet("some", ("a", "b"), np.arange(n) % 2, lambda row: b"")
    return Source(kind, Features(images, np.zeros((n, 2), np.float32)), np.arange(n), batch_size)


def watched(tmp_path, data, **options):
    """Every step of one tuning."""
    steps = []
    result = tune(data, tmp_path / "model", encoder=encoder(), watch=steps.append, seed=1, **options)
    return result, steps


def test_the_learning_rate_is_one_cosine_over_all_steps(tmp_path):
    _, steps = watched(tmp_path, synthetic(), epochs=3, batch_size=20)
    n = 3 * math.ceil(54 / 20)  # six of the sixty are held back
    assert [step.step for step in steps] == list(range(n))
    expected = [2e-3 * (1 + math.cos(math.pi * i / n)) / 2 for i in range(n)]
    assert [step.learning_rate for step in steps] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("order", "kinds"), [("syn_then_real", ["synthetic", "real"]), ("real_then_syn", ["real", "synthetic"])]
)
def test_phases_follow_each_other_under_the_same_cosine(tmp_path, order, kinds):
    _, steps = watched(
        tmp_path, synthetic(), real=real(), shots=4, order=order, epochs=2, batch_size=16, real_batch_size=5
    )
    per_epoch = {"synthetic": math.ceil(60 / 16), "real": math.ceil(12 / 5)}
    expected = [kind for kind in kinds for _ in range(2 * per_epoch[kind])]
    assert [next(iter(step.num_images)) for step in steps] == expected
    assert all(len(step.num_images) == 1 for step in steps)
    rates = [step.learning_rate for step in steps]
    assert rates == pytest.approx([1e-3 * (1 + math.cos(math.pi * i / len(steps))) / 2 for i in range(len(steps))])


def test_batch_sizes_are_honoured_in_every_step(tmp_path):
    result, steps = watched(tmp_path, synthetic(), real=real(), shots=4, epochs=2, batch_size=16, real_batch_size=5)
    assert {tuple(step.num_images.items()) for step in steps} == {(("synthetic", 16), ("real", 5))}
    assert len(steps) == 2 * math.ceil(60 / 16)
    assert result.steps_per_epoch == 4
    assert (result.num_synthetic, result.num_real, result.num_held_back) == (60, 12, 0)


def test_batches_are_shuffled_passes_without_a_seam():
    stream = source(10, 4).batches(seed=0, epoch=0)
    rows = np.concatenate([next(stream) for _ in range(5)])
    assert sorted(rows[:10]) == sorted(rows[10:]) == list(range(10))
    assert rows[:10].tolist() != rows[10:].tolist()
    assert next(source(10, 4).batches(0, 0)).tolist() == rows[:4].tolist()
    assert next(source(10, 4).batches(0, 1)).tolist() != rows[:4].tolist()
    assert sorted(next(source(3, 32).batches(0, 0))) == [0, 1, 2]  # all there are, none twice


def test_an_epoch_is_a_pass_over_the_larger_source():
    config = resolve_config(TuneConfig(shots=1, epochs=7))
    first, second = source(100, 10), source(6, 2, "real")
    assert [phase.steps_per_epoch for phase in arrange([first, second], config)] == [10]
    phases = arrange([first, second], replace(config, order="real_then_syn"))
    steps = [(phase.sources[0].kind, phase.epochs * phase.steps_per_epoch) for phase in phases]
    assert steps == [("real", 21), ("synthetic", 70)]
    assert arrange([second], replace(config, steps_per_epoch=9))[0].steps_per_epoch == 9


def test_shots_and_test_part_share_no_image():
    images = load_test_part(real())
    tested = {images.read(i) for i in range(len(images))}
    for seed in range(3):
        shots = draw_shots(real(), None, 4, seed)
        assert Counter(shots.labels.tolist()) == {0: 4, 1: 4, 2: 4}
        assert not tested & {shots.read(i) for i in range(len(shots))}
    fewer, more = (draw_shots(real(), None, count, 0) for count in (1, 4))
    assert {fewer.read(i) for i in range(3)} < {more.read(i) for i in range(12)}


def test_shots_of_digits_are_those_that_create_begins_at():
    from synthset.create.real_guidance import choose_initial_images
    from synthset.tuning.few_shot import hash_images

    names = ("one", "zero", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    chosen = choose_initial_images("digits", names, 2, seed=3)
    assert sorted(hash_images(draw_shots("digits", names, 2, 3))) == sorted(h for row in chosen.hashes for h in row)


def test_shots_that_do_not_decode_give_way_to_the_next(caplog):
    whole, pool = real(), draw_shots(real(), None, 6, 0)
    files, first = {pool.read(row) for row in range(len(pool))}, draw_shots(real(), None, 1, 0).read(0)
    broken = replace(whole, read=lambda row: b"" if whole.read(row) == first else whole.read(row))
    drawn = draw_shots(broken, None, 5, 0)
    assert {drawn.read(row) for row in range(15)} < files - {first}
    assert "an empty file. Others are drawn in their place." in caplog.text
    with pytest.raises(UsageError, match="got 5 of 'left'"):
        draw_shots(broken, None, 6, 0)


def test_more_shots_than_images_are_refused():
    with pytest.raises((UsageError, DataError), match=r"at least 7 images.*got 6 of 'left'"):
        draw_shots(real(), None, 7, 0)


def test_real_filtering_keeps_what_is_nearest_to_its_own_class():
    clip = encoder()
    given, shots = compute_features(synthetic(), clip), compute_features(draw_shots(real(), None, 3, 0), clip)
    images = replace(given.images, labels=np.where(np.arange(60) < 5, 1, given.labels))
    mislabelled = replace(given, images=images)
    keep = filter_by_shots(mislabelled, shots)
    cosines = mislabelled.vectors @ shots.vectors.T
    same = mislabelled.labels[:, None] == shots.labels
    expected = np.where(same, cosines, -9).max(1) > np.where(same, -9, cosines).max(1)
    assert (keep == expected).all()
    assert not keep[:5].any()
    assert keep[5:].mean() > 0.9


def test_vectors_on_disk_are_those_in_memory(tmp_path):
    clip = encoder()
    small = compute_features(synthetic(), clip)
    large = compute_features(synthetic(), clip, in_memory_bytes=100, folder=tmp_path / "scratch", block=7)
    assert isinstance(large.vectors, np.memmap)
    assert not isinstance(small.vectors, np.memmap)
    np.testing.assert_array_equal(small.vectors, large.vectors)
    rows = np.array([5, 59, 0])
    assert torch.equal(small.read(rows), large.read(rows))
    assert small.fingerprint() == large.fingerprint()
    assert list((tmp_path / "scratch").iterdir()) == []  # nothing is left behind, not even while it is used


def test_tuning_from_disk_gives_the_same_weights(tmp_path, monkeypatch):
    first = tune(synthetic(), tmp_path / "a", encoder=encoder(), epochs=2)
    monkeypatch.setattr(
        "synthset.tuning.features.compute_features.__kwdefaults__",
        {"in_memory_bytes": 0, "folder": tmp_path / "s", "block": 8},
    )
    second = tune(synthetic(), tmp_path / "b", encoder=encoder(), epochs=2)
    assert list((tmp_path / "s").iterdir()) == []
    assert (first.folder / "model.safetensors").read_bytes() == (second.folder / "model.safetensors").read_bytes()


def test_another_backbone_or_another_set_has_other_vectors(tmp_path):
    from synthset.encoders.embed import EmbeddingCache
    from synthset.testing import FakeEncoder

    cache = EmbeddingCache(tmp_path)
    marks = {
        compute_features(images, clip, cache).fingerprint()
        for images in (synthetic(seed=0), synthetic(seed=1))
        for clip in (FakeEncoder(name="one"), FakeEncoder(name="two"))
        for _ in range(2)  # the second time from the cache
    }
    assert len(marks) == 4


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"loss": "mse"}, UnknownNameError, "Unknown loss 'mse'"),
        ({"order": "mixed"}, UnknownNameError, "Unknown order"),
        ({"use_of_shots": "rg", "shots": 1}, UnknownNameError, "Unknown use of shots"),
        ({"use_of_shots": "real_filtering"}, UsageError, "use_of_shots=real_filtering, got none. Give real and shots"),
        ({"order": "syn-then-real"}, UsageError, "order=syn_then_real, got none. Give real and shots"),
        ({"epochs": 0}, UsageError, "epochs of at least 1"),
        ({"encoder_share": 1.5}, UsageError, r"encoder_share in 0\.\.1"),
        ({"learning_rate": 0.0}, UsageError, "learning_rate above 0"),
    ],
)
def test_settings_that_cannot_be_right(options, error, words):
    with pytest.raises(error, match=words):
        resolve_config(TuneConfig(**options))


def test_defaults_of_both_settings():
    zero_shot, few_shot = resolve_config(TuneConfig()), resolve_config(TuneConfig(shots=16))
    assert (zero_shot.learning_rate, zero_shot.validation_fraction) == (2e-3, 0.1)
    assert (few_shot.learning_rate, few_shot.validation_fraction) == (1e-3, 0.0)
    assert (zero_shot.batch_size, few_shot.real_batch_size, zero_shot.weight_decay) == (512, 32, 0.1)


def test_one_class_is_refused(tmp_path):
    with pytest.raises(UsageError, match="at least two classes"):
        tune(make_set((4,), ("left",)), tmp_path / "model", encoder=encoder())
    assert not (tmp_path / "model").exists()
