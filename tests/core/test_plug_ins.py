"""Packages add parts by entry points: found by names that Synthset does not know, recorded, and never in its way."""

import importlib
import json
import re
import sys

import pytest

from synthset.core import plug_ins
from synthset.core.errors import ConfigChangedError, ModelError, UnknownNameError, UsageError
from synthset.core.plug_ins import find_plug_in, plug_in_names
from synthset.create.config import CreateConfig
from synthset.create.stage import create
from synthset.encoders.clip import load_encoder
from synthset.filters import clear_filters, filter_dataset
from synthset.generators.loading import load_generator
from synthset.generators.plug_in import plug_in_of
from synthset.prompts.strategies import STRATEGIES, find_strategy, readers, select_rows, strategy_name

CODE = """
from dataclasses import replace
import numpy as np
from synthset.filters.base import Filter, Judgement
from synthset.prompts.strategies import Strategy
from synthset.testing import FakeEncoder, FakeGenerator

def close_up_prompt(class_name, index, style):
    return f"a close-up of {style.article(style.noun(class_name))}"

CLOSE_UP = Strategy("any", "a close-up", close_up_prompt)
BROKEN_PROMPT = Strategy("any", "fails", lambda class_name, index, style: 1 / 0)
EVEN = Filter(
    lambda class_names, inputs: {"threshold": None},
    lambda images, inputs: Judgement(np.arange(len(images)) % 2 == 0, np.zeros(len(images)), [""] * len(images)),
)

def noise(*, num_inference_steps=40):
    return FakeGenerator(size_px=8 + num_inference_steps % 40)

def fake():
    return FakeEncoder()

def long_vectors():
    encoder = FakeEncoder()
    encoder.texts = lambda texts: FakeEncoder.texts(encoder, texts) * 2
    return encoder

SURROGATE_PROMPT = Strategy("any", "half a character", lambda class_name, index, style: "\\ud800")

def answering(change):
    def make():
        generator = FakeGenerator(size_px=8)
        draw = generator.generate
        generator.generate = lambda requests: change(draw(requests))
        return generator
    return make

def with_pixels(change):
    return answering(lambda images: [replace(image, pixels=change(image.pixels)) for image in images])

nothing = answering(lambda images: None)
too_few = answering(lambda images: images[:-1])
no_list = answering(iter)
bare = answering(lambda images: [image.pixels for image in images])
grey = with_pixels(lambda pixels: pixels[..., 0])
cut = with_pixels(lambda pixels: pixels[:4])
floats = with_pixels(lambda pixels: pixels / 255)
failed = {"pixels": None, "status": "failed"}
odd_reason = answering(lambda images: [replace(image, **failed, reason="\\ud800") for image in images])
crashing = answering(lambda images: 1 / 0)

def judging(keep=None, settings={"threshold": None}, **other):
    def judge(images, inputs):
        n = len(images)
        made = {"keep": np.ones(n, bool), "score": np.zeros(n), "reasons": [""] * n, **other}
        return None if keep == "none" else Judgement(**made)
    return Filter(lambda class_names, inputs: settings, judge)

no_judgement = judging("none")
one_answer = judging(keep=None, **{"score": np.zeros(1)})
no_text = judging(reasons=["\\ud800"] * 4)
no_settings = judging(settings=None)
no_json = judging(settings={"a": object()})
ends = Filter(lambda class_names, inputs: {}, lambda images, inputs: exit(3))

def full(images):
    raise MemoryError
without_memory = answering(lambda images: images if len(images) == 1 else full(images))

def fails():
    raise RuntimeError("no licence\\nat line 3")
"""
POINTS = """
[synthset.strategies]
close_up = toy_plug_ins:CLOSE_UP
base = toy_plug_ins:CLOSE_UP
broken_prompt = toy_plug_ins:BROKEN_PROMPT
no_strategy = toy_plug_ins:noise
gone = toy_plug_ins:GONE
surrogate_prompt = toy_plug_ins:SURROGATE_PROMPT
Not_A_Name = toy_plug_ins:CLOSE_UP
[synthset.filters]
even = toy_plug_ins:EVEN
{filters}[synthset.generators]
noise = toy_plug_ins:noise
miniature = toy_plug_ins:noise
no_generator = toy_plug_ins:fake
failing = toy_plug_ins:fails
constant = toy_plug_ins:CLOSE_UP
{generators}[synthset.encoders]
fake = toy_plug_ins:fake
long_vectors = toy_plug_ins:long_vectors
no_encoder = toy_plug_ins:noise
"""


GENERATORS = (
    "nothing",
    "too_few",
    "no_list",
    "bare",
    "grey",
    "cut",
    "floats",
    "odd_reason",
    "crashing",
    "without_memory",
)
FILTERS = ("no_judgement", "one_answer", "no_text", "no_settings", "no_json", "ends")
POINTS = POINTS.format(
    filters="".join(f"{name} = toy_plug_ins:{name}\n" for name in FILTERS),
    generators="".join(f"{name} = toy_plug_ins:{name}\n" for name in GENERATORS),
)


def write_package(folder, name="toy-plug-ins", version="1.0", points=POINTS, code=CODE):
    """A package as pip installs one: a module, and a folder that says what it adds."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(points)
    (folder / f"{name.replace('-', '_')}.py").write_text(code)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """`install(version="2.0")`: the package is there, and no other version of it."""

    def forget():
        find_plug_in.cache_clear()
        importlib.invalidate_caches()
        for name in ("toy_plug_ins", "other_plug_ins"):
            sys.modules.pop(name, None)

    def install_package(**package):
        folder = tmp_path / "site" / package.get("version", "1.0") / package.get("name", "")
        write_package(folder, **package)
        monkeypatch.syspath_prepend(str(folder))
        forget()
        return folder

    yield install_package
    forget()


def job_of(folder):
    return json.loads((folder / "manifest.json").read_text())["job"]


def test_a_strategy_draws_and_its_version_belongs_to_the_job(install, tmp_path):
    first = install()
    out, options = tmp_path / "out", {"images_per_class": 2, "generator": "noise"}
    create(["cat", "dog"], out, strategies=["base", "Close-Up@1:5"], **options)
    job = job_of(out)
    assert job["plugins"] == {"close_up": {"package": "toy-plug-ins", "version": "1.0"}}
    assert job["strategies"] == {"base": "7.5", "close_up@1:5": "1:5"}
    assert job["generation"]["plugin"] == {"name": "noise", "package": "toy-plug-ins", "version": "1.0"}
    assert create(["cat", "dog"], out, strategies=["base", "close_up@1:5"], **options).drawn == 0
    sys.path.remove(str(first))
    install(version="2.0")
    with pytest.raises(ConfigChangedError, match=r'plugins\.close_up\.version: "1\.0" there, "2\.0" here'):
        create(["cat", "dog"], out, strategies=["base", "close_up@1:5"], **options)
    with pytest.raises(ConfigChangedError, match=r'generation\.plugin\.version: "1\.0" there, "2\.0" here'):
        create(["cat", "dog"], out, strategies=["base", "close_up@1:5"], **options)


def test_a_name_of_ours_means_ours(install):
    install()
    assert find_strategy("base") is STRATEGIES["base"]
    assert plug_in_of("miniature") is plug_in_of("some/model") is None
    assert plug_in_of("noise") is not None
    assert readers("phrases", ["close_up"]) == ["close_up"]


def test_a_dataset_is_read_where_the_package_is_not():
    assert select_rows(["base", "close_up", "close_up"], [0, 0, 1], "close_up") == [1, 2]


def test_packages_are_asked_for_unknown_names_alone(install, monkeypatch):
    install(code="raise SystemExit('never loaded')")
    monkeypatch.setattr(plug_ins, "entry_points", lambda **kwargs: pytest.fail("asked"))
    assert strategy_name("Multi-Domain@1:5") == "multi_domain@1:5"
    CreateConfig(refill="clip")
    assert plug_in_of("miniature") is None
    load_encoder("miniature")


def test_an_unknown_name_lists_those_of_packages(install, run, own_folder):
    install(code="raise SystemExit('never loaded')")
    with pytest.raises(
        UnknownNameError, match=r"Did you mean 'close_up'\? Valid: base, .*broken_prompt, close_up, gone"
    ):
        strategy_name("closeup")
    with pytest.raises(UnknownNameError, match=r"Valid: clip, .*, even, no_json, .*\."):
        CreateConfig(refill="odd")
    with pytest.raises(ModelError, match=r"Expected 'miniature', .*'noise', .*a checkpoint's folder"):
        load_generator("nois")
    with pytest.raises(UnknownNameError, match=r"Valid: miniature, .*fake, long_vectors"):
        load_encoder("fakes")
    assert "Not_A_Name" not in plug_in_names("strategy")
    code, out, err = run("create", "--classes", "one", "--strategy", "closeup")
    assert (code, out) == (2, "")
    assert "close_up" in err


@pytest.mark.parametrize("code", ["raise ImportError('no torch9\\nsorry')", "def (", "raise SystemExit(1)"])
def test_a_broken_package_is_one_line_that_names_it(install, run, own_folder, code):
    install(code=code)
    code, out, err = run("create", "--classes", "one", "--strategy", "close_up", "--dry-run")
    assert (code, out) == (2, "")
    assert "the strategy 'close_up' of the package 'toy-plug-ins' 1.0, which cannot be loaded (" in err
    assert "uninstall it: pip uninstall toy-plug-ins" in " ".join(err.split())
    assert "Traceback" not in err
    assert not list(own_folder.glob("dataset*"))


def test_what_is_no_strategy_generator_or_encoder_is_refused(install):
    install()
    with pytest.raises(UsageError, match=r"package 'toy-plug-ins' 1\.0, which cannot be loaded \(Attribute"):
        find_strategy("gone")
    with pytest.raises(UsageError, match=r"Strategy of the strategy 'no_strategy' of the package .* got function"):
        find_strategy("no_strategy")
    with pytest.raises(ModelError, match=r"to work, it fails \(ZeroDivisionError: division by zero\)"):
        CreateConfig(strategies=("broken_prompt",)).runs()
    with pytest.raises(
        UsageError, match="Expected prompts that are text in Unicode of the strategy 'surrogate_prompt'"
    ):
        CreateConfig(strategies=("surrogate_prompt",)).runs()
    with pytest.raises(UsageError, match=r"an object with 'config', .* got one that gives FakeEncoder"):
        load_generator("no_generator")
    with pytest.raises(UsageError, match="Expected a function that gives the generator of the generator 'constant'"):
        load_generator("constant")
    with pytest.raises(ModelError, match=r"it fails \(RuntimeError: no licence\)\. Tell those who make") as error:
        load_generator("failing")
    assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match="got one without fingerprint, dimension, logit_scale, images, texts"):
        load_encoder("no_encoder")
    with pytest.raises(UsageError, match=r"Expected unit rows, torch.float32 \(2, 16\), of the encoder 'long_vectors'"):
        load_encoder("long_vectors").texts(["a", "b"])


def test_a_generator_gets_the_options_that_somebody_gives(install):
    install()
    assert load_generator("noise").config.width_px == 8
    assert load_generator("noise", num_inference_steps=3).config.width_px == 11
    with pytest.raises(UsageError, match=r"options that the generator 'noise' .* takes, got scheduler .*Leave it out"):
        load_generator("noise", scheduler="ddim")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "nothing",
            "Expected a list of 4 answers, .* of the generator 'nothing' of the package 'toy-plug-ins' 1.0, got N",
        ),
        ("too_few", "a list of 4 answers, .*, got 3"),
        ("no_list", "a list of 4 answers, .*, got list_iterator"),
        ("bare", "Expected answers that are a GeneratedImage of the generator 'bare' .* got ndarray"),
        ("grey", r"pixels of uint8 \(8, 8, 3\), .* got uint8 \(8, 8\)"),
        ("cut", r"pixels of uint8 \(8, 8, 3\), .* got uint8 \(4, 8, 3\)"),
        ("floats", r"pixels of uint8 \(8, 8, 3\), .* got float64 \(8, 8, 3\)"),
        ("odd_reason", "Expected answers that are a GeneratedImage"),
        ("crashing", r"the generator 'crashing' of the package .* to work, it fails \(ZeroDivisionError"),
    ],
)
def test_answers_that_are_none_of_a_generators_end_it_and_name_the_package(install, run, own_folder, name, message):
    install()
    line = ["--classes", "cat", "dog", "--images-per-class", "2", "--generator", name, "--output-dir", "out"]
    code, _, err = run("create", *line)
    assert code in (1, 2)
    assert re.search(message, " ".join(err.split()))
    assert "Traceback" not in err


def test_a_generator_of_a_package_that_runs_out_of_memory_is_asked_for_less(install, tmp_path):
    install()
    result = create(["cat", "dog"], tmp_path / "out", images_per_class=2, generator="without_memory")
    assert result.accounting.ok == 4


def test_a_filter_judges_and_its_verdicts_name_the_package(install, tmp_path):
    install()
    create(["cat", "dog"], tmp_path / "out", images_per_class=2, generator="noise")
    result = filter_dataset(tmp_path / "out", "even", encoder=load_encoder("fake"))
    assert result.keep.tolist() == [True, False, True, False]
    assert result.verdicts["even"].config["plugin"] == {"package": "toy-plug-ins", "version": "1.0"}
    assert clear_filters(tmp_path / "out") == ["even"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "no_judgement",
            "filters.base.Judgement of the filter 'no_judgement' of the package .* got NoneType",
        ),
        ("one_answer", r"score \(4,\) and 4 reasons .* got bool \(4,\), \(1,\) and 4"),
        ("no_text", "reasons that are text in Unicode"),
        ("no_settings", "settings that are a mapping as JSON can hold it"),
        ("no_json", "settings that are a mapping as JSON can hold it"),
        ("ends", r"the filter 'ends' of the package .* to work, it fails \(SystemExit"),
    ],
)
def test_answers_that_are_none_of_a_filters_write_nothing_and_name_the_package(install, tmp_path, name, message):
    install()
    create(["cat", "dog"], tmp_path / "out", images_per_class=2, generator="noise")
    with pytest.raises((UsageError, ModelError), match=message):
        filter_dataset(tmp_path / "out", name, encoder=load_encoder("fake"))
    assert not (tmp_path / "out" / "filters").exists()


def test_refilling_by_a_filter_of_a_package_is_part_of_the_job(install, tmp_path):
    install()
    options = {"images_per_class": 2, "generator": "noise", "refill": "even", "encoder": load_encoder("fake")}
    create(["cat", "dog"], tmp_path / "out", **options)
    assert job_of(tmp_path / "out")["refill"]["plugin"] == {"package": "toy-plug-ins", "version": "1.0"}


def test_another_version_has_another_fingerprint(install):
    first = install()
    one = load_encoder("fake")
    assert one.texts(["a", "b"]).shape == (2, 16)
    sys.path.remove(str(first))
    install(version="1.1")
    assert load_encoder("fake").fingerprint != one.fingerprint
    assert one.name == "fake"


def test_a_name_that_two_packages_have_is_refused(install):
    install()
    install(name="other-plug-ins", points="[synthset.strategies]\nclose_up = other_plug_ins:CLOSE_UP\n")
    with pytest.raises(UsageError, match=r"one package with the strategy 'close_up', got .*'toy-plug-ins'"):
        find_strategy("close_up")
