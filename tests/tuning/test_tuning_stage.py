import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tuning_bars import encoder, real, synthetic

from bars import NAMES
from outcomes import contents
from synthset.classifiers.models import kind_of
from synthset.core.errors import ConfigChangedError, DataError, ModelError, UsageError
from synthset.encoders.embed import EmbeddingCache, embed_classes, embed_images
from synthset.real import split
from synthset.tuning import loop
from synthset.tuning.curve import tune_curve
from synthset.tuning.curve_results import summarise
from synthset.tuning.evaluate import evaluate_on, evaluate_tuned, zero_shot_of
from synthset.tuning.saving import load_tuned
from synthset.tuning.stage import tune

FAST = {"epochs": 6, "batch_size": 16, "learning_rate": 0.3}


@pytest.fixture
def cache(tmp_path):
    return EmbeddingCache(tmp_path / "cache")


def test_tuning_learns_and_the_model_is_read_again(tmp_path, cache):
    result = tune(synthetic(), tmp_path / "model", encoder=encoder(), cache=cache, real=real(), **FAST)
    assert (result.num_synthetic, result.num_held_back, result.num_real) == (54, 6, 0)
    assert len(result.history) == 6
    assert result.history[-1].train_loss < result.history[0].train_loss
    assert sorted(contents(result.folder)) == ["config.json", "model.safetensors", "training.json"]
    assert kind_of(result.folder) == "tuned_clip"
    before, after = evaluate_on(result.folder, real(), encoder=encoder(), cache=cache)
    assert before.n == after.n == 18
    assert before.accuracy < after.accuracy
    assert after.to_json()["class_names"] == NAMES


def test_a_classifier_that_may_as_well_guess_is_told(tmp_path, cache, caplog):
    ready = []
    ways = {"encoder": encoder(), "cache": cache, "when_ready": ready.append, "validation_fraction": 0.4}
    learned = tune(synthetic(), tmp_path / "bars", **ways, **FAST)
    assert learned.chance == pytest.approx(1 / 3)
    assert not caplog.records
    (inputs,) = ready
    assert (len(inputs.synthetic), inputs.class_names, inputs.shots) == (60, NAMES, None)
    shuffled = replace(synthetic(), labels=np.random.default_rng(0).permutation(synthetic().labels))
    for _ in range(2):  # also where it is there already
        tune(shuffled, tmp_path / "noise", **ways, **FAST)
        told = [str(record.args[0]) for record in caplog.records]
        caplog.clear()
        assert [words.partition(":")[0] for words in told] == ["The model cannot be told from one that guesses"]
        assert "of 24 held-back images are right, and naming the largest class alone gets 33.3%" in told[0]
        assert "Try another clip, for this one has seen digits alone, epochs=30, learning_rate=0.002, or" in told[0]
    tune(shuffled, tmp_path / "shots", **{**ways, "validation_fraction": 0.0}, **FAST)
    assert not caplog.records  # nothing is held back to tell by


def test_the_same_call_again_returns_what_is_there(tmp_path, cache):
    first = tune(synthetic(), tmp_path / "model", encoder=encoder(), cache=cache, **FAST)
    there = contents(first.folder)
    again = tune(synthetic(), tmp_path / "model", encoder=encoder(), cache=cache, **FAST)
    assert again.was_finished
    assert replace(again, was_finished=False) == first
    assert contents(first.folder) == there
    with pytest.raises(ConfigChangedError, match='loss: "ce" there, "sce" here'):
        tune(synthetic(), tmp_path / "model", encoder=encoder(), cache=cache, loss="sce", **FAST)
    with pytest.raises(ConfigChangedError, match="other images"):
        tune(synthetic(seed=5), tmp_path / "model", encoder=encoder(), cache=cache, **FAST)
    assert contents(first.folder) == there
    other = tune(synthetic(), tmp_path / "model", encoder=encoder(), cache=cache, overwrite=True, loss="sce", **FAST)
    assert not other.was_finished
    assert contents(first.folder)["model.safetensors"] != there["model.safetensors"]


def test_the_same_folders_by_another_spelling_are_the_same(tmp_path, cache, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for label, name in enumerate(NAMES):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for row in np.flatnonzero(real().labels == label):
            (tmp_path / "photos" / name / f"{row}.png").write_bytes(real().read(int(row)))
    (tmp_path / "link").symlink_to("photos")
    options = {"encoder": encoder(), "cache": cache, "clip": "./photos", **FAST}
    tune(synthetic(), "model", real="./photos", **options)
    for name in ("photos", str(tmp_path / "photos"), "link"):
        assert tune(synthetic(), "model", real=name, **{**options, "clip": name}).was_finished
    with pytest.raises(ConfigChangedError, match=r'real: "\./photos" there'):
        tune(synthetic(), "model", real=real(), **options)


def test_one_step_is_adamw_on_the_mixed_loss(tmp_path, cache):
    """Weights after one step equal those of an independent computation."""
    options = {"epochs": 1, "batch_size": 60, "real_batch_size": 12, "shots": 4, "loss": "sce", "real_weight": 0.7}
    clip = encoder()
    result = tune(synthetic(), tmp_path / "model", encoder=clip, cache=cache, real=real(), **options)
    classes = embed_classes(NAMES, clip)
    from synthset.tuning.few_shot import draw_shots

    shots = draw_shots(real(), NAMES, 4, 0)
    x, y = embed_images(synthetic(), clip).double(), torch.from_numpy(synthetic().labels)
    rx, ry = embed_images(shots, clip).double(), torch.from_numpy(shots.labels)
    w = (classes * clip.logit_scale).double().requires_grad_()
    b = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    teacher = (x @ w.detach().T / 2).softmax(1)
    logs, real_logs = (x @ w.T + b).log_softmax(1), (rx @ w.T + b).log_softmax(1)
    hard, soft = -logs[torch.arange(60), y].mean(), -(teacher * logs).sum(1).mean()
    loss = 0.5 * soft + 0.5 * hard + 0.7 * -real_logs[torch.arange(12), ry].mean()
    loss.backward()
    norm = torch.sqrt(w.grad.square().sum() + b.grad.square().sum())
    scale = min(1.0, 1.0 / (norm.item() + 1e-6))
    tensors = load_file(result.folder / "model.safetensors")
    for name, value in (("head.weight", w), ("head.bias", b)):
        grad = value.grad * scale
        # the first step of Adam is lr · g / (|g| + ε), after the decay
        expected = value.detach() * (1 - 1e-3 * 0.1) - 1e-3 * grad / (grad.abs() + 1e-8)
        torch.testing.assert_close(tensors[name].double(), expected, atol=2e-6, rtol=0)
    assert result.history[0].train_loss == pytest.approx(loss.item(), abs=1e-5)


def test_untuned_it_predicts_what_zero_shot_clip_does(tmp_path, cache):
    result = tune(
        synthetic(), tmp_path / "model", encoder=encoder(), cache=cache, epochs=1, learning_rate=1e-12, batch_size=60
    )
    classifier = load_tuned(result.folder, encoder=encoder())
    before = zero_shot_of(classifier, encoder())
    vectors = embed_images(real(), encoder())
    torch.testing.assert_close(classifier.logits(vectors), before.logits(vectors), atol=1e-5, rtol=0)


@pytest.mark.parametrize("options", [{}, {"shots": 4}, {"shots": 4, "use_of_shots": "real_filtering", "loss": "sce"}])
def test_permuted_test_labels_change_no_checkpoint(tmp_path, cache, monkeypatch, options):
    whole = real()
    part = split(whole, 0.5, 0)[0]
    in_pool = {part.read(row) for row in range(len(part))}
    pool = np.array([whole.read(row) in in_pool for row in range(len(whole))])
    labels = whole.labels.copy()
    labels[~pool] = np.roll(labels[~pool], 6)
    # both parts stay what they are, as a set's own splits would
    monkeypatch.setattr("synthset.tuning.few_shot.few_shot_pool", lambda images, seed=0: images.select(pool))
    weights, accuracies = [], []
    for number, images in enumerate((whole, replace(whole, labels=labels))):
        result = tune(
            synthetic(), tmp_path / str(number), encoder=encoder(), cache=cache, real=images, **FAST, **options
        )
        weights.append((result.folder / "model.safetensors").read_bytes())
        classifier = load_tuned(result.folder, encoder=encoder())
        accuracies.append(evaluate_tuned(classifier, images.select(~pool), cache).accuracy)
    assert weights[0] == weights[1]  # bit for bit
    assert accuracies[0] > accuracies[1]  # and yet the test tells them apart


def test_the_epoch_is_chosen_on_held_back_images_or_is_the_last(tmp_path, cache):
    chosen = tune(synthetic(), tmp_path / "a", encoder=encoder(), cache=cache, **FAST)
    highest = max(epoch.held_back_accuracy for epoch in chosen.history)
    error = (highest * (1 - highest) / chosen.num_held_back) ** 0.5
    good = [epoch for epoch in chosen.history if epoch.held_back_accuracy >= highest - error]
    assert chosen.chosen == good[-1]
    last = tune(synthetic(), tmp_path / "b", encoder=encoder(), cache=cache, real=real(), shots=2, **FAST)
    assert last.chosen.epoch == 6
    assert last.chosen.held_back_accuracy is None
    json.loads((last.folder / "training.json").read_text(), parse_constant=lambda word: pytest.fail(word))


def test_real_images_alone_with_and_without_the_texts(tmp_path, cache):
    options = {**FAST, "encoder": encoder(), "cache": cache, "real": real(), "shots": 4}
    result = tune(None, tmp_path / "a", **options)
    assert (result.num_synthetic, result.num_real, result.class_names) == (0, 12, NAMES)
    other = tune(None, tmp_path / "b", text_initialisation=False, **options)
    assert contents(result.folder)["model.safetensors"] != contents(other.folder)["model.safetensors"]
    with pytest.raises(UsageError, match="got neither"):
        tune(None, tmp_path / "c", encoder=encoder())
    with pytest.raises(UsageError, match="real images only"):
        tune(None, tmp_path / "c", **options, loss="sce")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"real": real(), "shots": 7}, (UsageError, DataError), "at least 7 images"),
        ({"shots": 2}, UsageError, "real set to draw shots from"),
        ({"prompt_strategy": "base"}, UsageError, "a Synthset dataset for prompt_strategy, 'bars' is none"),
        ({"real": "eurosat"}, UsageError, "missing: left, right, top"),
        ({"real": "digits", "shots": 1}, UsageError, "missing: left, right, top"),
        (
            {"real": real(), "shots": 2, "use_of_shots": "real_guidance"},
            UsageError,
            "initial_images=real-bars shots=2 sh",
        ),
        ({"templates": ("nope",)}, UsageError, "Unknown template 'nope'"),
        ({"encoder": None, "clip": "RN5000"}, UsageError, "Unknown encoder 'RN5000'"),
        ({"augmentation": "more"}, UsageError, "Unknown augmentation 'more'"),
        ({"augmentation": "standard"}, UsageError, "an encoder that open_clip built"),
        ({"nothing": 1}, UsageError, "Unknown option 'nothing'"),
    ],
)
def test_bad_input_writes_nothing(tmp_path, cache, change, error, words):
    options = {"encoder": encoder(), "cache": cache} | change
    with pytest.raises(error, match=words) as raised:
        tune(synthetic(), tmp_path / "model", **options)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code in (1, 2)
    assert not (tmp_path / "model").exists()


def test_a_refusal_leaves_the_model_that_was_to_be_replaced(tmp_path, cache):
    folder = tune(synthetic(), tmp_path / "model", encoder=encoder(), cache=cache, epochs=1).folder
    before = contents(folder)
    for change in ({"device": "abacus"}, {"augmentation": "standard"}, {"templates": ("nope",)}):
        with pytest.raises(UsageError):
            tune(synthetic(), folder, encoder=encoder(), cache=cache, overwrite=True, **change)
        assert contents(folder) == before


def test_a_class_without_images_is_named(tmp_path, cache):
    with pytest.raises(DataError, match="Run 'synthset create' first"):
        tune(synthetic().select([]), tmp_path / "model", encoder=encoder(), cache=cache)
    images = synthetic().select(np.flatnonzero(synthetic().labels != 1))
    with pytest.raises(DataError, match="found none of: right"):
        tune(images, tmp_path / "model", encoder=encoder(), cache=cache)
    assert not (tmp_path / "model").exists()


def test_another_clip_than_the_tuned_one_is_refused(tmp_path, cache):
    result = tune(synthetic(), tmp_path / "model", encoder=encoder(), cache=cache, epochs=1)
    with pytest.raises(ModelError, match="got another one"):
        load_tuned(result.folder, encoder=encoder("other"))
    weights = result.folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:50])
    with pytest.raises(ModelError, match=r"weights of a classifier in '.*model\.safetensors', they were changed"):
        load_tuned(result.folder, encoder=encoder())


def test_a_killed_tuning_goes_on_and_ends_alike(tmp_path, cache, monkeypatch):
    monkeypatch.setattr("synthset.classifiers.checkpoints.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("synthset.classifiers.checkpoints.CHECKPOINT_SHARE", 1e9)
    options = {**FAST, "encoder": encoder(), "cache": cache, "real": real(), "shots": 4, "loss": "sce"}
    whole = tune(synthetic(), tmp_path / "whole", **options)
    tune_epoch, epochs = loop._tune_epoch, []

    def killed(*arguments):
        epochs.append(arguments[2])
        if len(epochs) == 4:
            raise KeyboardInterrupt
        return tune_epoch(*arguments)

    monkeypatch.setattr(loop, "_tune_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        tune(synthetic(), tmp_path / "killed", **options)
    assert (tmp_path / "killed/resume.safetensors").exists()
    resumed = tune(synthetic(), tmp_path / "killed", **options)
    assert epochs == [0, 1, 2, 3, 3, 4, 5]
    assert contents(resumed.folder)["model.safetensors"] == contents(whole.folder)["model.safetensors"]
    assert not (tmp_path / "killed/resume.safetensors").exists()


# ---- the curve --------------------------------------------------------------------------------------------


def test_a_curve_compares_at_equal_shots_and_steps(tmp_path, cache):
    clip = encoder()
    options = {"real": real(), "encoder": clip, "cache": cache, "compare": ("tip_adapter", "random_head"), **FAST}
    curve = tune_curve(synthetic(), tmp_path / "curve", (1, 4), 2, **options)
    assert {(p.method, p.shots, p.seed) for p in curve.points} == {
        (method, shots, seed)
        for method in ("real", "real + synthetic", "tip_adapter", "random_head")
        for shots in (1, 4)
        for seed in (0, 1)
    }
    assert all(point.n == 18 for point in curve.points)
    note = json.loads((tmp_path / "curve/curve.json").read_text())
    assert note["zero_shot"] == curve.zero_shot
    assert len(note["points"]) == len((tmp_path / "curve/curve.csv").read_text().splitlines()) - 1 == 16
    assert (tmp_path / "curve/curve.png").read_bytes().startswith(b"\x89PNG")
    steps = [
        json.loads(path.read_text())["steps_per_epoch"] for path in (tmp_path / "curve/models").rglob("training.json")
    ]
    assert set(steps) == {4}
    # again, all is there; and every model alone gives the same score
    assert tune_curve(synthetic(), tmp_path / "curve", (1, 4), 2, **options) == curve
    model = tmp_path / "curve/models/shots-04/seed-1/with-synthetic"
    _, alone = evaluate_on(model, real(), encoder=clip, cache=cache)
    assert alone.score == next(
        p.score for p in curve.points if (p.method, p.shots, p.seed) == ("real + synthetic", 4, 1)
    )


def test_the_synthetic_images_of_a_curve_are_embedded_once(tmp_path):
    clip = encoder()
    tune_curve(
        synthetic(), tmp_path / "c", (1, 2), 2, real=real(), encoder=clip, cache=EmbeddingCache(tmp_path / "e"), **FAST
    )
    assert clip.batches.count(60) == 1


def test_intervals_are_over_seeds():
    from synthset.tuning.curve_results import CurvePoint

    points = [CurvePoint("real", 1, seed, score, score, 10) for seed, score in enumerate((0.9, 0.92, 0.94))]
    (mean,) = summarise(points)
    assert (mean.mean, mean.low, mean.high) == pytest.approx((0.92, 0.8703, 0.9697), abs=1e-4)
    assert summarise(points[:1])[0].low is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shots": ()}, "numbers of shots"),
        ({"data": None, "shots": (0, 1)}, "numbers of shots of at least 1"),
        ({"seeds": 0}, "at least 1 seed"),
        ({"compare": ("knn",)}, "Unknown method"),
    ],
)
def test_a_curve_that_cannot_be(tmp_path, change, words):
    options = {"data": synthetic(), "shots": (1,), "seeds": 1, "compare": (), **change}
    with pytest.raises(UsageError, match=words):
        tune_curve(output_dir=tmp_path / "curve", real=real(), encoder=encoder(), **options)
    assert not (tmp_path / "curve").exists()
