"""The linear probe against scikit-learn's, and the neighbours' votes against a loop."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from synthset.transfer import knn, linear
from synthset.transfer.results import Attempt, best_of


@pytest.fixture
def points():
    """Sixty points of three classes in eight dimensions of unlike spread, one of which never varies."""
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    rows = (random.normal(size=(60, 8)) + np.eye(8)[labels]) * 10.0 ** np.arange(-4, 4) + 5
    rows[:, 7] = 2.0
    return torch.from_numpy(rows).float(), torch.from_numpy(labels)


@pytest.mark.parametrize("c", [0.01, 1.0])
def test_the_folded_regression_is_scikit_learns_on_features_of_unit_variance(points, c):
    features, labels = points
    weights, bias = linear.fit(features, labels, c)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=10_000, tol=1e-8))
    expected = model.fit(features.double().numpy(), labels.numpy()).decision_function(features.double().numpy())
    ours = (features.double() @ weights.double().T + bias.double()).numpy()
    assert np.allclose(
        ours - ours.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=2e-2, rtol=2e-2
    )
    assert weights[:, 7].abs().max() == 0  # what never varies says nothing


def test_votes_are_those_of_a_loop(points):
    features, labels = points
    queries, references = features[:20], features[20:]
    units = [torch.nn.functional.normalize(rows.double(), dim=1) for rows in (queries, references)]
    cosines = units[0] @ units[1].T
    for temperature in (None, 0.07):
        named, shares = knn.classify(queries, references, labels[20:], 5, temperature, "cpu")
        for row in range(20):
            order = sorted(range(40), key=lambda column: (-float(cosines[row, column]), column))[:5]
            votes = dict[int, float]()
            for column in order:
                weight = 1.0 if temperature is None else math.exp(float(cosines[row, column]) / temperature)
                votes[int(labels[20 + column])] = votes.get(int(labels[20 + column]), 0.0) + weight
            assert votes[int(named[row])] == pytest.approx(max(votes.values()), rel=1e-5)
            assert float(shares[row]) == pytest.approx(max(votes.values()) / sum(votes.values()), rel=1e-4)


def test_fewer_references_than_neighbours_all_vote(points):
    features, labels = points
    parts = (np.arange(10), np.arange(10, 60))
    tried = knn.choose(features, labels, parts, (1, 50, 200), "cpu")
    assert [attempt.settings["neighbours"] for attempt in tried] == [1, 1, 10, 10]


def test_the_best_is_the_most_accurate_then_that_of_the_lowest_loss_then_the_first():
    attempts = [Attempt({"c": 1.0}, 0.5, 0.1), Attempt({"c": 2.0}, 0.9, 2.0), Attempt({"c": 3.0}, 0.9, 1.0)]
    assert best_of([*attempts, Attempt({"c": 4.0}, 0.9, 1.0), Attempt({"c": 5.0})]) is attempts[2]
    with pytest.raises(ValueError, match="came to an end"):
        best_of([Attempt({"c": 5.0})])
