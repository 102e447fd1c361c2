"""A real run, tiny: two findings of Marwood et al., recomputed from the saved files by nothing of ours but the encoder.

F24 from predictions.parquet of each test, F26 from the images themselves: mean, interval and verdict.
"""

from __future__ import annotations

import io
import json
from dataclasses import replace
from statistics import mean, stdev

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from scipy import stats

from synthset.encoders.clip import load_encoder
from synthset.findings import marwood2023
from synthset.findings.drawing import options
from synthset.findings.stage import reproduce

SEEDS = 2


def tiny():
    """The quick scale, and less."""
    return replace(marwood2023._miniature(2, 1, options(epochs=1, batch_size=16)), drawing=options(steps=2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYNTHSET_CACHE", str(place / "cache"))
        patch.setitem(marwood2023.PAPER.scales, "quick", tiny)
        reproduce(["F24", "F26"], place / "out", quick=True, seeds=SEEDS)
    return place / "out"


@pytest.fixture(scope="module")
def work(folder):
    """The saved work by its key: its folder and what it is declared as."""
    notes = {path.parent: json.loads(path.read_text()) for path in folder.glob("work/*/*/figures.json")}
    return {home.name[-12:]: (home, note) for home, note in notes.items()}


def of_kind(work, kind):
    return [(home, note["work"], note["figures"]) for home, note in work.values() if note["work"]["kind"] == kind]


def named(work, text):
    """The work that a declaration names: "draw 0123456789ab"."""
    return work[text.split()[-1]]


def drawing_of(work, declared):
    """What the images of a declaration were drawn with: "guidance 2.5", … and the seed."""
    drawing = named(work, declared["of"])[1]["work"]
    scale = dict(map(tuple, drawing["options"])).get("guidance_scale")
    name = (
        "augmented prompts"
        if drawing["strategies"] == ["prompt_augmentation"]
        else "guidance 2.5"
        if scale
        else "clarified"
    )
    return name, drawing["seed"]


def saved(folder, name):
    findings = json.loads((folder / "findings.json").read_text())["findings"]
    return next(one for one in findings if one["name"] == name)


def check(one, label, values):
    """A saved figure against values that were computed again."""
    figure = next(item for item in one["measured"] if item["label"] == label)
    half = stats.t.ppf(0.975, SEEDS - 1) * stdev(values) / SEEDS**0.5
    assert figure["values"] == pytest.approx(values, rel=1e-5)
    assert figure["mean"] == pytest.approx(mean(values), rel=1e-5)
    assert figure["high"] - figure["low"] == pytest.approx(2 * half, rel=1e-3, abs=1e-12)


def check_difference(one, this, than, label):
    """A saved difference and its verdict, by Student's t of the pairs."""
    pairs = [a - b for a, b in zip(this, than, strict=True)]
    half = stats.t.ppf(0.975, SEEDS - 1) * stdev(pairs) / SEEDS**0.5
    low, high = mean(pairs) - half, mean(pairs) + half
    verdict = "shown" if low > 0 else "contradicted" if high < 0 else "not shown"
    found = next(item for item in one["differences"] if item["label"] == label)
    assert (found["low"], found["high"]) == pytest.approx((low, high), rel=1e-3, abs=1e-9)
    assert found["verdict"] == verdict
    return verdict


def test_accuracies_are_those_of_the_saved_predictions(folder, work):
    accuracies = {}
    for home, declared, figures in of_kind(work, "test"):
        rows = pq.read_table(home / "evaluation" / "digits-predictions.parquet")
        answers, truth = (rows.column(name).to_numpy() for name in ("class", "true_class"))
        trained = named(work, declared["model"])[1]["work"]
        accuracies[drawing_of(work, trained["images"])] = float((answers == truth).mean())
        assert figures["images"] == len(rows) == 1797
    one = saved(folder, "F24")
    values = {name: [accuracies[name, 64 + seed] for seed in range(SEEDS)] for name in ("guidance 2.5", "clarified")}
    for name, own in values.items():
        check(one, name, own)
    assert one["verdict"] == check_difference(
        one, values["guidance 2.5"], values["clarified"], "guidance 2.5 - clarified"
    )


def distance(pictures, labels):
    """Mean over classes of the mean of (1 - cosine to the class's centroid)², as the paper defines it."""
    vectors = load_encoder("miniature").images(pictures).cpu().double().numpy()
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = []
    for label in np.unique(labels):
        own = vectors[labels == label]
        centroid = own.mean(0) / np.linalg.norm(own.mean(0))
        found.append(np.mean((1 - own @ centroid) ** 2))
    return float(np.mean(found))


def test_distances_are_those_of_the_saved_images(folder, work):
    distances = {}
    for _, declared, figures in of_kind(work, "diagnose"):
        home, drawing = named(work, declared["images"]["of"])
        shards = [pq.read_table(path) for path in (home / "dataset" / "data").glob("*.parquet")]
        pictures = [Image.open(io.BytesIO(one["bytes"])) for rows in shards for one in rows.column("image").to_pylist()]
        labels = np.concatenate([rows.column("label").to_numpy() for rows in shards])
        assert len(pictures) == drawing["figures"]["images"] == 20
        distances[drawing_of(work, declared["images"])] = distance(pictures, labels)
        assert figures["real centroid_distance"] > 0
    one = saved(folder, "F26")
    kinds = ("clarified", "guidance 2.5", "augmented prompts")
    values = {name: [distances[name, 64 + seed] for seed in range(SEEDS)] for name in kinds}
    for name, own in values.items():
        check(one, name, own)
    for this, than in zip(kinds[1:], kinds[:-1], strict=True):
        check_difference(one, values[this], values[than], f"{this} - {than}")


def test_all_of_it_is_saved_in_words_and_pictures(folder):
    assert {"findings.html", "figure5.png", "verdicts.parquet", "figures.csv"} <= {
        path.name for path in folder.iterdir()
    }
    assert len(list((folder / "work" / "draw").iterdir())) == 3 * SEEDS  # that both findings share
    again = (folder / "findings.json").read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(marwood2023.Draw, "run", None)  # nothing is drawn again
        patch.setitem(marwood2023.PAPER.scales, "quick", tiny)
        reproduce(["F24", "F26"], folder, quick=True, seeds=SEEDS)
    assert (folder / "findings.json").read_bytes() == again
