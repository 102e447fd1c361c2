import numpy as np
import pytest

import synthset
from synthset.core.errors import UsageError
from synthset.dataset.suited_encoder import model_of, suited_encoder
from synthset.filters import filter_dataset
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet
from synthset.miniature import DIGITS
from synthset.testing import FakeEncoder, FakeGenerator


def images(name, class_names=("cat", "dog")):
    rng = np.random.default_rng(0)
    files = [encode(rng.integers(0, 256, (8, 8, 3), np.uint8)) for _ in range(4 * len(class_names))]
    return ImageSet(name, class_names, np.arange(len(files)) % len(class_names), files.__getitem__)


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """Drawn by something else than the miniature."""
    folder = tmp_path_factory.mktemp("pets") / "pets"
    synthset.create(["cat", "dog"], folder, images_per_class=4, generator=FakeGenerator())
    return folder


@pytest.mark.parametrize(
    ("named", "drawn_by", "real", "expected"),
    [
        ("RN50", [None], None, "RN50"),
        ("miniature", [None], None, "miniature"),
        (None, [None, "miniature"], "cifar10", "miniature"),
        (None, [None], "digits", "miniature"),
        (None, [], "mnist", "miniature"),
        (None, [], images("digits", DIGITS), "miniature"),
    ],
)
def test_the_miniatures_encoder_is_for_what_it_drew_and_for_digits(named, drawn_by, real, expected):
    assert suited_encoder(named, "encoder", drawn_by, real) == expected


@pytest.mark.parametrize("real", [None, "cifar10", "some/folder", images("digits"), images("mine", DIGITS)])
def test_of_other_images_an_encoder_must_be_named(real):
    with pytest.raises(UsageError, match=r"Expected clip by name.* clip=RN50 .* offline clip=local-dir:FOLDER"):
        suited_encoder(None, "clip", [None, "CompVis/stable-diffusion-v1-4"], real)


def test_every_stage_refuses_before_anything_is_written(pets, tmp_path):
    assert model_of(pets) not in (None, "miniature")
    assert model_of(images("pets")) is None
    before = {path.name for path in pets.iterdir()}
    for run in (
        lambda: synthset.diagnose([pets], tmp_path / "out"),
        lambda: synthset.diagnose([images("pets")], tmp_path / "out", real=images("photos")),
        lambda: synthset.tune(pets, tmp_path / "out"),
        lambda: synthset.tune_curve(pets, tmp_path / "out", (1,), 1, real=images("photos")),
        lambda: synthset.create(
            ["cat", "dog"], tmp_path / "out", images_per_class=2, refill="clip", generator=FakeGenerator()
        ),
        lambda: filter_dataset(pets, ["clip"]),
        lambda: filter_dataset(pets, ["duplicates"]),
    ):
        with pytest.raises(UsageError, match="by name: its default, the miniature's, knows digits alone"):
            run()
    assert not (tmp_path / "out").exists()
    assert {path.name for path in pets.iterdir()} == before
    assert filter_dataset(pets, ["duplicates"], encoder=FakeEncoder()).keep.any()
