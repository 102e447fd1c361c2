import math

import numpy as np
import pytest
import torch
import yaml

from synthset.diagnosis.ambiguity import (
    ClassAmbiguity,
    judge_by_clip,
    rank_ambiguity,
    suggest_phrases,
    write_phrases_draft,
)
from synthset.prompts.phrases import load_phrases

NAMES = ("crane", "jay", "jug")
#         crane: 1 of 4             jay: all        jug: 2 of 4
LABELS = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2, 2, 2])
PREDICTED = torch.tensor([0, 2, 2, 1, 1, 1, 2, 2, 0, 1])


# ---- ranking ----------------------------------------------------------------------------------------------


def test_the_worst_recognised_class_comes_first():
    crane, jug, jay = rank_ambiguity(PREDICTED, LABELS, NAMES)
    assert (crane.class_index, crane.class_name, crane.accuracy) == (0, "crane", 0.25)
    assert (crane.taken_for, crane.share_taken) == ("jug", 0.5)
    assert (jug.class_name, jug.accuracy, jug.taken_for, jug.share_taken) == ("jug", 0.5, "crane", 0.25)
    assert jay == ClassAmbiguity(1, "jay", 1.0, jay.low, 1.0, None, 0.0)


def test_intervals_are_wilsons():
    crane, *_, jay = rank_ambiguity(PREDICTED, LABELS, NAMES)
    z, n, p = 1.96, 4, 0.25
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert crane.low == pytest.approx((centre - half) / (1 + z * z / n))
    assert crane.high == pytest.approx((centre + half) / (1 + z * z / n))
    assert jay.low < jay.accuracy == jay.high


def test_probabilities_and_arrays_rank_as_predictions_do():
    expected = rank_ambiguity(PREDICTED, LABELS, NAMES)
    probabilities = torch.eye(3)[PREDICTED] * 0.6 + 0.1
    assert rank_ambiguity(probabilities, LABELS, NAMES) == expected
    assert rank_ambiguity(PREDICTED.to(torch.int32), LABELS.numpy(), NAMES) == expected


def test_equal_classes_stand_in_label_order():
    ranking = rank_ambiguity(torch.tensor([2, 1, 0]), torch.tensor([0, 1, 2]), NAMES)
    assert [row.class_name for row in ranking] == ["crane", "jug", "jay"]


def test_against_counting_by_hand():
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.arange(5), rng.integers(0, 5, 200)])
    predicted = np.where(rng.random(205) < 0.5, labels, rng.integers(0, 5, 205))
    for row in rank_ambiguity(torch.from_numpy(predicted), labels, "abcde"):
        own = [int(p) for p, t in zip(predicted, labels, strict=True) if t == row.class_index]
        assert row.accuracy == own.count(row.class_index) / len(own)
        wrong = {c: own.count(c) / len(own) for c in range(5) if c != row.class_index}
        assert row.share_taken == max(wrong.values())
        assert wrong["abcde".index(str(row.taken_for))] == row.share_taken


@pytest.mark.parametrize(
    ("predictions", "labels", "message"),
    [
        (PREDICTED[:-1], LABELS, "as many predictions as labels, got 9 and 10"),
        (PREDICTED, LABELS.clamp(max=1), "images of every class, got none of 'jug'"),
        (PREDICTED + 1, LABELS, r"predictions in 0\.\.2, got 1\.\.3"),
        (PREDICTED, LABELS - 1, r"labels in 0\.\.2, got -1\.\.1"),
        (PREDICTED.float(), LABELS, "predictions as integers"),
        (torch.zeros(10, 4), LABELS, r"shape \(n,\) or \(n, 3\), got \(10, 4\)"),
        (torch.full((10, 3), math.nan), LABELS, "finite scores"),
        (PREDICTED[:0], LABELS[:0], "as integers of shape"),
    ],
)
def test_what_cannot_be_ranked_is_refused(predictions, labels, message):
    with pytest.raises(ValueError, match=message):
        rank_ambiguity(predictions, labels, NAMES)


# ---- judges -----------------------------------------------------------------------------------------------


def test_clip_judges_by_angle_and_not_by_length():
    classes = torch.tensor([[100.0, 0.0], [0.0, 0.01]])
    images = torch.tensor([[1.0, 2.0], [3.0, 2.0], [-1.0, 0.0]])
    assert judge_by_clip(images, classes).tolist() == [1, 0, 1]
    assert judge_by_clip(images.half() * 50, classes.double()).tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("images", "classes", "message"),
    [
        (torch.ones(3, 2), torch.ones(2, 3), "image embeddings and class embeddings of one dimension, got 2 and 3"),
        (torch.ones(3), torch.ones(2, 3), "image embeddings with two axes"),
        (torch.ones(3, 2), torch.ones(0, 2), "one row and one column in class embeddings"),
        (torch.tensor([[math.nan, 1.0]]), torch.ones(2, 2), "finite image embeddings"),
        (torch.ones(3, 2), torch.tensor([[math.inf, 1.0]]), "finite class embeddings"),
        (torch.zeros(3, 2), torch.ones(2, 2), "image embeddings with a direction, got only zeros in row 0"),
    ],
)
def test_embeddings_that_cannot_be_judged_are_refused(images, classes, message):
    with pytest.raises(ValueError, match=message):
        judge_by_clip(images, classes)


# ---- phrases ----------------------------------------------------------------------------------------------


def test_the_worst_classes_are_suggested():
    ranking = rank_ambiguity(PREDICTED, LABELS, NAMES)
    assert [row.class_name for row in suggest_phrases(ranking)] == ["crane"]  # 30 % of three
    assert [row.class_name for row in suggest_phrases(ranking, 0.5)] == ["crane"]
    assert [row.class_name for row in suggest_phrases(ranking, 0.51)] == ["crane", "jug"]
    assert suggest_phrases(rank_ambiguity(LABELS, LABELS, NAMES)) == []
    with pytest.raises(ValueError, match="threshold"):
        suggest_phrases(ranking, 70)


def test_a_draft_says_what_to_clarify_and_can_be_passed_on_as_it_is(tmp_path):
    path = tmp_path / "draft.yaml"
    write_phrases_draft(path, rank_ambiguity(PREDICTED, LABELS, NAMES), {"jug": "whiskey jug"})
    lines = path.read_text().splitlines()
    assert "# 25% of its images are recognised, 50% are taken for jug" in lines
    assert "# 100% of its images are recognised" in lines
    assert [line for line in lines if not line.startswith("#")] == ["crane: crane", "jug: whiskey jug", "jay: jay"]
    assert load_phrases(path, NAMES) == {"jug": "whiskey jug"}  # what was not edited changes nothing
    path.write_text(path.read_text().replace("crane: crane", "crane: the wading bird crane"))
    assert load_phrases(path, NAMES) == {"crane": "the wading bird crane", "jug": "whiskey jug"}


def test_a_name_that_looks_like_yaml_stays_a_name(tmp_path):
    names = ("no", "a: b\n- c")
    write_phrases_draft(tmp_path / "d.yaml", rank_ambiguity(torch.tensor([1, 0]), torch.tensor([0, 1]), names))
    assert yaml.safe_load((tmp_path / "d.yaml").read_text()) == {name: name for name in names}
