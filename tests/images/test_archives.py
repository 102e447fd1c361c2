"""Archives are read in place like the folders in them; what is no honest archive of files is refused in a line."""

import bz2
import gzip
import io
import lzma
import pickle
import stat
import struct
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from image_files import grey_png
from synthset.core.errors import DataError, UsageError
from synthset.dataset.opening import open_images
from synthset.images import archives
from synthset.images.archives import read_file
from synthset.images.opening import splits_at
from synthset.prediction.sources import find_pictures
from synthset.real import load_real
from synthset.real.learning import few_shot_pool

pytestmark = pytest.mark.usefixtures("own_folder")

FILES = {f"2750/{name}/{name}_{i}.png": grey_png(40 * i) for name in ("Forest", "River") for i in (1, 2, 3)}
LEFT_BEHIND = {"__MACOSX/2750/Forest/._Forest_1.png": b"x", "2750/.DS_Store": b"x"}


def tar_of(files, path, compress=lambda data: data):
    """A tar of members: bytes of a file, or what changes a member."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            data: Any = (content(member) or b"") if callable(content) else content
            member.size = member.size or len(data)
            archive.addfile(member, io.BytesIO(data))
    Path(path).write_bytes(compress(buffer.getvalue()))
    return Path(path)


def zip_of(files, path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return Path(path)


def gzipped(files, path):
    return tar_of(files, path, gzip.compress)


MAKERS = {
    "EuroSAT.zip": zip_of,
    "sets.tar": tar_of,
    "sets.tar.gz": gzipped,
    "sets.TGZ": gzipped,
    "sets.tar.bz2": lambda files, path: tar_of(files, path, bz2.compress),
    "sets.tar.xz": lambda files, path: tar_of(files, path, lzma.compress),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_folder_of_classes_is_read_within_an_archive(name, caplog, monkeypatch):
    scratch = Path("scratch")
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch.absolute()))
    MAKERS[name]({**FILES, **LEFT_BEHIND}, name)
    images = open_images(name)
    assert (images.name, images.class_names, images.labels.tolist()) == (name, ("Forest", "River"), [0] * 3 + [1] * 3)
    assert [images.read(i) for i in range(6)] == list(FILES.values())
    assert images.origin is not None
    assert images.origin(4) == "River/River_2.png"
    assert images.tensor(8).shape == (6, 3, 8, 8)  # by several threads
    assert load_real(name).class_names == load_real(f"{name}/2750").class_names == images.class_names
    assert {entry.name for entry in Path().iterdir()} == {"scratch", name}
    assert not list(scratch.iterdir())  # nothing has a name


@pytest.mark.parametrize("name", ["EuroSAT.zip", "sets.tar.gz"])
def test_pictures_of_an_archive_are_classified(name):
    MAKERS[name](FILES, name)
    pictures = find_pictures([name])
    assert list(pictures.names) == [f"{name}/{file}" for file in FILES]
    assert [pictures.read(i) for i in range(6)] == list(FILES.values())
    one = find_pictures([f"{name}/2750/River/River_1.png"])
    assert (len(one), one.read(0)) == (1, FILES["2750/River/River_1.png"])


def test_splits_and_metadata_and_names_of_an_export_within_an_archive():
    zip_of({f"set/{split}/{name[5:]}": data for split in ("train", "test") for name, data in FILES.items()}, "a.zip")
    assert splits_at(Path("a.zip")) == {"train": "train", "test": "test"}
    assert (load_real("a.zip").split, len(load_real("a.zip", "train"))) == ("test", 6)
    rows = "".join(f"{i}.png,{'cat' if i % 2 else 'dog'}\n" for i in range(4))
    flat = {f"{i}.png": grey_png(i) for i in range(4)} | {"metadata.csv": f"file_name,label\n{rows}".encode()}
    images = load_real(gzipped(flat, "b.tgz"))
    assert [images.class_names[label] for label in images.labels] == ["dog", "cat"] * 2
    assert images.read(3) == grey_png(3)
    outside = flat | {"metadata.csv": b"file_name,label\n../b.tgz,cat\n0.png,dog\n"}
    with pytest.raises(DataError, match="where nothing is"):
        load_real(zip_of(outside, "c.zip")).read(0)
    marker = b'{"layout": "synthset-imagefolder", "version": 1, "classes": [{"folder": "000_a", "name": "A/B"}]}'
    exported = load_real(zip_of({"000_a/0.png": grey_png(1), "classes.json": marker}, "d.zip"))
    assert (exported.class_names, exported.kind) == (("A/B",), "exported")


def cifar10_pickles(pixels, labels):
    batch = pickle.dumps({b"labels": labels, b"data": pixels}, 2)
    meta = pickle.dumps({b"label_names": [b"cat", b"dog"]}, 2)
    return {"batches.meta": meta, "data_batch_1": batch, "test_batch": batch, "readme.html": b"x"}


def binary_rows(pixels, *columns):
    return b"".join(bytes(row[:-1]) + row[-1].tobytes() for row in zip(*columns, pixels, strict=True))


def cifar10_binary(pixels, labels):
    rows = binary_rows(pixels, labels)
    return {"batches.meta.txt": b"cat\ndog\n\n", "data_batch_1.bin": rows, "test_batch.bin": rows}


@pytest.mark.parametrize(
    ("make", "folder"), [(cifar10_pickles, "cifar-10-batches-py"), (cifar10_binary, "cifar-10-batches-bin")]
)
def test_cifar_as_published_is_read_from_its_archive_and_its_folder(make, folder):
    pixels, labels = np.random.default_rng(0).integers(0, 256, (3, 3072), np.uint8), [1, 0, 1]
    files = make(pixels, labels)
    path = gzipped({f"{folder}/{name}": data for name, data in files.items()}, "cifar-10.tar.gz")
    Path(folder).mkdir()
    for name, data in files.items():
        Path(folder, name).write_bytes(data)
    for place in (path, Path(folder), Path()):
        images = load_real(place)
        assert (images.split, images.class_names, images.labels.tolist()) == ("test", ("cat", "dog"), labels)
        for i, flat in enumerate(pixels):
            assert np.array_equal(np.asarray(images.image(i)), flat.reshape(3, 32, 32).transpose(1, 2, 0))
        assert few_shot_pool(str(place)).split == "train"


def test_the_binary_version_of_cifar_100_has_two_columns():
    pixels = np.random.default_rng(1).integers(0, 256, (2, 3072), np.uint8)
    names = {"coarse_label_names.txt": b"sea\nland\n", "fine_label_names.txt": b"fish\nwhale\ndog\n"}
    rows = binary_rows(pixels, [1, 0], [2, 1])
    path = gzipped(
        {f"cifar-100-binary/{n}": d for n, d in {**names, "train.bin": rows, "test.bin": rows}.items()}, "c.tgz"
    )
    fine, coarse = (load_real(path, label_column=f"{column}_labels") for column in ("fine", "coarse"))
    assert [fine.class_names[label] for label in fine.labels] == ["dog", "whale"]
    assert [coarse.class_names[label] for label in coarse.labels] == ["land", "sea"]
    assert np.array_equal(np.asarray(fine.image(1)), pixels[1].reshape(3, 32, 32).transpose(1, 2, 0))
    with pytest.raises(UsageError, match=r"several columns of labels \(coarse_labels, fine_labels\)"):
        load_real(path)
    short = {f"cifar-100-binary/{n}": d for n, d in {**names, "test.bin": rows[:-1]}.items()}
    with pytest.raises(DataError, match=r"rows of 3,074 bytes, got 6,147 bytes"):
        load_real(gzipped(short, "short.tgz"), label_column="fine_labels")


def test_two_sets_of_batches_side_by_side_are_not_taken_for_one():
    pixels = np.zeros((1, 3072), np.uint8)
    for folder, make in (("cifar-10-batches-py", cifar10_pickles), ("cifar-10-batches-bin", cifar10_binary)):
        Path("data", folder).mkdir(parents=True)
        for name, data in make(pixels, [0]).items():
            Path("data", folder, name).write_bytes(data)
    with pytest.raises(UsageError, match=r"got cifar-10-batches-bin, cifar-10-batches-py\. Give the path of one"):
        load_real("data")


# ---- hostile archives ---------------------------------------------------------------------------------------


def link(kind, target):
    def change(member):
        member.type, member.linkname = kind, target

    return change


def device(member):
    member.type = tarfile.CHRTYPE


GOOD = {"a/1.png": grey_png(1), "b/2.png": grey_png(2)}
BAD_TARS = {
    "a name that leads out": {**GOOD, "../evil.png": grey_png(3)},
    "a name from the root": {**GOOD, "/evil.png": grey_png(3)},
    "a name that leads out in the middle": {**GOOD, "a/../../evil.png": grey_png(3)},
    "a name of another system": {**GOOD, "a\\..\\evil.png": grey_png(3)},
    "a link out": {**GOOD, "a/3.png": link(tarfile.SYMTYPE, "/etc/passwd")},
    "a link within": {**GOOD, "a/3.png": link(tarfile.SYMTYPE, "1.png")},
    "a hard link": {**GOOD, "a/3.png": link(tarfile.LNKTYPE, "a/1.png")},
    "a link for a folder": {**GOOD, "c": link(tarfile.SYMTYPE, "..")},
    "a device": {**GOOD, "a/3.png": device},
    "a name twice": {**GOOD, "./a/1.png": grey_png(3)},
    "a file for a folder": {**GOOD, "a": b"x"},
    "a folder for a file": {"a": b"x", "a/1.png": grey_png(1)},
    "folders without end": {**GOOD, "x/" * 100 + "1.png": grey_png(1)},
}


@pytest.mark.parametrize("what", BAD_TARS)
@pytest.mark.parametrize("make", [tar_of, gzipped])
def test_a_tar_that_holds_more_than_files_is_refused(what, make):
    path = make(BAD_TARS[what], "bad.tar" if make is tar_of else "bad.tgz")
    with pytest.raises(
        DataError, match=r"Expected an archive of plain files in 'bad\.t\w+', got '.*': .*Unpack it"
    ) as error:
        load_real(path)
    assert "\n" not in str(error.value)
    assert [entry.name for entry in Path().iterdir()] == [path.name]


def zipped_link(archive):
    item = zipfile.ZipInfo("a/3.png")
    item.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(item, "/etc/passwd")


@pytest.mark.parametrize(
    "add",
    [
        zipped_link,
        lambda archive: archive.writestr("../evil.png", b"x"),
        lambda archive: archive.writestr("/evil.png", b"x"),
        lambda archive: archive.writestr("./a/1.png", b"x"),
    ],
)
def test_a_zip_that_holds_more_than_files_is_refused(add):
    with zipfile.ZipFile(zip_of(GOOD, "bad.zip"), "a") as archive:
        add(archive)
    with pytest.raises(DataError, match=r"Expected an archive of plain files in 'bad\.zip', got '.*': .*Unpack it"):
        load_real("bad.zip")


def test_an_encrypted_zip_is_refused():
    data = bytearray(zip_of(GOOD, "bad.zip").read_bytes())
    at = data.index(b"PK\x01\x02") + 8  # the flags of the first entry of the directory
    data[at] |= 1
    Path("bad.zip").write_bytes(data)
    with pytest.raises(DataError, match=r"got 'a/1\.png': encrypted"):
        load_real("bad.zip")


@pytest.mark.parametrize("make", [zip_of, gzipped])
def test_a_bomb_is_refused_before_it_goes_off(make, monkeypatch):
    monkeypatch.setattr(archives, "MOST_BYTES", 2**20)
    path = make({**GOOD, "a/3.png": bytes(2**23)}, "bomb.zip" if make is zip_of else "bomb.tgz")
    assert path.stat().st_size < 2**15
    with pytest.raises(DataError, match=r"got more than its size can honestly hold"):
        load_real(path)


def test_a_file_that_only_says_to_be_huge_is_refused():
    def sparse(member):
        member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(2**50)}
        member.size = 512
        return b"0\n".ljust(512, b"\0")

    with pytest.raises(DataError, match=r"a sparse file|whole archive"):
        load_real(tar_of({**GOOD, "a/3.png": sparse}, "sparse.tar"))

    def long_header(member):
        member.pax_headers = {"comment": "x" * (2**20 + 1)}

    with pytest.raises(DataError, match=r"a header of 1,0\d\d,\d\d\d bytes"):
        load_real(tar_of({**GOOD, "a/3.png": long_header}, "header.tar"))


@pytest.mark.parametrize("name", MAKERS)
def test_an_archive_that_was_cut_is_refused_and_no_image_is_lost_silently(name):
    path = MAKERS[name](FILES, name)
    whole = path.read_bytes()
    end = len(whole.rstrip(b"\0"))  # of a tar, zeros follow, one block of which is needed
    places = range(512, end + 512, 512) if name == "sets.tar" else range(1, end, max(1, end // 40))
    for cut in places:  # between two files of a tar too
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match="Expected a whole archive, got another at"):
            load_real(path)


def test_what_was_changed_within_an_archive_is_refused():
    path = tar_of(FILES, "a.tar")
    data = bytearray(path.read_bytes())
    data[data.index(b"2750/River/River_2.png")] ^= 1  # its header no longer fits its sum
    path.write_bytes(data)
    with pytest.raises(DataError, match="its end is missing, or something else follows"):
        load_real(path)
    path = zip_of({name: data + bytes(1000) for name, data in FILES.items()}, "a.zip")
    changed = bytearray(path.read_bytes())
    changed[60] ^= 1
    path.write_bytes(changed)
    with pytest.raises(DataError, match=r"Forest_1\.png' in 'a\.zip'"):
        read_file(path / "2750/Forest/Forest_1.png")


@pytest.mark.parametrize("zeros", [0, 3 * 2**20])
def test_tars_one_after_another_are_refused_and_the_second_is_not_left_out_silently(zeros):
    whole = tar_of(FILES, "a.tar").read_bytes()
    more = tar_of({"2750/River/River_4.png": grey_png(9)}, "b.tar").read_bytes()
    Path("both.tar").write_bytes(whole + bytes(zeros) + more)
    with pytest.raises(DataError, match="something else follows"):
        load_real("both.tar")
    Path("padded.tar").write_bytes(whole + bytes(zeros))
    assert len(load_real("padded.tar")) == 6


def test_an_archive_is_opened_anew_when_it_changed():
    path = zip_of(FILES, "a.zip")
    assert len(load_real(path)) == 6
    zip_of({**FILES, "2750/River/River_4.png": grey_png(9)}, path)
    assert len(load_real(path)) == 7


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.zip", b"no archive", "Expected a whole archive"),
        ("a.tar", b"", "Expected a whole archive"),
        ("a.tgz", b"\x1f\x8bno gzip", "Expected a whole archive"),
        ("a.tar.xz", b"\xfd7zXZ\0no xz", "Expected a whole archive"),
    ],
)
def test_other_files_called_so_are_refused(name, content, message):
    Path(name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_real(name)
    with pytest.raises(DataError, match=r"Expected a folder, an archive or a Parquet file at 'b\.zip', found nothing"):
        load_real("b.zip")


def test_parquet_files_are_not_looked_for_in_archives():
    zip_of({"data/train-00000-of-00001.parquet": struct.pack("<4s", b"PAR1")}, "a.zip")
    with pytest.raises(DataError, match=r"Expected Parquet files outside of archives, got .* Unpack the archive"):
        load_real("a.zip")


def test_a_folder_called_like_an_archive_is_a_folder():
    for name, data in FILES.items():
        Path("a.zip", name).parent.mkdir(parents=True, exist_ok=True)
        Path("a.zip", name).write_bytes(data)
    assert len(load_real("a.zip")) == 6
