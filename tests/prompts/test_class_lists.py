"""Class names as people give them: files of any kind that tools write, and what is no name where one is expected."""

import json
import re
import time
from collections import Counter

import pytest
from timm.data import ImageNetInfo

from synthset.core.errors import UsageError
from synthset.create.config import CreateConfig
from synthset.create.inputs import read_inputs
from synthset.create.job import job_of_config
from synthset.prompts.class_lists import CLASS_LISTS, check_typed, expand_list, read_class_list, read_classes
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
        '{"features": {"image": {"_type": "Image"}, "label": {"names": ["no", "8"], "_type": "ClassLabel"}}}',
        "dataset_info:\n  features:\n  - name: label\n    dtype:\n      class_label:\n        names:\n"
        "          '1': 8\n          '0': no\n",
        "ClassLabel(num_classes=2, names=['no', '8'], id=None)", '[\n\t"no",\n\t"8"\n]',
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".txt", ".json", ".yaml"])
def test_lists_and_tables_are_read_as_what_they_are(read, content, suffix):
    assert read(content, suffix) == ("no", "8")


TABLES = {
    "one column": ("no\n8\n", ".csv"),
    "with a heading": ("name\nno\n8\n", ".csv"),
    "by number": ('\ufeffid,name\r\n1,8\r\n0,"no"\r\n', ".csv"),
    "with semicolons": ("label;class_name\n2;8\n1;no\n", ".csv"),
    "without a heading": ("8,1\nno,0", ".csv"),
    "with tabs": ("# pets\nn01440764\tno\nn01443537\t8\n", ".txt"),
    "with tabs and a heading": ("class\tfolder\r\rno\ta\r8\tb\r", ".tsv"),
    "with other names": ('name,synonyms\nno,"nay, never"\n8,\n', ".csv"),
    "with an empty column": ("no,\n8,\n", ".csv"),
}


@pytest.mark.parametrize(("content", "suffix"), TABLES.values(), ids=TABLES)
def test_tables_have_a_column_of_names(read, caplog, content, suffix):
    assert read(content, suffix) == ("no", "8")
    said = "\n".join(record.getMessage() for record in caplog.records)
    if "column" in content or "," in content.strip(",\n") or ";" in content or "\t" in content:
        assert re.search(r"Class names are taken from column ('(class_)?name'|'class'|[12]) of '.*'", said) or (
            "no,\n" in content
        )
        assert ("in the order of the numbers" in said) == ("1" in content and "n0" not in content)
    elif "name" in content:
        assert "The first row of" in said


def test_what_stands_beside_a_name_is_a_synonym_and_said(tmp_path, caplog):
    path = tmp_path / "classes.txt"
    path.write_text('n01440764 tench, Tinca tinca\nn01443537: "Washington, D.C."\n')
    found = read_class_list(path)
    assert found.names == ("tench", '"Washington')  # quotes are quotes around the whole line alone
    path.write_text("tench, Tinca tinca\n\"Washington, D.C.\"\n'crane'\n")
    caplog.clear()
    found = read_class_list(path)
    assert found.names == ("tench", "Washington, D.C.", "crane")
    assert found.synonyms == {"tench": ("Tinca tinca",)}
    (record,) = caplog.records
    assert "so 'tench' is the name of a class; a name that has a comma stands in quotes" in record.getMessage()
    path.write_text("n01440764: tench\nn02012849 crane bird\n")
    assert read_class_list(path).synonyms == {"tench": ("n01440764",), "crane bird": ("n02012849",)}
    path.write_text("one two three\n")
    assert read_classes(path) == ("one two three",)
    assert "has one line, taken as one class: 'one two three'" in caplog.text


def test_ids_of_wordnet_have_names(tmp_path, caplog):
    path = tmp_path / "ids.txt"
    path.write_text("n01440764\nn02012849\nn03126707\nn00440509\n")
    found = read_class_list(path)
    assert found.names == ("tench", "crane (large long-necked wading bird)", "crane (lifts and moves heavy objects)",
        "high jump")  # fmt: skip
    assert found.synonyms["tench"] == ("Tinca tinca", "n01440764")
    assert "are taken by their names: tench, " in caplog.text


SCRIPTS = ["猫", "חתול", "قطة", "बिल्ली", "γάτα", "🐈\u200d⬛", "แมว", "می\u200cخواهم"]


def test_names_of_any_script_stay_as_they_are(read):
    assert read("\n".join(SCRIPTS)) == tuple(SCRIPTS)


def test_ten_thousand_names_take_no_time(read):
    names = tuple(f"class {number:x} \u00e9" for number in range(10_000))
    begin = time.process_time()
    assert read("\n".join(names)) == names
    assert time.process_time() - begin < 3  # 0.11 s on two cores of an Intel Xeon


def test_a_table_of_two_digits_goes_by_value(read):
    names = [f"class {chr(97 + i)}" for i in range(12)]
    lines = [f'"{i}": {name}' for i, name in enumerate(names)]
    assert read("\n".join(sorted(lines)), ".yaml") == tuple(names)


def test_names_with_signs_are_lines_of_text(read):
    names = (
        "Spider-Man: Homecoming",
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
        (b"cat\ncaf\xe9\r\ndog", ".txt", r"in Latin-1 or Windows-1252 the line reads 'caf\u00e9'\)\. Save it as UTF-8"),
        (b"c\0a\0t\0", ".txt", "zero bytes, as UTF-16 without a byte order mark.*Save it as UTF-8"),
        ("# only a comment", ".txt", "at least one class name"),
        ("cat,dog", ".txt", "would be one class"),
        ("cat, dog, emu", ".txt", "one line 'cat, dog, emu', which may be several classes or one with its synonyms"),
        ("tench, Tinca tinca\nTench", ".txt", "Expected each class once, got 'tench' and 'Tench'"),
        ("cat\nCat", ".txt", "each class once, got 'cat' and 'Cat'"),
        ("caf\u00e9\ncafe\u0301", ".txt", r"each class once, got 'caf\u00e9' and 'cafe\\u0301'"),
        ("cat\n\u200bcat", ".txt", r"each class once, got 'cat' and '\\u200bcat'"),
        ("cat\x07\ndog", ".txt", "control characters"),
        ("id,name\n0,cat\n7,dog", ".csv", r"numbers 0\.\.1 beside the 2 class names in .* got 0, 7"),
        ("id,index,name\n0,1,cat\n1,0,dog", ".csv", "others in another column"),
        ("cat,feline\ndog,canine", ".csv", "a row with the names of the 2 columns .* got cat, feline. Call it 'name'"),
        ("id,colour\n0,red", ".csv", "one column of class names .* none of its columns id, colour"),
        ("class,name\na,cat\nb,dog", ".csv", "got 2 of its columns class, name that may be, 'class' and 'name'"),
        (
            "id,name\n0,cat\n1,dog,emu",
            ".csv",
            "Expected 2 columns .* got 3 in row 3: 1, dog, emu. Put a name with a ','",
        ),
        ("n01440764\nn99999999", ".txt", "got n99999999. Write the names instead"),
        (
            '{"features": {"a": {"names": ["x", "y"], "_type": "ClassLabel"}, '
            '"b": {"names": ["z"], "_type": "ClassLabel"}}}',
            ".json",
            "one ClassLabel in .* got 2",
        ),
        ("cat,\ndog,\n", ".txt", "piece of a list"),
        ('"cat", "dog"\n"emu"', ".txt", "a piece of a list"),
        ("0 cat\n1 dog", ".txt", "numbers beside them"),
        ("1. cat\n2. dog", ".txt", "numbers beside them"),
        ("cat 0\ndog 1", ".txt", "numbers beside them"),
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


def test_synonyms_are_recorded_beside_the_job(run, own_folder, caplog):
    (own_folder / "classes.txt").write_text("one, the digit one\ntwo\n")
    line = ("create", "--images-per-class", 1, "--steps", 2, "--classes-file", "classes.txt", "--output-dir", "digits")
    code, _, err = run(*line)
    assert code == 0, err
    assert "'one' is the name of a class" in caplog.text
    manifest = json.loads((own_folder / "digits" / "manifest.json").read_text())
    assert manifest["synonyms"] == {"one": ["the digit one"]}
    assert manifest["job"]["classes"] == ["one", "two"]
