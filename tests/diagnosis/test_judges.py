"""Judges: which of their classes stand for those of a set, and what they make of its images."""

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import synthset
from bars import NAMES, make_set
from synthset.classifiers.evaluate import evaluate
from synthset.classifiers.models import Classifier, ModelConfig, build_model, load_classifier, save_classifier
from synthset.classifiers.pretrained import load_pretrained
from synthset.core.errors import ModelError, UsageError
from synthset.diagnosis.inputs import DiagnosedSet
from synthset.diagnosis.judges import Judge, judge_sets, load_judge, load_network, read_outputs
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet
from synthset.report.reading import read_diagnosis
from synthset.testing import FakeEncoder

ARCHITECTURE = "test_resnet"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights with timm's names and a head of 1,000 classes."""
    path = tmp_path_factory.mktemp("weights") / "judge.safetensors"
    torch.manual_seed(0)
    save_file(timm.create_model(ARCHITECTURE).state_dict(), path)
    return path


class FirstPixels(nn.Module):
    """Logits are the red of the first row's pixels, amplified: an image says what it is to be taken for."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(20.0))

    def forward(self, pixels):
        return pixels[:, 0, 0] * self.scale


def judge_of(outputs, class_names=NAMES, own=tuple("abcd")):
    config = ModelConfig("small_cnn", own, len(own), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    return Judge("pixels", Classifier(config, FirstPixels()), tuple(class_names), outputs)


def images_of(rows, labels, class_names=NAMES):
    """Images whose first row holds these values, 0..255."""
    side = len(rows[0])
    files = []
    for row in rows:
        pixels = np.zeros((side, side, 3), np.uint8)
        pixels[0] = np.array(row, np.uint8)[:, None]
        files.append(encode(pixels))
    return ImageSet("drawn", tuple(class_names), np.array(labels, np.int64), files.__getitem__)


def test_a_pretrained_classifier_keeps_its_head(weights):
    classifier = load_pretrained(ARCHITECTURE, str(weights), "cpu")
    assert len(classifier.class_names) == 1000
    assert classifier.class_names[404] == "n02690373"
    model = timm.create_model(ARCHITECTURE)
    model.load_state_dict(load_file(weights))
    size = classifier.config.image_size_px
    pixels = torch.randint(0, 256, (2, 3, size, size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (classifier.config.mean, classifier.config.std))
    with torch.no_grad():
        expected = model.eval()((pixels / 255 - mean) / std)
    assert torch.allclose(classifier.predict(pixels), expected, atol=1e-4)


def test_weights_that_cannot_judge_are_refused(weights, tmp_path):
    tensors = load_file(weights)
    without = {name: value for name, value in tensors.items() if not name.startswith("fc.")}
    save_file(without, tmp_path / "headless.safetensors")
    save_file(
        {**without, "fc.weight": tensors["fc.weight"][:7], "fc.bias": tensors["fc.bias"][:7]},
        tmp_path / "7.safetensors",
    )
    for name, message in (("headless", "got none"), ("7", "got one for 7 others")):
        with pytest.raises(ModelError, match=f"with a head for ImageNet's classes, {message}"):
            load_network(f"{ARCHITECTURE}@{tmp_path / name}.safetensors", "cpu")
    with pytest.raises(ModelError, match=r"got 'none\.safetensors'"):
        load_network(f"{ARCHITECTURE}@none.safetensors")
    with pytest.raises(ModelError, match="Expected a classifier in 'none', found none"):
        load_network("./none")
    with pytest.raises(UsageError, match="got 'none', which is neither"):
        load_network("none")


def test_classes_are_found_by_name_and_by_wordnet_id_and_the_rest_is_left_out(weights):
    """CIFAR-10's airplane has no synset of that name; "crane" is two."""
    names = ("School_Bus", "n02690373", "goldfish", "airplane", "crane")
    judge = load_judge(f"{ARCHITECTURE}@{weights}", names, device="cpu")
    assert judge.outputs == ((779,), (404,), (1,), (), ())
    assert judge.words()["n02690373"] == ("airliner (n02690373)",)
    assert judge.known == [0, 1, 2]


def test_a_file_says_which_classes_of_the_judge_stand_for_one(weights, tmp_path):
    file = tmp_path / "classes.yaml"
    file.write_text("airplane: [airliner, n04552348]\ndog: n02085620:n02113978\n", encoding="utf-8")
    judge = load_judge(f"{ARCHITECTURE}@{weights}", ("airplane", "dog", "deer", "goldfish"), file, "cpu")
    assert judge.outputs == ((404, 895), tuple(range(151, 269)), (), (1,))  # 118 breeds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plane: airliner", "Unknown class in '.*': 'plane'"),
        ("airplane: [airliner, 5]", "one or several names for 'airplane'"),
        ("airplane: []", "one or several names for 'airplane'"),
        ("airplane: crane", "has no 'crane'. It may name several synsets"),
        ("airplane: n09999999:n09999999", "it has none from n09999999 to n09999999"),
        ("airplane: airliner\nship: n02690373", "'n02690373' stands for 'airplane' and 'ship'"),
    ],
)
def test_files_of_classes_that_cannot_be_are_refused(weights, tmp_path, text, message):
    file = tmp_path / "classes.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message) as caught:
        load_judge(f"{ARCHITECTURE}@{weights}", ("airplane", "ship", "goldfish"), file, "cpu")
    assert "\n" not in str(caught.value)


def test_a_judge_of_other_classes_is_refused_with_the_way_out(weights):
    with pytest.raises(UsageError, match=r"at least two of the classes foo, bar, .* knows 0.* judge_classes"):
        load_judge(f"{ARCHITECTURE}@{weights}", ("foo", "bar"), device="cpu")


def test_the_classes_of_a_model_of_ours_go_by_their_names(tmp_path):
    config = ModelConfig("small_cnn", ("ring", *NAMES[1:], NAMES[0]), 8)
    save_classifier(tmp_path / "model", build_model(config), config)
    judge = load_judge(tmp_path / "model", NAMES, device="cpu")
    assert judge.outputs == ((3,), (1,), (2,))
    file = tmp_path / "classes.yaml"
    file.write_text(f"{NAMES[0]}: [ring, {NAMES[0]}]", encoding="utf-8")
    assert read_outputs(file, NAMES, config.class_names) == {NAMES[0]: (0, 3)}


def test_a_trained_classifier_judges_in_the_order_of_the_images_classes(finished):
    images, folder = make_set(), finished.folder
    own = load_judge(folder, images.class_names).predict(images)
    assert (own.numpy() == images.labels).mean() == evaluate(load_classifier(folder), images).accuracy > 0.5
    assert len(set(own.tolist())) > 1
    k, names = len(images.class_names), images.class_names
    turned = ImageSet("turned", names[::-1], k - 1 - images.labels, images.read)
    assert load_judge(folder, names[::-1]).predict(turned).tolist() == (k - 1 - own).tolist()
    rolled = ImageSet("rolled", names[1:] + names[:1], (images.labels - 1) % k, images.read)
    assert load_judge(folder, rolled.class_names).predict(rolled).tolist() == ((own - 1) % k).tolist()


def test_a_class_with_many_outputs_does_not_win_by_their_number():
    """Four outputs of 0.15 against one of 0.4: as the classes are equally frequent, the one is likelier."""
    one, many = np.log([0.4, 0.15]) / 20
    row = np.rint((np.array([one, many, many, many, many]) - many) * 255)
    judge = judge_of(((0,), (1, 2, 3, 4), ()), own=tuple("abcde"))
    assert judge.predict(images_of([row, row[::-1]], [0, 1])).tolist() == [0, 1]
    assert judge.known == [0, 1]


def test_images_of_classes_that_the_judge_does_not_know_are_left_out(caplog):
    high, low = 255, 0
    rows = [[high, low, low, low], [low, high, low, low], [low, high, low, low], [low, low, low, high]]
    images = images_of(rows, [0, 0, 1, 2])
    judged = judge_sets(judge_of(((0, 2), (), (1,))), [DiagnosedSet("drawn", "synthetic", images)])
    assert judged.left_out == (NAMES[1],)
    assert f"does not know {NAMES[1]}" in caplog.text
    (of_set,) = judged.sets
    assert (of_set.images, of_set.accuracy) == (3, 1 / 3)
    assert 0 < of_set.low < 1 / 3 < of_set.high < 1
    assert [(row.rank, row.class_index, row.accuracy, row.taken_for) for row in judged.classes] == [
        (1, 2, 0.0, NAMES[0]),
        (2, 0, 0.5, NAMES[2]),
    ]


def test_a_diagnosis_with_a_judge_of_timms_shows_its_view_and_tries_heads_both_ways(weights, tmp_path):
    names = ("goldfish", "airliner", "deer")

    def images(name, seed):
        bars = make_set((3, 3, 3), seed=seed)
        return ImageSet(name, names, bars.labels, bars.read)

    source = f"{ARCHITECTURE}@{weights}"
    result = synthset.diagnose(
        [images("drawn", 0)],
        tmp_path / "out",
        real=images("photos", 1),
        judge=source,
        classifier=source,
        encoder=FakeEncoder(),
        cache=tmp_path / "cache",
        tsne_images=0,
        device="cpu",
    )
    assert [(row.set, row.kind, row.images) for row in result.judged.sets] == [
        ("photos", "real", 6),
        ("drawn", "synthetic", 6),
    ]
    note = json.loads((tmp_path / "out" / "diagnosis.json").read_text())
    assert note["judged"]["left_out"] == ["deer"]
    assert note["judged"]["meant"]["airliner"] == ["airliner (n02690373)"]
    assert set(note["head_transfer"]["drawn"]) == {"real_accuracy", "synthetic_accuracy", "chance", "real_by_synthetic"}
    table = read_diagnosis(tmp_path / "out").judged
    assert table.num_rows == 4
    page = (tmp_path / "out" / "report.html").read_text()
    assert "A judge&#39;s view" in page or "A judge's view" in page
    assert "airliner (n02690373)" in page
    assert Path(tmp_path / "out" / "judged.csv").is_file()
    with pytest.raises(UsageError, match="Expected judge with judge_classes"):
        synthset.diagnose([images("drawn", 0)], tmp_path / "out", judge_classes="x.yaml", encoder=FakeEncoder())
