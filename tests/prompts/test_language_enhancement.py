"""Language enhancement end to end: from sentences to prompts, what a dataset records of them, and what is refused."""

import hashlib
import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field

import pytest

from outcomes import contents
from prompts.sentences.tiny_t5 import build_t5
from synthset.cli import main
from synthset.core.errors import ConfigChangedError, ModelError, UsageError
from synthset.create.plan import make_plan
from synthset.create.stage import CreateConfig, create, plan_images
from synthset.dataset.reader import open_dataset
from synthset.prompts import language_enhancement
from synthset.prompts.language_enhancement import SentenceConfig
from synthset.prompts.sentences.cache import SENTENCES_FILE
from synthset.prompts.strategies import PromptStyle, resolve_strategies
from synthset.testing import FakeEncoder, FakeGenerator

CLASSES = ("cat", "sea_lake")
SENTENCES = {
    "cat": ["a cat asleep on a sofa", "two cats in the rain", "a kitten"],
    "sea_lake": ["a boat on a lake", "the sea at night", "waves"],
}


def write_yaml(path, sentences=SENTENCES):
    path.write_text(json.dumps(sentences), encoding="utf-8")  # JSON is YAML
    return str(path)


@pytest.fixture
def file(tmp_path):
    return write_yaml(tmp_path / "sentences.yaml")


def make(folder, file, *, generator=None, count=3, **options):
    options = {"strategies": ("language_enhancement",), "images_per_class": 6} | options
    config = SentenceConfig(count=count, source=file)
    return create(CLASSES, folder, generator=generator or FakeGenerator(), sentences=config, **options)


def job(folder):
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["job"]


@dataclass
class Writer:
    """Writes made-up sentences, and stops at a class of the test's choice."""

    name: str = "fake"
    fingerprint: str = "f"
    stop_at: str = ""
    error: BaseException = field(default_factory=KeyboardInterrupt)
    asked: list[str] = field(default_factory=list)

    def write(self, class_name, phrase, count, seed):
        self.asked.append(class_name)
        if class_name == self.stop_at:
            raise self.error
        return [f"{phrase or class_name} no. {i}" for i in range(count)]


@pytest.fixture
def use(monkeypatch):
    """Let a writer of the test write whatever is asked for."""

    def apply(writer):
        monkeypatch.setattr(language_enhancement, "load_writer", lambda *words, **options: writer)
        return writer

    return apply


# ---- prompts ----------------------------------------------------------------------------------------------


def test_prompts_are_the_sentences_each_equally_often(tmp_path, file):
    rows = make(tmp_path / "pets", file, images_per_class=12).dataset.rows
    drawn = Counter(zip(rows.column("class_name").to_pylist(), rows.column("prompt").to_pylist(), strict=True))
    assert drawn == {(name, sentence): 4 for name, sentences in SENTENCES.items() for sentence in sentences}
    assert set(rows.column("guidance_scale").to_pylist()) == {7.5}


def test_satellite_images_say_so(tmp_path, file):
    rows = make(tmp_path / "pets", file, style=PromptStyle(satellite=True)).dataset.rows
    assert rows.column("prompt").to_pylist()[:2] == [
        "a centered satellite photo of a cat asleep on a sofa",
        "a centered satellite photo of a boat on a lake",
    ]


def test_words_around_a_sentence(tmp_path, file):
    style = PromptStyle(satellite=True, sentence_template="a photo of {sentence}, a type of bird")
    rows = make(tmp_path / "pets", file, style=style).dataset.rows
    assert rows.column("prompt").to_pylist()[0] == "a photo of a cat asleep on a sofa, a type of bird"
    assert job(tmp_path / "pets")["prompts"]["sentence_template"] == style.sentence_template
    assert PromptStyle(sentence_template="{sentence}") == PromptStyle()
    with pytest.raises(UsageError, match=r"Expected sentence_template with \{sentence\} in it, got 'a bird'"):
        PromptStyle(sentence_template="a bird")


def test_phrases_are_what_sentences_are_about(tmp_path, use):
    use(Writer())
    style = PromptStyle(phrases={"Sea Lake": "a body of water"})
    made = create(CLASSES, tmp_path / "d", generator=FakeGenerator(), strategies="le", images_per_class=2, style=style)
    assert made.dataset.rows.column("prompt").to_pylist() == [
        "cat no. 0",
        "a body of water no. 0",
        "cat no. 1",
        "a body of water no. 1",
    ]


def test_any_guidance_goes_with_sentences_and_others_stay_as_they_are(tmp_path, file):
    names = ("LE@1:5", "language-enhancement", "base")
    rows = make(tmp_path / "both", file, strategies=names, guidance_scale=3).dataset.rows
    assert list(job(tmp_path / "both")["strategies"]) == ["language_enhancement@1:5", "language_enhancement", "base"]
    random, fixed, base = (
        [row for row in rows.to_pylist() if row["strategy"] == name] for name in job(tmp_path / "both")["strategies"]
    )
    assert [row["prompt"] for row in random] == [row["prompt"] for row in fixed]
    scales = {row["guidance_scale"] for row in random}
    assert len(scales) == 12
    assert all(1 <= scale <= 5 for scale in scales)
    assert {row["guidance_scale"] for row in fixed} == {3}
    assert {row["prompt"] for row in base} == {"an image of a cat", "an image of a sea lake"}


def test_sentences_in_the_style_leave_other_strategies_alone():
    style = PromptStyle(sentences={"cat": ("a cat",), "dog": ("a dog",)})
    plain, enhanced = (make_plan(("cat", "dog"), resolve_strategies(["base"], 3, s)) for s in (PromptStyle(), style))
    assert plain.hash == enhanced.hash


def test_refilling_goes_on_with_the_sentences(tmp_path, use):
    use(Writer())
    made = create(
        CLASSES,
        tmp_path / "d",
        generator=FakeGenerator(),
        strategies="le",
        images_per_class=4,
        sentences=SentenceConfig(count=3),
        refill="clip",
        encoder=FakeEncoder(),
        max_draws=60,
    )
    assert made.refill.rounds
    for row in made.dataset.rows.to_pylist():
        assert row["prompt"] == f"{row['class_name']} no. {row['index'] % 3}"


# ---- what is recorded, and what is another job -------------------------------------------------------------


def test_the_job_has_a_hash_of_the_sentences_and_not_the_sentences(tmp_path, file):
    folder = tmp_path / "pets"
    make(folder, file)
    recorded = job(folder)["sentences"]
    assert list(recorded) == ["writer", "fingerprint", "count", "sha256"]
    assert (recorded["writer"], recorded["count"]) == (file, 3)
    assert recorded["sha256"] == hashlib.sha256(json.dumps(SENTENCES, ensure_ascii=False).encode()).hexdigest()
    assert "kitten" not in (folder / "manifest.json").read_text(encoding="utf-8")
    assert "sentences" not in job(folder)["prompts"]
    assert "into sentences by" in (folder / "README.md").read_text(encoding="utf-8")


def test_a_run_without_them_records_what_it_always_did(tmp_path):
    create(CLASSES, tmp_path / "pets", generator=FakeGenerator(), images_per_class=1)
    assert "sentences" not in json.dumps(job(tmp_path / "pets"))
    keys = {"domains", "satellite", "satellite_base", "sentence_template", "literal_articles"}
    assert set(job(tmp_path / "pets")["prompts"]) == {*keys, "template", "phrases", "augmentation"}
    assert "drawn by a text-to-image model from class names alone" in (tmp_path / "pets" / "README.md").read_text()
    assert not (tmp_path / "pets" / SENTENCES_FILE).exists()


def test_a_second_run_asks_nobody_and_draws_nothing(tmp_path, use):
    first, second = Writer(), Writer()
    for writer, drawn in ((first, 4), (second, 0)):
        use(writer)
        made = create(CLASSES, tmp_path / "d", generator=FakeGenerator(), strategies="le", images_per_class=2)
        assert made.drawn == drawn
    assert first.asked == list(CLASSES)
    assert second.asked == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"count": 2}, r"\(sentences.count: 3 there, 2 here\)"),
        ({"seed": 5}, r"\(seed: 64 there, 5 here\)"),
        ({"strategies": ("base", "le")}, r'\(strategies.base: null there, "7.5" here\)'),
        ({"style": PromptStyle(phrases={"cat": "a tabby"})}, r'prompts.phrases.cat: null there, "a tabby" here'),
        ({"images_per_class": 7}, r"images_per_class: 6 there"),
    ],
)
def test_another_job_is_refused_before_a_sentence_is_written(tmp_path, file, change, named):
    folder = tmp_path / "pets"
    make(folder, file)
    before = contents(folder)
    with pytest.raises(ConfigChangedError, match=named):
        make(folder, file, **change)
    assert contents(folder) == before


def test_changed_sentences_are_refused_and_named(tmp_path, file):
    folder = tmp_path / "pets"
    make(folder, file)
    before = contents(folder)
    write_yaml(tmp_path / "sentences.yaml", SENTENCES | {"cat": ["a cat", "a cat at sea", "cats"]})
    with pytest.raises(ConfigChangedError, match=r"\(sentences.fingerprint: "):
        make(folder, file)
    assert contents(folder) == before

    write_yaml(tmp_path / "sentences.yaml")
    cache = folder / SENTENCES_FILE
    changed = [json.loads(line.replace("kitten", "tiger")) for line in cache.read_text(encoding="utf-8").splitlines()]
    lines = [json.dumps({key: line[key] for key in line if key != "checksum"}) for line in changed]
    cache.write_text("\n".join([*lines, ""]), encoding="utf-8")
    with pytest.raises(ConfigChangedError, match=r"\(sentences.sha256: "):
        make(folder, file)


def test_a_dataset_without_sentences_is_another_job(tmp_path, file):
    create(CLASSES, tmp_path / "pets", generator=FakeGenerator(), images_per_class=6)
    with pytest.raises(ConfigChangedError, match=r"strategies.language_enhancement: null there"):
        make(tmp_path / "pets", file)
    assert not (tmp_path / "pets" / SENTENCES_FILE).exists()


def test_overwriting_keeps_what_was_written(tmp_path, use):
    options = {"generator": FakeGenerator(), "strategies": "le", "images_per_class": 2}
    use(Writer())
    create(CLASSES, tmp_path / "d", **options)
    writer = use(Writer())
    create(CLASSES, tmp_path / "d", **options | {"images_per_class": 3}, overwrite=True)
    assert writer.asked == []
    create(CLASSES, tmp_path / "d", **options | {"seed": 1}, overwrite=True)
    assert writer.asked == list(CLASSES)


# ---- stopping and going on ---------------------------------------------------------------------------------


def test_a_run_that_stops_among_the_sentences_is_resumed(tmp_path, use):
    folder = tmp_path / "d"
    options = {"generator": FakeGenerator(), "strategies": "le", "images_per_class": 2}
    use(Writer(stop_at="sea_lake"))
    with pytest.raises(KeyboardInterrupt):
        create(CLASSES, folder, **options)
    assert list(contents(folder)) == [SENTENCES_FILE]
    writer = use(Writer())
    create(CLASSES, folder, **options)
    assert writer.asked == ["sea_lake"]

    use(Writer())
    create(CLASSES, tmp_path / "whole", **options)
    assert job(folder) == job(tmp_path / "whole")
    assert open_dataset(folder).rows.equals(open_dataset(tmp_path / "whole").rows)


def test_a_writer_that_fails_at_once_leaves_nothing(tmp_path, use):
    use(Writer(stop_at="cat", error=ModelError("no sentence")))
    with pytest.raises(ModelError, match="no sentence"):
        create(CLASSES, tmp_path / "d", generator=FakeGenerator(), strategies="le")
    assert list(tmp_path.iterdir()) == []


def test_two_runs_do_not_write_sentences_into_one_folder(tmp_path, use):
    inner = Writer()

    class Nested(Writer):
        def write(self, class_name, phrase, count, seed):
            use(inner)
            with pytest.raises(UsageError, match="Another command is at work in"):
                create(CLASSES, tmp_path / "d", generator=FakeGenerator(), strategies="le")
            return super().write(class_name, phrase, count, seed)

    use(Nested())
    create(CLASSES, tmp_path / "d", generator=FakeGenerator(), strategies="le", images_per_class=1)
    assert inner.asked == []


# ---- bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (
            {"strategies": ("base",)},
            r"a strategy that reads sentences \(language_enhancement\), got base\. Or leave it out",
        ),
        ({"strategies": ("le", "nonsense")}, "Unknown strategy 'nonsense'"),
        ({"images_per_class": 0}, "images_per_class of at least 1, got 0"),
        ({"count": 0}, "count of at least 1, got 0"),
        ({"count": 4}, r"Expected 4 distinct sentences about 'cat' in .* found 3.*fewer \(count=3\)"),
        ({"file": "nothing.yaml"}, "found none at 'nothing.yaml'"),
        ({"style": PromptStyle(sentences={"cat": ("a cat",)})}, "sentences by the option 'sentences'"),
    ],
)
def test_what_cannot_be_leaves_nothing(tmp_path, file, options, named):
    options = {"file": file} | options
    with pytest.raises(UsageError, match=named) as error:
        make(tmp_path / "d", **options)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "d").exists()


def test_a_folder_of_something_else_is_refused_before_a_sentence_is_written(tmp_path, use):
    writer = use(Writer())
    (tmp_path / "letter.txt").write_text("Dear")
    (tmp_path / SENTENCES_FILE).write_text("")
    with pytest.raises(UsageError, match="no Synthset dataset"):
        create(CLASSES, tmp_path, generator=FakeGenerator(), strategies="le", overwrite=True)
    assert writer.asked == []


def test_a_class_that_the_miniature_cannot_draw_is_refused_before_a_sentence_is_written(tmp_path, use):
    writer = use(Writer())
    with pytest.raises(UsageError, match="cannot draw 'cat'"):
        create(CLASSES, tmp_path / "d", strategies="le")
    assert writer.asked == []


def test_no_plan_goes_without_sentences():
    config = CreateConfig(strategies=("le",), style=PromptStyle(sentences={"cat": ("a cat",)}))
    with pytest.raises(UsageError, match=r"got none about \['sea_lake'\]"):
        plan_images(CLASSES, config, FakeGenerator())


@pytest.mark.parametrize("sentences", [(), "a cat"])
def test_a_style_has_lists_of_sentences(sentences):
    with pytest.raises(UsageError, match="list of sentences about 'cat'"):
        PromptStyle(sentences={"cat": sentences})


# ---- the command ------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path, monkeypatch, capsys, tiny):
    """Run `synthset create` in an empty folder; gives the exit code, stdout and stderr."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def call(*words, classes=CLASSES):
        line = ["create", "--classes", *classes, *map(str, words), "--images-per-class", "2", "--steps", "1", "--quiet"]
        code = main([*line, "--generator", str(tiny), "--outdir", "d"])
        return code, *capsys.readouterr()

    return call


def test_a_dry_run_shows_the_sentences_and_writes_nothing(run, file, tmp_path):
    line = ("--strategy", "le", "--sentences", 3, "--sentences-from", file)
    code, out, err = run(*line, "--dry-run")
    assert (code, err) == (0, "")
    assert "a cat asleep on a sofa" in out
    assert f"The sentences are by '{file}'.\n" in out
    assert list((tmp_path / "work").iterdir()) == []

    assert run(*line)[0] == 0
    before = contents(tmp_path / "work")
    assert run(*line, "--dry-run")[0] == 0
    assert contents(tmp_path / "work") == before


def test_a_dry_run_asks_about_a_few_classes_and_takes_what_is_kept(tmp_path, use, capsys):
    from synthset.cli.create_tables import print_plan
    from synthset.create.dry_run import SAMPLE_PROMPTS, rehearse

    names = [f"class {i} of digit 1" for i in range(30)]
    config = CreateConfig(strategies=("base", "le"), images_per_class=40, steps=1)
    writer = use(Writer())
    print_plan(rehearse(names, config, tmp_path / "d"))
    assert writer.asked == names[:SAMPLE_PROMPTS]
    assert "class 8 of digit 1 no. " in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []

    create(names[:8], tmp_path / "d", generator=FakeGenerator(), strategies="le", images_per_class=1)
    writer.asked.clear()
    print_plan(rehearse(names, config, tmp_path / "d"))
    assert writer.asked == names[8:SAMPLE_PROMPTS]


def test_the_command_draws_and_finishes(run, file, tmp_path):
    line = ("--strategy", "language_enhancement", "base", "--sentences-from", file, "--sentences")
    assert run(*line, 3)[0] == 0
    assert job(tmp_path / "work" / "d")["sentences"]["count"] == 3
    assert "all of it was there already" in run(*line, 3)[1]
    code, out, err = run(*line, 2)
    assert (code, out) == (2, "")
    assert "sentences.count: 3 there, 2 here" in err


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (("--sentences", 200), 2, "reads --sentences (language_enhancement), got base. Or leave it out"),
        (
            ("--sentences-from", "miniature", "--sentences-revision", "x"),
            2,
            "--sentences-from and --sentences-revision (lang",
        ),
        (("--strategy", "base", "--no-require-mention"), 2, "reads --no-require-mention (language_enhancement)"),
        (("--strategy", "le", "--sentence-model", "gpt"), 2, "--sentence-model with a URL only"),
        (("--strategy", "le", "--sentences-from", "http://localhost/v1"), 2, "Expected --sentence-model with the URL"),
        (("--strategy", "le", "--sentences-from", "s.yaml", "--sentences-revision", "x"), 2, "with a hub id only"),
        (("--strategy", "le", "--sentences", 0), 2, "--sentences of at least 1"),
        (("--strategy", "le"), 1, "hf download mrm8488/t5-base-finetuned-common_gen"),
        (("--strategy", "le", "--sentences-from", "owner/none", "--dry-run"), 1, "hf download owner/none"),
    ],
)
def test_flags_that_cannot_be_are_refused_in_one_line(run, tmp_path, words, code, named):
    given, out, err = run(*words)
    assert (given, out) == (code, "")
    assert named in err
    assert err.count("\n") == 1
    assert list((tmp_path / "work").iterdir()) == []


def test_the_flags_are_in_the_help_which_loads_no_torch(run, capsys):
    main(["create", "--help"])
    out = capsys.readouterr().out
    for flag in ("--sentences", "--sentences-from", "--sentence-model", "--sentences-revision", "--no-require-mention"):
        assert flag in out.split(), flag
    assert "language_enhancement" in out
    code = "import sys, synthset.prompts.language_enhancement; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_model_writes_the_same_again(run, tmp_path):
    t5 = build_t5(tmp_path / "t5")
    line = ("--strategy", "le", "--sentences", 3, "--sentences-from", t5, "--device", "cpu")
    folder = tmp_path / "work" / "d"
    assert run(*line, classes=("five", "two"))[0] == 0
    kept = [json.loads(line) for line in (folder / SENTENCES_FILE).read_text(encoding="utf-8").splitlines()]
    assert [row["class_name"] for row in kept] == ["five", "two"]
    prompts = open_dataset(folder).rows.column("prompt").to_pylist()
    assert prompts[::2] == kept[0]["sentences"][:2]
    assert all("five" in prompt for prompt in prompts[::2])

    before = job(folder)
    (folder / SENTENCES_FILE).unlink()
    assert "all of it was there already" in run(*line, classes=("five", "two"))[1]
    assert job(folder) == before


def test_the_miniature_writes_and_draws_offline(tmp_path):
    made = create(
        ("one", "two"),
        tmp_path / "d",
        strategies="le",
        images_per_class=3,
        steps=1,
        device="cpu",
        sentences=SentenceConfig(count=3),
    )
    assert job(tmp_path / "d")["sentences"]["writer"] == "miniature"
    prompts = made.dataset.rows.column("prompt").to_pylist()
    assert len(set(prompts)) == 6
    assert all("one" in prompt for prompt in prompts[::2])
