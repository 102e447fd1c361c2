"""The papers' runs: every option of every recipe is one of its command, and the counts are those of the papers."""

import functools
from dataclasses import replace
from pathlib import Path

import pytest

from synthset.classifiers.architectures import resolve_architecture
from synthset.classifiers.recipes import paper_weight_decay
from synthset.cli import commands, main
from synthset.cli.create import _config
from synthset.core.errors import UnknownNameError
from synthset.detection.config import DetectConfig
from synthset.encoders.templates import has_place, named_templates
from synthset.pretraining.config import PretrainConfig
from synthset.prompts.class_lists import expand_list
from synthset.prompts.strategies import TRICKS
from synthset.real import find_set
from synthset.recipes import find_recipe, known_recipes
from synthset.tuning.config import check_read, resolve_config

PLACES = {"train": ["data"], "filter": ["data"], "tune": ["data"], "diagnose": ["data"], "eval": ["clip:RN50"]}
PLACES |= {"pretrain": ["data"], "detect": ["backbone", "--real", "VOCdevkit"]}
RUNS = [(name, command) for name, recipe in known_recipes().items() for command in recipe.commands]


@pytest.fixture
def call(monkeypatch):
    """`call("create", "shipard2023/cifar10", "--steps", "3")`: what the command's function would be called with."""

    def run(name, recipe, *words):
        command, called = commands.load_command(name), {}

        @functools.wraps(command.function)
        def catch(**arguments):
            called.update(arguments)

        monkeypatch.setitem(commands._COMMANDS, name, replace(command, function=catch))
        assert main([name, *PLACES.get(name, []), "--config", f"recipe:{recipe}", *words]) == 0
        return called

    return run


def created(call, recipe, *words):
    """The config of `create`, and the number of classes."""
    called = call("create", recipe, *words)
    config, dataset = _config(called["call"], called["given"], called["short"]), called["call"].dataset
    return config, find_set(dataset).num_classes if dataset else len(expand_list(called["call"].classes))


@pytest.mark.parametrize(("recipe", "command"), RUNS)
def test_a_command_understands_every_option(call, recipe, command):
    if command == "create":
        assert created(call, recipe)[0].generator != "miniature"
        return
    called = call(command, recipe)
    if command == "tune":
        config = called["given"].build({("shots",): called["call"].shots[0]})
        resolve_config(config)
        check_read(config, has_synthetic=True, has_shots=any(called["call"].shots))
        assert all(named_templates(name) for name in config.templates)
    elif command == "eval":
        assert all(named_templates(name) for name in called["call"].templates)
    elif command == "filter":
        assert all(has_place(template) for template in called["given"].build().templates)
    elif command == "train":
        assert called["config"].recipe in ("shipard2023", "auto")
    elif command == "pretrain":
        assert called["config"].weights == "none"
        resolve_architecture(called["config"].architecture)


@pytest.mark.parametrize(
    ("recipe", "counts", "total"),
    [
        (
            "shipard2023/cifar10",
            dict.fromkeys(TRICKS, 5000),
            200_000,
        ),
        ("shipard2023/cifar100", dict.fromkeys(("base", "multi_domain", "random_guidance"), 500), 150_000),
        ("shipard2023/eurosat", {"random_guidance": 5400}, 54_000),
        (
            "shipard2023/eurosat-all-combined",
            dict.fromkeys(("base", "multi_domain", "random_guidance"), 2700),
            81_000,
        ),
        ("marwood2023/synset", {"class_prompt": 1250}, 1_250_000),
        ("marwood2023/disamb2.5", {"class_prompt": 1250}, 1_250_000),
        ("marwood2023/promptaug", {"prompt_augmentation": 1250}, 1_250_000),
        ("he2023/eurosat-zero-shot", {"language_enhancement": 2000}, 20_000),
        ("he2023/eurosat-few-shot", {"base": 800}, 8000),
        ("he2023/cub-zero-shot", {"language_enhancement": 2000}, 400_000),
        ("he2023/cifar100-pretrain", {"language_enhancement": 12_000}, 1_200_000),
        ("he2023/in1k-pretrain", {"language_enhancement": 1200}, 1_200_000),
        ("he2023/in2k-pretrain-moco", {"language_enhancement": 1200}, 2_400_000),
    ],
)
def test_the_counts_are_those_of_the_papers(call, recipe, counts, total):
    config, num_classes = created(call, recipe)
    assert {run.name: run.images_per_class for run in config.runs()} == counts
    assert num_classes * sum(counts.values()) == total


def test_shipard_to_the_letter(call):
    prompts = {}
    for name in ("shipard2023/cifar10", "shipard2023/eurosat", "shipard2023/eurosat-all-combined"):
        config, _ = created(call, name)
        prompts[name] = {run.name: (run.prompt("annual crop", 1), str(run.guidance)) for run in config.runs()}
        assert (config.scheduler, config.steps, config.antialias) == ("ddim", 40, name.endswith("cifar10"))
    assert prompts["shipard2023/cifar10"] == {
        "base": ("an image of a annual crop", "7.5"),
        "class_prompt": ("annual crop", "7.5"),
        "multi_domain": ("a drawing of a annual crop", "7.5"),
        "random_guidance": ("an image of a annual crop", "1:5"),
    }
    assert prompts["shipard2023/eurosat"] == {"random_guidance": ("an image of a annual crop", "1:5")}
    assert prompts["shipard2023/eurosat-all-combined"] == {
        "base": ("an image of a annual crop", "7.5"),
        "multi_domain": ("a satellite photo of a annual crop in the style of a drawing", "7.5"),
        "random_guidance": ("an image of a annual crop", "1:5"),
    }
    for name, decay in (("cifar10", 0.9), ("cifar100", 0.9), ("eurosat", 0.3)):
        config = call("train", f"shipard2023/{name}")["config"]
        assert paper_weight_decay(config.architecture, config.dataset) == decay
        assert config.validation_fraction == 0


def test_he_on_seventeen_sets_and_on_eight(call):
    names = [name for name in known_recipes() if name.startswith("he2023/")]
    assert (sum("-zero-shot" in name for name in names), sum("-few-shot" in name for name in names)) == (17, 8)
    for name, around in (("cub", "a photo of S, a type of bird"), ("imagenet-sketch", "sketch of S"), ("pets", "S")):
        (run,) = created(call, f"he2023/{name}-zero-shot")[0].runs()
        assert replace(run, style=replace(run.style, sentences={"c": ("S",)})).prompt("c", 0) == around
    assert call("filter", "he2023/dtd-zero-shot")["given"].build().keep_count == 800
    assert call("filter", "he2023/imagenet-zero-shot")["given"].build().templates == ("a photo of a {class:he2023}.",)
    config = call("tune", "he2023/eurosat-few-shot")["given"].build()
    assert (config.use_of_shots, config.loss, config.learning_rate) == ("real_guidance", "sce", 1e-3)


def test_he_pre_trains_as_the_public_code_that_its_baselines_equal(call):
    names = {name for name in known_recipes() if "-pretrain" in name or "detect" in name}
    kinds = ("cifar100-pretrain", "in1k-pretrain", "in2k-pretrain")
    more = {f"{name}-{kind}" for name in kinds[1:] for kind in ("moco", "deit")}
    assert names == {f"he2023/{name}" for name in {*kinds, *more, "detect-voc"}}
    for name in names:
        text = " ".join(known_recipes()[name].text.replace("#", " ").split())
        assert "by inference, and not the paper's values" in text
    assert call("pretrain", "he2023/in1k-pretrain-moco")["config"] == PretrainConfig(
        "moco", "resnet50", "none", 224, epochs=200, learning_rate=0.03, warmup_epochs=0, queue_size=65_536
    )
    config = call("pretrain", "he2023/in2k-pretrain-deit")["config"]
    assert config.learning_rate == pytest.approx(5e-4 * config.batch_size / 512)
    assert (config.mixup, config.cutmix, config.label_smoothing, config.weight_decay) == (0.8, 1.0, 0.1, 0.05)
    detect = call("detect", "he2023/detect-voc")["config"]
    usual = DetectConfig(("2007-trainval", "2012-trainval"), architecture="resnet50", form="c4", learning_rate=0.02)
    assert replace(detect, drops=usual.drops) == usual
    assert [round(share * detect.iterations) for share in detect.drops] == [18_000, 22_000]


def test_what_is_given_wins_and_the_line_says_so(call, capsys, tmp_path):
    config, _ = created(call, "shipard2023/cifar10", "--steps", "3", "--no-antialias")
    assert (config.steps, config.antialias) == (3, False)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("by recipe:shipard2023/cifar10 (CIFAR-10 by the bag of tricks: Shipard et al. 2023")
    assert line.endswith("; given otherwise: steps, antialias")
    own = tmp_path / "own.yaml"
    own.write_text("steps: 5\n")
    assert created(call, "shipard2023/cifar10", "--config", str(own))[0].steps == 40  # the first file that has it


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("create --config recipe:he2023/eurosat", "Unknown recipe 'he2023/eurosat'. Did you mean 'he2023/eurosat-"),
        ("create --config recipe:shipard2023/cifar", "Valid: shipard2023/cifar10, shipard2023/cifar100. 'synthset"),
        ("recipes shipard/cifar10", "Did you mean 'shipard2023/cifar10'? Valid: shipard2023/cifar10, shipard2023/"),
        ("recipes marwood2023/x", "Valid: marwood2023/disamb2.5, marwood2023/promptaug, marwood2023/synset."),
        (
            "tune d --config recipe:shipard2023/cifar10",
            "Expected one of create, train, eval, diagnose with 'recipe:",
        ),
    ],
)
def test_a_name_that_is_none(line, said, capsys):
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def test_a_recipe_is_a_file_to_copy(capsys, tmp_path, call):
    assert main(["recipes", "shipard2023/eurosat"]) == 0
    text = capsys.readouterr().out
    assert text == (Path(commands.__file__).parents[1] / "recipes/shipard2023/eurosat.yaml").read_text()
    copy = tmp_path / "mine.yaml"
    copy.write_text(text.replace("5400", "7"))
    called = call("create", "shipard2023/eurosat")  # catches the command
    assert main(["create", "--config", str(copy)]) == 0
    config = _config(called["call"], called["given"], called["short"])
    assert config.images_per_class == 7
    capsys.readouterr()
    assert main(["recipes"]) == 0
    listed = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in listed] == list(known_recipes())


def test_every_value_says_where_it_stands():
    for name, recipe in known_recipes().items():
        values = [line for line in recipe.text.splitlines() if line.startswith("  ")]
        silent = [line for line in values if "# " not in line and line.split(":")[0].strip() not in ("dataset", "real")]
        assert silent == [], name
        assert all(len(line) <= 120 for line in recipe.text.splitlines()), name
        is_tested = not name.startswith("marwood") and "-pretrain" not in name and "detect" not in name
        assert ("best on the test set" in " ".join(recipe.text.split())) is is_tested, name
        assert "$" not in recipe.text


def test_names_may_be_said_in_full():
    assert find_recipe("recipe:Shipard2023/CIFAR10.yaml").title.startswith("CIFAR-10")
    with pytest.raises(UnknownNameError, match="Unknown recipe ''"):
        find_recipe("recipe:")


@pytest.mark.parametrize("name", ["he2023/", "he2023/cifar-zero", "nothing", ""])
def test_a_name_that_is_none_names_the_nearest_alone(name):
    with pytest.raises(UnknownNameError) as caught:
        find_recipe(name)
    assert 0 < str(caught.value).count("/", len(f"Unknown recipe '{name}'")) <= 9  # eight, and the one that was meant
