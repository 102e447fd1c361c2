import hashlib
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from synthset.core.errors import DataError, ModelError, UsageError
from synthset.encoders import embed
from synthset.encoders.clip import load_encoder
from synthset.encoders.embed import EmbeddingCache, embed_classes, embed_images, embed_texts, fill_cache
from synthset.encoders.templates import TEMPLATES, fill_template
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet
from synthset.prompts import classes
from synthset.real import load_real
from synthset.testing import FakeEncoder, ShuffledExecutor


def image_set(n=10, seed=0, name="set") -> ImageSet:
    rng = np.random.default_rng(seed)
    return of_files([encode(rng.integers(0, 256, (4, 4, 3), np.uint8)) for _ in range(n)], name)


def of_files(files, name="set") -> ImageSet:
    return ImageSet(name, ("cat", "dog"), np.arange(len(files)) % 2, files.__getitem__)


def stored(cache: EmbeddingCache) -> list[Path]:
    return sorted(cache.folder.rglob("part-*.parquet"))


class Interrupted(Exception):
    pass


class FailingEncoder(FakeEncoder):
    """Fails at a call; notes how many parts were on disk at each one."""

    def __init__(self, fails_at: int, cache: EmbeddingCache) -> None:
        super().__init__()
        self.fails_at, self.cache, self.parts = fails_at, cache, []

    def images(self, images):
        self.parts.append(len(stored(self.cache)))
        if len(self.batches) == self.fails_at:
            raise Interrupted
        return super().images(images)


@pytest.fixture
def cache(tmp_path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path / "cache")


# ---- what is embedded -------------------------------------------------------------------------------------


@pytest.mark.parametrize("cached", [True, False])
def test_each_image_has_its_own_vector(cached, cache):
    images, encoder = image_set(), FakeEncoder()
    expected = FakeEncoder().images([images.image(i) for i in range(10)])
    vectors = embed_images(images, encoder, cache if cached else None, batch_size=4)
    assert torch.equal(vectors, expected)
    assert (vectors.dtype, vectors.shape) == (torch.float32, (10, 16))
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(10))
    assert encoder.batches == [4, 4, 2]
    assert bool(stored(cache)) == cached


def test_equal_files_are_embedded_once(cache):
    files = [image_set().read(i) for i in range(10)]
    images, encoder = of_files([files[3], files[3], files[0], files[9], files[0]]), FakeEncoder()
    expected = FakeEncoder().images([images.image(i) for i in range(5)])
    assert torch.equal(embed_images(images, encoder, cache), expected)
    assert encoder.batches == [3]
    assert torch.equal(embed_images(images, encoder, cache), expected)
    texts = embed_texts(["b", "a", "b"], encoder)
    assert torch.equal(texts, FakeEncoder().texts(["b", "a", "b"]))
    assert encoder.batches == [3, 2]


def test_nothing_to_embed(cache):
    encoder = FakeEncoder()
    assert embed_images(image_set(0), encoder, cache).shape == (0, 16)
    assert embed_texts([], encoder, cache).shape == (0, 16)
    assert encoder.batches == []
    assert not cache.folder.exists()


def test_encoders_that_prepare_images_are_given_prepared_ones():
    class Preparing(FakeEncoder):
        def prepare(self, image):
            return image.resize((2, 2))

        def images(self, images):
            assert {image.size for image in images} == {(2, 2)}
            return super().images(images)

    assert embed_images(image_set(), Preparing(), batch_size=3).shape == (10, 16)


def test_a_real_encoder_reads_digits(cache):
    digits = load_real("digits").select(range(150))
    encoder = load_encoder("miniature")
    vectors = embed_images(digits, encoder, cache, batch_size=64)
    torch.testing.assert_close(vectors[:3], encoder.images([digits.image(i) for i in range(3)]))
    classes = embed_classes(digits.class_names, encoder, TEMPLATES["digits"], cache)
    accuracy = ((vectors @ classes.T).argmax(1).numpy() == digits.labels).mean()
    assert accuracy > 0.25  # of chance's 0.1; it reads about 0.4


# ---- classes ----------------------------------------------------------------------------------------------


def test_classes_are_the_mean_of_their_sentences(cache):
    templates = ("a photo of a {class}.", "{} texture.")
    vectors = embed_classes(["polar_bear", "dog"], FakeEncoder(), templates, cache)
    sentences = FakeEncoder().texts(["a photo of a polar bear.", "polar bear texture."])
    torch.testing.assert_close(vectors[0], torch.nn.functional.normalize(sentences.mean(0), dim=0))
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(
        embed_classes(["apple"], FakeEncoder()), FakeEncoder().texts(["a photo of a apple."])
    )  # literal


@pytest.mark.parametrize("names", [("n01440764", "n01443537"), ("0", "1", "2"), ("007", "n01443537")])
def test_a_clip_that_is_asked_about_codes_is_warned_about_once(cache, caplog, names):
    classes._tell_codes.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            embed_classes(names, FakeEncoder(), cache=cache)
        embed_classes(("8", "dog"), FakeEncoder(), cache=cache)
    (message,) = caplog.messages
    assert message.startswith(f"Expected class names in words, got {', '.join(names)}: a CLIP")


def test_templates_need_a_place_for_the_class():
    with pytest.raises(UsageError, match=r"Expected \{class\} in the template, got 'a photo'"):
        embed_classes(["cat"], FakeEncoder(), ["a photo"])
    for templates in ([], "a photo of a {class}."):
        with pytest.raises(UsageError, match="a list of at least one template"):
            embed_classes(["cat"], FakeEncoder(), templates)
    assert all(fill_template(template, "x") for templates in TEMPLATES.values() for template in templates)
    assert fill_template("{} and {class}", "{}") == "{} and {}"


# ---- the cache --------------------------------------------------------------------------------------------


def test_what_is_stored_is_not_computed_again(cache):
    first, again = FakeEncoder(), FakeEncoder()
    vectors = embed_images(image_set(), first, cache), embed_texts(["a", "b"], first, cache)
    reopened = EmbeddingCache(cache.folder)
    assert torch.equal(embed_images(image_set(), again, reopened), vectors[0])
    assert torch.equal(embed_texts(["b", "a"], again, reopened), vectors[1].flip(0))
    assert again.batches == []
    assert torch.equal(embed_images(image_set(14), again, reopened)[:10], vectors[0])
    assert again.batches == [4]


def test_another_backbone_or_set_is_never_given_stale_vectors(cache):
    """He et al.'s code looks features up by the name of the set."""
    embed_images(image_set(), FakeEncoder(), cache)
    other = FakeEncoder(name="other")
    assert torch.equal(embed_images(image_set(), other, cache), embed_images(image_set(), other))
    another_set = image_set(seed=1, name="set")
    assert torch.equal(embed_images(another_set, FakeEncoder(), cache), embed_images(another_set, FakeEncoder()))


def test_a_text_is_not_the_image_of_its_bytes(cache):
    text = "not an image"
    embed_texts([text], FakeEncoder(), cache)
    with pytest.raises(DataError):
        embed_images(of_files([text.encode()]), FakeEncoder(), cache)


def test_fingerprints_never_become_paths(cache, tmp_path):
    class Foreign(FakeEncoder):
        fingerprint = "../../outside"

    embed_texts(["a"], Foreign(), cache)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
    assert len(stored(cache)) == 1


def test_a_run_goes_on_where_it_was(cache, monkeypatch):
    monkeypatch.setattr(embed, "PART_ROWS", 4)
    failing = FailingEncoder(4, cache)
    with pytest.raises(Interrupted):
        embed_images(image_set(), failing, cache, batch_size=2)
    assert failing.parts == [0, 0, 1, 1, 2]  # a part every four images, not all at the end
    again = FakeEncoder()
    assert torch.equal(embed_images(image_set(), again, cache), embed_images(image_set(), FakeEncoder()))
    assert again.batches == [2]


def test_an_image_that_cannot_be_read_is_named_and_the_others_are_kept(cache):
    files = [image_set().read(i) for i in range(6)]
    files[4] = b"rubbish"
    with pytest.raises(DataError, match="Image 4 of 'set': Expected a whole PNG"):
        embed_images(of_files(files), FakeEncoder(), cache, batch_size=2)
    again = FakeEncoder()
    embed_images(of_files(files[:4]), again, cache)
    assert again.batches == []


def test_a_file_that_is_gone_is_named():
    def read(index):
        raise FileNotFoundError("no such file")

    with pytest.raises(DataError, match="Image 0 of 'gone': no such file"):
        embed_images(ImageSet("gone", ("cat",), np.zeros(3, np.int64), read), FakeEncoder())


@pytest.mark.parametrize("rows", [torch.full((10, 16), float("nan")), torch.ones(10, 8), torch.ones(9, 16)])
def test_rubbish_from_an_encoder_is_not_kept(rows, cache):
    class Broken(FakeEncoder):
        def images(self, images):
            return rows

    with pytest.raises(ModelError, match="Expected 10 finite vectors of dimension 16 from the encoder 'fake'"):
        embed_images(image_set(), Broken(), cache)
    assert not stored(cache)


def truncate(part: Path) -> None:
    part.write_bytes(part.read_bytes()[:-40])


def flip_a_bit(part: Path) -> None:
    data = bytearray(part.read_bytes())
    vector = FakeEncoder().images([image_set().image(0)]).numpy().tobytes()
    data[data.index(vector) + 5] ^= 1  # in the vectors themselves, where only a checksum tells
    part.write_bytes(data)


def other_table(part: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), part)


def other_dimension(part: Path) -> None:
    keys = np.array([hashlib.sha256(image_set().read(0)).digest()], "S32")
    pq.write_table(embed._table(keys, np.ones((1, 3), np.float32)), part)


@pytest.mark.parametrize(
    "damage", [truncate, flip_a_bit, other_table, other_dimension, lambda part: part.write_bytes(b"")]
)
def test_a_damaged_part_is_computed_again(damage, cache, caplog):
    expected = embed_images(image_set(), FakeEncoder(), cache)
    damage(stored(cache)[0])
    encoder = FakeEncoder()
    with caplog.at_level(logging.WARNING):
        assert torch.equal(embed_images(image_set(), encoder, cache), expected)
        assert torch.equal(embed_images(image_set(), encoder, cache), expected)
    assert encoder.batches == [10]  # and is in a new part now
    assert len(caplog.messages) == 1
    assert "Damaged file in the embedding cache, left aside" in caplog.messages[0]
    assert "\n" not in caplog.messages[0]


def test_what_an_interrupted_write_left_behind_is_not_read_and_goes_with_the_next_write(cache):
    embed_images(image_set(4), FakeEncoder(), cache)
    part = stored(cache)[0]
    left = part.parent / f".{part.name}.123.part"
    left.write_bytes(part.read_bytes()[:100])
    encoder = FakeEncoder()
    embed_images(image_set(4), encoder, cache)
    assert encoder.batches == []
    embed_images(image_set(5), encoder, EmbeddingCache(cache.folder))
    assert not left.exists()
    assert len(stored(cache)) == 2


def test_many_may_write_at_once(cache, monkeypatch):
    monkeypatch.setattr(embed, "PART_ROWS", 8)
    expected = embed_images(image_set(64), FakeEncoder())

    def one(_) -> torch.Tensor:
        return embed_images(image_set(64), FakeEncoder(), EmbeddingCache(cache.folder), batch_size=8)

    with ThreadPoolExecutor(4) as pool:
        assert all(torch.equal(vectors, expected) for vectors in pool.map(one, range(4)))
    encoder = FakeEncoder()
    assert torch.equal(embed_images(image_set(64), encoder, cache), expected)
    assert encoder.batches == []


def test_a_cache_that_cannot_be_written_costs_a_warning(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(embed, "PART_ROWS", 4)
    (tmp_path / "file").touch()
    cache = EmbeddingCache(tmp_path / "file" / "cache")
    vectors = embed_images(image_set(), FakeEncoder(), cache, batch_size=4)
    assert torch.equal(vectors, embed_images(image_set(), FakeEncoder()))
    assert len(caplog.messages) == 1
    assert "Embeddings are not kept" in caplog.messages[0]


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_a_cache_is_its_owners_alone(tmp_path):
    embed_images(image_set(), FakeEncoder(), EmbeddingCache(tmp_path / "cache" / "embeddings"))
    paths = [*(tmp_path / "cache").rglob("*"), tmp_path / "cache"]
    assert {(path.is_file(), path.stat().st_mode & 0o777) for path in paths} == {(True, 0o600), (False, 0o700)}


def test_reading_back_is_fast_and_reads_only_what_is_needed(cache, monkeypatch):
    rng = np.random.default_rng(0)
    keys, vectors = np.frombuffer(rng.bytes(32 * 10_000), "S32"), rng.normal(size=(10_000, 128)).astype(np.float32)
    for start in range(0, 10_000, 4096):
        cache.write("aa", "images", keys[start : start + 4096], vectors[start : start + 4096])
    assert len(stored(cache)) == 3
    unique, first = np.unique(keys, return_index=True)
    found = np.empty_like(vectors)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        assert cache.read("aa", "images", unique, found, first).all()
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 1  # 0.1 on a quiet machine
    assert np.array_equal(found, vectors)

    groups = []
    read = pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_group", lambda file, i, **options: groups.append(i) or read(file, i, **options)
    )
    some = np.sort(np.append(keys[[5000, 5001]], np.array([b"\1" * 32], "S32")))
    mask = cache.read("aa", "images", some, np.empty((3, 128), np.float32))
    assert mask.tolist() == (some != b"\1" * 32).tolist()
    assert groups == [0]  # 904 rows into the second part


def test_parts_can_be_read_without_synthset(cache):
    vectors = embed_images(image_set(3), FakeEncoder(), cache)
    table = pq.read_table(stored(cache)[0])
    assert table.schema.field("sha256").type == pa.binary(32)
    assert table.schema.field("embedding").type.list_size == 16
    assert table["sha256"].to_pylist() == [hashlib.sha256(image_set(3).read(i)).digest() for i in range(3)]
    assert np.array_equal(np.array(table["embedding"].to_pylist(), np.float32), vectors.numpy())


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SYNTHSET_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert EmbeddingCache().folder == tmp_path / ".cache/synthset/embeddings"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert EmbeddingCache().folder == tmp_path / "xdg/synthset/embeddings"
    monkeypatch.setenv("SYNTHSET_CACHE", str(tmp_path / "own"))
    assert EmbeddingCache().folder == tmp_path / "own/embeddings"
    assert EmbeddingCache(str(tmp_path / "given")).folder == tmp_path / "given"
    assert not list(tmp_path.iterdir())


def test_batch_sizes_below_one_are_refused():
    with pytest.raises(UsageError, match="batch size of at least 1, got 0"):
        embed_images(image_set(), FakeEncoder(), batch_size=0)


def test_an_executor_fills_the_cache_in_pieces_that_are_then_all_there(tmp_path):
    images, encoder, cache = image_set(10), FakeEncoder(), EmbeddingCache(tmp_path)
    fill_cache(images, encoder, cache, ShuffledExecutor(2), chunk=3)
    assert sorted(encoder.batches) == [1, 3, 3, 3]
    there = FakeEncoder()
    vectors = embed_images(images, there, cache)
    assert there.batches == []
    assert vectors.equal(embed_images(images, FakeEncoder()))


def test_sentences_that_the_encoder_would_cut_are_refused():
    encoder = load_encoder("miniature")
    length = encoder.model.context_length
    fits, cut = "digit " * (length - 4), "digit " * length
    assert encoder.cut_texts([fits.strip(), cut + "five"]) == [cut + "five"]
    with pytest.raises(UsageError, match=r"reads whole, got 1 that it would cut, e\.g\. 'digit digit .*five'"):
        embed_classes(["five"], encoder, [cut + "{class}"])
    embed_classes(["five"], encoder, ["{class} " + fits.strip()[:-6]])
