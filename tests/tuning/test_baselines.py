"""The methods that tuning is compared with: against numpy, on clusters, and what they may choose by."""

import inspect
import math

import numpy as np
import pytest
import torch

from synthset.core.errors import UnknownNameError
from synthset.tuning import baselines
from synthset.tuning.baselines import (
    ALPHA,
    BASELINES,
    BETA,
    CS,
    C,
    FineTuning,
    Predictor,
    cache_logits,
    fit,
    leave_one_out,
    linear_probe,
    tip_adapter,
    tip_adapter_f,
)
from synthset.tuning.zero_shot import zero_shot_logits

SCALE = 20.0


def clusters(shots=4, k=5, d=12, queries=40, seed=0, noise=0.6, text_noise=1.2):
    """Shots, labels, class texts, queries and their labels: texts are a worse hint at the centres than shots are."""
    generator = torch.Generator().manual_seed(seed)

    def unit(*shape):
        return torch.nn.functional.normalize(torch.randn(*shape, generator=generator), dim=1)

    centres = unit(k, d)
    labels, truth = torch.arange(k).repeat_interleave(shots), torch.arange(k).repeat(queries)
    rows = [centres[which] + noise * unit(len(which), d) for which in (labels, truth)]
    rows = [torch.nn.functional.normalize(part, dim=1) for part in rows]
    texts = torch.nn.functional.normalize(centres + text_noise * unit(k, d), dim=1)
    return rows[0], labels, texts, rows[1], truth


def accuracy(predictor, queries, truth):
    return float((predictor.predict(queries) == truth).double().mean())


# ---- against numpy ----------------------------------------------------------------------------------------


def test_tip_adapter_is_its_formula():
    shots, labels, texts, queries, _ = clusters()
    got = tip_adapter(shots, labels, texts, SCALE, alpha=1.7, beta=3.0).logits(queries).numpy()
    s, t, q = (x.double().numpy() for x in (shots, texts, queries))
    expected = np.zeros(got.shape)
    for i, query in enumerate(q):
        for label in range(len(t)):
            votes = sum(math.exp(-3.0 * (1 - query @ s[j])) for j in range(len(s)) if labels[j] == label)
            expected[i, label] = SCALE * (query @ t[label]) + 1.7 * votes
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_leave_one_out_counts_each_shot_by_the_others():
    shots, labels, texts, _, _ = clusters(shots=3)
    # classes of 3 and of 2 shots
    shots, labels = shots[1:], labels[1:]
    grid = [(2.0, 1.0), (0.5, 8.0), (16.0, 8.0)]
    scores = leave_one_out(shots, labels, texts, SCALE, grid)
    s, t, y = shots.double().numpy(), texts.double().numpy(), labels.numpy()
    for (alpha, beta), score in zip(grid, scores, strict=True):
        hits, loss = 0, 0.0
        for i in range(len(s)):
            logits = SCALE * t @ s[i]
            for j in range(len(s)):
                if i != j:
                    share = np.sum(y == y[i]) / (np.sum(y == y[i]) - 1) if y[j] == y[i] else 1.0
                    logits[y[j]] += alpha * share * np.exp(-beta * (1 - s[i] @ s[j]))
            hits += np.argmax(logits) == y[i]
            loss += np.log(np.exp(logits).sum()) - logits[y[i]]
        assert score == pytest.approx((hits / len(s), loss / len(s)), rel=1e-4)
    assert len(set(scores)) == 3


@pytest.mark.parametrize("m", [1, 3])
def test_fine_tuning_is_adamw_along_a_cosine(m):
    """Four steps of full batches, with gradients by hand and AdamW as its paper has it."""
    shots, labels, texts, queries, _ = clusters(shots=m, k=4)
    alpha, beta, rate, steps = 1.5, 2.0, 0.01, 4
    options = {"alpha": alpha, "beta": beta, "tuning": FineTuning(epochs=steps, learning_rate=rate)}
    got = tip_adapter_f(shots, labels, texts, SCALE, **options).logits(queries)
    keys, q, t = (x.double().numpy().copy() for x in (shots, shots, texts))
    values, first, second = np.eye(4)[labels.numpy()], np.zeros_like(keys), np.zeros_like(keys)
    # a single shot votes on itself; of more, the others do, in its place too
    own, weights = (np.eye(len(q)), 1 + values / (m - 1)) if m > 1 else (0.0, 1.0)
    for step in range(1, steps + 1):
        affinity = np.exp(-beta * (1 - q @ keys.T)) * (1 - own)
        logits = SCALE * q @ t.T + alpha * weights * (affinity @ values)
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        gradient = (alpha * beta * (weights * (p - values) / len(q)) @ values.T * affinity).T @ q
        now = rate * (1 + math.cos(math.pi * (step - 1) / steps)) / 2
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        keys *= 1 - now * 0.01
        keys -= now * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-4)
    expected = SCALE * queries.numpy() @ t.T + alpha * np.exp(-beta * (1 - queries.numpy() @ keys.T)) @ values
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-4, atol=1e-4)
    untuned = tip_adapter(shots, labels, texts, SCALE, alpha=alpha, beta=beta).logits(queries)
    assert (got - untuned).abs().max() > 0.01


@pytest.mark.parametrize("k", [2, 4])
def test_a_linear_probe_is_at_the_minimum_of_its_loss(k):
    """The penalised loss has one minimum: gradient descent from elsewhere leads to the same probabilities."""
    shots, labels, texts, queries, _ = clusters(k=k)
    got = linear_probe(shots, labels, texts, SCALE, c=2.0).logits(queries).softmax(1)
    weight, bias = (torch.randn(*s, dtype=torch.float64, requires_grad=True) for s in ((k, shots.shape[1]), (k,)))
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=300, tolerance_grad=1e-9, line_search_fn="strong_wolfe")
    # of two classes scikit-learn has one row w, which is the difference of the two: |w|² is 2 (|w0|² + |w1|²)
    penalty = 1.0 if k > 2 else 2.0

    def loss():
        optimizer.zero_grad()
        logits = shots.double() @ weight.T + bias
        value = 2.0 * torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
        value = value + penalty * (weight**2).sum() / 2
        value.backward()
        return value

    optimizer.step(loss)
    expected = (queries.double() @ weight.T + bias).softmax(1).detach()
    torch.testing.assert_close(got.double(), expected, atol=2e-3, rtol=0)


# ---- what they are for ------------------------------------------------------------------------------------


def test_without_votes_all_of_it_is_zero_shot():
    shots, labels, texts, queries, _ = clusters()
    expected = zero_shot_logits(queries, texts, SCALE)
    torch.testing.assert_close(fit("zero_shot", shots, labels, texts, SCALE).logits(queries), expected)
    for method in (tip_adapter, tip_adapter_f):
        got = method(shots, labels, texts, SCALE, alpha=0.0, beta=BETA).logits(queries)
        torch.testing.assert_close(got, expected)


def test_shots_help_on_clusters():
    shots, labels, texts, queries, truth = clusters(shots=8)
    scores = {name: accuracy(fit(name, shots, labels, texts, SCALE), queries, truth) for name in BASELINES}
    assert scores["zero_shot"] > 0.3  # chance is 0.2
    for name in ("tip_adapter", "tip_adapter_f", "linear_probe"):
        assert scores[name] > scores["zero_shot"] + 0.05, scores
    wrong = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))]
    assert accuracy(linear_probe(shots, wrong, texts, SCALE), queries, truth) < scores["linear_probe"] - 0.2


def test_fine_tuning_lowers_the_loss_on_its_shots():
    shots, labels, texts, _, _ = clusters(noise=1.0)
    losses = []
    for method in (tip_adapter, tip_adapter_f):
        logits = method(shots, labels, texts, SCALE, alpha=2.0, beta=2.0).logits(shots)
        losses.append(float(torch.nn.functional.cross_entropy(logits, labels)))
    assert losses[1] < losses[0] - 0.01


# ---- what is chosen, and by what --------------------------------------------------------------------------


def test_alpha_and_beta_are_the_best_of_the_grid_by_leave_one_out():
    shots, labels, texts, _, _ = clusters(noise=1.0)
    chosen = tip_adapter(shots, labels, texts, SCALE).settings
    grid = [(a, b) for b in baselines.BETAS for a in baselines.ALPHAS]
    scores = dict(zip(grid, leave_one_out(shots, labels, texts, SCALE, grid), strict=True))
    best = max(scores.values(), key=lambda score: (score[0], -score[1]))
    assert scores[chosen["alpha"], chosen["beta"]] == best
    fixed = tip_adapter(shots, labels, texts, SCALE, alpha=0.25).settings
    assert fixed["alpha"] == 0.25
    assert tip_adapter_f(shots, labels, texts, SCALE).settings == chosen


def test_a_strong_text_keeps_the_votes_low_and_a_useless_one_raises_them():
    shots, labels, texts, _, _ = clusters(text_noise=0.0, noise=1.5)
    strong = tip_adapter(shots, labels, texts, SCALE, beta=BETA).settings["alpha"]
    useless = tip_adapter(shots, labels, texts.roll(1, 0), SCALE, beta=BETA).settings["alpha"]
    assert strong < useless


def test_too_few_shots_to_choose_by():
    data = clusters(shots=1)[:3]
    assert tip_adapter(*data, SCALE).settings == {"alpha": ALPHA, "beta": BETA}
    assert tip_adapter(*data, SCALE, beta=2.0).settings == {"alpha": ALPHA, "beta": 2.0}
    assert linear_probe(*data, SCALE).settings == {"c": C}
    assert linear_probe(*clusters(shots=3)[:3], SCALE).settings == {"c": C}
    assert linear_probe(*clusters(shots=4)[:3], SCALE).settings["c"] in CS


def test_the_penalty_is_chosen_on_shots_that_are_held_back(monkeypatch):
    shots, labels, texts, _, _ = clusters(shots=8)
    fits = []
    regression = baselines.logistic_regression

    def watch(vectors, labels, c):
        fits.append((np.bincount(labels).tolist(), c))
        return regression(vectors, labels, c)

    monkeypatch.setattr(baselines, "logistic_regression", watch)
    chosen = linear_probe(shots, labels, texts, SCALE).settings["c"]
    assert fits == [*(([6] * 5, c) for c in CS), ([8] * 5, chosen)]


@pytest.mark.parametrize("name", BASELINES)
def test_nothing_of_the_test_set_has_a_part_in_it(name):
    """A method never sees queries or their labels: it is fitted before there are any, and queries do not change it."""
    assert not {"queries", "truth"} & set(inspect.signature(BASELINES[name].fit).parameters)
    shots, labels, texts, queries, truth = clusters()
    predictor = fit(name, shots, labels, texts, SCALE)
    settings, logits = dict(predictor.settings), predictor.logits(queries)
    accuracy(predictor, queries.flip(0), truth[torch.randperm(len(truth))])
    assert predictor.settings == settings
    torch.testing.assert_close(predictor.logits(queries), logits, rtol=0, atol=0)
    torch.testing.assert_close(predictor.logits(queries[3:4]), logits[3:4])  # nor does one query change another's


@pytest.mark.parametrize("name", BASELINES)
def test_one_seed_has_one_result(name):
    shots, labels, texts, queries, _ = clusters()
    before = torch.random.get_rng_state()
    one, same = (fit(name, shots, labels, texts, SCALE, seed=3) for _ in range(2))
    assert one.settings == same.settings
    torch.testing.assert_close(one.logits(queries), same.logits(queries), rtol=0, atol=0)
    assert not one.logits(queries).requires_grad
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_seed_orders_the_batches():
    shots, labels, texts, queries, _ = clusters()
    tuning = FineTuning(batch_size=3, learning_rate=0.05)
    one, other = (
        tip_adapter_f(shots, labels, texts, SCALE, seed, alpha=2.0, beta=2.0, tuning=tuning) for seed in (0, 1)
    )
    assert not torch.equal(one.logits(queries), other.logits(queries))


@pytest.mark.parametrize("name", BASELINES)
def test_lengths_of_vectors_and_blocks_change_nothing(name, monkeypatch):
    shots, labels, texts, queries, _ = clusters()
    expected = fit(name, shots, labels, texts, SCALE)
    monkeypatch.setattr(baselines, "BLOCK", 3)
    got = fit(name, 3 * shots, labels, 0.5 * texts, SCALE)
    assert got.settings == expected.settings
    torch.testing.assert_close(got.logits(7 * queries), expected.logits(queries), rtol=1e-3, atol=1e-3)


# ---- bad input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in BASELINES if name != "zero_shot"])
def test_shots_that_cannot_be_learned_from(name):
    shots, labels, texts, queries, _ = clusters()
    bad = shots.clone()
    bad[2, 1] = torch.nan
    for wrong, match in (
        ((bad, labels, texts), "finite shots, got NaN or infinity in row 2"),
        ((shots, labels[:-4], texts), "Expected 20 labels"),
        ((shots[:-4], labels[:-4], texts), "got none of class 4"),
        ((shots, labels + 1, texts), "from 0 to 4, got 5"),
        ((shots, labels, texts[:, :5]), "one dimension, got 12 and 5"),
    ):
        with pytest.raises(ValueError, match=match):
            fit(name, *wrong, SCALE)
    with pytest.raises(ValueError, match="queries and shots of one dimension"):
        fit(name, shots, labels, texts, SCALE).logits(queries[:, :5])


def test_a_probe_of_one_class():
    shots, _, texts, _, _ = clusters(k=1)
    with pytest.raises(ValueError, match="two classes"):
        linear_probe(shots, torch.zeros(len(shots), dtype=torch.int64), texts, SCALE)


def test_methods_by_name():
    data = clusters()[:3]
    assert isinstance(fit("Tip-Adapter-F", *data, SCALE), Predictor)
    assert all(fit(name, *data, SCALE).name == name for name in BASELINES)
    with pytest.raises(UnknownNameError, match="Did you mean 'tip_adapter'"):
        fit("tip_adaptor", *data, SCALE)


def test_a_vote_falls_with_distance():
    keys, values = torch.eye(3), torch.eye(3)
    votes = cache_logits(torch.tensor([[1.0, 0.0, 0.0]]), keys, values, beta=2.0)
    torch.testing.assert_close(votes, torch.tensor([[1.0, math.exp(-2), math.exp(-2)]]))
