"""Jobs that differ are refused, and the difference is named; an option that an older one lacks is no difference."""

import pytest

from synthset.core.errors import ConfigChangedError
from synthset.core.jobs import differences, flatten, refuse


def test_differences_are_named_by_dotted_keys_in_the_order_of_the_new_job():
    recorded = {"seed": 64, "images": {"format": "png", "resize_px": None}, "strategies": {"base": "7.5"}}
    wanted = {"strategies": {"base": "7.5", "le": "2"}, "seed": 65, "images": {"format": "png", "resize_px": 32}}
    assert differences(recorded, wanted) == [
        'strategies.le: null there, "2" here',
        "seed: 64 there, 65 here",
        "images.resize_px: null there, 32 here",
    ]
    assert differences(wanted, wanted) == []


def test_a_job_is_compared_as_json_has_it():
    assert differences({"domains": ["a", ["b"]]}, {"domains": ("a", ("b",))}) == []
    assert differences({"phrases": {}}, {}) == []
    assert flatten({"a": {"b": {"c": (1, (2,))}}}) == {"a.b.c": [1, [2]]}
    (text,) = differences({"text": "x" * 500}, {"text": "猫"})
    assert text.startswith(f'text: "{"x" * 76}… there, "猫" here')


@pytest.mark.parametrize("defaults", [{"images": {"tone": "warm"}}, {"images.tone": "warm", "other": 3}])
def test_a_key_that_one_of_them_lacks_has_its_default(defaults):
    older, newer = {"images": {"format": "png"}}, {"images": {"format": "png", "tone": "warm"}}
    assert differences(older, newer, defaults) == []
    assert differences(newer, older, defaults) == []
    assert differences(older, newer) == ['images.tone: null there, "warm" here']
    newer["images"]["tone"] = "cold"
    assert differences(older, newer, defaults) == ['images.tone: "warm" there, "cold" here']
    assert differences(newer, older, defaults) == ['images.tone: "cold" there, "warm" here']


def test_a_derived_key_is_named_only_alone():
    assert differences({"seed": 1, "hash": "a"}, {"seed": 2, "hash": "b"}, derived=["hash"]) == [
        "seed: 1 there, 2 here"
    ]
    assert differences({"hash": "a"}, {"hash": "b"}, derived=["hash"]) == ['hash: "a" there, "b" here']


def test_a_name_counts_only_where_nothing_else_tells_the_thing(tmp_path, monkeypatch):
    identified = {"model": "hash"}
    assert differences({"model": "a", "hash": "1"}, {"model": "b", "hash": "1"}, identified=identified) == []
    assert differences({"model": "a", "hash": "1"}, {"model": "b", "hash": "2"}, identified=identified) == [
        'hash: "1" there, "2" here'
    ]
    older = differences({"model": "a"}, {"model": "b", "hash": "1"}, {"hash": "1"}, identified=identified)
    assert older == ['model: "a" there, "b" here']

    (tmp_path / "sd").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to("sd")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("./sd", "~/sd", "link", str(tmp_path / "sd")):
        assert differences({"model": "sd"}, {"model": name}, identified=identified) == []
        assert differences({"model": "sd"}, {"model": name})
    for name in ("other", "owner/sd", "~nobody/sd", "", None, 3):
        assert differences({"model": "sd"}, {"model": name}, identified=identified)


def test_at_most_four_differences_are_told(tmp_path):
    refuse(tmp_path, "job", [])
    with pytest.raises(ConfigChangedError) as error:
        refuse(tmp_path / "d", "training", list("abcdef"))
    message = f"'{tmp_path}/d' holds another training (a; b; c; d); nothing was changed. Choose another "
    assert str(error.value) == f"{message}output_dir, or give overwrite to replace it."
    flags = error.value.worded(lambda name, value: f"--{name.replace('_', '-')}")
    assert flags == f"{message}--output-dir, or give --overwrite to replace it."
