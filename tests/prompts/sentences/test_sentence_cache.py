"""Sentences are written once, are never stale, and a run that stops goes on."""

from dataclasses import dataclass, field

import pytest

from synthset.core.errors import DataError, ModelError, UsageError
from synthset.prompts.sentences import load_writer
from synthset.prompts.sentences.cache import SENTENCES_FILE, sentence_job, sentences_for

CLASSES = ("one", "two", "three")


@dataclass
class Writer:
    """Writes made-up sentences, and stops at a class of the test's choice."""

    fingerprint: str = "f"
    name: str = "fake"
    stop_at: str = ""
    asked: list[str] = field(default_factory=list)

    def write(self, class_name, phrase, count, seed):
        self.asked.append(class_name)
        if class_name == self.stop_at:
            raise ModelError("stopped")
        return [f"{self.fingerprint}{seed}: {phrase or class_name} no. {i}\u2028" for i in range(count)]


def sentences(folder, writer, count=2, seed=0, phrases=None, classes=CLASSES):
    return sentences_for(classes, phrases or {}, writer, count, seed, folder)


def test_sentences_are_written_once(tmp_path):
    writer, done = Writer(), []
    first = sentences_for(CLASSES, {"two": "a 2"}, writer, 2, 5, tmp_path / "new", done.append)
    assert list(first) == done == writer.asked == list(CLASSES)
    assert first["two"] == ("f5: a 2 no. 0\u2028", "f5: a 2 no. 1\u2028")
    bytes_before = (tmp_path / "new" / SENTENCES_FILE).read_bytes()
    assert sentences(tmp_path / "new", writer, 2, 5, {"two": "a 2"}, CLASSES[::-1]) == first
    assert writer.asked == list(CLASSES)
    assert (tmp_path / "new" / SENTENCES_FILE).read_bytes() == bytes_before


def test_a_run_that_stops_is_resumed(tmp_path):
    with pytest.raises(ModelError, match="stopped"):
        sentences(tmp_path, Writer(stop_at="three"))
    writer = Writer()
    assert list(sentences(tmp_path, writer)) == list(CLASSES)
    assert writer.asked == ["three"]


def test_a_writer_that_fails_at_once_leaves_nothing(tmp_path):
    with pytest.raises(ModelError, match="stopped"):
        sentences(tmp_path / "new", Writer(stop_at="one"))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("torn", [b'{"class_name": "three", "sent', b'{"class_name"', b"\xe2"])
def test_a_torn_line_is_written_anew(tmp_path, torn):
    sentences(tmp_path, Writer(), classes=CLASSES[:2])
    path = tmp_path / SENTENCES_FILE
    path.write_bytes(path.read_bytes() + torn)
    writer = Writer()
    assert len(sentences(tmp_path, writer)["three"]) == 2
    assert writer.asked == ["three"]
    assert sentences(tmp_path, Writer(stop_at="one"))  # all there, and the file is whole


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        ({"writer": Writer("other")}, CLASSES),
        ({"count": 3}, CLASSES),
        ({"seed": 1}, CLASSES),
        ({"phrases": {"two": "a 2"}}, ("two",)),
        ({"writer": Writer(name="the same by another name")}, ()),
    ],
)
def test_what_another_job_wrote_is_never_read_and_never_lost(tmp_path, change, asked):
    before = sentences(tmp_path, Writer())
    change = {"writer": Writer()} | change
    assert sentences(tmp_path, **change) == sentences(tmp_path / "fresh", Writer(change["writer"].fingerprint),
        **{key: value for key, value in change.items() if key != "writer"})  # fmt: skip
    assert change["writer"].asked == list(asked)
    again = Writer(stop_at="one")
    assert sentences(tmp_path, again) == before
    assert again.asked == []


@pytest.mark.parametrize(
    "damage",
    [
        "nonsense\n",
        "[]\n",
        '{"class_name": "one"}\n',
        '{"class_name": "one", "phrase": "", "writer": "w", "fingerprint": "f", "count": 2, "seed": 0, '
        '"sentences": ["x"]}\n',
        '{"class_name": ["one"], "phrase": "", "fingerprint": "f", "count": 1, "seed": 0, "sentences": ["x"]}\n',
    ],
)
def test_a_damaged_file_is_not_read(tmp_path, damage):
    (tmp_path / SENTENCES_FILE).write_text(damage)
    with pytest.raises(DataError, match=r"line 1 of '.*sentences\.jsonl'.* The file is damaged\. Delete it") as error:
        sentences(tmp_path, Writer())
    assert "\n" not in str(error.value)
    assert (tmp_path / SENTENCES_FILE).read_text() == damage


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="Choose another folder"):
        sentences(tmp_path / "file" / "dataset", Writer())
    with pytest.raises(UsageError, match="at least 1"):
        sentences(tmp_path, Writer(), count=0)


def test_the_job_names_writer_count_and_content(tmp_path):
    writer = Writer()
    texts = sentences(tmp_path, writer)
    job = sentence_job(writer, 2, texts)
    assert {**job, "sha256": None} == {"writer": "fake", "fingerprint": "f", "count": 2, "sha256": None}
    assert sentence_job(writer, 2, texts | {"one": ("x", "y")})["sha256"] != job["sha256"]


def test_a_dataset_s_sentences_serve_another_as_a_file(tmp_path):
    sentences(tmp_path, Writer())
    source = load_writer(str(tmp_path / SENTENCES_FILE))
    assert source.write("two", "", 2, seed=0) == ["f0: two no. 0", "f0: two no. 1"]
