"""The study of the prompts of one class: on plain colours, seen by an encoder whose space is colour itself."""

import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import synthset
from synthset.cli import main
from synthset.core.errors import DataError, UsageError
from synthset.create.config import CreateConfig
from synthset.diagnosis.config import StudyConfig
from synthset.diagnosis.inputs import DiagnosedSet
from synthset.diagnosis.modifiers import Modifier, modifiers_of, told_apart, try_adherence
from synthset.diagnosis.prompt_study import drawing_options, read_prompts, study_prompts
from synthset.generators.base import GeneratedImage
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet
from synthset.report import build_report
from synthset.testing import FakeGenerator

COLOURS = {"bus": (0.9, 0.8, 0.1), "car": (0.1, 0.2, 0.9), "purple": (0.6, 0.1, 0.8)}


class Painter(FakeGenerator):
    """Draws the class's colour with some noise; "purple" mixes in, "yellow" lessens the noise, "quiet" does nothing."""

    def _draw(self, request):
        rng = np.random.default_rng(request.seed)
        colour = np.array(COLOURS["car" if "car" in request.prompt else "bus"])
        if "purple" in request.prompt:
            colour = (colour + 3 * np.array(COLOURS["purple"])) / 4
        noise = 0.02 if "yellow" in request.prompt else 0.15
        pixels = np.clip(colour + rng.normal(0, noise, 3), 0, 1) * 255
        return GeneratedImage(np.tile(np.rint(pixels).astype(np.uint8), (8, 8, 1)), "ok")


class ColourEncoder:
    name, fingerprint, dimension, logit_scale = "colours", "study", 3, 100.0

    def images(self, images):
        means = np.array([np.asarray(image, np.float64).mean((0, 1)) for image in images])
        return torch.nn.functional.normalize(torch.tensor(means, dtype=torch.float32), dim=1)

    def texts(self, texts):
        """The sum of the colours that a text names."""
        named = [sum(np.array(colour) for name, colour in COLOURS.items() if name in text) for text in texts]
        return torch.nn.functional.normalize(torch.tensor(np.array(named), dtype=torch.float32), dim=1)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "reference"
    synthset.create(["school bus", "car"], folder, CreateConfig(images_per_class=40), generator=Painter())
    return folder


@pytest.fixture
def study(tmp_path, reference):
    def run(prompts=None, synthetic=(), **options):
        if prompts is not None:
            (tmp_path / "prompts.txt").write_text("\n".join(prompts), encoding="utf-8")
            options["prompts"] = str(tmp_path / "prompts.txt")
        options = {"class_name": "school_bus", "reference": str(reference), "images_per_prompt": 30} | options
        tools = {"generator": Painter(), "encoder": ColourEncoder(), "cache": tmp_path / "cache"}
        return study_prompts(list(synthetic), tmp_path / "out", StudyConfig(**options), **tools)

    return run


PROMPTS = ("school bus", "yellow school bus", "purple school bus", "a quiet school bus")


def test_each_prompt_is_drawn_and_held_against_the_reference(study, tmp_path):
    """As in the paper: yellow narrows the images and leaves their centre, purple moves it; other words do nothing."""
    result = study(PROMPTS)
    plain, yellow, purple, quiet = result.variants
    assert [row.prompt for row in result.variants] == list(PROMPTS)
    assert {row.images for row in result.variants} == {30}
    assert yellow.distance_high < plain.distance_low
    assert purple.shift_low > max(plain.shift_high, yellow.shift_high)
    assert purple.accuracy < plain.accuracy == yellow.accuracy == 1
    assert purple.taken_for == "car"
    assert plain.adherence is None
    assert (purple.reach, quiet.adherence, quiet.reach) == ("reaches the images", 0.5, "no sign of it")
    assert {row.modifier: row.reach for row in result.modifiers} == {
        "yellow": "no sign of it",
        "purple": "reaches the images",
        "quiet": "no sign of it",
    }
    assert pq.read_table(tmp_path / "out" / "variants.parquet").num_rows == 4
    assert "purple school bus" in (tmp_path / "out" / "report.html").read_text()


def test_the_measures_are_those_of_plain_numpy(study, reference, tmp_path):
    row = study(("school bus", "purple school bus")).variants[1]

    def vectors_of(folder, class_index=0):
        images = synthset.open_dataset(folder).images()
        own = np.flatnonzero(images.labels == class_index)
        return ColourEncoder().images([images.image(i) for i in own]).double().numpy()

    centres = np.array([vectors_of(reference, k).mean(0) for k in range(2)])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    folders = {
        synthset.open_dataset(path).rows["prompt"][0].as_py(): path for path in (tmp_path / "out/images").iterdir()
    }
    points = vectors_of(folders["purple school bus"])
    mean = points.mean(0) / np.linalg.norm(points.mean(0))
    assert row.accuracy == ((points @ centres.T).argmax(1) == 0).mean()
    assert row.centroid_distance == pytest.approx(((1 - points @ mean) ** 2).mean(), abs=1e-7)
    assert row.centroid_shift == pytest.approx(1 - mean @ centres[0], abs=1e-6)
    assert row.distance_low < row.centroid_distance < row.distance_high
    # of each pair of images, one with the words and one without, which is nearer to them
    plain, purple = ColourEncoder().texts(["school bus", "purple school bus"]).double().numpy()
    with_words, without = points @ (purple - plain), vectors_of(folders["school bus"]) @ (purple - plain)
    assert row.adherence == pytest.approx((with_words[:, None] > without).mean(), abs=1e-9)


def test_a_second_run_draws_what_is_new_alone(study, tmp_path):
    study(PROMPTS[:2])
    painter = Painter()
    options = StudyConfig("school bus", str(tmp_path / "reference"), str(tmp_path / "prompts.txt"), 30)
    shutil.copytree(tmp_path / "out", tmp_path / "again")
    (tmp_path / "prompts.txt").write_text("\n".join(PROMPTS[1:3]), encoding="utf-8")
    synthset.create(["school bus", "car"], tmp_path / "reference", images_per_class=4, generator=Painter())
    tools = {"generator": painter, "encoder": ColourEncoder(), "cache": tmp_path / "cache"}
    result = study_prompts([], tmp_path / "again", options, **tools)
    assert {request.prompt for batch in painter.batches for request in batch} == {"purple school bus"}
    assert [row.prompt for row in result.variants] == list(PROMPTS[1:3])
    before = (tmp_path / "again" / "report.html").read_text()
    build_report(tmp_path / "again")
    assert (tmp_path / "again" / "report.html").read_text() == before


def paint(name, prompts, class_names=("school bus",), seed=5):
    painter, files = Painter(), []
    rng = np.random.default_rng(seed)
    for prompt in prompts:
        request = type("Request", (), {"prompt": prompt, "seed": int(rng.integers(2**32))})
        files.append(encode(painter._draw(request).pixels))
    images = ImageSet(name, class_names, np.zeros(len(files), np.int64), files.__getitem__)
    return DiagnosedSet(name, "synthetic", images, tuple(prompts))


def test_sets_that_were_drawn_from_several_prompts_are_variants_too(study):
    few = paint("few", ["school bus"] * 12 + ["purple school bus"] * 12)
    many = paint("many", [f"a {'purple ' * (i % 2)}school bus, take {i}" for i in range(60)])
    unknown = DiagnosedSet("folder", "synthetic", paint("folder", ["school bus"] * 12, seed=6).images)
    result = study(synthetic=[few, many, unknown])
    rows = [(row.source, row.prompt, row.images) for row in result.variants]
    assert rows == [
        ("few", "school bus", 12),
        ("few", "purple school bus", 12),
        ("many", "", 60),
        ("folder", "", 12),
    ]
    assert result.variants[3].similarity is None
    assert result.modifiers[0].modifier == "purple"
    assert (result.modifiers[0].images, result.modifiers[0].others) == (42, 42)
    assert result.modifiers[0].reach == "reaches the images"
    assert all(row.reach == "too few images to tell" for row in result.modifiers if row.modifier.startswith("take"))


def test_a_reference_of_one_class_has_no_accuracy(study, tmp_path):
    synthset.create(["school bus"], tmp_path / "one", images_per_class=12, generator=Painter())
    result = study(PROMPTS[:2], reference=str(tmp_path / "one"))
    assert {row.accuracy for row in result.variants} == {None}
    assert any("one class" in doubt for doubt in result.doubts)
    assert result.variants[0].centroid_shift < 0.05


def test_what_cannot_be_studied_is_refused(study, tmp_path, reference):
    with pytest.raises(UsageError, match="Expected class_name with a class to study"):
        study(PROMPTS, class_name=None)
    with pytest.raises(UsageError, match="Expected reference, the set"):
        study(PROMPTS, reference=None)
    with pytest.raises(UsageError, match="Expected prompts, a file of prompts to draw, or sets"):
        study()
    with pytest.raises(UsageError, match=r"the class 'boat' in '.*', which has school bus, car"):
        study(PROMPTS, class_name="boat")
    with pytest.raises(UsageError, match="Expected other images than those of the reference"):
        study(synthetic=[str(reference)])
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").touch()
    options = StudyConfig("school bus", str(reference), str(tmp_path / "prompts.txt"))
    with pytest.raises(UsageError, match="holds files that are no prompt study; nothing was changed"):
        study_prompts([], tmp_path / "taken", options)
    with pytest.raises(DataError, match="at least 2 images of 'school bus' by each prompt in 'few', found 1"):
        study(synthetic=[paint("few", ["school bus"] * 3 + ["purple school bus"])])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found none"),
        ("# nothing\n", "found none"),
        ("school bus\nyellow school  bus\nyellow school bus", "got 'yellow school bus' twice"),
        ("purple school buses", "got 'purple school buses'. Write it out, in the singular"),
        ("- school bus", "got a list's '- school bus'"),
    ],
)
def test_prompts_that_cannot_be_studied_are_refused(tmp_path, text, message):
    (tmp_path / "prompts.txt").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        read_prompts(tmp_path / "prompts.txt", "school bus")
    with pytest.raises(UsageError, match=r"one a line, .* does not read"):
        read_prompts(tmp_path / "none.txt", "school bus")


def test_the_command_studies_where_a_class_is_named(reference, tmp_path, capsys):
    (tmp_path / "prompts.txt").write_text("school bus\nold school buses", encoding="utf-8")
    study = ["diagnose", "--class", "school bus", "--prompts", str(tmp_path / "prompts.txt")]
    study += ["--output-dir", str(tmp_path / "out")]
    assert main([*study, "--reference", str(reference), "--encoder", "miniature"]) == 2
    assert "'old school buses'. Write it out, in the singular" in capsys.readouterr().err
    assert main([*study, "--reference", str(reference), "--real", "digits"]) == 2
    assert "Expected no --real in a study of prompts, which is held against --reference" in capsys.readouterr().err
    assert main(study) == 2
    assert "Expected --reference, the set that the prompts are held against" in capsys.readouterr().err
    assert not (tmp_path / "out" / "report.html").exists()


def test_prompts_are_drawn_as_the_reference_was():
    study = StudyConfig("five", "reference", "prompts.txt")
    job = {
        "strategies": {"base": "2.5", "class_prompt": "2.5"},
        "generation": {
            "model": "a/b",
            "revision": None,
            "scheduler": "euler",
            "num_inference_steps": 20,
            "height_px": 64,
        },
        "images": {"resize_px": 32, "antialias": False, "format": "png", "quality": 95},
        "negative_prompt": "blurry",
    }
    options = drawing_options(study, job)
    config = CreateConfig(**options)
    assert (config.generator, config.scheduler, config.steps, config.height_px) == ("a/b", "euler", 20, 64)
    assert (config.resize_px, config.antialias, config.image_format) == (32, False, "png")
    assert (config.guidance_scale, config.negative_prompt) == ("2.5", "blurry")
    own = drawing_options(StudyConfig("five", "reference", "prompts.txt", generator="c/d", guidance_scale=7), job)
    assert (own["generator"], own["guidance_scale"], "scheduler" in own) == ("c/d", 7, False)
    with pytest.raises(UsageError, match=r"Expected guidance_scale, .* at several: 1:5, 7\.5"):
        drawing_options(study, {**job, "strategies": {"base": "7.5", "random_guidance": "1:5"}})
    with pytest.raises(UsageError, match="Expected generator to draw prompts with"):
        drawing_options(study, None)


def test_modifiers_stand_before_and_after_the_class():
    """The first prompt of the paper's Figure 10."""
    prompt = "beautiful, common, extremely small quail, with many other objects visible. Hyper-sharp."
    found = modifiers_of(prompt, "quail")
    assert {one.words for one in found if one.place == "before"} == {"beautiful", "common", "extremely", "small"}
    assert {one.words for one in found if one.place == "after"} == {"with many other objects visible", "Hyper-sharp"}
    assert modifiers_of("a quails' nest", "quail") == set()
    apart = told_apart(["an old quail", "a new quail", "an old quail, sharp"], "quail")
    assert {one.words: has.tolist() for one, has in apart.items()} == {
        "old": [True, False, True],
        "new": [False, True, False],
        "sharp": [False, False, True],
    }
    assert next(iter(apart)) == Modifier("before", "old")


def test_words_that_do_nothing_are_seldom_said_to_reach_the_images():
    """Of twenty words tried together in each of 100 studies, with 25 images each and 25 without."""
    rng = np.random.default_rng(0)
    tries = [[(rng.normal(0, 1, 25), rng.normal(0, 1, 25)) for _ in range(20)] for _ in range(100)]
    wrong = [any(one.reach == "reaches the images" for one in try_adherence(study)) for study in tries]
    assert np.mean(wrong) <= 0.1  # 5 % expected
    strong = [(rng.normal(1.5, 1, 25), rng.normal(0, 1, 25)) for _ in range(20)]
    assert all(one.reach == "reaches the images" for one in try_adherence(strong))
