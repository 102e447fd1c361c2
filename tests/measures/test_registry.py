"""Each measure is declared whole, read without torch, and taken only where all that it needs is at hand."""

import dataclasses
import subprocess
import sys

import pytest
import torch

from synthset.diagnosis.rows import ClassRow, Pairing, SetSummary
from synthset.measures import points as shared
from synthset.measures.points import SetPoints, split_points
from synthset.measures.registry import MEASURES, measures_of, of_set

ROWS = {"set": SetSummary, "class": ClassRow, "pairing": Pairing}


def make_points(prompts=True, real=True, features=False, k=3, each=8):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(k).repeat_interleave(each).numpy()

    def scatter(name):
        vectors = torch.eye(k, 6)[labels] + 0.4 * torch.randn(k * each, 6, generator=generator)
        return split_points(name, torch.nn.functional.normalize(vectors, dim=1), labels, 0.25, 0)

    images, texts, others = map(scatter, ("drawn-IM", "drawn-PRMT", "photos-IM"))
    of_backbone = (3 * images.embeddings, others.embeddings + 1) if features else None
    return SetPoints(images, texts if prompts else None, others if real else None, k, 0, of_backbone)


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: f"{measure.of}-{measure.name}")
def test_a_measure_is_declared_whole(measure):
    fields = {item.name for item in dataclasses.fields(ROWS[measure.of])} | {"columns"}
    for column in measure.columns:
        assert column.isidentifier()
        assert column not in fields, "a field of the row has that name"
    assert measure.label
    assert measure.help[0].isupper()
    assert measure.help.endswith(").")  # with its source in brackets
    assert ".." in measure.help or "at least" in measure.help  # and its range
    assert measure.interval is None or measure.of == "pairing"


@pytest.mark.parametrize("of", ROWS)
def test_no_column_is_declared_twice(of):
    columns = [column for measure in measures_of(of) for column in measure.columns]
    assert len(columns) == len(set(columns)) > 0


def test_reading_the_declarations_loads_no_torch():
    line = "import sys, synthset.measures.registry, synthset.report.page; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", line], check=False).returncode == 0


@pytest.mark.parametrize(
    ("prompts", "real", "features"),
    [(True, True, True), (True, True, False), (True, False, False), (False, True, True), (False, False, False)],
)
def test_what_is_lacking_is_none_and_the_rest_is_not(prompts, real, features):
    points = make_points(prompts, real, features)
    for measure in (*measures_of("set"), *measures_of("class")):
        value = measure.take(points)
        is_lacking = (measure.needs_prompts and not prompts) or (measure.needs_real and not real)
        is_lacking = is_lacking or (measure.needs_features and not features)
        assert (value is None) == is_lacking, measure.name
        if measure.of == "class" and value is not None:
            assert len(value) == points.k


def test_measures_of_one_computation_share_it(monkeypatch):
    calls = []
    names = ("frechet_distance", "precision_recall_density_coverage", "split_error", "centroid_distance")
    for name in names:
        function = getattr(shared, name)
        monkeypatch.setattr(
            shared,
            name,
            lambda *args, _name=name, _function=function, **kw: (calls.append(_name), _function(*args, **kw))[1],
        )
    points = make_points(features=True)
    for measure in (*measures_of("set"), *measures_of("class")):
        measure.take(points)
    assert sorted(calls) == sorted([*names, "centroid_distance", "frechet_distance"])
    # the former of the set and of the real one, the latter in the encoder's space and in the backbone's


def test_a_measure_of_ones_own_needs_no_more_than_a_function():
    measure = of_set("count", "Count", "Number of images.", lambda points: len(points.images.labels))
    assert measure.take(make_points(prompts=False, real=False)) == 24
    assert measure.columns == ("count",)
