"""Writes the list of wings and their files in ARCHITECTURE.md anew: `make architecture`.

Wings stand in the order of their floors: each imports only wings that stand before it. A module says in the first
sentence of its docstring what it is for, a wing in its `__init__.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tools.structure import PACKAGE, Graph, import_graph, package_graph, read_modules

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / PACKAGE
DOCUMENT = ROOT / "ARCHITECTURE.md"
BEGIN, END = "<!-- files: written by python -m tools.architecture -->", "<!-- end of files -->"


def main() -> None:
    """Replace the list in the document."""
    DOCUMENT.write_text(with_files(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


def with_files(text: str) -> str:
    """The document with the list of the files that there are now. Raises ValueError where its marks are missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"Expected '{BEGIN}' and '{END}' around the list of files, found at most one of them.")
    return f"{before}{begin}\n{wing_list()}\n{end}{after}"


def wing_list() -> str:
    """A row for each wing and each module on top, with the files of the wing."""
    rows = []
    for path in wings():
        if path.is_dir():
            names = sorted(file.stem for file in path.glob("*.py") if not file.stem.startswith("__"))
            names += sorted(f"{file.parent.name}/" for file in path.glob("*/__init__.py"))
            rows.append(f"| **{path.name}/** | {first_sentence(path / '__init__.py')} | {', '.join(names)} |")
        else:
            rows.append(f"| {path.name} | {first_sentence(path)} | |")
    return "\n".join(["| where | purpose | files |", "|---|---|---|", *rows])


def file_list() -> str:
    """A row for each file of the package, under its wing."""
    rows = []
    for path in wings():
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        rows += [f"| `{file.relative_to(SOURCE).as_posix()}` | {first_sentence(file)} |" for file in files]
    return "\n".join(["| file | purpose |", "|---|---|", *rows])


def wings() -> Iterator[Path]:
    """The packages and modules on top of the package, lower floors first."""
    graph = package_graph(import_graph(read_modules()))
    for name in sorted(graph.keys() - {PACKAGE}, key=lambda name: (floor(name, graph), name)):
        path = SOURCE / name.removeprefix(f"{PACKAGE}.")
        yield path if path.is_dir() else path.with_suffix(".py")


def floor(name: str, graph: Graph) -> int:
    """How many wings at least stand below one: 0 where it imports none.

    >>> floor("c", {"a": set(), "b": {"a"}, "c": {"a", "b"}})
    2
    """
    return max((1 + floor(below, graph) for below in graph[name] - {PACKAGE}), default=0)


def first_sentence(path: Path) -> str:
    """What a module says of itself first, on one line."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(docstring.split("\n\n")[0].split())
    return f"{paragraph.split('. ')[0].rstrip('.:')}.".replace("|", "\\|")


if __name__ == "__main__":
    main()
