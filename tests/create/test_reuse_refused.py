"""What is damaged, locked, no dataset or another job's is not copied from; nothing half-written is left."""

import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from small_datasets import files, make
from synthset.core.errors import ConfigChangedError, DataError, UsageError
from synthset.core.locks import writing
from synthset.core.parquet_files import write_table
from synthset.create.stage import CreateConfig
from synthset.prompts.strategies import PromptStyle
from synthset.testing import FakeGenerator


def spoil(folder, change):
    """Change the rows of the second shard, with all checksums right; the path of the file."""
    path = sorted((folder / "data").iterdir())[1]
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows[3])
    notes = json.loads(table.schema.metadata[b"synthset"])
    write_table(path, pa.Table.from_pylist(rows, schema=table.schema), notes)
    return path


def no_image(row):
    row["image"]["bytes"] = b"GIF89a"
    row["sha256"] = hashlib.sha256(b"GIF89a").hexdigest()


def other_bytes(row):
    row["image"]["bytes"] += b"."


def without_bytes(row):
    row["image"]["bytes"] = None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (no_image, "Expected a whole PNG, JPEG, WEBP file, got a GIF. It is image '11' of '{}'. Delete it"),
        (other_bytes, "Expected image '11' of '{}' as it was drawn, it was changed. Delete it"),
        (without_bytes, "Expected image '11' of '{}' as it was drawn, it was changed. Delete it"),
    ],
)
def test_a_changed_image_is_named_and_nothing_of_it_is_written(tmp_path, change, says):
    make(tmp_path / "there")
    path = spoil(tmp_path / "there", change)
    with pytest.raises(DataError) as caught:
        make(tmp_path / "here", reuse=tmp_path / "there", shard_size=4)
    assert str(caught.value).startswith(says.format(path))
    assert "leave that dataset out of reuse" in str(caught.value)
    path.unlink()
    assert make(tmp_path / "here", reuse=tmp_path / "there", shard_size=4).drawn == 8
    make(tmp_path / "drawn")
    assert files(tmp_path / "here") == files(tmp_path / "drawn")


def test_a_flipped_bit_is_named(tmp_path):
    make(tmp_path / "there")
    path = sorted((tmp_path / "there" / "data").iterdir())[2]
    whole = path.read_bytes()
    path.write_bytes(whole[:500] + bytes([whole[500] ^ 4]) + whole[501:])
    with pytest.raises(DataError, match=rf"'{path}'"):
        make(tmp_path / "here", reuse=tmp_path / "there")
    path.write_bytes(whole)
    result = make(tmp_path / "here", reuse=tmp_path / "there")  # of which the shards before were committed
    assert (result.drawn, result.copied) == (0, 4)
    assert result.dataset.copied[0].images == 20


def test_a_file_that_was_replaced_meanwhile_is_noticed(tmp_path, monkeypatch):
    make(tmp_path / "there")
    generator = FakeGenerator(preferred_batch_size=4)
    draw = generator.generate

    def generate(requests):
        if len(generator.batches) == 0:
            first, *others = sorted((tmp_path / "there" / "data").iterdir())
            for path in others:
                path.write_bytes(first.read_bytes())
        return draw(requests)

    generator.generate = generate
    strategies = ("base", "class_prompt", "random_guidance")
    with pytest.raises(DataError, match=r"train-0000\d.parquet' as it was drawn, it was changed"):
        make(tmp_path / "here", generator=generator, reuse=tmp_path / "there", strategies=strategies)


def test_a_dataset_that_another_command_writes_is_refused_before_anything_is_drawn(tmp_path, pets):
    generator = FakeGenerator()
    with writing(pets), pytest.raises(UsageError, match=f"Another command is at work in '{pets}'"):
        make(tmp_path / "d", generator=generator, reuse=pets)
    assert (generator.batches, list(tmp_path.iterdir())) == ([], [])


def test_nobody_writes_a_dataset_that_is_copied_from(tmp_path, pets):
    generator = FakeGenerator()
    draw = generator.generate

    def generate(requests):
        with pytest.raises(UsageError, match="Another command is at work"), writing(pets):
            pass
        return draw(requests)

    generator.generate = generate
    assert make(tmp_path / "d", generator=generator, reuse=pets, images_per_class=6).drawn == 4


def test_what_is_no_dataset_or_the_same_is_refused(tmp_path, pets):
    with pytest.raises(UsageError, match=r"Expected Synthset datasets as reuse, '.*nowhere' is none\."):
        make(tmp_path / "d", reuse=tmp_path / "nowhere")
    (tmp_path / "link").symlink_to(pets)
    for folder in (pets, tmp_path / "link"):
        with pytest.raises(UsageError, match=r"Expected another output_dir than '.*', from which images are to be cop"):
            make(folder, reuse=pets)
    (tmp_path / "linked").mkdir()
    for path in pets.iterdir():
        (tmp_path / "linked" / path.name).symlink_to(path)
    with pytest.raises(UsageError, match="linked/data"):
        make(tmp_path / "d", reuse=tmp_path / "linked")
    assert not (tmp_path / "d").exists()
    for wrong in (5, (5,), None):
        with pytest.raises(UsageError, match="Expected reuse as texts"):
            CreateConfig(reuse=wrong)
    assert CreateConfig(reuse=pets) == CreateConfig(reuse=[str(pets)])


def test_the_refusal_of_another_job_names_the_option_where_it_helps(tmp_path, pets):
    advice = f"Or draw into another folder with reuse={pets}, which copies the images that are the same."
    for options in ({"images_per_class": 6}, {"strategies": "base"}, {"style": PromptStyle(phrases={"cat": "a tom"})}):
        with pytest.raises(ConfigChangedError) as caught:
            make(pets, **options)
        assert str(caught.value).endswith(advice)
    for options in ({"seed": 1}, {"resize_px": 4}, {"shared_noise": True}, {"generator": FakeGenerator(16)}):
        with pytest.raises(ConfigChangedError) as caught:
            make(pets, **options)
        assert "reuse" not in str(caught.value)
