import math

import numpy as np
import pytest
import torch

from synthset.measures.centroids import (
    average_cosine_similarity,
    centroid_accuracy,
    centroid_distance,
    centroid_distance_error,
    centroid_shift,
    centroids,
    split_error,
)


def at(*degrees):
    """Unit vectors in the plane."""
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], 1)


def points(seed=0, n=60, d=16, k=3):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % k
    return torch.randn(n, d, generator=generator) + 2 * torch.eye(k, d)[labels], labels


LABELS = torch.tensor([0, 0, 1, 1])
MEASURES = {  # name: a measure of (embeddings, labels) as a tensor
    "centroids": centroids,
    "centroid_distance": centroid_distance,
    "centroid_accuracy": lambda e, y: centroid_accuracy(e, y, *points(1)).predicted,
    "centroid_accuracy of references": lambda e, y: centroid_accuracy(*points(1), e, y).predicted,
    "average_cosine_similarity": lambda e, y: torch.tensor(average_cosine_similarity(e, y, *points(1))),
    "centroid_shift": lambda e, y: centroid_shift(centroids(e, y), centroids(*points(1))),
    "split_error": lambda e, y: torch.tensor(split_error(e, y, *points(1), *points(2)).shift),
}


def test_a_centroid_is_the_unit_vector_along_the_sum_of_unit_vectors():
    embeddings = at(0, 90, 180, 180) * torch.tensor([[1.0], [100.0], [2.0], [3.0]])

    torch.testing.assert_close(centroids(embeddings, LABELS), at(45, 180))


def test_centroid_distance_by_hand():
    distance = centroid_distance(at(0, 120, 10, 10), LABELS)

    assert distance.tolist() == pytest.approx([(1 - math.cos(math.pi / 3)) ** 2, 0])


def test_centroid_distance_is_exact_where_images_nearly_coincide():
    distance = centroid_distance(at(-1e-4, 1e-4, 0, 90), LABELS)

    assert distance[0].item() == pytest.approx((math.radians(1e-4) ** 2 / 2) ** 2, rel=1e-6)


def test_centroid_accuracy_by_hand():
    queries, labels = at(5, 40, 50, 85, 89), torch.tensor([0, 0, 0, 1, 1])

    result = centroid_accuracy(queries, labels, at(-10, 10, 80, 100), LABELS)

    assert result.predicted.tolist() == [0, 0, 1, 1, 1]
    assert result.per_class_accuracy.tolist() == [pytest.approx(2 / 3), 1]
    assert result.accuracy == 0.8


def test_a_tie_between_centroids_is_drawn_at_random_by_seed():
    queries, labels = at(*[0] * 400), torch.arange(400) % 3
    references = at(0, 0, 90)  # two classes with one and the same prompt

    result = centroid_accuracy(queries, labels, references, torch.arange(3), seed=1)

    counts = result.predicted.bincount(minlength=3).tolist()
    assert 150 < counts[0] < 250
    assert counts[2] == 0
    again = centroid_accuracy(queries, labels, references, torch.arange(3), seed=1)
    other = centroid_accuracy(queries, labels, references, torch.arange(3), seed=2)
    assert torch.equal(result.predicted, again.predicted)
    assert not torch.equal(result.predicted, other.predicted)


def test_ties_do_not_touch_the_global_random_state():
    before = torch.get_rng_state()

    centroid_accuracy(at(0, 0), torch.arange(2), at(0, 0), torch.arange(2), seed=3)

    assert torch.equal(before, torch.get_rng_state())


def test_average_cosine_similarity_is_with_the_own_class_even_where_another_is_nearer():
    similarity = average_cosine_similarity(at(80, 90), torch.tensor([0, 1]), at(0, 90), torch.tensor([0, 1]))

    assert similarity == pytest.approx((math.cos(math.radians(80)) + 1) / 2)


def test_reversed_pairings_differ_by_the_length_of_the_mean_as_in_the_papers_table():
    """Experiments 29, 36 and 30: one prompt a class on one side, many on the other."""
    many, many_labels = points(n=90)
    single, single_labels = torch.eye(3, 16), torch.arange(3)

    experiment_29 = average_cosine_similarity(many, many_labels, single, single_labels)

    lengths, cosines = [], []
    for label in range(3):
        rows = many_labels == label
        own = torch.zeros(rows.sum(), dtype=torch.int64)
        lengths.append(average_cosine_similarity(many[rows], own, many[rows], own))
        cosines.append(average_cosine_similarity(single[label : label + 1], own[:1], many[rows], own))
    assert experiment_29 == pytest.approx(sum(a * b for a, b in zip(lengths, cosines, strict=True)) / 3)


def test_centroid_shift_by_hand():
    assert centroid_shift(at(0, 0, 0), 5 * at(0, 60, 180)).tolist() == pytest.approx([0, 0.5, 2])


def test_the_error_splits_into_diversity_and_shift():
    images, labels = at(0, 20, 50, 90, 80, 70), torch.tensor([0, 0, 0, 1, 1, 1])

    split = split_error(images, labels, at(-30, 60), torch.arange(2), at(0, 90), torch.arange(2))

    assert split.total == pytest.approx(2 / 6)  # 20° and 50° are nearer to 60° than to -30°
    assert split.diversity == pytest.approx(1 / 6)
    assert split.shift == split.total - split.diversity


def test_the_shift_is_negative_where_prompts_separate_better_than_the_own_centroids():
    images, labels = at(30, 90), torch.arange(2)

    split = split_error(images, labels, at(0, 90), torch.arange(2), at(-40, 70), torch.arange(2))

    assert (split.total, split.diversity, split.shift) == (0, 0.5, -0.5)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("factor", [1e-25, 0.37, 1e25])
def test_no_measure_depends_on_the_scale_of_embeddings(name, factor):
    embeddings, labels = points()
    scales = torch.linspace(0.5, 2, len(embeddings))[:, None] * factor

    torch.testing.assert_close(
        MEASURES[name](embeddings * scales, labels), MEASURES[name](embeddings, labels), rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda e, y: (e.index_fill(0, torch.tensor([4]), math.nan), y), r"finite .*NaN or infinity in row 4\.$"),
        (lambda e, y: (e.index_fill(0, torch.tensor([7]), -math.inf), y), r"finite .*NaN or infinity in row 7\.$"),
        (lambda e, y: (e.index_fill(0, torch.tensor([2]), 0.0), y), r"direction, got only zeros in row 2\.$"),
        (lambda e, y: (e[y != 1], y[y != 1]), r"of each of the 3 classes in .*labels, got none of class 1\.$"),
        (lambda e, y: (e, y - 1), r"labels from 0 to \d+, got -1\.$"),
        (lambda e, y: (e, y[1:]), r"Expected 60 .*labels, one a row, got shape \(59,\)\.$"),
        (lambda e, y: (e, y.float()), r"Expected integers as .*labels, got torch\.float32\.$"),
        (lambda e, y: (e[0], y[:1]), r"two axes \(n, d\), got shape \(16,\)\.$"),
        (lambda e, y: (e[:0], y[:0]), r"at least one row and one column"),
        (lambda e, y: (e.long(), y), r"of floating point, got torch\.int64\.$"),
    ],
)
def test_bad_input_is_refused_in_one_line(name, damage, message):
    with pytest.raises(ValueError, match=message) as caught:
        MEASURES[name](*damage(*points()))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in MEASURES if name not in ("centroids", "centroid_distance")])
def test_embeddings_of_two_dimensions_are_refused(name):
    embeddings, labels = points()
    with pytest.raises(ValueError, match=r"of one dimension, got (8 and 16|16 and 8)"):
        MEASURES[name](embeddings[:, :8], labels)


def test_a_last_class_without_rows_is_noticed_where_k_is_given():
    embeddings, labels = points()
    with pytest.raises(ValueError, match="got none of class 3"):
        centroid_distance(embeddings, labels, 4)


def test_a_class_missing_on_one_side_is_refused():
    with pytest.raises(ValueError, match="in reference labels, got none of class 1"):
        centroid_accuracy(at(0, 90), torch.arange(2), at(0), torch.tensor([0]))


def test_rows_that_cancel_out_have_no_centroid():
    with pytest.raises(ValueError, match="class 1 cancel out"):
        centroids(at(0, 0, 30, 210), LABELS)


def test_centroids_of_other_classes_are_refused():
    with pytest.raises(ValueError, match="same classes, got 2 and 3"):
        centroid_shift(at(0, 1), at(0, 1, 2))


def test_the_error_of_centroid_distance_is_that_of_a_jackknife_and_of_many_draws():
    """Against leaving out each image in turn, and against the spread over 400 draws of as many images."""
    generator = torch.Generator().manual_seed(0)
    centre, n = torch.tensor([2.0, 0, 0, 0, 0]), 60
    labels = torch.zeros(n, dtype=torch.int64)

    def draw():
        noise = torch.randn(n, 5, generator=generator, dtype=torch.float64)
        return centre + noise * torch.tensor([0.2, 1, 0.3, 0.3, 0.3])

    rows = draw()
    error = float(centroid_distance_error(rows, labels))
    left_out = np.array(
        [float(centroid_distance(rows[keep], labels[keep])) for keep in (torch.arange(n) != i for i in range(n))]
    )
    assert error == pytest.approx(np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum()), rel=0.05)
    draws = [draw() for _ in range(400)]
    spread = np.std([float(centroid_distance(one, labels)) for one in draws])
    assert np.mean([float(centroid_distance_error(one, labels)) for one in draws]) == pytest.approx(spread, rel=0.15)
