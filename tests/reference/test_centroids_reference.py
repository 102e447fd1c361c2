"""Centroid measures against the paper's formulas, written out one row at a time in numpy."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from synthset.measures.centroids import (
    average_cosine_similarity,
    centroid_accuracy,
    centroid_distance,
    centroid_shift,
    centroids,
    split_error,
)

K = 7


def sample(seed, n):
    random = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(K), random.integers(0, K, n - K)])
    means = np.random.default_rng(99).normal(0, 0.4, (K, 24))
    embeddings = (means[labels] + random.normal(0, 1, (n, 24))) * random.uniform(0.1, 10, (n, 1))
    return embeddings.astype(np.float32), labels


def uvec(v):
    return v / np.sqrt(np.dot(v, v))


def codiff(x, y):
    return 1 - np.dot(uvec(x), uvec(y))


def centroid(embeddings, labels, label):
    total = np.zeros(embeddings.shape[1])
    for row in embeddings[labels == label].astype(np.float64):
        total += uvec(row)
    return uvec(total)


def tensors(*arrays):
    return [torch.from_numpy(array) for array in arrays]


@pytest.fixture(params=range(3))
def pair(request):
    return *sample(request.param, 150), *sample(request.param + 50, 90)


def test_centroids(pair):
    e, y, _, _ = pair
    expected = np.stack([centroid(e, y, label) for label in range(K)])

    np.testing.assert_allclose(centroids(*tensors(e, y)).numpy(), expected, atol=1e-5)


def test_centroid_distance(pair):
    e, y, _, _ = pair
    expected = []
    for label in range(K):
        rows = e[y == label].astype(np.float64)
        expected.append(sum(codiff(row, centroid(e, y, label)) ** 2 for row in rows) / len(rows))

    np.testing.assert_allclose(centroid_distance(*tensors(e, y)).numpy(), expected, rtol=1e-5)


def test_a_centroid_distance_is_at_least_the_square_of_one_less_the_mean_cosine(pair):
    """By which the distances that the paper prints, 2.05e-5 for a mean cosine of 0.8709, are too small."""
    e, y, _, _ = pair
    distances = centroid_distance(*tensors(e, y))
    for label in range(K):
        own = tensors(e[y == label], np.zeros((y == label).sum(), np.int64))
        cosine = average_cosine_similarity(*own, *own)
        assert (1 - cosine) ** 2 < distances[label] < 1.5 * (1 - cosine) ** 2


def test_centroid_accuracy(pair):
    e, y, queries, labels = pair
    centres = np.stack([centroid(e, y, label) for label in range(K)])
    # on the unit sphere the nearest by Euclidean distance is the nearest by cosine
    peer = KNeighborsClassifier(1).fit(centres, np.arange(K))
    predicted = peer.predict(np.stack([uvec(row) for row in queries.astype(np.float64)]))

    result = centroid_accuracy(*tensors(queries, labels, e, y))

    np.testing.assert_array_equal(result.predicted.numpy(), predicted)
    assert 0.2 < result.accuracy < 1
    assert result.accuracy == pytest.approx(np.mean(predicted == labels))
    expected = [np.mean(predicted[labels == label] == label) for label in range(K)]
    np.testing.assert_allclose(result.per_class_accuracy.numpy(), expected, atol=1e-5)


def test_average_cosine_similarity(pair):
    e, y, queries, labels = pair
    expected = np.mean(
        [np.dot(uvec(q.astype(np.float64)), centroid(e, y, label)) for q, label in zip(queries, labels, strict=True)]
    )

    assert average_cosine_similarity(*tensors(queries, labels, e, y)) == pytest.approx(expected, abs=1e-5)


def test_centroid_shift(pair):
    e, y, other, labels = pair
    expected = [codiff(centroid(e, y, label), centroid(other, labels, label)) for label in range(K)]

    shift = centroid_shift(centroids(*tensors(e, y)), centroids(*tensors(other, labels)))

    np.testing.assert_allclose(shift.numpy(), expected, atol=1e-5)


def test_split_error(pair):
    images, labels, own, own_labels = pair
    prompts = np.random.default_rng(99).normal(0, 0.4, (K, 24)) + np.random.default_rng(5).normal(0, 0.3, (K, 24))

    def error(centres):
        nearest = [np.argmax([np.dot(uvec(row), centre) for centre in centres]) for row in images.astype(np.float64)]
        return np.mean(np.array(nearest) != labels)

    total = error([uvec(prompt) for prompt in prompts])
    diversity = error([centroid(own, own_labels, label) for label in range(K)])

    split = split_error(*tensors(images, labels, prompts, np.arange(K), own, own_labels))

    assert (split.total, split.diversity) == pytest.approx((total, diversity))
    assert split.shift == pytest.approx(total - diversity)
