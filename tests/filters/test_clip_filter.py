import json

import numpy as np
import pytest
import torch
from filtered_pets import make, run, verdicts

from parity_encoder import ParityEncoder, image_set, picture
from synthset.core.errors import UsageError
from synthset.dataset.reader import open_dataset
from synthset.filters import filter_dataset
from synthset.filters.clip import own_probabilities, top_share


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


def test_a_number_of_each_class_is_drawn_by_lot_of_those_that_pass(pets):
    passed = run(pets)
    chosen = run(pets, keep_count=4)
    assert chosen.counts(chosen.keep).tolist() == [4, 4]
    assert not (chosen.keep & ~passed.keep).any()
    assert any(row["reason"].endswith("; not drawn among 4 of its class") for row in verdicts(pets).to_pylist())
    assert json.loads(verdicts(pets).schema.metadata[b"synthset"])["config"]["keep_count"] == 4
    assert (run(pets, keep_count=4).keep == chosen.keep).all()
    assert (run(pets, keep_count=1000).keep == passed.keep).all()
    assert (run(pets, keep_count=3).keep <= chosen.keep).all()


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
