import json
import logging
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import synthset
from parity_encoder import ParityEncoder, image_set, picture
from small_datasets import VERDICTS_DAMAGE, damage_verdicts
from synthset.core.errors import DataError, UnknownNameError, UsageError
from synthset.dataset.reader import open_dataset
from synthset.dataset.verdicts import verdicts_path
from synthset.filters import (
    FILTERS,
    Filter,
    FilterConfig,
    FilterInputs,
    Judgement,
    audit,
    clear_filters,
    filter_dataset,
    threshold_curve,
)
from synthset.filters.clip import own_probabilities, top_share
from synthset.filters.duplicates import first_copies, nearest_copies, perceptual_hashes
from synthset.filters.real import nearest_real
from synthset.images.opening import ImagePath, Opening
from synthset.testing import FakeGenerator

CLASSES = ("cat", "dog")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHSET_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def pets(tmp_path):
    """20 images each of two classes, by two strategies."""
    return make(tmp_path / "pets")


def make(folder, classes=CLASSES, **options):
    options = {"strategies": ("base", "random_guidance"), "images_per_class": 10} | options
    return synthset.create(classes, folder, generator=FakeGenerator(), **options).dataset.folder


def run(folder, methods=("clip",), classes=CLASSES, **options):
    return filter_dataset(folder, methods, encoder=ParityEncoder(tuple(classes)), **options)


def inputs(config=None, real=None, classes=CLASSES):
    return FilterInputs(config or FilterConfig(), ParityEncoder(tuple(classes)), None, real)


def verdicts(folder, method="clip"):
    return pq.read_table(verdicts_path(folder, method))


# ---- clip -------------------------------------------------------------------------------------------------


def test_clip_keeps_what_the_encoder_takes_for_its_class_and_nothing_else(pets):
    result = run(pets)
    images, encoder = open_dataset(pets).images(kept=False), ParityEncoder()
    expected = [encoder.guess(images.image(i)) == images.labels[i] for i in range(len(images))]
    assert 0 < sum(expected) < 40
    assert result.keep.tolist() == expected
    rows = verdicts(pets).to_pylist()
    assert [row["keep"] for row in rows] == expected
    assert [row["request_id"] for row in rows] == list(range(40))
    rejected = next(row for row in rows if not row["keep"])
    assert rejected["score"] <= 0.5
    assert rejected["reason"].startswith(("p(cat) = ", "p(dog) = "))
    assert "at most 0.5; taken for " in rejected["reason"]
    assert all("over 0.5" in row["reason"] for row in rows if row["keep"])


def test_probabilities_are_a_softmax_over_scaled_cosines_in_blocks(monkeypatch):
    monkeypatch.setattr("synthset.filters.clip.BLOCK", 7)
    generator = torch.Generator().manual_seed(0)
    vectors, texts = (torch.nn.functional.normalize(torch.randn(n, 8, generator=generator), dim=1) for n in (30, 5))
    labels = torch.randint(0, 5, (30,), generator=generator)
    own, best, taken_for = own_probabilities(vectors, texts, labels, 20.0)
    exponentials = np.exp(20.0 * vectors.numpy().astype(float) @ texts.numpy().astype(float).T)
    p = exponentials / exponentials.sum(1, keepdims=True)
    np.testing.assert_allclose(own, p[np.arange(30), labels], rtol=1e-5)
    np.testing.assert_allclose(best, p.max(1), rtol=1e-5)
    assert taken_for.tolist() == p.argmax(1).tolist()


def test_an_image_that_fits_all_classes_alike_is_not_above_one_in_k():
    own, _, _ = own_probabilities(torch.eye(4)[3:], torch.eye(4)[:3], torch.tensor([1]), 100.0)
    assert not (own.numpy() > 1 / 3).any()


def test_a_class_that_falls_short_is_never_filled_up_but_spoken_of(tmp_path, caplog):
    folder = make(tmp_path / "pets", strategies=("base",))
    encoder = ParityEncoder()
    encoder.guess = lambda image: 0  # everything is a cat to it
    result = filter_dataset(folder, encoder=encoder)
    assert result.counts(result.keep).tolist() == [10, 0]
    assert result.short_classes() == {"dog": (0, 10)}
    (record,) = caplog.records
    assert "No image is left of: dog." in record.message
    assert "refill it" in record.message
    assert set(open_dataset(folder).images().labels) == {0}


def test_few_images_left_are_spoken_of(tmp_path, caplog):
    folder = make(tmp_path / "pets", strategies=("base",), images_per_class=20)
    first = {open_dataset(folder).images().image(i).tobytes() for i in (0, 1)}
    encoder = ParityEncoder()
    encoder.guess = lambda image: int(image.tobytes() not in first)  # a cat only those two, the second of them a dog
    result = filter_dataset(folder, encoder=encoder)
    assert result.counts(result.keep).tolist() == [1, 19]
    assert "Few images are left of: cat (1 of 20)." in caplog.text


def test_a_fixed_threshold_and_a_kept_share(pets):
    assert not run(pets, threshold=0.99999).keep.any() or run(pets, threshold=0.99999).keep.sum() < 20
    strict = verdicts(pets)
    config = json.loads(strict.schema.metadata[b"synthset"])["config"]
    assert config["threshold"] == 0.99999
    share = run(pets, keep_share=0.3)
    assert share.counts(share.keep).tolist() == [6, 6]
    table = verdicts(pets).to_pylist()
    lowest_kept = min(row["score"] for row in table if row["keep"])
    assert lowest_kept > 0.5
    assert any("below the top 0.3 of its class" in row["reason"] for row in table)
    assert json.loads(verdicts(pets).schema.metadata[b"synthset"])["config"]["threshold"] is None


def test_the_share_of_a_class_is_rounded_up_and_ties_go_to_the_first():
    assert top_share(np.zeros(7), np.array([0, 0, 0, 0, 0, 0, 1]), 0.5).tolist() == [1, 1, 1, 0, 0, 0, 1]
    assert top_share(np.arange(100.0), np.zeros(100, int), 0.07).sum() == 7


def test_one_class_is_refused_for_its_softmax_is_always_1(tmp_path):
    folder = make(tmp_path / "cats", classes=("cat",))
    with pytest.raises(UsageError, match="among one class p is always 1"):
        run(folder, classes=("cat",))
    with pytest.raises(UsageError, match="two classes for the real filter"):
        run(folder, ["real"], classes=("cat",), real=image_set([picture(0)], [0], ("cat",)))
    assert not (folder / "filters").exists()
    assert run(folder, ["duplicates"], classes=("cat",)).keep.all()


def test_the_verdicts_name_encoder_templates_and_threshold(pets):
    run(pets, templates=("a nice {}", "an ugly {}"))
    config = open_dataset(pets).verdicts()["clip"].config
    assert config == {
        "threshold": 0.5,
        "keep_share": None,
        "templates": ["a nice {}", "an ugly {}"],
        "encoder": {"name": "parity", "fingerprint": "aa" * 32},
    }


# ---- real -------------------------------------------------------------------------------------------------


def test_real_rejects_what_is_nearest_to_another_class(pets):
    encoder = ParityEncoder()
    arrays = [picture(seed) for seed in range(30)]
    real = image_set(arrays, [encoder.guess(Image.fromarray(array)) for array in arrays], name="real pets")
    result = run(pets, ["real"], real=real)
    images = open_dataset(pets).images(kept=False)
    assert result.keep.tolist() == [encoder.guess(images.image(i)) == images.labels[i] for i in range(40)]
    table = verdicts(pets, "real").to_pylist()
    assert [row["score"] > 0 for row in table] == result.keep.tolist()
    assert "nearest real image of another class: " in table[0]["reason"]
    assert open_dataset(pets).verdicts()["real"].config["real"] == {"name": "real pets", "images": 30}


def test_images_to_test_on_choose_nothing_and_are_looked_for(pets, tmp_path):
    for split, count in (("train", 6), ("test", 4)):
        for number in range(count):
            path = tmp_path / "real" / split / CLASSES[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(100 * count + number)).save(path)
    run(pets, ["real", "duplicates"], real=tmp_path / "real")
    used = {method: one.config["real"]["images"] for method, one in open_dataset(pets).verdicts().items()}
    assert used == {"real": 6, "duplicates": 4}
    run(pets, ["real"], real=ImagePath(str(tmp_path / "real"), Opening(split="test")))  # somebody says so
    assert open_dataset(pets).verdicts()["real"].config["real"]["images"] == 4


def test_real_classes_are_matched_by_name_and_none_may_be_missing(pets):
    encoder = ParityEncoder()
    arrays = [picture(seed) for seed in range(30)]
    labels = [1 - encoder.guess(Image.fromarray(array)) for array in arrays]
    swapped = image_set(arrays, labels, ("Dog", "Cat"))  # in another order and spelling
    assert 0 < run(pets, ["real"], real=swapped).keep.sum() < 40
    expected = [encoder.guess(open_dataset(pets).images(kept=False).image(i)) == i % 2 for i in range(40)]
    assert verdicts(pets, "real").column("keep").to_pylist() == expected
    with pytest.raises(UsageError, match="classes"):
        run(pets, ["real"], real=image_set(arrays, labels, ("cat", "horse")))
    with pytest.raises(DataError, match="found none of: dog"):
        run(pets, ["real"], real=image_set([picture(0)], [0]))
    with pytest.raises(UsageError, match="real=digits"):
        run(pets, ["real"])


def test_nearest_real_equals_the_whole_matrix(monkeypatch):
    monkeypatch.setattr("synthset.filters.real.BLOCK", 7)
    monkeypatch.setattr("synthset.filters.real.REAL_BLOCK", 5)
    generator = torch.Generator().manual_seed(1)
    vectors, real = (torch.nn.functional.normalize(torch.randn(n, 6, generator=generator), dim=1) for n in (40, 23))
    labels, real_labels = (torch.randint(0, 3, (n,), generator=generator) for n in (40, 23))
    own, other, other_class = nearest_real(vectors, labels, real, real_labels)
    cosines = vectors.numpy() @ real.numpy().T
    same = labels.numpy()[:, None] == real_labels.numpy()
    np.testing.assert_allclose(own, np.where(same, cosines, -np.inf).max(1), atol=1e-6)
    np.testing.assert_allclose(other, np.where(same, -np.inf, cosines).max(1), atol=1e-6)
    np.testing.assert_array_equal(other_class, real_labels[np.where(same, -np.inf, cosines).argmax(1)])


# ---- duplicates -------------------------------------------------------------------------------------------


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


# ---- the files, and who reads them ------------------------------------------------------------------------


def test_an_image_is_kept_when_every_filter_keeps_it(pets):
    run(pets, ["clip", "duplicates"])
    dataset = open_dataset(pets)
    clip = dataset.verdicts()["clip"].keep
    assert dataset.verdicts()["duplicates"].keep.all()
    ids = dataset.rows.column("request_id")
    mine = pa.table({"request_id": ids, "keep": [i >= 10 for i in range(40)], "reason": [""] * 40, "score": [0.0] * 40})
    pq.write_table(mine.slice(0, 40).sort_by([("request_id", "descending")]), pets / "filters" / "mine.parquet")
    expected = [bool(keep) and i >= 10 for i, keep in enumerate(clip)]
    assert dataset.kept().tolist() == expected
    assert len(dataset.images()) == sum(expected)
    assert len(dataset.images(kept=False)) == 40
    assert dataset.images().labels.tolist() == [i % 2 for i, keep in enumerate(expected) if keep]
    assert len(dataset.images("base")) == sum(expected[:20])
    first = int(np.flatnonzero(expected)[0])
    assert dataset.images().read(0) == dataset.images(kept=False).read(first)


def test_equal_parts_count_what_is_kept(tmp_path):
    folder = make(tmp_path / "pets", strategies=("all_combined",), images_per_class=12)
    run(folder)
    dataset = open_dataset(folder)
    rows = dataset.rows.take(dataset.select("all_combined_equal"))
    cells = rows.group_by(["strategy", "class_name"]).aggregate([([], "count_all")]).column("count_all").to_pylist()
    kept = dataset.rows.filter(pa.array(dataset.kept()))
    most = kept.group_by(["strategy", "class_name"]).aggregate([([], "count_all")]).column("count_all").to_pylist()
    assert max(cells) == -(-max(most) // 4)
    assert len(cells) == 8


def test_running_a_method_again_replaces_its_file_alone(pets):
    run(pets, ["clip", "duplicates"])
    before = verdicts_path(pets, "duplicates").stat().st_mtime_ns
    run(pets, threshold=0.9)
    assert open_dataset(pets).verdicts()["clip"].config["threshold"] == 0.9
    assert verdicts_path(pets, "duplicates").stat().st_mtime_ns == before
    assert not list(pets.rglob("*.part"))


def test_clearing_takes_only_our_verdicts_away(pets):
    run(pets)
    (pets / "filters" / "mine.parquet").write_bytes(verdicts_path(pets, "clip").read_bytes())
    assert clear_filters(pets) == ["clip"]
    assert [path.name for path in (pets / "filters").iterdir()] == ["mine.parquet"]
    (pets / "filters" / "mine.parquet").unlink()
    run(pets)
    assert clear_filters(pets) == ["clip"]
    assert not (pets / "filters").exists()
    assert clear_filters(pets) == []


@pytest.mark.parametrize("damage", VERDICTS_DAMAGE)
def test_damaged_verdicts_are_refused_and_can_be_replaced(pets, damage):
    run(pets)
    damage_verdicts(verdicts_path(pets, "clip"), damage)
    with pytest.raises(DataError, match="Run the filter again"):
        open_dataset(pets).images()
    assert len(open_dataset(pets).images(kept=False)) == 40
    run(pets)
    assert 0 < len(open_dataset(pets).images()) < 40


def test_verdicts_about_other_images_are_refused(pets, tmp_path):
    run(pets)
    other = make(tmp_path / "others", seed=65)  # the same ids, other pixels
    (other / "filters").mkdir()
    verdicts_path(other, "clip").write_bytes(verdicts_path(pets, "clip").read_bytes())
    with pytest.raises(DataError, match=r"of the filter 'clip'.*Run the filter again: 'synthset filter"):
        open_dataset(other).images()
    short = verdicts(pets).slice(0, 39)
    pq.write_table(short, verdicts_path(pets, "clip"))
    with pytest.raises(DataError, match="1 images have none, 0 have no image"):
        open_dataset(pets).images()


def test_stale_verdicts_of_another_filter_do_not_stand_in_the_way(pets, caplog):
    run(pets, ["duplicates"])
    pq.write_table(verdicts(pets, "duplicates").slice(0, 5), verdicts_path(pets, "duplicates"))
    result = run(pets)
    assert "synthset filter" in caplog.text
    assert result.keep.tolist() == verdicts(pets).column("keep").to_pylist()


def test_overwriting_a_dataset_deletes_its_verdicts(pets):
    run(pets)
    make(pets, seed=65, overwrite=True)
    assert not (pets / "filters").exists()
    assert len(open_dataset(pets).images()) == 40


def test_a_dataset_of_which_nothing_is_kept_says_so(pets):
    run(pets, threshold=0.999999999)
    with pytest.raises(DataError, match=r"all 40 are rejected \(clip\)"):
        open_dataset(pets).images()


def test_hugging_face_datasets_reads_the_images_and_no_verdicts(pets, tmp_path):
    import datasets

    run(pets, ["clip", "duplicates"])
    loaded = datasets.load_dataset(str(pets), split="train", cache_dir=str(tmp_path / "hf"))
    assert loaded.num_rows == 40
    assert "keep" not in loaded.column_names


def test_training_images_leave_out_what_is_rejected_and_say_so(pets, caplog):
    from synthset.dataset.opening import open_images

    assert len(open_images(pets)) == 40
    assert caplog.text == ""
    kept = int(run(pets).keep.sum())
    caplog.clear()
    assert len(open_images(pets)) == kept
    assert (
        f"{40 - kept} of 40 images are left out by filters: clip. Ask for all images to take them too." in caplog.text
    )
    assert len(open_images(pets, all_images=True)) == 40


def test_exports_leave_out_what_is_rejected(pets, tmp_path):
    kept = int(run(pets).keep.sum())
    synthset.export(pets, tmp_path / "kept")
    synthset.export(pets, tmp_path / "all", all_images=True)
    assert len(list((tmp_path / "kept").rglob("*.png"))) == kept
    assert len(list((tmp_path / "all").rglob("*.png"))) == 40


def test_a_filter_of_your_own(pets):
    def judge(images, inputs):
        keep = np.arange(len(images)) % 2 == 0
        return Judgement(keep, keep * 1.0, ["even" if even else "odd" for even in keep])

    odd = Filter(lambda class_names, inputs: {"threshold": 0.5}, judge)
    assert filter_dataset(pets, {"even": odd}, encoder=ParityEncoder()).keep.sum() == 20
    assert set(open_dataset(pets).verdicts()) == {"even"}
    with pytest.raises(UsageError, match="name of a filter"):
        filter_dataset(pets, {"../even": odd}, encoder=ParityEncoder())


def test_odd_class_names_are_words_in_reasons_and_never_paths(tmp_path):
    names = ("cat..*", "<b>dog & co<i>")
    folder = make(tmp_path / "pets", classes=names)
    result = run(folder, classes=names)
    assert 0 < result.keep.sum() < 40
    assert sorted(path.name for path in (folder / "filters").iterdir()) == ["clip.parquet"]
    assert any("p(<b>dog & co<i>)" in reason for reason in verdicts(folder).column("reason").to_pylist())


@pytest.mark.parametrize(
    ("methods", "options", "match"),
    [
        ([], {}, "at least one filter"),
        (["clap"], {}, "Did you mean 'clip'"),
        (["clip"], {"threshold": 1.5}, "threshold of at least 0 and below 1"),
        (["clip"], {"threshold": 0.5, "keep_share": 0.5}, "got both"),
        (["clip"], {"keep_share": 0.0}, "above 0"),
        (["duplicates"], {"threshold": 0.5}, "the filter clip with threshold, got duplicates"),
        (["duplicates"], {"templates": ("a {}",)}, "the filter clip with templates"),
        (["clip"], {"real": "digits"}, "the filter real or duplicates with real, got clip"),
        (["duplicates"], {"hash_distance": 65}, "0..64"),
        (["duplicates"], {"similarity": 2.0}, r"similarity in -1\.\.1"),
        (["clip"], {"nonsense": 1}, "option"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(pets, methods, options, match):
    with pytest.raises(UsageError, match=match):
        run(pets, methods, **options)
    assert not (pets / "filters").exists()


def test_an_unreadable_image_leaves_no_verdicts(pets):
    images = open_dataset(pets).images()
    broken = replace(images, read=lambda index: b"no image" if index == 3 else images.read(index))
    with pytest.raises(DataError, match="Image 3 of 'pets'"):
        FILTERS["duplicates"].judge(broken, inputs())
    with pytest.raises(DataError, match="Synthset dataset"):
        run(pets.parent / "nothing")


# ---- the audit --------------------------------------------------------------------------------------------


def test_the_audit_has_every_verdict_with_its_class_and_strategy(pets):
    dataset = open_dataset(pets)
    assert audit(dataset).num_rows == 0
    run(pets, ["clip", "duplicates"])
    table = audit(dataset)
    assert table.num_rows == 80
    row = table.slice(21, 1).to_pylist()[0]
    verdict = verdicts(pets).slice(21, 1).to_pylist()[0]
    assert row == {"method": "clip", "class_index": 1, "class_name": "dog", "strategy": "random_guidance"} | verdict
    assert set(table.column("method").to_pylist()) == {"clip", "duplicates"}


def test_the_threshold_curve_falls_from_all_to_none(pets):
    run(pets)
    scores = open_dataset(pets).verdicts()["clip"].scores
    thresholds = np.array([-1.0, 0.5, 1.0])
    shares = threshold_curve(scores, thresholds)
    assert shares.tolist() == [1.0, (scores > 0.5).mean(), 0.0]
    for bad in (np.array([]), np.array([0.1, np.nan])):
        with pytest.raises(ValueError, match="score"):
            threshold_curve(bad, thresholds)


def test_an_unknown_filter_lists_the_valid_ones(pets):
    with pytest.raises(UnknownNameError, match="clip, real, duplicates"):
        run(pets, "nonsense")


def test_verdicts_are_quiet_where_nothing_is_wrong(pets, caplog):
    with caplog.at_level(logging.WARNING):
        run(pets)
    assert not caplog.records
