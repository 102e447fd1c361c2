import numpy as np
import pytest
import torch

from synthset.measures.centroids import centroid_accuracy
from synthset.measures.points import Pair, SetPoints, sample_each_class, sample_rows, split_points


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


def test_images_are_classified_by_all_prompts():
    images = make()
    with_prompts = SetPoints(images, make((1, 1), seed=1), None, 2)
    expected = centroid_accuracy(*images.queries, *make((1, 1), seed=1).all)
    assert torch.equal(with_prompts.by_prompts(images).predicted, expected.predicted)


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
