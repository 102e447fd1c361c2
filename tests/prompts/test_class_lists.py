"""Class names as people give them: files of any kind that tools write, and what is no name where one is expected."""

import re
from collections import Counter

import pytest
from timm.data import ImageNetInfo

from synthset.core.errors import UsageError
from synthset.create.config import CreateConfig
from synthset.create.inputs import read_inputs
from synthset.create.job import job_of_config
from synthset.prompts.class_lists import CLASS_LISTS, check_typed, expand_list, read_classes
from synthset.prompts.classes import as_words, check_classes
from synthset.real import class_names_of
from synthset.real.names import imagenet_2k, imagenet_ids, is_person

TEXT = "caf\u00e9\nsea lake"


@pytest.fixture
def read(tmp_path):
    """`read("cat", ".txt")`: the classes in a file of that content."""

    def read_file(content, suffix=".txt"):
        path = tmp_path / f"classes{suffix}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_classes(path)

    return read_file


@pytest.mark.parametrize(
    "content",
    [
        "# pets\n\ncaf\u00e9\r\n\u200b\n sea lake \u00a0\n",
        TEXT.encode("utf-8-sig"),
        "\ufeff# pets\ncafe\u0301\nsea\u200b lake",
        TEXT.encode("utf-16"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
    ],
)
def test_text_however_it_is_encoded(read, content):
    assert read(content) == ("caf\u00e9", "sea lake")


@pytest.mark.parametrize(
    "content",
    [
        '["no", "8"]', '\ufeff["no", "8"]', "['no', '8']", "[no, 8]", "- no\n- 8\n", "# pets\n---\n- no\n- 8\n",
        '{"0": "no", "1": "8"}', "{0: no, 1: 8}", "{1: 8, 0: no}", "0: no\n1: 8\n", "1: no\n2: '8'\n",
        '{"no": 0, "8": 1}', "names:\n- no\n- 8\n", "nc: 2\nnames: [no, 8]\n",
        "train: images\nnames:\n  0: no\n  1: 8\n",
        '{"model": "x", "id2label": {"0": "no", "1": "8"}, "label2id": {"no": 0, "8": 1}}',
        '{"categories": [{"id": 3, "name": "no"}, {"id": 5, "name": "8"}]}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".txt", ".json", ".yaml"])
def test_lists_and_tables_are_read_as_what_they_are(read, content, suffix):
    assert read(content, suffix) == ("no", "8")


def test_a_table_of_two_digits_goes_by_value(read):
    names = [f"class {chr(97 + i)}" for i in range(12)]
    lines = [f'"{i}": {name}' for i, name in enumerate(names)]
    assert read("\n".join(sorted(lines)), ".yaml") == tuple(names)


def test_names_with_signs_are_lines_of_text(read):
    names = (
        "Spider-Man: Homecoming",
        "tench, Tinca tinca",
        "Speed limit (20km/h)",
        "AC/DC",
        ".NET",
        "1 euro",
        "2 euro",
    )
    assert read("\n".join(names)) == names


@pytest.mark.parametrize(
    ("content", "suffix", "message"),
    [
        (b"", ".txt", "at least one class name"),
        (b"\xff\xfe\x00", ".txt", "Save it as UTF-8"),
        (b"caf\xe9", ".txt", "Save it as UTF-8"),
        (b"c\0a\0t\0", ".txt", "control characters"),
        ("# only a comment", ".txt", "at least one class name"),
        ("cat,dog", ".txt", "would be one class"),
        ("cat, dog, emu", ".txt", "would be one class"),
        ("id,name\n0,cat", ".csv", "would be one class"),
        ("cat,\ndog,\n", ".txt", "piece of a list"),
        ('"cat"\n"dog"', ".txt", "piece of a list"),
        ("0 cat\n1 dog", ".txt", "numbers beside them"),
        ("1. cat\n2. dog", ".txt", "numbers beside them"),
        ("cat 0\ndog 1", ".txt", "numbers beside them"),
        ("n01440764 tench\nn01443537 goldfish", ".txt", "numbers beside them"),
        ('{"cat",\n"dog"}', ".txt", "a list of class names"),
        ("[1, 2]", ".json", "in quotes"),
        ('[["n0", "tench"]]', ".json", "a list of class names"),
        ("[]", ".json", "a list of class names"),
        ("", ".json", "a list of class names"),
        ('"cat"', ".json", "a list of class names"),
        ("names: names.txt", ".yaml", "a list of class names"),
        ('{"0": "cat", "0": "dog"}', ".json", "'0' stands twice"),
        ('{"0": "cat", "2": "dog"}', ".json", r"numbers 0\.\.1 beside the 2 class names .* got 0, 2"),
        ("[" * 10_000, ".json", "too deep"),
        ('["\\udc80", "b"]', ".json", "control characters"),
    ],
)
def test_what_is_no_list_of_classes_is_refused_in_one_line(read, content, suffix, message):
    with pytest.raises(UsageError, match=message) as error:
        read(content, suffix)
    assert "\n" not in str(error.value)


def test_a_file_without_end_or_that_is_none(tmp_path):
    for path in ("/dev/zero", tmp_path, tmp_path / "gone.txt"):
        with pytest.raises(UsageError, match="Expected a text file"):
            read_classes(path)


@pytest.mark.parametrize(
    "words",
    [
        ['["cat", "dog"]'], ["[cat,", "dog]"], ["['cat'"], ["{0: cat, 1: dog}"], ["{", "cat"], ["names:", "cat"],
        ["- cat"], ["cat,", "dog"], ["cat,dog"], ["cat;"], ["0: cat", "1: dog"], ["1) cat", "2) dog"], ["'cat'"],
    ],
)  # fmt: skip
def test_words_that_are_pieces_of_a_list_are_no_classes(words):
    with pytest.raises(UsageError, match=r"Expected (spaces between )?class names"):
        check_typed(words)


def test_a_file_typed_as_a_class_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert check_typed(["classes.txt", "{{ 7*7 }}"]) == ("classes.txt", "{{ 7*7 }}")
    (tmp_path / "classes.txt").write_text("cat")
    with pytest.raises(UsageError, match=r"Give it as classes_file=classes\.txt"):
        check_typed(["classes.txt"])


def test_the_command_line_takes_both(run, own_folder):
    (own_folder / "classes.json").write_text('["one", "Speed limit (20km/h)"]')
    line = ("create", "--dry-run", "--images-per-class", 1, "--generator", "x", "--classes-file", "classes.json")
    code, out, err = run(*line)
    assert code == 0, err
    assert "a Speed limit (20km/h)" in out


def test_the_names_of_a_list_are_the_classes_of_the_job(caplog):
    config = CreateConfig(generator="some/model")
    for name, count in (("cifar100", 100), ("imagenet-1k", 1000), (" ImageNet-2K", 2000)):
        caplog.clear()
        classes = read_inputs([name], config).class_names
        assert len(classes) == count
        assert job_of_config(classes, config)["classes"] == list(classes)
        check_classes(classes)
    assert expand_list(["cifar100"]) == class_names_of("cifar100")
    assert expand_list(["cifar100", "dog"]) == ("cifar100", "dog")
    assert read_inputs(["cifar10"], config).class_names == ("cifar10",)


def test_which_list_was_taken_is_said_once(caplog, monkeypatch):
    monkeypatch.setitem(CLASS_LISTS, "pets-two", lambda: ("cat", "dog"))
    assert expand_list(["pets-two"]) == expand_list(["pets-two"]) == ("cat", "dog")
    assert [record.getMessage() for record in caplog.records] == ["Classes 'pets-two' are a list of 2 names: cat, dog"]


def test_imagenet_2k_is_1k_and_a_thousand_that_share_nothing_with_it():
    classes, info = imagenet_2k(), ImageNetInfo("imagenet-21k-goog")
    added = list(classes)[1000:]
    assert tuple(classes)[:1000] == imagenet_ids()
    assert tuple(classes.values())[:1000] == class_names_of("imagenet")
    assert set(added) <= set(info.label_names())
    firsts = Counter(info.label_name_to_description(synset).split(", ")[0].lower() for synset in info.label_names())
    for synset in added:
        assert classes[synset] == info.label_name_to_description(synset).split(", ")[0]
        assert firsts[classes[synset].lower()] == 1
    of_1k = {ImageNetInfo("imagenet-1k").label_name_to_description(synset).split(", ")[0] for synset in imagenet_ids()}
    assert not of_1k & {classes[synset] for synset in added}
    assert len({as_words(name).casefold() for name in classes.values()}) == 2000
    assert added[:3] == ["n00440509", "n00443231", "n00443517"]  # the same on every machine, and in every version


def test_persons_are_told_by_the_number_of_their_synset():
    info = ImageNetInfo("imagenet-21k-goog")
    definitions = {synset: info.label_name_to_description(synset, detailed=True) for synset in info.label_names()}
    said = {synset for synset, text in definitions.items() if re.search(r": (a person who|someone who|one who) ", text)}
    assert len(said) > 600
    assert all(map(is_person, said))
    persons = [synset for synset in definitions if is_person(synset)]
    assert len(persons) == 2845
    assert is_person("n00007846")  # person
    assert not any(map(is_person, ("n09481120", "n11448153", "n02084071")))  # xenolith, dust storm, dog
    assert not any(map(is_person, list(imagenet_2k())[1000:]))
