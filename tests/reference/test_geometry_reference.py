import numpy as np
import pytest
import scipy.optimize
import torch
from sklearn.metrics import balanced_accuracy_score

from synthset.measures.geometry import hold_out, linear_separability


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def sets(num_texts, num_images, d, distance, seed):
    rng = np.random.default_rng(seed)
    texts, images = rng.normal(size=(num_texts, d)), rng.normal(size=(num_images, d))
    texts[:, 0] += distance
    images[:, 0] -= distance
    return unit(texts), unit(images)


@pytest.mark.parametrize("seed", range(3))
def test_the_margin_is_half_the_distance_between_the_convex_hulls(seed):
    texts, images = sets(12, 25, 4, 3.0, seed)

    def squared_distance(weights):
        return ((weights[:12] @ texts - weights[12:] @ images) ** 2).sum()

    def gradient(weights):
        between = weights[:12] @ texts - weights[12:] @ images
        return 2 * np.concatenate([texts @ between, -images @ between])

    sums = [
        {"type": "eq", "fun": lambda weights: weights[:12].sum() - 1},
        {"type": "eq", "fun": lambda weights: weights[12:].sum() - 1},
    ]
    start = np.concatenate([np.full(12, 1 / 12), np.full(25, 1 / 25)])
    nearest = scipy.optimize.minimize(
        squared_distance,
        start,
        jac=gradient,
        bounds=[(0, 1)] * 37,
        constraints=sums,
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    assert nearest.success
    found = linear_separability(torch.from_numpy(texts), torch.from_numpy(images))
    assert found.margin == pytest.approx(np.sqrt(nearest.fun) / 2, abs=1e-5)


def test_the_accuracy_is_that_of_the_same_machine_solved_otherwise():
    texts, images = sets(24, 80, 5, 0.6, 0)
    rows = np.concatenate([texts, images]) - (texts.mean(0) + images.mean(0)) / 2
    rows = np.concatenate([rows, np.ones((104, 1))], 1)  # the offset is penalised with the normal
    signs = np.where(np.arange(104) < 24, 1.0, -1.0)
    generator, accuracies = np.random.default_rng(3), []
    for _ in range(5):
        held = hold_out(signs > 0, 0.25, generator)
        x, y = rows[~held], signs[~held]
        weights = 100 * np.where(y > 0, 1 / (y > 0).sum(), 1 / (y < 0).sum()) / 2  # both kinds weigh the same

        def loss(plane, x=x, y=y, weights=weights):
            return plane @ plane / 2 + weights @ np.maximum(0, 1 - y * (x @ plane)) ** 2

        plane = scipy.optimize.minimize(loss, np.zeros(6), method="BFGS").x
        accuracies.append(balanced_accuracy_score(y_true=signs[held] > 0, y_pred=rows[held] @ plane > 0))
    found = linear_separability(torch.from_numpy(texts), torch.from_numpy(images), 3)
    assert 0.6 < found.accuracy < 1
    assert found.accuracy == pytest.approx(np.mean(accuracies), abs=1e-5)
