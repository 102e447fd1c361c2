import pytest
import yaml

from synthset.core.errors import ConfigChangedError, UsageError
from synthset.create.stage import CreateConfig, create, plan_images
from synthset.prompts.phrases import READY, load_phrases, write_phrases
from synthset.prompts.strategies import PromptStyle
from synthset.real import class_names_of
from synthset.testing import FakeGenerator

CLASSES = ("jay", "Sea_Lake", "no")


@pytest.fixture
def file(tmp_path):
    """Writes a file of phrases and gives its path."""

    def write(text):
        path = tmp_path / "phrases.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


# ---- files ------------------------------------------------------------------------------------------------


def test_phrases_from_a_file_stand_under_the_names_of_the_data_set(file):
    path = file('# clarified\njay: " a bird of type jay "\nsea lake: a lake by the sea\n"no": the word no\n')
    assert load_phrases(path, CLASSES) == {
        "jay": "a bird of type jay",
        "Sea_Lake": "a lake by the sea",
        "no": "the word no",
    }


def test_classes_that_are_left_out_or_only_repeated_have_no_phrase(file):
    assert load_phrases(file("Sea_Lake: Sea Lake\njay: blue jay"), CLASSES) == {"jay": "blue jay"}
    assert load_phrases(file("# nothing yet\n"), CLASSES) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jy: a bird", r"Unknown class 'jy' in '.*'\. Did you mean 'jay'\?"),
        ("duck: a bird", r"Unknown class 'duck' in '.*'\. Classes: jay, Sea_Lake, no\."),
        ("jay:", "Expected a phrase for 'jay', got an empty one"),
        ("jay: '  '", "Expected a phrase for 'jay', got an empty one"),
        ("jay: 5", "Expected text as the phrase of 'jay', got int. Put it in quotes"),
        ("jay: yes", "Expected text as the phrase of 'jay', got bool. Put it in quotes"),
        ("jay: [a, bird]", "Expected text as the phrase of 'jay', got list"),
        ("jay: {a: bird}", "Expected text as the phrase of 'jay', got dict"),
        ("no: nothing", "Expected text before each colon in '.*', got False. Put it in quotes"),
        ("1: one", "Expected text before each colon in '.*', got 1. Put it in quotes"),
        ("jay: a\njay: b", "'jay' stands twice, line 2"),
        ("jay: a\nJAY: b", "Expected one phrase for 'jay' in '.*', got two"),
        ('jay: "a\\nb"', "one line without control characters for 'jay'"),
        ('jay: "a\\u2028b"', "one line without control characters for 'jay'"),
        (f"jay: {'x' * 501}", "at most 500 characters for 'jay', got one of 501"),
        ("- jay", "Expected lines such as 'jay: a bird of type jay' in '.*', got a list"),
        ("jay", "Expected lines such as 'jay: a bird of type jay' in '.*', got a str"),
        ("jay: [", "does not read"),
        ("[" * 1500, "does not read"),
        ("? [a]\n: b", "does not read .*unhashable"),
        ("jay: !!python/object/apply:os.getcwd []", "does not read .*could not determine a constructor"),
        (b"jay: \xff", "does not read .*utf-8"),
        (b"jay: a\x00", "does not read .*not allowed"),
        ("# " + "x" * 2**22, "at most 4,194,304 bytes"),
    ],
)
def test_files_that_cannot_be_are_refused_in_one_line(file, text, message):
    with pytest.raises(UsageError, match=message) as caught:
        load_phrases(file(text), CLASSES)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_bomb_of_aliases_is_refused_and_not_unfolded(file):
    levels = "".join(f"  - &b{i} [*b{i - 1}, *b{i - 1}, *b{i - 1}, *b{i - 1}]\n" for i in range(1, 40))
    with pytest.raises(UsageError, match=r"aliases .* are not read here"):
        load_phrases(file(f"jay:\n  - &b0 [a]\n{levels}"), CLASSES)


def test_no_file_names_what_is_ready(tmp_path):
    with pytest.raises(
        UsageError, match=r"imagenet-synsets, imagenet-lemmas, imagenet-definitions, he2023 .* found nothing"
    ):
        load_phrases(tmp_path / "none.yaml", CLASSES)
    with pytest.raises(UsageError, match="does not read"):
        load_phrases(tmp_path, CLASSES)  # a folder


def test_what_is_written_is_read_again(tmp_path):
    names = ("jay", "no", "1", "a: b", "#x", "größe", "- y", "x" * 190)
    phrases = {name: f"a thing: {name} # \"really\" 'so'" for name in names}
    comments = {"": "On top\nin two lines", "jay": "taken for jug\nno: \x85injected\u2028jay: x"}
    write_phrases(tmp_path / "p.yaml", phrases, comments)
    assert load_phrases(tmp_path / "p.yaml", names) == phrases
    text = (tmp_path / "p.yaml").read_text(encoding="utf-8")
    assert text.startswith("# On top\n# in two lines\n# taken for jug\n# no:  injected jay: x\n")
    assert yaml.safe_load(text) == phrases
    write_phrases(tmp_path / "empty.yaml", {})
    assert load_phrases(tmp_path / "empty.yaml", names) == {}


# ---- ImageNet ---------------------------------------------------------------------------------------------


def test_imagenet_phrases_go_by_index_where_two_synsets_share_a_name():
    names = class_names_of("imagenet")
    crane_bird, crane_machine, tights, swimsuit = (names[index] for index in (134, 517, 638, 639))
    lemmas = load_phrases("imagenet-lemmas", names)
    assert lemmas[crane_bird] == lemmas[crane_machine] == "crane"
    assert tights not in lemmas or lemmas[tights] == "maillot"
    assert lemmas[swimsuit] == "maillot"
    definitions = load_phrases("imagenet-definitions", names)
    assert definitions[crane_bird].startswith("crane, large long-necked wading bird")
    assert definitions[crane_machine].startswith("crane, lifts and moves heavy objects")
    assert definitions[tights].startswith("maillot, tights")
    assert definitions[swimsuit].startswith("maillot, a woman's one-piece")
    assert len(definitions) == 1000


def test_imagenet_synsets_are_the_prompts_of_the_paper():
    names = class_names_of("imagenet")
    synsets = load_phrases("imagenet-synsets", names)
    assert synsets[names[0]] == "tench, Tinca tinca"
    # Marwood et al. 2023, Reason 1
    assert "African chameleon, Chamaeleo chamaeleon" in synsets.values()


@pytest.mark.parametrize("name", READY)
def test_some_classes_of_imagenet_in_any_order_will_do(name):
    names = class_names_of("imagenet")
    some = (names[517], names[0], names[134].upper())
    everything = load_phrases(name, names)
    found = load_phrases(name, some)
    assert list(found) == [key for key in some if key in found]
    for key, same in zip(some, (names[517], names[0], names[134]), strict=True):
        assert found.get(key) == everything.get(same)


def test_other_classes_have_no_imagenet_phrases():
    with pytest.raises(
        UsageError, match=r"Unknown class 'crane' in ImageNet\..*names, as dataset=imagenet has them\.$"
    ):
        load_phrases("imagenet-synsets", ("tench", "crane"))  # two synsets: which of them is meant?


# ---- in a run ---------------------------------------------------------------------------------------------


def test_a_phrase_is_in_prompts_and_manifest_and_leaves_names_and_labels(tmp_path):
    style = PromptStyle(phrases={"sea lake": "the lake by the sea"})
    result = create(["jay", "Sea_Lake"], tmp_path / "d", generator=FakeGenerator(), images_per_class=1, style=style)
    rows = result.dataset.rows
    assert rows.column("prompt").to_pylist() == ["an image of a jay", "an image of the lake by the sea"]
    assert rows.column("class_name").to_pylist() == ["jay", "Sea_Lake"]
    assert rows.column("label").to_pylist() == [0, 1]
    assert result.dataset.manifest["job"]["prompts"]["phrases"] == {"Sea_Lake": "the lake by the sea"}


def test_another_phrase_is_another_job_and_is_named(tmp_path):
    def run(phrases):
        style = PromptStyle(phrases=phrases)
        return create(["jay", "owl"], tmp_path / "d", generator=FakeGenerator(), images_per_class=1, style=style)

    run({"jay": "blue jay"})
    assert run({"JAY": "blue jay", "owl": "owl"}).drawn == 0  # the same in other words
    with pytest.raises(ConfigChangedError, match=r'prompts.phrases.jay: "blue jay" there, "a bird" here'):
        run({"jay": "a bird"})
    with pytest.raises(UsageError, match="Unknown class 'duck' in the phrases"):
        run({"duck": "a bird"})


def test_the_miniature_is_asked_for_what_the_phrases_say():
    clear = CreateConfig(images_per_class=1, style=PromptStyle(phrases={"V": "the digit five"}))
    assert plan_images(["V"], clear).table.column("prompt").to_pylist() == ["an image of the digit five"]
    bird = CreateConfig(images_per_class=1, style=PromptStyle(phrases={"one": "a bird"}))
    with pytest.raises(UsageError, match="The miniature cannot draw 'a bird'"):
        plan_images(["one"], bird)
