"""The findings as declared: all of them, once, each with a rule that reads what is measured, at every scale."""

from functools import cache

import pytest
import yaml

from synthset.core.errors import UnknownNameError
from synthset.findings import he2023, marwood2023, shipard2023
from synthset.findings.plan import experiments_of, rehearse
from synthset.findings.registry import SCALES, find_findings, papers
from synthset.recipes import find_recipe
from synthset.tuning.config import TuneConfig, resolve_config

NAMES = [f"F{number}" for number in range(1, 33)]


@cache
def experiments(scale, seeds=1):
    return experiments_of(find_findings(["all"]), scale, seeds)


def names_of(*words):
    return [finding.name for _, finding in find_findings(words)]


def test_every_finding_of_the_papers_is_there_once_and_in_order():
    assert names_of("all") == [*NAMES, "B"]
    assert names_of("shipard2023") == NAMES[:9]
    assert names_of("he2023") == NAMES[9:22]
    assert names_of("marwood2023") == [*NAMES[22:], "B"]


def test_findings_are_taken_in_order_and_once_however_they_are_named():
    assert names_of("f24", "F3", "F24") == ["F3", "F24"]
    assert names_of("he2023", "F10", "f1") == ["F1", *NAMES[9:22]]


def test_an_unknown_name_says_which_there_are():
    with pytest.raises(UnknownNameError, match=r"Unknown finding 'F33'\..* Valid: F1, …, F32, B, shipard2023, he2023"):
        find_findings(["F1", "F33"])


@pytest.mark.parametrize("scale", SCALES)
def test_every_rule_reads_what_is_measured(scale):
    for one in experiments(scale):
        if one.reason:
            assert not one.figures
            continue
        labels = [*one.finding.rule(one.settings).labels()]
        assert labels, one.finding.name
        assert {*labels} <= one.figures[0].keys(), one.finding.name


def test_what_is_published_is_said_once_and_in_its_unit():
    for paper in papers():
        for finding in paper.findings:
            labels = [one.label for one in finding.published]
            assert len(labels) == len({*labels}), finding.name
            if finding.unit == "percent":
                assert all(-0.1 < one.value <= 1 for one in finding.published), finding.name
            for scale in finding.unmeasurable or {}:
                assert scale in paper.scales


def test_of_the_32_all_are_measured_on_the_miniature():
    for scale in ("miniature", "quick"):
        assert [one.finding.name for one in experiments(scale) if one.reason] == []


def test_seeds_share_nothing_that_is_drawn():
    of_seed = [
        {work for one in experiments("quick", 2) for value in one.figures[seed].values() for work in value.all_work()}
        for seed in range(2)
    ]
    assert of_seed[0].isdisjoint(of_seed[1])
    assert len(of_seed[0]) == len(of_seed[1])


# ---- the plan: at the scale of the papers it is all that can be tested here ----------------------------------


def planned(folder, scale, *names):
    return rehearse([one for one in experiments(scale) if one.finding.name in names], scale, 1, folder)


def test_the_plan_counts_what_is_shared_once_and_writes_nothing(tmp_path):
    alone = planned(tmp_path / "none", "quick", "F1")
    both = planned(tmp_path / "none", "quick", "F1", "F2", "F3")
    assert alone.images == both.images == 4 * 10 * 10  # tricks, classes, images: one drawing
    assert {one.kind: one.pieces for one in alone.kinds} == {"draw": 1, "train": 2, "test": 2}
    assert {one.kind: one.pieces for one in both.kinds} == {"draw": 1, "train": 5, "test": 5}
    assert both.seconds > alone.seconds > 0
    assert not (tmp_path / "none").exists()


def test_the_papers_counts(tmp_path):
    def images(*names):
        return planned(tmp_path, "paper", *names).images

    tricks = 4 * 50_000 + 4 * 50_000 + 3 * 27_000  # CIFAR-10, CIFAR-100 and EuroSAT, each as often as its tricks
    assert images("F1") == images("F1", "F2", "F3", "F4", "F6", "F8", "F9") == tricks
    full_size = 2 * 50_000 + 27_000  # base images that are stored as they were drawn
    assert images("F1", "F5") == tricks + full_size
    assert images("F24") == 2 * 1_250_000
    assert images("F20") == 2_400_000


def test_hours_of_a_gpu_are_reckoned_from_the_drawn_images(tmp_path):
    plan = planned(tmp_path, "paper", "F24")
    rows = 2 * 1_250_000 * 50 * 2  # sets, images, steps, with and without the prompt
    (drawing,) = [one for one in plan.kinds if one.kind == "draw"]
    assert drawing.cost.unet_rows == rows
    assert drawing.seconds == pytest.approx(rows * 0.80 / (312 * 0.4))
    assert plan.device == "gpu"
    assert plan.seconds > drawing.seconds


def test_what_cannot_be_measured_there_is_named_with_its_reason(tmp_path):
    plan = planned(tmp_path, "paper", "F23", "F24")
    assert plan.findings == ("F24",)
    assert "not published" in plan.unmeasurable["F23"]


DEFAULTS = {"antialias": True, "guidance_scale": 7.5}


def drawn_by_paper():
    """A drawing of a finding, and the recipe that it is of."""
    shipard, he, marwood = shipard2023.paper_scale(), he2023.paper_scale(), marwood2023.paper_scale()
    for task, name in zip(shipard.tasks, ("cifar10", "cifar100", "eurosat-all-combined"), strict=True):
        yield shipard2023.all_tricks(shipard, task, 0), f"shipard2023/{name}"
    for task in he.tasks:
        yield he2023._draw(he, task, 0, he2023.LE), f"he2023/{task.real}-zero-shot"
    real = {"initial_images": "eurosat", "shots": 16, "images_per_class": he.guided_per_class}
    yield he2023._draw(he, he.tasks[0], 0, he.guided_strategy, **real), "he2023/eurosat-few-shot"
    for kind, name in ((marwood2023.CLARIFIED, "synset"), (marwood2023.LOW, "disamb2.5")):
        yield marwood2023._draw(marwood, 0, kind), f"marwood2023/{name}"


def test_drawings_are_those_of_the_recipes():
    for drawing, name in drawn_by_paper():
        recipe = yaml.safe_load(find_recipe(name).text)["create"]
        own = DEFAULTS | dict(drawing.options) | {"images_per_class": drawing.images_per_class}
        own["resize"] = own.get("resize_px")
        own["sentences"] = own["sentences"].count if "sentences" in own else None
        same = ("generator", "scheduler", "steps", "images_per_class", "guidance_scale", "literal_articles", "template")
        same += ("satellite", "satellite_base", "shots", "sentences", "resize")
        for option in same:
            if option in recipe:
                assert own.get(option) == recipe[option], (name, option)
        words = recipe.get("sentence_template", "{sentence}")
        assert own.get("sentence_template", "{sentence}") == words, name
        assert bool(drawing.phrases) == ("phrases" in recipe), name


def test_classifiers_are_those_of_the_recipes():
    shipard = shipard2023.paper_scale()
    for task in shipard.tasks:
        recipe = yaml.safe_load(find_recipe(f"shipard2023/{task.real}").text)["train"]
        network = shipard2023.train_on(shipard, task, shipard2023.Drawn(shipard2023.all_tricks(shipard, task, 0)), 0)
        assert network.architecture == recipe["model"]
        assert dict(network.options) == {
            "recipe": recipe["recipe"],
            "dataset": recipe["dataset"],
            "validation_fraction": recipe["validation_fraction"],
        }
    he = he2023.paper_scale()
    for task in he.tasks:
        recipe = yaml.safe_load(find_recipe(f"he2023/{task.real}-zero-shot").text)
        ((_, finding),) = find_findings(["F10"])
        tune = finding.figures(he, 0)[f"tuned on synthetic images, {task.title}"].work
        settled = resolve_config(TuneConfig(**dict(tune.options)))
        names = {"templates": "template"}
        for name in ("clip", "loss", "epochs", "batch_size", "learning_rate", "weight_decay", "templates"):
            wanted = recipe["tune"][names.get(name, name)]
            assert getattr(settled, name) == (tuple(wanted) if isinstance(wanted, list) else wanted), name
        assert settled.validation_fraction == recipe["tune"]["validation_fraction"]
        judged = dict(tune.images.filtered.options)
        assert judged["templates"] == tuple(recipe["filter"]["template"])
        assert (judged["encoder"], judged["keep_count"]) == ("RN50", recipe["filter"]["keep_count"])
    own = he.pretraining
    recipe = yaml.safe_load(find_recipe("he2023/cifar100-pretrain").text)
    assert own.less == (he2023.LE, recipe["create"]["images_per_class"])
    assert own.images_per_class == 2 * own.less[1]  # the next of the paper's numbers
    assert len(own.classes) == 100
    assert dict(own.supervised)["epochs"] == recipe["pretrain"]["epochs"]
