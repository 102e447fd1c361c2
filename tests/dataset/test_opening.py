"""Images to learn from are named by a path; names of real sets are none."""

import pytest

from small_datasets import make, reject_first
from synthset.core.errors import DataError, UsageError
from synthset.dataset.opening import open_images


def test_a_dataset_a_folder_and_images_in_memory(tmp_path):
    make(tmp_path / "pets")
    images = open_images(tmp_path / "pets", "base")
    assert (len(images), set(images.groups)) == (10, {"base"})
    assert open_images(images) is images
    folder = tmp_path / "photos" / "cat"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(images.read(0))
    assert open_images(tmp_path / "photos").read(0) == images.read(0)
    for data in (tmp_path / "photos", images):
        with pytest.raises(
            UsageError, match=r"Expected a Synthset dataset for strategy, .* is none. Leave strategy out"
        ):
            open_images(data, "base")


def test_several_strategies_are_taken_together_each_image_once(tmp_path):
    make(tmp_path / "pets", strategies=("base", "class_prompt", "random_guidance"))
    both = open_images(tmp_path / "pets", ["random_guidance", "base", "base"])
    assert sorted(both.groups) == ["base"] * 10 + ["random_guidance"] * 10
    whole = open_images(tmp_path / "pets")
    same = [whole.read(i) for i, group in enumerate(whole.groups) if group != "class_prompt"]
    assert [both.read(i) for i in range(20)] == same  # in the dataset's order, whatever the names' is
    assert len(open_images(tmp_path / "pets", [])) == 30
    with pytest.raises(UsageError, match="found none of multi_domain"):
        open_images(tmp_path / "pets", ["base", "multi_domain"])


def test_the_name_of_a_real_set_is_a_path_here():
    with pytest.raises(DataError, match="Expected images in 'digits', found nothing there"):
        open_images("digits")


def test_a_dataset_that_lost_its_manifest_is_not_read_as_plain_parquet(tmp_path):
    make(tmp_path / "d")
    reject_first(tmp_path / "d")
    (tmp_path / "d" / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"manifest\.json"):
        open_images(tmp_path / "d")
