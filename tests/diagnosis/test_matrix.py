"""The matrix beside a recomputation in plain numpy: the sets of Marwood et al. 2023, Table 6, in small."""

import json

import numpy as np
import pytest
import torch

import synthset
from synthset.diagnosis.inputs import DiagnosedSet, DistinctPrompts, embed_set
from synthset.diagnosis.matrix import average_pairings, merge_prompts, merged_prompts, pair_sets
from synthset.diagnosis.rows import Pairing
from synthset.diagnosis.summaries import summarise
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet

NAMES = ("jay", "crane", "drake")
EACH = 16
LOOKS = ("old", "small", "bright", "blurred", "common", "ugly")


class NoisyEncoder:
    """Images lie near the corner that their blue names, texts near that of the class which they name; all scattered."""

    name, fingerprint, dimension, logit_scale = "noisy", "a0", 8, 100.0

    def images(self, images):
        pixels = np.stack([np.asarray(image, np.float64) for image in images]).reshape(len(images), -1)
        classes = np.rint(pixels[:, 2] / 100).astype(int)
        return self._near(classes, [int(row.sum() * 7919 + row @ np.arange(row.size)) for row in pixels], 0.75)

    def texts(self, texts):
        classes = [next(index for index, name in enumerate(NAMES) if name in text) for text in texts]
        return self._near(np.array(classes), [sum(map(ord, text)) for text in texts], 0.6)

    def _near(self, classes, seeds, noise):
        scattered = [np.random.default_rng(seed % 2**32).normal(0, noise, self.dimension) for seed in seeds]
        rows = np.eye(len(NAMES), self.dimension)[classes] + np.stack(scattered)
        return torch.nn.functional.normalize(torch.from_numpy(rows), dim=1).float()


def draw(name, prompts=None, *, seed=0, kind="synthetic", each=EACH):
    """A set whose images differ; `prompts` gives that of image i of a class."""
    random, labels = np.random.default_rng(seed), np.repeat(np.arange(len(NAMES)), each)
    pixels = random.integers(0, 256, (len(labels), 2, 2, 3), np.uint8)
    pixels[:, 0, 0, 2] = labels * 100
    images = ImageSet(name, NAMES, labels, [encode(image) for image in pixels].__getitem__)
    texts = tuple(prompts(NAMES[label], i % each) for i, label in enumerate(labels)) if prompts else ()
    return DiagnosedSet(name, kind, images, texts)


def plain(name, _index):
    return f"a {name}"


def augmented(name, index):
    return f"{LOOKS[index % 6]} {LOOKS[index // 6]} {name}"


PAPER = (
    draw("ImageNet", kind="real"),
    draw("Disamb", plain, seed=1),
    draw("Disamb2.5", plain, seed=2),
    draw("PromptAug", augmented, seed=3),
)


@pytest.fixture(scope="module")
def embedded():
    return merge_prompts([embed_set(item, NoisyEncoder(), None) for item in PAPER])


@pytest.fixture(scope="module")
def matrix(embedded):
    return pair_sets(embedded)


def uvec(rows):
    return rows / np.sqrt((rows * rows).sum(-1, keepdims=True))


def recompute(references, reference_labels, queries, labels):
    """Centroid Accuracy, 1-nn, 5-nn and the mean cosine with one's own centroid, in numpy."""
    references, queries = uvec(references.astype(np.float64)), uvec(queries.astype(np.float64))
    centres = uvec(np.stack([references[reference_labels == c].sum(0) for c in range(len(NAMES))]))
    right = [((queries @ centres.T).argmax(1) == labels).mean()]
    order = np.argsort(-queries @ references.T, axis=1, kind="stable")
    for number in (1, 5):
        voted = []
        for row in order[:, :number]:
            near = reference_labels[row].tolist()
            voted.append(max(near, key=lambda label, near=near: (near.count(label), -near.index(label))))
        right.append((np.array(voted) == labels).mean())
    return [*right, (queries * centres[labels]).sum(1).mean()]


def test_the_sets_of_the_paper_make_36_pairings_each_recomputed(embedded, matrix):
    images = {item.images.name: item.images for item in embedded}
    prompts = {item.prompts.name: item.prompts for item in embedded if item.prompts}
    assert list(prompts) == ["Disamb = Disamb2.5-PRMT", "PromptAug-PRMT"]
    points = images | prompts
    assert [(row.query, row.reference) for row in matrix] == [(q, r) for q in points for r in points]
    assert [row.experiment for row in matrix] == list(range(1, 37))
    accuracies = set()
    for row in matrix:
        reference, query = points[row.reference], points[row.query]
        sides = (*(part.numpy() for part in reference.references), *(part.numpy() for part in query.queries))
        centroid, one, five, cosine = recompute(*sides)
        assert row.centroid_accuracy == pytest.approx(centroid)
        assert row.average_cosine_similarity == pytest.approx(cosine, abs=1e-6)
        expected = (None, None) if row.query == "Disamb = Disamb2.5-PRMT" else (one, five)
        assert (row.knn1_accuracy, row.knn5_accuracy) == pytest.approx(expected)
        accuracies.add(round(centroid, 3))
    assert len(accuracies) > 5  # neither all right nor all wrong


def test_table_6_ends_with_means_and_a_share_of_the_rows_with_neighbours(matrix):
    rows = [row for row in matrix if row.knn1_accuracy is not None]
    columns = ("centroid_accuracy", "knn1_accuracy", "knn5_accuracy")
    values = np.array([[getattr(row, column) for column in columns] for row in rows])
    averages = average_pairings(matrix)
    assert averages is not None
    assert (averages.pairings, averages.of) == (30, 36)
    assert [getattr(averages, column) for column in columns] == pytest.approx(values.mean(0))
    assert averages.knn5_better == pytest.approx((values[:, 2] > values[:, 0]).mean())


def test_the_averages_are_those_that_the_paper_prints():
    """Experiments 1 to 36 of its Table 6: Centroid Accuracy, k = 1 and k = 5 in percent, and what it says of them."""
    printed = (
        "75.1 76.3 79.2 60.8 60.9 63.1 61.2 59.4 62.5 61.4 58.3 62.0 70.1 70.1 70.1 73.9 72.4 72.8 76.6 71.2 75.3 "
        "82.0 95.5 96.3 89.8 89.5 91.3 82.5 82.1 84.9 86.3 86.3 86.3 86.2 85.3 85.4 66.0 58.8 63.5 78.1 81.1 82.8 "
        "82.0 80.8 83.9 76.7 72.7 76.9 74.9 74.9 74.9 76.2 74.2 74.5 55.8 49.3 53.7 59.2 60.5 62.6 61.7 61.2 64.3 "
        "70.5 65.6 70.3 62.4 62.4 62.4 69.2 67.5 67.9 93.1 80.1 88.0 92.9 83.1 88.0 93.0 80.4 87.1 96.3 80.5 89.4 "
        "98.8 98.8 98.8 100 100 100"
    )
    table = [*np.array(printed.split(), float).reshape(-1, 3).tolist()]
    table += [[value, None, None] for value in (95.4, 98.0, 98.5, 96.6, 100, 99.6)]
    columns = ("centroid_accuracy", "knn1_accuracy", "knn5_accuracy")
    averages = average_pairings(
        [Pairing(i, "r", "q", dict(zip(columns, row, strict=True)), 9) for i, row in enumerate(table, 1)]
    )
    assert averages is not None
    assert (averages.pairings, averages.of) == (30, 36)
    assert [round(getattr(averages, column), 1) for column in columns] == [77.1, 74.6, 77.3]
    assert averages.knn5_better == 0.4


def test_without_neighbours_there_are_no_averages():
    assert average_pairings([Pairing(1, "r", "q", {"knn1_accuracy": None, "knn5_accuracy": None}, 1)]) is None


def test_the_summary_splits_the_error_by_the_experiments_of_the_matrix(embedded, matrix):
    """Also of a set with a prompt for each image, whose summary once took all its prompts, and the matrix some."""
    found = {(row.reference, row.query): row.centroid_accuracy for row in matrix}
    real = embedded[0]
    for item in embedded[1:]:
        assert item.prompts
        row = summarise(item, item.against(real, 0))
        own, by_prompts = found[item.images.name, item.images.name], found[item.prompts.name, item.images.name]
        assert (row.prompt_accuracy, row.own_accuracy) == (by_prompts, own)
        assert (row.diversity_error, row.shift_error) == pytest.approx((1 - own, own - by_prompts))
        assert row.transfer_accuracy == found[item.images.name, "ImageNet-IM"]
    augmented_set = embedded[3]
    split = augmented_set.against(real, 0).error_split
    everything = [part.numpy() for part in augmented_set.prompts.all]
    of_all = recompute(*everything, *(part.numpy() for part in augmented_set.images.queries))[0]
    assert 1 - split.total != pytest.approx(of_all)  # so that the two ways are told apart


def test_a_prompt_stands_on_the_side_of_its_image_and_one_of_several_on_both(embedded):
    drawn, own = embedded[3], DistinctPrompts.of(PAPER[3])
    of_image = torch.from_numpy(own.of_image)
    assert [own.texts[i] for i in own.of_image] == list(PAPER[3].prompts)
    assert torch.equal(drawn.prompts.is_query[of_image], drawn.images.is_query)
    assert torch.equal(drawn.prompts.is_reference[of_image], drawn.images.is_reference)
    assert embedded[1].prompts.is_query.all()
    assert embedded[1].prompts.is_reference.all()


def test_prompts_merge_where_all_are_the_same_and_only_there():
    def merge(*sets):
        merged = merge_prompts([embed_set(item, NoisyEncoder(), None) for item in sets])
        return merged_prompts(merged), len(pair_sets(merged)), [item.prompts and item.prompts.name for item in merged]

    same = merge(draw("a", augmented), draw("b", augmented, seed=1), draw("c", plain), draw("d"), draw("e", plain))
    assert same == (
        {"a = b-PRMT": ["a", "b"], "c = e-PRMT": ["c", "e"]},
        (5 + 2) ** 2,
        ["a = b-PRMT", "a = b-PRMT", "c = e-PRMT", None, "c = e-PRMT"],
    )
    swapped = {"jay": "crane", "crane": "jay", "drake": "drake"}  # the same texts, of other classes
    other = merge(draw("a", plain), draw("b", lambda name, i: plain(swapped[name], i)), draw("c", each=4))
    assert other == ({}, 25, ["a-PRMT", "b-PRMT", None])


def test_prompts_that_a_class_lacks_are_left_out_and_said(caplog):
    item = embed_set(draw("some", lambda name, _: "" if name == "crane" else f"a {name}"), NoisyEncoder(), None)
    assert item.prompts is None
    assert "The prompts of 'some' are left out, for there are none of crane." in caplog.text
    caplog.clear()
    assert embed_set(draw("none", lambda *_: ""), NoisyEncoder(), None).prompts is None
    assert caplog.text == ""


def test_what_was_merged_and_the_averages_are_in_the_folder_and_the_report(tmp_path):
    real, *sets = PAPER
    result = synthset.diagnose(
        sets, tmp_path / "out", real=real.images, encoder=NoisyEncoder(), cache=tmp_path / "c", tsne_images=0
    )
    assert len(result.matrix) == 36
    note = json.loads((tmp_path / "out" / "diagnosis.json").read_text())
    assert note["merged_prompts"] == {"Disamb = Disamb2.5-PRMT": ["Disamb", "Disamb2.5"]}
    assert note["averages"]["pairings"] == 30
    assert note["averages"]["knn5_better"] == result.averages.knn5_better
    page = result.report.read_text("utf-8")
    assert "Averages of the 30 pairings with neighbours" in page
    assert f"{result.averages.knn5_better:.1%} of these" in page
    assert "have the same prompts" in page
