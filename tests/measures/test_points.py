import numpy as np
import pytest
import torch

from synthset.measures.centroids import centroid_accuracy
from synthset.measures.points import Pair, SetPoints, fold_each_class, sample_each_class, sample_rows, split_points


def make(counts=(8, 8), seed=0):
    labels = np.repeat(np.arange(len(counts)), counts)
    noise = torch.randn(len(labels), 4, generator=torch.Generator().manual_seed(seed))
    return split_points("some-IM", torch.eye(len(counts), 4)[labels] + 0.5 * noise, labels, 0.25, seed)


@pytest.mark.parametrize(
    ("count", "num_queries", "num_references"), [(8, 2, 6), (100, 25, 75), (3, 1, 2), (2, 1, 1), (1, 1, 1)]
)
def test_a_quarter_of_each_class_are_queries_and_the_others_references(count, num_queries, num_references):
    points = make((count, 8))
    own = points.labels == 0
    assert int(points.is_query[own].sum()) == num_queries
    assert int(points.is_reference[own].sum()) == num_references
    assert bool((points.is_query & points.is_reference).any()) == (count == 1)  # the only row of a class is both
    assert points.has_single_queries == (num_queries == 1)


def test_the_split_is_drawn_by_seed():
    assert torch.equal(make(seed=3).is_query, make(seed=3).is_query)
    assert not torch.equal(make((40, 40), seed=3).is_query, make((40, 40), seed=4).is_query)


def test_all_images_are_classified_by_all_prompts_and_by_all_images_of_the_other_kind():
    images, prompts, real = make((8, 6)), make((1, 1), seed=1), make((5, 9), seed=2)
    points = SetPoints(images, prompts, real, 2)
    for result, queries, references in (
        (points.drawn_by_prompts, images, prompts),
        (points.real_by_prompts, real, prompts),
        (points.transfer, real, images),
    ):
        assert torch.equal(result.predicted, centroid_accuracy(*queries.all, *references.all).predicted)


def test_each_image_is_classified_once_by_centroids_without_it():
    """Each image's class by the plain numpy mean of the rows of other folds."""
    images = make((8, 6, 2))
    folds = fold_each_class(images.labels, 5, 0)
    units, labels = torch.nn.functional.normalize(images.embeddings, dim=1).double().numpy(), images.labels.numpy()
    predicted = []
    for row, fold in zip(units, folds.numpy(), strict=True):
        means = [units[(labels == c) & (folds.numpy() != fold)].mean(0) for c in range(3)]
        predicted.append(int(np.argmax([row @ mean / np.linalg.norm(mean) for mean in means])))
    own = SetPoints(images, None, None, 3).own
    assert own.predicted.tolist() == predicted
    assert own.accuracy == np.mean(predicted == labels)


def test_the_folds_of_a_class_are_even():
    labels = torch.tensor([0] * 12 + [1] * 2)
    folds = fold_each_class(labels, 5, 3)
    assert sorted(folds[labels == 0].bincount(minlength=5).tolist()) == [2, 2, 2, 3, 3]
    assert len(set(folds[labels == 1].tolist())) == 2
    assert not torch.equal(folds, fold_each_class(labels, 5, 4))


@pytest.mark.parametrize("count", [12, 25, 50])
def test_scatter_is_a_share_of_the_real_images_scatter_whatever_their_number(count):
    """Sets of one kind: the share is one, and its error that of many draws."""
    real = make((200,) * 4, seed=999)
    drawn = [SetPoints(make((count,) * 4, seed), None, real, 4).scatter for seed in range(60)]
    ratios, errors = (torch.stack(values) for values in zip(*drawn, strict=True))
    assert float(ratios.mean()) == pytest.approx(1, abs=0.1)
    assert float(errors.mean()) == pytest.approx(float(ratios.log().std(0).mean()), rel=0.25)
    too_uniform = (ratios < 0.5) & (ratios * (1.96 * errors).exp() < 1)
    assert float(too_uniform.double().mean()) <= 0.05


def test_of_a_few_images_no_scatter_is_known_and_images_that_are_one_have_none():
    assert SetPoints(make((9, 9)), None, make((40, 40)), 2).scatter[1].isinf().all()
    one = make((40, 40))
    same = split_points("one-IM", torch.eye(2, 4)[one.labels], one.labels.numpy(), 0.25, 0)
    ratio, error = SetPoints(same, None, one, 2).scatter
    assert float(ratio.max()) < 1e-12
    assert error.isfinite().all()


def test_neighbours_vote_only_where_a_class_has_several_queries():
    assert Pair(make(), make()).neighbour_accuracy.keys() == {1, 5}
    assert Pair(make(), make((8, 2))).neighbour_accuracy == {}


def test_samples_are_drawn_by_seed_and_leave_small_sets_whole():
    rows = torch.arange(10.0)[:, None]
    assert sample_rows(rows, 10, 0) is rows
    assert sample_rows(rows, 4, 0).shape == (4, 1)
    assert torch.equal(sample_rows(rows, 4, 1), sample_rows(rows, 4, 1))
    labels = torch.tensor([0, 1, 0, 1, 1, 1])
    picked = sample_each_class(labels, 3, 0)
    assert picked.tolist() == sorted(picked)
    assert labels[picked].bincount().tolist() == [2, 3]
