import pytest

from synthset.diagnosis.evidence import Finding
from synthset.diagnosis.failure_modes import ClassTests, doubts, judge

LOW, WELL, UNKNOWN = (0.2, "low"), (0.85, "as others"), (0.6, "unresolved")


def finding(share, state):
    return Finding(round(50 * share), 50, share, 0.0, 1.0, 50, 0.9, 0.0, 0.0, 0.0, state)


def verdict(real, drawn, transfer, **more):
    by_prompts, by_drawn = (None if test is None else finding(*test) for test in (real, transfer))
    return judge(ClassTests(finding(*drawn), by_prompts, by_drawn, **more)).name


@pytest.mark.parametrize(
    ("real", "drawn", "transfer", "name"),
    [
        (LOW, LOW, LOW, "CLIP misreads the prompt"),
        (LOW, WELL, WELL, "synthetic concept is shifted"),
        (WELL, LOW, LOW, "generator cannot draw it"),
        (WELL, WELL, LOW, "synthetic concept is shifted"),
        (WELL, WELL, WELL, "fine"),
        (None, LOW, None, "synthetic images are not recognised"),
        (None, WELL, None, "fine"),
        # low for certain in one test: which failure it is follows from the shares of the others as they were measured
        (UNKNOWN, LOW, WELL, "CLIP misreads the prompt"),
        (LOW, UNKNOWN, WELL, "CLIP misreads the prompt"),
        (WELL, UNKNOWN, LOW, "generator cannot draw it"),
        # low for certain in none
        (UNKNOWN, UNKNOWN, UNKNOWN, "too few images to tell"),
        (WELL, WELL, UNKNOWN, "too few images to tell"),
        (None, UNKNOWN, None, "too few images to tell"),
    ],
)
def test_verdicts_follow_from_what_the_tests_say(real, drawn, transfer, name):
    assert verdict(real, drawn, transfer) == name


@pytest.mark.parametrize(
    ("drawn", "transfer", "name"),
    [
        (LOW, LOW, "synthetic images mix with other classes"),
        (LOW, None, "synthetic images mix with other classes"),
        (WELL, LOW, "synthetic images differ from real ones"),
        (WELL, WELL, "fine"),
    ],
)
def test_without_prompts_nothing_is_said_of_prompts_nor_phrases(drawn, transfer, name):
    tests = ClassTests(finding(*drawn), None, transfer and finding(*transfer), has_prompts=False, scatter=(0.1, 0.1))
    own = judge(tests)
    if name == "synthetic images differ from real ones":
        assert own.name == "too little diversity"  # for they scatter a tenth as far
        own = judge(ClassTests(tests.drawn, None, tests.transfer, has_prompts=False))
    assert own.name == name
    for part in (own, judge(tests)):
        assert not any(word in f"{part.name}{part.explanation}{part.remedy}" for word in ("prompt", "phrase"))


@pytest.mark.parametrize(
    ("scatter", "is_uniform"),
    [((0.3, 0.1), True), ((0.6, 0.01), False), ((0.4, 0.3), True), ((0.4, 0.5), False), ((0.0, 0.0), True)],
)
def test_a_class_is_too_uniform_where_chance_does_not_explain_it(scatter, is_uniform):
    name = "too little diversity" if is_uniform else "synthetic concept is shifted"
    assert verdict(WELL, WELL, LOW, scatter=scatter) == name


def test_doubts_say_where_fine_says_nothing():
    assert doubts(None, has_real=True, drawn_accuracy={"a": 0.2, "b": 0.21})[0].startswith("Hardly any images of a are")
    assert doubts(0.9, has_real=True, drawn_accuracy={"b": 0.21}) == []
