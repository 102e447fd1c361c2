"""Nearest neighbours and their vote against scikit-learn in float64."""

from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from synthset.measures.neighbours import knn_accuracy, nearest


def sample(seed, n):
    random = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(6), random.integers(0, 6, n - 6)])
    means = np.random.default_rng(99).normal(0, 0.5, (6, 32))
    rows = (means[labels] + random.normal(0, 1, (n, 32))) * random.uniform(0.1, 10, (n, 1))
    return rows.astype(np.float32), labels


@pytest.mark.parametrize("num_neighbours", [1, 5, 50])
@pytest.mark.parametrize("seed", range(3))
def test_nearest(seed, num_neighbours):
    (queries, _), (references, _) = sample(seed, 300), sample(seed + 50, 5000)
    peer = NearestNeighbors(n_neighbors=num_neighbours, algorithm="brute", metric="cosine")
    distances, expected = peer.fit(references.astype(np.float64)).kneighbors(queries.astype(np.float64))

    indices, cosines = nearest(queries, references, num_neighbours, device="cpu")

    np.testing.assert_array_equal(indices.numpy(), expected)
    np.testing.assert_allclose(cosines.numpy(), 1 - distances, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_knn_accuracy(seed):
    (queries, labels), (references, reference_labels) = sample(seed, 300), sample(seed + 50, 400)
    # one neighbour has no ties; of five, our rule for ties is written out
    peer = KNeighborsClassifier(1, algorithm="brute", metric="cosine").fit(references, reference_labels)
    units = [rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True) for rows in (queries, references)]
    order = np.argsort(-(units[0] @ units[1].T), axis=1)[:, :5]
    votes = [Counter(reference_labels[row].tolist()).most_common(1)[0][0] for row in order]  # first met wins a tie

    shares = knn_accuracy(*map(torch.from_numpy, (queries, labels, references, reference_labels)), device="cpu")

    assert shares[1] == pytest.approx(peer.score(queries, labels))
    assert shares[5] == pytest.approx(np.mean(np.array(votes) == labels))
    assert 0.2 < shares[1] < 1
