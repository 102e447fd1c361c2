import pytest
from test_merge import judge

from outcomes import contents
from small_datasets import hashes, make
from synthset.core.errors import UnknownNameError, UsageError
from synthset.curation.listing import show
from synthset.dataset.by_hand import write_by_hand
from synthset.dataset.reader import open_dataset
from synthset.dataset.relabels import write_relabels
from synthset.images.decoding import read_size
from synthset.testing import FakeGenerator

NAMES = ("猫", "سيارة")


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """Twenty images; clip rejects 1 and 2, real 2 and 3; a person keeps 1 and rejects 4; 5 has another class."""
    folder = make(tmp_path_factory.mktemp("shown") / "pets", NAMES).dataset.folder
    names = hashes(folder)
    judge(folder, "clip", [1, 2])
    judge(folder, "real", [2, 3])
    write_by_hand(folder, {names[1]: True, names[4]: False})
    drawn = open_dataset(folder).rows.column("class_name")[5].as_py()
    write_relabels(folder, {names[5]: next(name for name in NAMES if name != drawn)})
    return folder


def test_each_image_comes_with_all_that_it_was_drawn_from_and_what_is_said_of_it(pets):
    listing = show(pets)
    assert (listing.total, len(listing.images)) == (20, 20)
    rows = {row["request_id"]: row for row in open_dataset(pets).rows.to_pylist()}
    for image in listing.images:
        row = rows[image.id]
        told = (image.prompt, image.guidance_scale, image.seed, image.class_name, image.strategy, image.sha256)
        assert told == tuple(
            row[name] for name in ("prompt", "guidance_scale", "seed", "class_name", "strategy", "sha256")
        )
    verdicts = {image.id: (image.verdict, image.reason) for image in listing.images if image.id < 6}
    assert verdicts == {
        0: ("kept", ""),
        1: ("kept by hand", ""),
        2: ("rejected by clip", "clip 2"),
        3: ("rejected by real", "real 3"),
        4: ("rejected by hand", ""),
        5: ("kept", ""),
    }
    assert {image.id for image in listing.images if image.drawn_as} == {5}
    assert listing.images[2].said["real"].reason == "real 2"


def test_what_nobody_judged_is_not_kept_by_hand_where_another_image_was_judged(tmp_path, run):
    folder = make(tmp_path / "pets", NAMES).dataset.folder
    write_by_hand(folder, {hashes(folder)[1]: True})
    before, by_hand = show(folder, ids=(0, 1)).images
    assert (before.verdict, before.score, before.said) == ("kept", None, {})
    assert (by_hand.verdict, by_hand.score) == ("kept by hand", 1.0)
    code, out, _ = run("show", folder, "--id", 0, 1)
    assert code == 0
    assert ["by hand" in line for line in out.splitlines()[1:3]] == [False, True]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"rejected": True}, [2, 3, 4]),
        ({"kept": True, "ids": (1, 2, 7)}, [1, 7]),
        ({"strategies": "base", "ids": 3}, [3]),
        ({"classes": NAMES[:1], "rejected": True}, None),
    ],
)
def test_choices_go_together(pets, options, expected):
    images = show(pets, **options).images
    if expected is None:
        assert 0 < len(images) < 3
        assert {image.class_name for image in images} == {NAMES[0]}
    else:
        assert [image.id for image in images] == expected


def test_what_is_not_there_is_refused_by_name(pets, tmp_path):
    with pytest.raises(UnknownNameError, match=r"Unknown class of .* 'dog'"):
        show(pets, classes="dog")
    with pytest.raises(UsageError, match="multi_domain"):
        show(pets, strategies="multi_domain")
    with pytest.raises(UsageError, match="77 is none of its 20"):
        show(pets, ids=(1, 77))
    with pytest.raises(UsageError, match="rejected or kept, got both"):
        show(pets, rejected=True, kept=True)


def test_an_id_of_a_request_that_failed_is_told_why(tmp_path):
    broken = FakeGenerator(status=lambda request: "flagged" if "cat" in request.prompt else "ok")
    with pytest.raises(Exception, match="more failed"):
        make(tmp_path / "pets", generator=broken)
    with pytest.raises(UsageError, match=r"0 was not drawn \(flagged: the test asked for flagged\)"):
        show(tmp_path / "pets", ids=0)


def test_sheets_have_every_image_on_as_many_pages_as_it_takes(pets, tmp_path, monkeypatch):
    monkeypatch.setattr("synthset.curation.sheets.ACROSS", 3)
    monkeypatch.setattr("synthset.curation.sheets.DOWN", 2)
    listing = show(pets, output_dir=tmp_path / "sheets")
    assert [path.name for path in listing.sheets] == [f"sheet-00{number}.png" for number in (1, 2, 3, 4)]
    sizes = [read_size(path.read_bytes()) for path in listing.sheets]
    assert len({width for width, _ in sizes[:3]}) == 1
    assert sizes[3][1] < min(height for _, height in sizes[:3])  # two images
    first = contents(tmp_path / "sheets")
    with pytest.raises(UsageError, match="overwrite"):
        show(pets, output_dir=tmp_path / "sheets")
    assert len(show(pets, ids=3, output_dir=tmp_path / "sheets", overwrite=True).sheets) == 1
    assert set(contents(tmp_path / "sheets")) < set(first)
    with pytest.raises(UsageError, match="other things"):
        show(pets, output_dir=pets, overwrite=True)
    with pytest.raises(UsageError, match=r"Expected rejected images in .* found none"):
        show(pets, ids=0, rejected=True, output_dir=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_command_lists_some_and_says_how_many_more(pets, own_folder, run, monkeypatch):
    monkeypatch.setattr("synthset.cli.curation_tables.MAX_ROWS", 5)
    code, out, _ = run("show", pets)
    assert code == 0
    assert "and 15 more; --json has all of them" in out
    assert "rejected by clip" in out
    assert str(show(pets).images[0].seed) in out
    code, out, _ = run("show", pets, "--rejected", "--json")
    assert (code, out.count('"sha256"')) == (0, 3)
