import numpy as np
import pytest
import torch
from filtered_pets import CLASSES, run, verdicts
from PIL import Image

from parity_encoder import ParityEncoder, image_set, picture
from synthset.core.errors import DataError, UsageError
from synthset.dataset.reader import open_dataset
from synthset.filters.real import nearest_real
from synthset.images.opening import ImagePath, Opening


def test_real_rejects_what_is_nearest_to_another_class(pets):
    encoder = ParityEncoder()
    arrays = [picture(seed) for seed in range(30)]
    real = image_set(arrays, [encoder.guess(Image.fromarray(array)) for array in arrays], name="real pets")
    result = run(pets, ["real"], real=real)
    images = open_dataset(pets).images(kept=False)
    assert result.keep.tolist() == [encoder.guess(images.image(i)) == images.labels[i] for i in range(40)]
    table = verdicts(pets, "real").to_pylist()
    assert [row["score"] > 0 for row in table] == result.keep.tolist()
    assert "nearest real image of another class: " in table[0]["reason"]
    assert open_dataset(pets).verdicts()["real"].config["real"] == {"name": "real pets", "images": 30}


def test_images_to_test_on_choose_nothing_and_are_looked_for(pets, tmp_path):
    for split, count in (("train", 6), ("test", 4)):
        for number in range(count):
            path = tmp_path / "real" / split / CLASSES[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(100 * count + number)).save(path)
    run(pets, ["real", "duplicates"], real=tmp_path / "real")
    used = {method: one.config["real"]["images"] for method, one in open_dataset(pets).verdicts().items()}
    assert used == {"real": 6, "duplicates": 4}
    run(pets, ["real"], real=ImagePath(str(tmp_path / "real"), Opening(split="test")))  # somebody says so
    assert open_dataset(pets).verdicts()["real"].config["real"]["images"] == 4


@pytest.mark.parametrize("method", ["real", "duplicates"])
def test_unreadable_real_images_are_left_out_unless_strictly(pets, tmp_path, caplog, method):
    for number in range(6):
        path = tmp_path / "real" / CLASSES[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(number)).save(path)
    path.write_bytes(b"no image")
    result = run(pets, [method], real=tmp_path / "real")
    assert open_dataset(pets).verdicts()[method].config["real"]["images"] == 5
    assert "5.png): " in caplog.text
    assert "They are left out." in caplog.text
    before = verdicts(pets, method)
    with pytest.raises(DataError, match=r"5\.png\): "):
        run(pets, [method], real=ImagePath(str(tmp_path / "real"), Opening(strict=True)))
    assert verdicts(pets, method).equals(before)
    assert len(result.keep) == 40


def test_real_classes_are_matched_by_name_and_none_may_be_missing(pets):
    encoder = ParityEncoder()
    arrays = [picture(seed) for seed in range(30)]
    labels = [1 - encoder.guess(Image.fromarray(array)) for array in arrays]
    swapped = image_set(arrays, labels, ("Dog", "Cat"))  # in another order and spelling
    assert 0 < run(pets, ["real"], real=swapped).keep.sum() < 40
    expected = [encoder.guess(open_dataset(pets).images(kept=False).image(i)) == i % 2 for i in range(40)]
    assert verdicts(pets, "real").column("keep").to_pylist() == expected
    with pytest.raises(UsageError, match="classes"):
        run(pets, ["real"], real=image_set(arrays, labels, ("cat", "horse")))
    with pytest.raises(DataError, match="found none of: dog"):
        run(pets, ["real"], real=image_set([picture(0)], [0]))
    with pytest.raises(UsageError, match="real=digits"):
        run(pets, ["real"])


def test_nearest_real_equals_the_whole_matrix(monkeypatch):
    monkeypatch.setattr("synthset.filters.real.BLOCK", 7)
    monkeypatch.setattr("synthset.filters.real.REAL_BLOCK", 5)
    generator = torch.Generator().manual_seed(1)
    vectors, real = (torch.nn.functional.normalize(torch.randn(n, 6, generator=generator), dim=1) for n in (40, 23))
    labels, real_labels = (torch.randint(0, 3, (n,), generator=generator) for n in (40, 23))
    own, other, other_class = nearest_real(vectors, labels, real, real_labels)
    cosines = vectors.numpy() @ real.numpy().T
    same = labels.numpy()[:, None] == real_labels.numpy()
    np.testing.assert_allclose(own, np.where(same, cosines, -np.inf).max(1), atol=1e-6)
    np.testing.assert_allclose(other, np.where(same, -np.inf, cosines).max(1), atol=1e-6)
    np.testing.assert_array_equal(other_class, real_labels[np.where(same, -np.inf, cosines).argmax(1)])
