import json

import numpy as np
import pytest
from PIL import Image

from outcomes import contents
from small_datasets import make, photos
from synthset import create
from synthset.core.errors import FailureThresholdError, ModelError, UsageError
from synthset.create.recorded import check_recorded
from synthset.curation.comparing import Tolerance, difference, judge, tolerance_of
from synthset.curation.merge import merge
from synthset.curation.redraw import redraw
from synthset.dataset.reader import open_dataset
from synthset.generators.base import GeneratedImage
from synthset.images.decoding import decode, encode, read_size
from synthset.testing import FakeGenerator


class Shifted(FakeGenerator):
    """The fake, some of whose pixels are some grey levels off, or of which some requests fail."""

    levels, share, fails = 1, 0.01, False

    def generate(self, requests):
        images = super().generate(requests)
        if self.fails:
            return [GeneratedImage(None, "blank", "one colour") for _ in images]
        for image in images:
            flat = image.pixels.reshape(-1)
            count = max(1, round(self.share * flat.size))
            flat[:count] = np.where(flat[:count] > 127, flat[:count] - self.levels, flat[:count] + self.levels)
        return images


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    return make(tmp_path_factory.mktemp("drawn") / "pets").dataset.folder


def shifted(levels, share):
    generator = Shifted()
    generator.levels, generator.share = levels, share
    return generator


@pytest.mark.parametrize(
    ("levels", "share", "verdict"),
    [(0, 0.01, "same file"), (1, 0.01, "same but for rounding"), (1, 1.0, "differs"), (90, 0.01, "differs")],
)
def test_an_image_is_the_same_or_it_is_said_how_far_it_is_off(pets, levels, share, verdict):
    before = contents(pets)
    result = redraw(pets, [3, 0, 3], generator=shifted(levels, share))
    assert [(image.id, image.verdict) for image in result.images] == [(3, verdict), (0, verdict)]
    assert [image.apart.max_levels for image in result.images] == [levels, levels]
    assert bool(result.other) == (verdict == "differs")
    assert contents(pets) == before


def test_pictures_show_both_side_by_side(pets, tmp_path):
    result = redraw(pets, [1, 2], generator=shifted(90, 0.5), output_dir=tmp_path / "again")
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == [
        "000001.png",
        "000002.png",
        "redrawn-001.png",
    ]
    assert read_size(result.pictures[0].read_bytes())[0] > 400
    drawn = decode((tmp_path / "again" / "000001.png").read_bytes())
    stored = open_dataset(pets).images().image(1)
    assert difference(stored, drawn) == result.images[0].apart
    with pytest.raises(UsageError, match="overwrite"):
        redraw(pets, [1], generator=FakeGenerator(), output_dir=tmp_path / "again")
    redraw(pets, [5], generator=FakeGenerator(), output_dir=tmp_path / "again", overwrite=True)
    assert (tmp_path / "again" / "000005.png").exists()
    assert not (tmp_path / "again" / "000001.png").exists()


def test_ids_without_an_image_are_refused_by_name(tmp_path):
    broken = FakeGenerator(status=lambda request: "flagged" if "cat" in request.prompt else "ok")
    with pytest.raises(FailureThresholdError):
        make(tmp_path / "pets", generator=broken)
    with pytest.raises(UsageError, match=r"0 was not drawn \(flagged: the test .*, 99 is none of its 10"):
        redraw(tmp_path / "pets", [0, 99], generator=FakeGenerator())
    with pytest.raises(UsageError, match="got none"):
        redraw(tmp_path / "pets", [], generator=FakeGenerator())


def test_an_image_that_is_not_drawn_any_more_is_no_other_image(pets):
    generator = Shifted()
    generator.fails = True
    (image,) = redraw(pets, [4], generator=generator).images
    assert (image.verdict, image.reason, image.apart) == ("not drawn", "blank: one colour", None)


def test_another_generator_is_refused_and_the_difference_named(pets):
    with pytest.raises(ModelError, match=r"found another \(height_px: 8 there, 16 here; width_px"):
        redraw(pets, [0], generator=FakeGenerator(size_px=16))


def test_copied_images_and_such_with_retries_are_drawn_from_the_seed_that_they_have(tmp_path):
    seen = set()

    def once(request):
        first = request.seed not in seen and len(seen) < 4
        seen.add(request.seed)
        return "blank" if first else "ok"

    make(tmp_path / "a", generator=FakeGenerator(status=once))
    assert max(open_dataset(tmp_path / "a").rows.column("attempts").to_pylist()) > 1
    make(tmp_path / "b", images_per_class=6, reuse=(str(tmp_path / "a"),))
    assert open_dataset(tmp_path / "b").copied
    for name in "ab":
        result = redraw(tmp_path / name, range(20), generator=FakeGenerator())
        assert {image.verdict for image in result.images} == {"same file"}


def test_images_that_began_at_real_ones_begin_at_them_again(tmp_path):
    class FromImages(FakeGenerator):
        def generate_from(self, requests, initial_images):
            images = self.generate(requests)
            for request, image in zip(requests, images, strict=True):
                image.pixels[0, 0] = len(initial_images[request.initial_image]) % 256
            return images

    make(tmp_path / "pets", generator=FromImages(), initial_images=photos(), shots=2)
    result = redraw(tmp_path / "pets", [0, 9], generator=FromImages())
    assert {image.verdict for image in result.images} == {"same file"}
    with pytest.raises(UsageError, match="begin at real images, got FakeGenerator"):
        redraw(tmp_path / "pets", [0], generator=FakeGenerator())


def test_a_merged_image_is_drawn_as_its_own_dataset_was(tmp_path):
    make(tmp_path / "a", resize_px=4)
    make(tmp_path / "b", seed=5)
    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "m")
    result = redraw(tmp_path / "m", [0, 20, 39], generator=FakeGenerator())
    assert [(image.source, image.verdict) for image in result.images] == [
        ("a", "same file"),
        ("b", "same file"),
        ("b", "same file"),
    ]


def test_the_miniature_is_found_by_the_manifest_and_draws_the_same(tmp_path, own_folder, run):
    options = {"images_per_class": 2, "steps": 2, "seed": 3}
    folder = create(["one", "two"], tmp_path / "digits", **options).dataset.folder
    code, out, _ = run("redraw", folder, "--id", 0, 3, "--json")
    told = json.loads(out)["redrawn"]["images"]
    assert code == 0
    assert {image["verdict"] for image in told} <= {"same file", "same but for rounding"}


def test_what_a_job_says_of_its_generator_must_hold(pets):
    job = open_dataset(pets).manifest["job"]
    check_recorded(FakeGenerator(), {**job, "generation": {**job["generation"], "model": "moved/elsewhere"}})
    with pytest.raises(ModelError, match=r"found another \(weights_hash"):
        check_recorded(FakeGenerator(), {**job, "generation": {**job["generation"], "weights_hash": "f" * 64}})
    loras = {"lora": ["style.safetensors"], "lora_hash": "0" * 64}
    with pytest.raises(ModelError, match="Give lora with the files"):
        check_recorded(FakeGenerator(), {**job, "generation": {**job["generation"], **loras}})


def test_the_exit_code_says_that_one_differs_and_json_says_which(pets, own_folder, run, monkeypatch):
    def load(job, config):
        return shifted(90, 0.5)

    monkeypatch.setattr("synthset.curation.redraw.load_recorded", load)
    code, out, err = run("redraw", pets, "--id", 2, "--json")
    assert code == 3
    assert json.loads(out)["redrawn"]["images"][0]["verdict"] == "differs"
    assert "1 of 1 images are not drawn as they are stored (2)" in err
    code, out, _ = run("redraw", pets, "--id", 2)
    assert code == 3
    assert "90 levels at most" in out


def test_the_rule_of_rounding():
    old = np.full((4, 4, 3), 100, np.uint8)
    near, far, small = old.copy(), old.copy(), old[:2]
    near[0, 0, 0], far[0, 0, 0] = 104, 105
    file, limits = encode(old), Tolerance(4, 0.1)
    pictures = {name: Image.fromarray(pixels) for name, pixels in (("near", near), ("far", far), ("small", small))}
    whole = Image.fromarray(old)
    verdicts = {name: judge(file, b"", difference(whole, one), limits) for name, one in pictures.items()}
    assert verdicts == {"near": "same but for rounding", "far": "differs", "small": "differs"}
    assert judge(file, b"", difference(whole, whole), limits) == "same pixels"
    assert judge(file, file, None, limits) == "same file"
    assert tolerance_of("float32", "jpeg").max_levels > tolerance_of("float32", "png").max_levels
