"""Small datasets to test with, of noise; and what may happen to them."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import synthset
from synthset.dataset.reader import open_dataset
from synthset.dataset.verdicts import SCHEMA, Verdicts, write_verdicts
from synthset.images.decoding import encode
from synthset.images.imageset import ImageSet
from synthset.testing import FakeGenerator

CLASSES = ("cat", "sea_lake")


def make(folder, classes=CLASSES, generator=None, **options):
    """Twenty images of two strategies, in three shards."""
    options = {"strategies": ("base", "random_guidance"), "images_per_class": 5, "shard_size": 8} | options
    return synthset.create(classes, folder, generator=generator or FakeGenerator(), **options)


def hashes(folder):
    """The SHA-256 of each image of a dataset, by its request."""
    rows = open_dataset(folder).rows
    return dict(zip(rows.column("request_id").to_pylist(), rows.column("sha256").to_pylist(), strict=True))


def reject_first(folder):
    """Verdicts of a filter `clip` that rejects the first image."""
    dataset = open_dataset(folder)
    n = dataset.rows.num_rows
    keep = np.arange(n) > 0
    columns = [dataset.rows.column("request_id"), keep, [""] * n, keep.astype(float)]
    write_verdicts(folder, Verdicts("clip", {}, pa.table(columns, SCHEMA.names), dataset.rows_hash))


VERDICTS_DAMAGE = ("cut", "column", "empty", "notes")


def damage_verdicts(path, damage):
    """Make a file of verdicts unreadable in one of these ways."""
    table = pq.read_table(path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    elif damage == "column":
        pq.write_table(table.drop_columns(["keep"]), path)
    elif damage == "empty":
        pq.write_table(table.set_column(1, "keep", pa.array([None] * len(table), pa.bool_())), path)
    else:
        pq.write_table(table.replace_schema_metadata({b"synthset": b"[1"}), path)


def photo(seed):
    """A file of noise, 8 px."""
    return encode(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8))


def photos(counts=(5, 5), names=("sea lake", "Cat"), name="photos"):
    """Real images of the classes, which are in another order and spelled otherwise."""
    labels = np.repeat(np.arange(len(counts)), counts)
    files = [photo(i) for i in range(len(labels))]
    return ImageSet(name, tuple(names), labels, files.__getitem__)


class Crash(Exception):
    pass


def crashing(generator, batches=1):
    """The generator, which crashes after so many batches."""
    draw, left = generator.generate, iter(range(batches))

    def generate(requests):
        if next(left, None) is None:
            raise Crash
        return draw(requests)

    generator.generate = generate
    return generator


def files(folder):
    """The bytes of each image, by what it is called."""
    shards = [pq.read_table(path) for path in sorted((folder / "data").glob("*.parquet"))]
    rows = [row for shard in shards for row in shard.to_pylist()]
    return {(row["class_name"], row["strategy"], row["index"]): row["image"]["bytes"] for row in rows}
