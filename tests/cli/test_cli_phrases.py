"""`synthset create` with phrases and with words of prompt augmentation."""

import json
from pathlib import Path

import pytest

from synthset.cli import main


@pytest.fixture
def create(tmp_path, monkeypatch, capsys, tiny):
    """Run `synthset create` in an empty folder; gives the exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        line = ["create", *map(str, words), "--images-per-class", "1", "--steps", "1", "--quiet"]
        if "--generator" not in words:
            line += ["--generator", str(tiny)]
        code = main(line)
        return code, *capsys.readouterr()

    return run


def write(name, text):
    Path(name).write_text(text, encoding="utf-8")
    return name


def job(folder):
    return json.loads((Path(folder) / "manifest.json").read_text(encoding="utf-8"))["job"]


def test_a_dry_run_shows_the_prompts_with_their_phrases(create):
    file = write("p.yaml", "five: the digit five\nseven: a handwritten seven\n")
    strategies = ("--strategy", "all_combined", "prompt_augmentation")
    code, out, _ = create("--classes", "five", "seven", *strategies, "--phrases", file, "--dry-run")
    assert code == 0
    assert "an image of the digit five" in out
    assert "a photo of the digit five" in out
    assert " handwritten seven " in out  # among the adjectives of prompt augmentation
    assert "2.50" in out
    assert [path.name for path in Path().iterdir()] == ["p.yaml"]


def test_phrases_are_recorded_and_another_file_is_another_job(create):
    line = ("--classes", "jay", "jug", "--outdir", "d", "--phrases")
    assert create(*line, write("p.yaml", "Jay: a bird of type jay"))[0] == 0
    assert job("d")["prompts"]["phrases"] == {"jay": "a bird of type jay"}
    assert job("d")["classes"] == ["jay", "jug"]
    code, out, err = create(*line, write("q.yaml", "jay: blue jay"))
    assert (code, out) == (2, "")
    assert 'prompts.phrases.jay: "a bird of type jay" there, "blue jay" here' in err


def test_words_of_augmentation_are_recorded(create):
    lists = "looks: [old]\nextents: ['']\ntypical: [common]\nsizes: [small]\nlocations: [centered]\nstyles: [sharp]\n"
    line = ("--classes", "owl", "--strategy", "prompt_augmentation", "--augmentation-file", write("a.yaml", lists))
    assert create(*line, "--outdir", "d")[0] == 0
    assert job("d")["prompts"]["augmentation"]["looks"] == ["old"]
    assert job("d")["strategies"] == {"prompt_augmentation": "2.5"}
    assert "all of it was there already" in create(*line, "--outdir", "d")[1]
    assert "an old common small owl centered, sharp" in create(*line, "--dry-run")[1]


def test_imagenet_phrases_by_name(create):
    line = ("--dataset", "imagenet", "--phrases", "imagenet-synsets", "--strategy", "class_prompt", "--dry-run")
    code, out, _ = create(*line)
    assert code == 0
    assert "tench, Tinca tinca" in out


@pytest.mark.parametrize(
    ("flag", "text", "message"),
    [
        ("--phrases", "jya: a bird", "Unknown class 'jya'"),
        ("--phrases", "jay: ''", "got an empty one"),
        ("--phrases", "jay: a\njay: b", "'jay' stands twice"),
        ("--phrases", None, "found nothing at 'f.yaml'"),
        ("--augmentation-file", "looks: [old]", "found no extents, typical, sizes, locations, styles"),
        ("--augmentation-file", "look: [old]", "Did you mean 'looks'?"),
        ("--augmentation-file", None, "No such file"),
    ],
)
def test_what_cannot_be_exits_2_and_writes_nothing(create, flag, text, message):
    if text is not None:
        write("f.yaml", text)
    code, out, err = create("--classes", "jay", "jug", flag, "f.yaml", "--outdir", "d")
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not Path("d").exists()


def test_imagenet_phrases_need_classes_of_imagenet(create):
    code, _, err = create("--classes", "crane", "--phrases", "imagenet-lemmas", "--outdir", "d")
    assert code == 2
    assert "--dataset imagenet" in err
    assert not Path("d").exists()


def test_the_miniature_draws_by_the_phrase(create):
    miniature = ("--generator", "miniature", "--outdir", "d")
    code, _, err = create("--classes", "V", *miniature)
    assert code == 2
    assert "cannot draw 'V'" in err
    code, out, _ = create("--classes", "V", "--phrases", write("p.yaml", "V: the digit five"), *miniature)
    assert code == 0
    assert "1 requested = 1 ok" in out


def test_help_names_the_flags(create, capsys):
    assert main(["create", "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    for word in ("--phrases", "--augmentation-file", "prompt_augmentation", "base@2.5", "imagenet-synsets"):
        assert word in out
