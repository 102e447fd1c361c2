import pytest

import synthset
from synthset.cli import main
from synthset.core.errors import UsageError

CREATE = ("create", "--classes", "one", "two", "--dry-run", "--generator", "nowhere/to-be-found", "--strategy")


@pytest.mark.parametrize(
    ("strategies", "flags", "named"),
    [
        ("class_prompt", "--template 'a {class}'", "--template (base, random_guidance"),
        ("multi_domain", "--template 'a {class}'", "--template"),
        ("base", "--domains photo", "--domains (multi_domain, all_combined"),
        ("class_prompt", "--satellite", "--satellite"),
        ("class_prompt", "--literal-articles", "--literal-articles"),
        ("base", "--augmentation-file words.yaml", "--augmentation-file (prompt_augmentation)"),
        ("language_enhancement", "--domains photo", "--domains"),
        ("prompt_augmentation", "--template 'a {class}'", "--template"),
        ("base", "--sentences 3", "language_enhancement"),
        ("base multi_domain", "--max-scale 3", "--max-scale"),
        ("random_guidance", "--guidance-scale 3", "--guidance-scale (base"),
        ("base@2.5 random_guidance", "--guidance-scale 3", "--guidance-scale"),
        ("interpolate_three", "--phrases p.yaml --initial-images digits", "--phrases"),
    ],
)
def test_an_option_that_no_strategy_reads_is_refused(capsys, tmp_path, monkeypatch, strategies, flags, named):
    import shlex

    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.yaml").write_text(
        "\n".join(f"{key}: [a, b]" for key in ("looks", "extents", "typical", "sizes", "locations", "styles"))
    )
    assert main([*CREATE, *strategies.split(), *shlex.split(flags)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert named in err
    assert strategies.split()[0] in err


@pytest.mark.parametrize(
    "options",
    [
        {"strategies": ("all_combined",), "style": synthset.PromptStyle(domains=("photo",), template="a {class}")},
        {"strategies": ("class_prompt", "random_guidance"), "random_guidance": (1.0, 3.0), "guidance_scale": 2},
        {"strategies": ("random_guidance@1:3", "base"), "guidance_scale": 2},
        {"strategies": ("class_prompt",), "style": synthset.PromptStyle(phrases={"one": "the digit one"})},
    ],
)
def test_an_option_that_one_of_the_strategies_reads_is_taken(options):
    assert synthset.CreateConfig(**options).runs()


def test_a_set_with_a_form_of_its_own_needs_no_strategy_that_reads_it(capsys):
    assert main(["create", "--dataset", "eurosat", *CREATE[4:], "class_prompt"]) == 0
    assert main(["create", "--dataset", "eurosat", *CREATE[4:], "multi_domain"]) == 0
    assert "a satellite photo of" in capsys.readouterr().out


def test_in_python_the_field_is_named():
    with pytest.raises(UsageError, match=r"Expected a strategy that reads domains \(multi_domain, .*\), got base\."):
        synthset.CreateConfig(style=synthset.PromptStyle(domains=("photo",)))
