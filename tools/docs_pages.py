"""Writes the pages of the documentation that follow from something else: `python -m tools.docs_pages`.

docs/reference/   commands, options, strategies, measures, …, from their declarations
docs/project/     the documents beside the code: experiments, contributing, architecture, changelog

Sphinx calls `write_pages` before each build, see docs/conf.py; neither folder is kept under version control.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

import synthset
from synthset.cli.arguments import FIRST_GROUP, Argument, flags_by_field, parameters_of, words_with_flags
from synthset.cli.commands import NAMES, Command, load_command
from synthset.cli.compat import SCRIPT_NAMES
from synthset.core.options import Declared, declared_options, describe_bounds, describe_type
from tools.architecture import file_list

ROOT = Path(__file__).parent.parent
DOCUMENTS = {
    "experiments": "EXPERIMENTS.md",
    "contributing": "CONTRIBUTING.md",
    "architecture": "ARCHITECTURE.md",
    "changelog": "CHANGELOG.md",
}
CONFIGURATION = "[Config files and variables](../guide/configuration.md)"
LISTED = (
    "contributing",
    "architecture",
    "files",
    "../decisions",
    "changelog",
)  # below "Project"


def write_pages(docs: Path = ROOT / "docs") -> None:
    """Bring both folders up to date; files that are right already are left alone, so that a build may skip them."""
    for folder, pages in (("reference", reference_pages()), ("project", project_pages())):
        (docs / folder).mkdir(exist_ok=True)
        for path in (docs / folder).glob("*.md"):
            if path.stem not in pages:
                path.unlink()
        for name, text in pages.items():
            path = docs / folder / f"{name}.md"
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                path.write_text(text, encoding="utf-8", newline="\n")


# ---- documents beside the code ----------------------------------------------------------------------------


def project_pages() -> dict[str, str]:
    """The documents, with links that lead to pages of the site."""
    pages = {name: with_site_links((ROOT / file).read_text(encoding="utf-8")) for name, file in DOCUMENTS.items()}
    pages["files"] = f"# Files\n\nEvery file of the package, lower floors first.\n\n{file_list()}\n"
    toctree = "\n".join(LISTED)
    pages["index"] = f"# Project\n\n```{{toctree}}\n:maxdepth: 1\n\n{toctree}\n```\n"
    return pages


def with_site_links(text: str) -> str:
    """A document of the top folder as a page of the folder project/.

    >>> with_site_links("[a](ARCHITECTURE.md), [b](docs/scale.md#ask-first), [c](src/x/README.md), [d](https://x.y)")
    '[a](architecture.md), [b](../scale.md#ask-first), `src/x/README.md`, [d](https://x.y)'
    """
    names = {file: f"{name}.md" for name, file in DOCUMENTS.items()}

    def page_of(match: re.Match[str]) -> str:
        label, target = match.groups()
        file, _, anchor = target.partition("#")
        anchor = anchor and f"#{anchor}"
        if file in names:
            return f"[{label}]({names[file]}{anchor})"
        if file.startswith("docs/"):
            return f"[{label}](../{file.removeprefix('docs/')}{anchor})"
        return match[0] if ":" in file else f"`{file}`"  # a file of the code: the site has no page of it

    return re.sub(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)", page_of, text).replace("](docs/", "](../")


# ---- the reference ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Page:
    """A page of the reference: its title, one line about it for the index, and its text."""

    title: str
    about: str
    text: str

    def __str__(self) -> str:
        return f"# {self.title}\n\n{self.text.strip()}\n"


def reference_pages() -> dict[str, str]:
    """Every page of the reference by the name of its file, and the index of them all."""
    commands = {name: command_page(load_command(name)) for name in NAMES}
    pages = commands | {"configs": config_page()} | dict(table_pages())
    index = Page("Reference", "", reference_index(pages))
    return {name: str(page) for name, page in ({"index": index} | pages).items()}


def reference_index(pages: Mapping[str, Page]) -> str:
    """The lists of pages."""
    rows = [(f"[{page.title}]({name}.md)", page.about) for name, page in pages.items()]
    toctree = "\n".join(pages)
    return (
        "Everything here is made from the declarations in the code when this site is built.\n\n"
        f"{table(('page', 'content'), rows)}\n\n```{{toctree}}\n:hidden:\n:maxdepth: 1\n\n{toctree}\n```"
    )


def table_pages() -> Iterator[tuple[str, Page]]:
    """A table for each registry, by the name of its file."""
    from synthset.classifiers.architectures import ARCHITECTURES
    from synthset.classifiers.augment import AUGMENTATIONS
    from synthset.classifiers.models import NORMALISATIONS
    from synthset.encoders.clip import ENCODERS
    from synthset.encoders.templates import TEMPLATES
    from synthset.executors import EXECUTORS
    from synthset.filters import FILTERS

    yield "strategies", strategies_page()
    yield "measures", measures_page()
    yield "pipelines", pipelines_page()
    yield (
        "models",
        Page(
            "Classifiers, augmentations, normalisations",
            "what `train` knows by name",
            "\n\n".join(
                (
                    "Architectures of `train --model`; beside these, any name of timm. All begin at random weights.",
                    summary_table("architecture", ARCHITECTURES),
                    "## Augmentations\n\nOf `train --augmentation` and `tune --augmentation`.",
                    summary_table("augmentation", AUGMENTATIONS),
                    "## Normalisations\n\nOf the pixels that a classifier sees.",
                    summary_table("normalisation", NORMALISATIONS),
                )
            ),
        ),
    )
    yield (
        "encoders",
        Page(
            "Encoders and templates",
            "CLIP models by name, and the sentences in which they read class names",
            "Names that `--encoder`, `--clip` and `eval clip:NAME` know. Beside these: any architecture of open_clip "
            "with its weights (`ViT-B-32/laion2b_s34b_b79k`), a hub id, or `local-dir:PATH`.\n\n"
            + "\n".join(f"- `{name}`" for name in ENCODERS)
            + "\n\n## Templates\n\nNames that `eval --templates` and `tune --template` know.\n\n"
            + table(("name", "sentences"), [(code(name), shown(TEMPLATES[name])) for name in TEMPLATES]),
        ),
    )
    yield (
        "filters",
        Page(
            "Filters",
            "what can say which images to use",
            "Methods of `filter --method` and `create --refill`; see [Filters and refill](../guide/filters.md).\n\n"
            + summary_table("filter", FILTERS),
        ),
    )
    yield (
        "executors",
        Page(
            "Executors",
            "where work is done",
            "Of `--executor`; see [Many GPUs and machines](../guide/many-machines.md).\n\n"
            + summary_table("executor", EXECUTORS),
        ),
    )
    yield "export-formats", export_page()
    yield "real-sets", real_sets_page()


# ---- commands ---------------------------------------------------------------------------------------------


def command_page(command: Command) -> Page:
    """A command with all that it takes."""
    about, *rest = flags_as_code(inspect.cleandoc(command.function.__doc__ or "")).split("\n\n")
    groups: dict[str, list[Argument]] = {}
    for item in command.arguments:
        title = "Arguments" if item.is_positional else item.option.option.group or FIRST_GROUP
        groups.setdefault(title, []).append(item)
    flags = flags_by_field(command.arguments)
    parts = [about, *rest, f"```{{program}} synthset {command.name}\n```"]
    for title in sorted(groups, key=lambda title: title != "Arguments"):
        parts += [f"## {title}", *(option_entry(command, item, flags) for item in groups[title])]
    parts.append(
        f"Every command takes `--config FILE.yaml`, `--json`, `--quiet`, `--verbose` and `--help` too: {CONFIGURATION}."
    )
    return Page(f"synthset {command.name}", about, "\n\n".join(parts))


def option_entry(command: Command, item: Argument, flags: Mapping[str, str]) -> str:
    """A flag, its meaning, and its names elsewhere."""
    option = item.option.option
    if item.is_positional:
        names = [item.flag.upper()]
    else:
        names = [f"--{name}" for name in (item.flag, *SCRIPT_NAMES.get(command.name, {}).get(item.flag, ()))]
        names += [f"--{option.negative}"] if option.negative else []
    names[0] = f"{names[0]} {placeholder(item)}".strip()
    default = flags_as_code(words_with_flags(item.default_words, flags))
    facts = {
        "Required": [""] if item.default is MISSING else [],
        "Default": [default if option.default else code(default)] if default else [],
        "Range": [range_of(item.option)] if range_of(item.option) else [],
        "YAML": [] if item.is_positional else [code(item.flag.replace("-", "_"))],
        "Variable": [code(name) for name, other in command.variables().items() if other is item],
        "Python": [code(name) for name in python_names(command, item)],
    }
    line = ". ".join(f"{name}: {', '.join(values)}".rstrip(": ") for name, values in facts.items() if values)
    text = flags_as_code(words_with_flags(item.help, flags)) + (f"\n\n{line}." if line else "")
    return f":::{{option}} {', '.join(names)}\n\n{text}\n:::"


def placeholder(item: Argument) -> str:
    """What stands behind a flag: the valid names where they are few, or the type.

    >>> from synthset.cli.commands import load_command
    >>> arguments = {item.flag: item for item in load_command("create").arguments}
    >>> [placeholder(arguments[flag]) for flag in ("seed", "image-format", "domains", "guidance-interval", "overwrite")]
    ['INTEGER', 'auto|png|jpeg|webp', 'TEXT …', 'NUMBER NUMBER', '']
    """
    names = item.option.option.names()
    if 0 < len(names) <= 6:
        return "|".join(names)
    words = {int: "INTEGER", float: "NUMBER", bool: "", Path: "PATH"}
    kind = next((part for part in get_args(item.type) if part is not type(None)), item.type)
    kind = item.type if get_origin(item.type) in (list, tuple) else kind
    parts = get_args(kind)
    if get_origin(kind) is list:
        return "" if item.is_positional else f"{words.get(parts[0], 'TEXT')} …"
    if get_origin(kind) is tuple:
        return " ".join(words.get(part, "TEXT") for part in parts)
    return "" if item.is_positional else words.get(kind, "TEXT")


def python_names(command: Command, item: Argument) -> list[str]:
    """The fields of public configs that a flag sets."""
    config = parameters_of(command.function)[item.parameter].__name__
    return [f"{config}.{'.'.join(option.path)}" for option in item.options] if config in synthset.__all__ else []


# ---- registries -------------------------------------------------------------------------------------------


def strategies_page() -> Page:
    """Strategies with the prompts that they give."""
    from synthset.prompts.strategies import STRATEGIES, Combination, PromptStyle

    rows = []
    for name, strategy in STRATEGIES.items():
        if isinstance(strategy, Combination):
            prompt, guidance = f"of {', '.join(map(code, strategy.members))}", ""
        else:
            prompt = strategy.prompt("owl", 1, PromptStyle())
            prompt = code(prompt) if prompt else "none"
            guidance = "7.5" if strategy.guidance is None else str(strategy.guidance)
        aliases = ", ".join(map(code, strategy.aliases))
        rows.append((code(name), strategy.summary, prompt, guidance, aliases))
    return Page(
        "Strategies",
        "how a class becomes prompts, and how strongly images follow them",
        "Names of `create --strategy`; see [Choosing strategies](../guide/strategies.md). The prompt is that of the "
        "second image of the class `owl`. The guidance is the default where `--guidance-scale` is not given. (The "
        "sentences of `language_enhancement` are written for each dataset; before that it calls a class by its name.)"
        "\n\n" + table(("name", "in words", "example prompt", "guidance", "also called"), rows),
    )


def measures_page() -> Page:
    """Measures by what they are of."""
    from synthset.measures.registry import MEASURES

    of = {
        "set": "Of a set: `summary.parquet`",
        "class": "Of a class: `classes.parquet`",
        "pairing": "Of a pairing of reference and query: `matrix.parquet`",
    }
    needs = {"needs_real": "real images", "needs_prompts": "prompts"}
    parts = ["Columns of the tables that `synthset diagnose` writes; see [Diagnosis](../guide/diagnosis.md)."]
    for kind, title in of.items():
        rows = [
            (
                ", ".join(map(code, measure.columns)),
                measure.label,
                measure.help,
                ", ".join(words for flag, words in needs.items() if getattr(measure, flag)),
            )
            for measure in MEASURES
            if measure.of == kind
        ]
        parts += [f"## {title}", table(("column", "in the report", "meaning", "needs"), rows)]
    return Page("Measures", "every column of a diagnosis", "\n\n".join(parts))


def pipelines_page() -> Page:
    """Pipelines of diffusers, and the names of schedulers and engines."""
    from synthset.generators.families import FAMILY_COLUMNS, family_rows
    from synthset.generators.names import ENGINES, SCHEDULERS

    return Page(
        "Pipelines, schedulers, engines",
        "checkpoints that can draw, and how",
        "Classes of diffusers that `create --generator` runs, as a checkpoint names them in `model_index.json`. Any "
        "other is refused. See [Stable Diffusion and other checkpoints](../guide/checkpoints.md).\n\n"
        + table(FAMILY_COLUMNS, [(title, code(name), *others) for title, name, *others in family_rows()])
        + "\n\n## Schedulers\n\nOf `create --scheduler`; the names of the classes are understood too.\n\n"
        + table(("name", "in diffusers"), [(code(name), code(kind)) for name, kind in SCHEDULERS.items()])
        + f"\n\n## Engines\n\nOf `create --engine`: {', '.join(map(code, ENGINES))}.",
    )


def export_page() -> Page:
    """Formats of `export`, of datasets and of models."""
    from synthset.classifiers.export import MODEL_FORMATS
    from synthset.dataset.export import FORMATS

    rows = [(code(name), form.summary) for name, form in {**FORMATS, **MODEL_FORMATS}.items()]
    return Page(
        "Export formats",
        "other forms of a dataset, or of a model",
        f"Of `export --format`; see [Exporting](../guide/exporting.md).\n\n{table(('format', 'what it writes'), rows)}",
    )


def real_sets_page() -> Page:
    """Real sets with their repositories and terms."""
    from synthset.prompts.presets import preset_for
    from synthset.real import known_sets

    rows = []
    for name, real in known_sets().items():
        where = code(real.hub_id) if real.hub_id else "in scikit-learn"
        size = f"{real.size_px} px" if real.size_px else "differs"
        metric = {"accuracy": "accuracy", "mean_per_class": "mean over classes"}[real.metric]
        images = f"{preset_for(name).images_per_class:,}"
        rows.append((code(name), f"{real.num_classes:,}", size, metric, images, f"{where}; terms: {real.licence}"))
    return Page(
        "Real sets",
        "sets to test on, to draw shots from, and to stand in for",
        "Names that `--real`, `--dataset` and `--initial-images` know. They come from the Hugging Face hub or its "
        "cache. Check the terms of a set before you use it. The number of images is that of `create --dataset`, for a "
        "class and strategy.\n\n"
        + table(("name", "classes", "side", "metric", "images", "repository and terms"), rows),
    )


def config_page() -> Page:
    """The fields of every public config."""
    names = sorted(name for name in synthset.__all__ if name.endswith("Config"))
    parts = [
        "Fields of the configs that stages take in Python. A dotted name is a field of a config within the config."
    ]
    for name in names:
        options = declared_options(getattr(synthset, name))
        parts += [f"## {name}", *(field_entry(item) for item in options)]
    return Page("Configs", "every field of every config in Python", "\n\n".join(parts))


def field_entry(item: Declared) -> str:
    """A field of a config, as an item of a list of definitions."""
    facts = [f"Default: {default_of(item)}." if item.default is not MISSING else "It must be given."]
    facts += [f"Range: {range_of(item)}."] if range_of(item) else []
    text = flags_as_code(item.help)
    return f"{code('.'.join(item.path))}, {describe_type(item.type)}\n: {text}\n\n  {' '.join(facts)}"


def range_of(item: Declared) -> str:
    """The bounds of an option; empty without any."""
    return describe_bounds(item.option).removeprefix("of ")


def default_of(item: Declared) -> str:
    """The default of a field, as Python has it, or in words."""
    return flags_as_code(item.option.default) or code(repr(item.default))


# ---- Markdown ---------------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell(value) for value in line)} |" for line in lines)


def cell(value: str) -> str:
    """A text as a cell of a table: on one line, its bars escaped."""
    return " ".join(value.split()).replace("|", "\\|")


def code(text: str) -> str:
    """As code."""
    return f"`{text}`" if "`" not in text else f"`` {text} ``"


def flags_as_code(text: str) -> str:
    """A text with the flags that it names as code.

    >>> flags_as_code("See --real, or `--shots 4`.")
    'See `--real`, or `--shots 4`.'
    """
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"--[a-z][a-z-]*", lambda flag: code(flag[0]), part) for part in parts
    )


def shown(sentences: Sequence[str], most: int = 3) -> str:
    """A few of the sentences."""
    more = f" and {len(sentences) - most} more" if len(sentences) > most else ""
    return ", ".join(map(code, sentences[:most])) + more


def summary_table(kind: str, entries: Mapping[str, Any]) -> str:
    """Names with the lines about them that the entries bring along."""
    return table((kind, "in words"), [(code(name), entry.summary) for name, entry in entries.items()])


def first_sentence(docstring: str | None) -> str:
    """Of a docstring, the first sentence."""
    return (docstring or "").strip().split("\n\n")[0].split(". ")[0].rstrip(".").strip()


if __name__ == "__main__":
    write_pages()
