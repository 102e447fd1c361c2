"""The diagnosis as a stage: on sets of plain colours, seen by an encoder whose space is colour itself."""

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import synthset
from synthset.classifiers.facts import ModelFacts
from synthset.classifiers.scoring import count
from synthset.core.errors import DataError, UsageError
from synthset.dataset.export import export_imagefolder
from synthset.diagnosis import saving
from synthset.diagnosis.inputs import DiagnosedSet, open_sets
from synthset.encoders.embed import EmbeddingCache
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet
from synthset.images.opening import ImagePath, Opening
from synthset.measures import registry
from synthset.measures.registry import Measure
from synthset.report import build_report
from synthset.report.reading import read_diagnosis
from synthset.testing import FakeEncoder, FakeGenerator

COLOURS = {"red": (1.0, 0.1, 0.1), "green": (0.1, 1.0, 0.1), "blue": (0.1, 0.1, 1.0)}
NAMES = tuple(COLOURS)
CYAN = (0.1, 1.0, 1.0)


class ColourEncoder:
    """Images lie at their mean colour, texts at the colour that they name."""

    name, fingerprint, dimension, logit_scale = "colours", "c0", 3, 100.0

    def images(self, images):
        means = np.array([np.asarray(image, np.float64).mean((0, 1)) for image in images])
        return torch.nn.functional.normalize(torch.tensor(means, dtype=torch.float32), dim=1)

    def texts(self, texts):
        named = [next((colour for name, colour in COLOURS.items() if name in text), (1.0, 1.0, 1.0)) for text in texts]
        return torch.nn.functional.normalize(torch.tensor(named), dim=1)


def paint(name, *, noise=0.05, seed=0, per_class=24, shown=None, class_names=NAMES):
    """`per_class` images of each colour, each off by some noise; `shown` paints a class in another's colour."""
    rng = np.random.default_rng(seed)
    files, labels = [], []
    for label, class_name in enumerate(class_names):
        colour = np.array({**COLOURS, "cyan": CYAN}[(shown or {}).get(class_name, class_name)])
        for _ in range(per_class):
            pixels = np.clip(colour + rng.normal(0, noise, 3), 0, 1) * 255
            files.append(encode(np.tile(np.rint(pixels).astype(np.uint8), (4, 4, 1))))
            labels.append(label)
    return ImageSet(name, class_names, np.array(labels, np.int64), files.__getitem__)


def with_prompts(images, prompts=None):
    texts = prompts or [f"a {images.class_names[label]} square" for label in images.labels]
    return DiagnosedSet(images.name, "synthetic", images, tuple(texts), (7.5,) * len(images))


@pytest.fixture
def run(tmp_path):
    def diagnose(*synthetic, **options):
        options.setdefault("encoder", ColourEncoder())
        return synthset.diagnose(list(synthetic), tmp_path / "out", cache=tmp_path / "cache", tsne_images=0, **options)

    return diagnose


def test_good_images_are_fine(run):
    result = run(with_prompts(paint("drawn")), real=paint("photos", seed=1))
    assert [row.verdict for row in result.classes] == ["fine"] * 3
    drawn = next(row for row in result.summary if row.set == "drawn")
    assert drawn.prompt_accuracy == drawn.own_accuracy == drawn.transfer_accuracy == 1
    assert drawn.centroid_shift is not None
    assert drawn.centroid_shift < 0.01


def test_a_distance_of_few_images_is_cautioned_in_tables_json_and_page(run, tmp_path, caplog):
    run(paint("drawn"), real=paint("photos", seed=1), encoder=FakeEncoder(dimension=73))
    folder = tmp_path / "out"
    caution = "fewer than the encoder has dimensions: drawn."
    assert any(caution in doubt for doubt in json.loads((folder / "diagnosis.json").read_text())["doubts"])
    assert caution in (folder / "report.html").read_text()
    assert caution in caplog.text
    rows = list(csv.DictReader((folder / "summary.csv").read_text().splitlines()))
    assert float(rows[1]["frechet_rows_a_dimension"]) == 72 / 73
    run(paint("drawn"), real=paint("photos", seed=1), encoder=FakeEncoder(dimension=72))
    assert caution not in (folder / "report.html").read_text()


def test_what_the_generator_cannot_draw_is_told_from_what_clip_misreads(run):
    wrong = with_prompts(paint("drawn", shown={"red": "cyan"}))
    rows = run(wrong, real=paint("photos", seed=1)).classes
    assert [row.verdict for row in rows] == ["generator cannot draw it", "fine", "fine"]
    assert "refill" in rows[0].remedy

    misnamed = [f"a {'green' if label == 0 else NAMES[label]} square" for label in paint("drawn").labels]
    rows = run(with_prompts(paint("drawn", shown={"red": "cyan"}), misnamed), real=paint("photos", seed=1)).classes
    assert rows[0].verdict == "CLIP misreads the prompt"


def test_empty_prompts_are_not_blamed_for_what_is_drawn(run):
    """Images that are drawn from images have none."""
    from_images = run(with_prompts(paint("drawn"), [""] * 72), real=paint("photos", seed=1))
    without = run(DiagnosedSet("drawn", "synthetic", paint("drawn")), real=paint("photos", seed=1))
    assert from_images.summary == without.summary
    assert from_images.classes == without.classes
    assert [row.verdict for row in from_images.classes] == ["fine"] * 3


@pytest.mark.parametrize("has_real", [True, False])
def test_of_images_without_prompts_no_verdict_and_no_number_speaks_of_prompts(run, tmp_path, caplog, has_real):
    """A folder whose "red" shows cyan, and whose "green" shows blue: once it was told that CLIP misreads its prompt."""
    drawn = paint("drawn", shown={"red": "cyan", "green": "blue"}, per_class=80)
    result = run(drawn, real=paint("photos", seed=1) if has_real else None)
    verdicts = {row.class_name: row.verdict for row in result.classes}
    assert verdicts["green"] == "synthetic images mix with other classes" == verdicts["blue"]
    assert not any("prompt" in f"{row.verdict}{row.explanation}{row.remedy}" for row in result.classes)
    assert {(row.real_accuracy, row.synthetic_accuracy) for row in result.classes} == {(None, None)}
    doubts = json.loads((tmp_path / "out" / "diagnosis.json").read_text())["doubts"]
    assert doubts[0].startswith("No prompts are known of drawn: ")
    assert doubts[0] in caplog.text
    assert ("Without real images" in str(doubts)) is not has_real
    assert "by these prompts" not in str(doubts)
    assert result.report.is_file()


def test_diversity_rises_with_the_noise_of_the_images(run):
    result = run(with_prompts(paint("even", noise=0.02)), with_prompts(paint("varied", noise=0.2)))
    distance = {row.set: row.centroid_distance for row in result.summary}
    assert distance["varied"] > 10 * distance["even"]


def test_the_matrix_has_every_pairing(run):
    result = run(with_prompts(paint("drawn")), real=paint("photos", seed=1))
    names = ["photos-IM", "drawn-IM", "drawn-PRMT"]
    assert [(row.query, row.reference) for row in result.matrix] == [(q, r) for q in names for r in names]
    assert [row.experiment for row in result.matrix] == list(range(1, 10))
    by_prompt = next(row for row in result.matrix if (row.query, row.reference) == ("drawn-IM", "drawn-PRMT"))
    assert by_prompt.centroid_accuracy == by_prompt.knn1_accuracy == by_prompt.knn5_accuracy == 1
    assert by_prompt.low < 1 == by_prompt.high
    of_prompts = next(row for row in result.matrix if row.query == "drawn-PRMT")
    assert of_prompts.knn1_accuracy is None  # one prompt a class


def test_queries_are_never_references(run):
    """Images without any structure: near chance against themselves, where a leak would give certainty."""
    rng = np.random.default_rng(0)
    files = [encode(rng.integers(0, 256, (4, 4, 3), np.uint8)) for _ in range(300)]
    images = ImageSet("noise", NAMES, np.arange(300) % 3, files.__getitem__)
    result = run(images, encoder=synthset.testing.FakeEncoder())
    row = result.matrix[0]
    assert row.knn1_accuracy is not None
    assert row.knn1_accuracy < 0.6
    assert row.queries == 75


def test_what_is_saved_can_be_read_without_synthset(run, tmp_path):
    result = run(with_prompts(paint("drawn")), real=paint("photos", seed=1))
    note = json.loads((tmp_path / "out" / "diagnosis.json").read_text())
    assert note["encoder"] == {"name": "colours", "fingerprint": "c0", "dimension": 3}
    assert [item["kind"] for item in note["sets"]] == ["real", "synthetic"]
    assert "status" not in note
    for name in ("summary", "classes", "matrix"):
        rows = pq.read_table(tmp_path / "out" / f"{name}.parquet").to_pylist()
        assert len(rows) == len(getattr(result, name))
        assert (tmp_path / "out" / f"{name}.csv").read_text().count("\n") == len(rows) + 1
    assert pq.read_table(tmp_path / "out" / "galleries.parquet").num_rows == 2 * 3 * 6
    assert not (tmp_path / "out" / "tsne.parquet").exists()
    assert result.report.is_file()


def test_tsne_shows_all_sets(tmp_path):
    sets = [with_prompts(paint("drawn")), with_prompts(paint("others", seed=3))]
    synthset.diagnose(sets, tmp_path / "out", encoder=ColourEncoder(), cache=tmp_path / "c", tsne_images=40)
    rows = pq.read_table(tmp_path / "out" / "tsne.parquet").to_pylist()
    assert [row["set"] for row in rows] == ["drawn"] * 20 + ["others"] * 20
    assert all(np.isfinite([row["x"], row["y"]]).all() for row in rows)


def test_datasets_strategy_by_strategy(tmp_path):
    synthset.create(
        ["cat", "dog"],
        tmp_path / "pets",
        strategies=["base", "multi_domain"],
        images_per_class=8,
        generator=FakeGenerator(),
    )
    options = {"encoder": synthset.testing.FakeEncoder(), "cache": tmp_path / "cache", "tsne_images": 0}
    whole = synthset.diagnose(tmp_path / "pets", tmp_path / "whole", **options)
    assert [row.set for row in whole.summary] == ["pets"]
    parts = synthset.diagnose(tmp_path / "pets", tmp_path / "parts", by_strategy=True, **options)
    assert [row.set for row in parts.summary] == ["pets/base", "pets/multi_domain"]
    prompts = pq.read_table(tmp_path / "parts" / "prompts.parquet").to_pylist()
    assert {"set": "pets/base", "class_name": "cat", "prompt": "an image of a cat", "images": 8}.items() <= prompts[
        0
    ].items()


def test_some_strategies_of_a_dataset_together_or_apart(tmp_path):
    strategies = ["base", "class_prompt", "multi_domain"]
    synthset.create(
        ["cat", "dog"], tmp_path / "pets", strategies=strategies, images_per_class=8, generator=FakeGenerator()
    )
    together = open_sets([tmp_path / "pets"], strategies=strategies[:2])
    assert [(item.name, len(item)) for item in together] == [("pets/base+class_prompt", 32)]
    apart = open_sets([tmp_path / "pets"], strategies=strategies[:2], by_strategy=True)
    assert [(item.name, len(item)) for item in apart] == [("pets/base", 16), ("pets/class_prompt", 16)]
    with pytest.raises(UsageError, match="Expected a Synthset dataset with strategies, got memory"):
        open_sets([replace(together[0].images, name="memory")], strategies=["base"])


def test_a_dataset_with_verdicts_beside_one_without(tmp_path):
    encoder = synthset.testing.FakeEncoder()
    for name in ("filtered", "whole"):
        synthset.create(["cat", "dog"], tmp_path / name, images_per_class=8, generator=FakeGenerator())
    options = {"encoder": encoder, "cache": EmbeddingCache(tmp_path / "cache")}
    synthset.filter_dataset(tmp_path / "filtered", ["clip"], keep_share=0.75, **options)
    sets = [tmp_path / "whole", tmp_path / "filtered"]
    synthset.diagnose(sets, tmp_path / "out", encoder=encoder, cache=tmp_path / "cache", tsne_images=0)
    rows = pq.read_table(tmp_path / "out" / "filters.parquet").to_pylist()
    assert {row["set"] for row in rows} == {"filtered"}
    assert [row["keep"] for row in rows].count(False) == 4


def test_the_smallest_sets(run):
    result = run(paint("few", per_class=2), real=paint("photos", per_class=2, seed=1))
    assert all(np.isfinite([row.centroid_distance, row.vendi_score]).all() for row in result.summary)
    one_class = paint("one", per_class=2, class_names=("red",))
    assert run(one_class, real=one_class).summary[1].recall == 1  # the same images


def test_a_classifier_shows_its_own_features(run, tmp_path):
    """Section 4.2.1 of Shipard et al.: a head learned on real images reads synthetic ones."""
    images, real = paint("drawn"), paint("photos", seed=1)
    config = {"architecture": "small_cnn", "image_size_px": 8, "small_images": True, "epochs": 1, "device": "cpu"}
    synthset.train(images, tmp_path / "model", **config)
    options = {"encoder": ColourEncoder(), "cache": tmp_path / "c", "tsne_images": 30}
    synthset.diagnose([images], tmp_path / "out", real=real, classifier=tmp_path / "model", **options)
    note = json.loads((tmp_path / "out" / "diagnosis.json").read_text())
    transfer = note["head_transfer"]["drawn"]
    assert transfer["chance"] == pytest.approx(1 / 3)
    assert transfer["real_accuracy"] > 0.9
    assert transfer["synthetic_accuracy"] > 0.9
    assert note["tsne_features"] == "small_cnn"
    assert pq.read_table(tmp_path / "out" / "tsne.parquet").num_rows == 30
    with pytest.raises(UsageError, match="real"):
        synthset.diagnose([images], tmp_path / "out", classifier=tmp_path / "model", **options)


def test_real_classes_are_matched_by_name(run):
    real = paint("photos", seed=1, class_names=("blue", "red", "green"))
    result = run(with_prompts(paint("drawn")), real=real)
    assert all(row.real_accuracy == 1 for row in result.classes)


@pytest.mark.parametrize(
    ("synthetic", "real", "error", "named"),
    [
        ([], None, UsageError, "at least one set"),
        ([paint("a"), paint("a")], None, UsageError, "'a' twice"),
        ([paint("a")], paint("b", class_names=("red", "green")), UsageError, "blue"),
        ([paint("a").select(np.arange(24))], None, DataError, "none of 'green', none of 'blue'"),
        ([paint("a").select([])], None, DataError, "'a', found none of 'red'"),
        ([paint("a")], paint("b").select(np.arange(32)), DataError, "'b', found none of 'blue'"),
        ([paint("a", per_class=1)], None, DataError, "'a', found 1 of 'red'"),
        (["nowhere"], None, DataError, "'nowhere'"),
    ],
)
def test_sets_that_cannot_be_compared(run, tmp_path, synthetic, real, error, named):
    with pytest.raises(error, match=named) as caught:
        run(*synthetic, real=real)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "cache").exists()


def test_an_unreadable_image_is_named_and_nothing_is_written(run, tmp_path):
    good = paint("drawn")
    broken = ImageSet("broken", NAMES, good.labels, lambda i: b"no image" if i == 5 else good.read(i))
    with pytest.raises(DataError, match="Image 5 of 'broken'"):
        run(broken)
    assert not (tmp_path / "out").exists()
    assert run(good).classes  # the cache still serves


def test_unreadable_files_are_left_out_unless_strictly(run, tmp_path, caplog):
    good = paint("drawn")
    for name, images in (("drawn", good), ("real", paint("real"))):
        export_imagefolder(images, tmp_path / name)
        next((tmp_path / name).rglob("*.png")).write_bytes(b"no image")
    drawn, real = str(tmp_path / "drawn"), ImagePath(str(tmp_path / "real"))
    result = run(drawn, real=real)
    assert [row.images for row in result.summary] == [len(good) - 1] * 2
    assert caplog.text.count("They are left out.") == 2
    strict = Opening(strict=True)
    for sets, option in (((drawn,), replace(real, opening=strict)), ((ImagePath(drawn, strict),), real)):
        with pytest.raises(DataError, match=r"\.png\): .*(PNG|image)"):
            run(*sets, real=option)


def test_a_folder_of_something_else_is_left_alone(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("my work")
    with pytest.raises(UsageError, match="no diagnosis"):
        run(paint("a"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_again_into_the_same_folder_replaces_the_diagnosis(run, tmp_path):
    run(with_prompts(paint("first")))
    run(paint("second"))
    assert pq.read_table(tmp_path / "out" / "summary.parquet").column("set").to_pylist() == ["second"]
    assert not (tmp_path / "out" / "prompts.parquet").exists()  # the second set has no prompts


def test_evaluations_join(run, tmp_path):
    evaluation = count(np.array([0, 0, 1]), np.array([0, 1, 1]), ("red", "green"), "digits").to_json()
    folder = tmp_path / "model" / "evaluation"
    folder.mkdir(parents=True)
    (folder / "digits.json").write_text(json.dumps(evaluation))
    run(paint("a"), evaluations=[tmp_path / "model"])
    copied = json.loads((tmp_path / "out" / "evaluations" / "000.json").read_text())
    assert copied.pop("checksum")
    assert copied == {"name": "model on digits", **json.loads(json.dumps(evaluation))}
    with pytest.raises(DataError, match="synthset eval"):
        run(paint("a"), evaluations=[tmp_path])


def test_a_test_that_is_named_twice_joins_once_and_tests_of_one_name_are_told_apart(tmp_path):
    evaluation = count(np.array([0, 1]), np.array([0, 1]), ("red", "green"), "digits").to_json()
    homes = [tmp_path / name / "here" / "model" for name in ("first", "second", "third")]
    for home in homes:
        (home / "evaluation").mkdir(parents=True)
        (home / "evaluation" / "digits.json").write_text(json.dumps(evaluation))
    spelled = [homes[0], homes[0] / "evaluation", homes[0] / ".." / "model" / "evaluation" / "digits.json"]
    assert list(saving.read_evaluations(spelled)) == ["model on digits"]
    names = list(saving.read_evaluations([*spelled, *homes]))
    assert names == ["model on digits", "here/model on digits", "third/here/model on digits"]


def test_what_a_classifier_learned_from_joins_its_evaluation(tmp_path, monkeypatch):
    evaluation = count(np.array([0, 1]), np.array([0, 1]), ("red", "green"), "digits").to_json()
    (tmp_path / "digits.json").write_text(json.dumps(evaluation))
    facts = ModelFacts(90, 3, {"epochs": 4}, "photographs")
    monkeypatch.setattr(saving, "read_facts", lambda folder: facts if folder == tmp_path else None)
    (copied,) = saving.read_evaluations([tmp_path]).values()
    assert copied["model"] == asdict(facts)


def test_unknown_options_list_the_valid_ones(run):
    with pytest.raises(UsageError, match="query_share"):
        run(paint("a"), query_shares=0.5)
    with pytest.raises(UsageError, match="query_share above 0 and below 1, got 1"):
        run(paint("a"), query_share=1.0)


# ---- a measure is declared once --------------------------------------------------------------------------


ADDED = (
    Measure(
        "set",
        "spread",
        "Spread <of all>",
        "Standard deviation of all entries, at least 0.",
        lambda points: float(points.images.embeddings.std()),
    ),
    Measure(
        "class",
        "reddest",
        "Reddest",
        "Largest first entry, in 0..1.",
        lambda points: [float(points.images.embeddings[points.images.labels == c, 0].max()) for c in range(points.k)],
        "share",
    ),
    Measure(
        "pairing",
        "first_right",
        "First right",
        "Share that is made up, in 0..1.",
        lambda pair: None if pair.query.name.endswith("-PRMT") else 0.25,
        "percent",
        interval=("first_low", "first_high"),
    ),
)


def test_an_added_measure_is_in_rows_tables_and_report(run, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "MEASURES", (*registry.MEASURES, *ADDED))
    result = run(with_prompts(paint("drawn")), real=paint("photos", seed=1))
    row = result.summary[1]
    assert row.spread == pytest.approx(0.4, abs=0.1)
    assert [row.reddest for row in result.classes] == pytest.approx([1, 0.2, 0.2], abs=0.1)
    assert [row.first_right for row in result.matrix] == [0.25] * 6 + [None] * 3
    assert result.matrix[0].first_low < 0.25 < result.matrix[0].first_high
    assert result.matrix[-1].first_low is None
    for name, column in {"summary": "spread", "classes": "reddest", "matrix": "first_high"}.items():
        values = [getattr(row, column) for row in getattr(result, name)]
        assert pq.read_table(tmp_path / "out" / f"{name}.parquet").column(column).to_pylist() == values
        cells = list(csv.DictReader((tmp_path / "out" / f"{name}.csv").read_text("utf-8").splitlines()))
        assert [cell[column] for cell in cells] == ["" if value is None else str(value) for value in values]
    page = result.report.read_text("utf-8")
    assert '<button type="button" class="sort" title="Standard deviation of all entries, at least 0.">' in page
    assert "<dt>Spread &lt;of all&gt;</dt><dd>Standard deviation of all entries, at least 0.</dd>" in page
    assert f'data-value="{row.spread}">{row.spread:.3g}</td>' in page
    assert f'data-value="{result.classes[0].reddest}">{result.classes[0].reddest:.1%}<svg' in page
    assert '<td class="number" data-value="0.25">25.0%</td>' in page
    assert f"{result.matrix[0].first_low:.1%} to {result.matrix[0].first_high:.1%}" in page


def test_a_diagnosis_of_before_has_no_column_of_an_added_measure_and_one_of_after_shows_what_is_known(
    run, tmp_path, monkeypatch
):
    result = run(with_prompts(paint("drawn")), real=paint("photos", seed=1))
    before = result.report.read_text("utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(registry, "MEASURES", (*registry.MEASURES, *ADDED))
        tables = read_diagnosis(tmp_path / "out")
        assert tables.summary.column("spread").to_pylist() == [None, None]
        assert tables.matrix.column("first_low").null_count == 9
        page = build_report(tmp_path / "out").read_text("utf-8")
        assert "Spread &lt;of all&gt;" not in page
        assert page.count("<td") == before.count("<td")  # no column of dashes
        run(with_prompts(paint("drawn")), real=paint("photos", seed=1))
    after = build_report(tmp_path / "out").read_text("utf-8")
    assert "Spread &lt;" not in after
    assert after.count("<td") == before.count("<td")


def test_the_command(tmp_path, monkeypatch, capsys):
    from synthset.cli import main

    monkeypatch.chdir(tmp_path)
    synthset.create(["one", "two"], "d", images_per_class=6, generator=FakeGenerator(size_px=32))
    line = ["diagnose", "d", "--encoder", "miniature", "--tsne-images", "0", "--output-dir", "r", "--cache", "c"]
    assert main(line) == 0
    out = capsys.readouterr().out
    assert "classes are fine" in out or "The others" in out
    assert str(Path("r") / "report.html") in out
    assert main(["diagnose", "d", "--real", "nowhere"]) == 2
    assert main(["diagnose", "--output-dir", "r"]) == 2
    assert main(["diagnose", "d", "--encoder", "RN5O"]) == 2
    assert "Traceback" not in capsys.readouterr().err


# ---- evidence, and what agrees with it -------------------------------------------------------------------


def test_the_evidence_behind_each_verdict_is_in_tables_and_page(run, tmp_path):
    result = run(with_prompts(paint("drawn", shown={"red": "cyan"})), real=paint("photos", seed=1))
    red, green, _ = result.classes
    said = "Synthetic images by the prompts: 0 of 24 (0%, 95 % interval 0% to 14%), other classes 100%, adjusted p < "
    assert red.evidence.startswith(said)
    assert green.evidence.count("24 of 24") == 3
    rows = pq.read_table(tmp_path / "out" / "evidence.parquet").to_pylist()
    assert [(row["class_name"], row["test"]) for row in rows[:4]] == [
        ("red", "real images by the prompts"),
        ("red", "synthetic images by the prompts"),
        ("red", "real images by the synthetic ones"),
        ("green", "real images by the prompts"),
    ]
    drawn = rows[1]
    assert (drawn["correct"], drawn["images"], drawn["state"]) == (0, 24, "low")
    assert drawn["p_value"] < 0.001
    assert drawn["below_low"] > 0.7
    assert (tmp_path / "out" / "evidence.csv").read_text().count("\n") == len(rows) + 1 == 10
    assert red.evidence.replace("<", "&lt;") in result.report.read_text("utf-8")


def test_of_five_images_a_class_nothing_is_said_but_how_many_would_do(run, tmp_path):
    result = run(with_prompts(paint("drawn", per_class=5)), real=paint("photos", seed=1, per_class=5))
    assert {row.verdict for row in result.classes} == {"too few images to tell"}
    assert all(row.is_unresolved for row in result.classes)
    assert "too few: about 9 images of each class would tell" in result.classes[0].evidence
    assert "too few images to tell" in result.report.read_text("utf-8")


@pytest.mark.parametrize("has_real", [True, False])
def test_ambiguity_verdict_and_draft_agree_over_all_sets(run, tmp_path, has_real):
    """In one set red shows blue, in the other green does, and a set without prompts shows all wrong."""
    one = with_prompts(paint("one", shown={"red": "blue"}))
    other = with_prompts(paint("other", shown={"green": "cyan"}, seed=2))
    bare = paint("bare", shown={"blue": "red"}, seed=3)
    result = run(one, other, bare, real=paint("photos", seed=1) if has_real else None)
    rows = pq.read_table(tmp_path / "out" / "ambiguity.parquet").to_pylist()
    classes = {(row.set, row.class_name): row for row in result.classes}
    for row in rows:
        known = classes[row["set"], row["class_name"]]
        assert row["verdict"] == known.verdict
        if known.synthetic_accuracy is not None:
            assert row["accuracy"] == known.synthetic_accuracy
        assert row["judged_by"] == ("class names" if row["set"] == "bare" else "prompts")
        if row["rank"] == 1:
            assert row["drafted"] == (row["set"] != "bare")
    draft = (tmp_path / "out" / "phrases.yaml").read_text()
    assert [line for line in draft.splitlines() if line and line[0] != "#"] == ["red: red", "green: green"]
    assert {row["class_name"] for row in rows if row["drafted"]} == {"red", "green"}
    assert f"# 0% of its images are recognised, 100% are taken for blue: {classes['one', 'red'].verdict}" in draft


def test_there_is_no_draft_where_no_class_calls_for_a_phrase_or_there_are_no_prompts(run, tmp_path):
    run(with_prompts(paint("drawn", shown={"red": "cyan"})))
    assert (tmp_path / "out" / "phrases.yaml").exists()
    run(with_prompts(paint("drawn")))
    assert not (tmp_path / "out" / "phrases.yaml").exists()
    page = run(paint("drawn", shown={"red": "cyan"}), real=paint("photos", seed=1)).report.read_text("utf-8")
    assert not (tmp_path / "out" / "phrases.yaml").exists()
    assert "create --phrases" not in page
    assert "phrases.yaml" not in page
