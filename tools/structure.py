"""Prints where the structure is beyond its bars: `python -m tools.structure`; a test holds the code to them.

Import cycles between modules and between packages, lazy imports and those for type checkers counted; functions with
more than 8 parameters; functions longer than 60 lines; modules on top of the package.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src"
PACKAGE = "synthset"
MAX_PARAMETERS, MAX_LINES, MAX_ON_TOP = 8, 60, 5

Graph = dict[str, set[str]]


@dataclass(frozen=True)
class Function:
    """A function or method: `name` is dotted, with its module; `parameters` leaves out self and cls."""

    name: str
    parameters: int
    lines: int


def read_modules(source: Path = SOURCE) -> dict[str, ast.Module]:
    """Every module of the package by its dotted name, parsed."""
    modules = {}
    for path in sorted((source / PACKAGE).rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules[name] = ast.parse(path.read_text(encoding="utf-8"))
    return modules


def import_graph(modules: Mapping[str, ast.Module]) -> Graph:
    """Which modules each module imports, wherever in it the import stands."""
    return {name: set(_imports(tree, modules)) - {name} for name, tree in modules.items()}


def _imports(tree: ast.Module, modules: Mapping[str, ast.Module]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and (package := node.module or "") in modules:
            for alias in node.names:
                module = f"{package}.{alias.name}"
                yield module if module in modules else package


def package_graph(graph: Graph) -> Graph:
    """The same between the packages right below the top; modules on top stand for themselves."""
    packages: Graph = {}
    for module, imported in graph.items():
        here = _package(module)
        packages.setdefault(here, set()).update({_package(name) for name in imported} - {here})
    return packages


def _package(module: str) -> str:
    return ".".join(module.split(".")[:2])


def cycles(graph: Graph) -> list[list[str]]:
    """Sets of nodes that import each other, by Tarjan's algorithm; the package's own `__init__` is left out.

    It names the homes of the public names, and every import of a module within runs it first.
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(graph[node] - {PACKAGE}):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            component = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(component) > 1:
                found.append(sorted(component))

    for node in sorted(graph.keys() - {PACKAGE}):
        if node not in index:
            visit(node)
    return found


def functions(modules: Mapping[str, ast.Module]) -> Iterator[Function]:
    """Every function and method, nested ones too."""
    for module, tree in modules.items():
        yield from _functions(tree, module)


def _functions(node: ast.AST, prefix: str) -> Iterator[Function]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = child.args
            names = [arg.arg for arg in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
            count = len([name for name in names if name not in ("self", "cls")])
            lines = (child.end_lineno or child.lineno) - child.lineno + 1
            yield Function(f"{prefix}.{child.name}", count, lines)
            yield from _functions(child, f"{prefix}.{child.name}")
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}.{child.name}")
        else:
            yield from _functions(child, prefix)


def report(modules: Mapping[str, ast.Module]) -> dict[str, list[str]]:
    """Every title with what is beyond its bar; nothing, where all is well."""
    graph = import_graph(modules)
    top = [PACKAGE, *(name for name in modules if name.count(".") == 1 and not _is_package(name))]
    public = _public_names(modules[PACKAGE])
    everything = list(functions(modules))
    return {
        "import cycles between modules": [" ⇄ ".join(cycle) for cycle in cycles(graph)],
        "import cycles between packages": [" ⇄ ".join(cycle) for cycle in cycles(package_graph(graph))],
        f"functions with more than {MAX_PARAMETERS} parameters, but the public ones": [
            f"{item.name} ({item.parameters})"
            for item in everything
            if item.parameters > MAX_PARAMETERS and item.name.rpartition(".")[2] not in public
        ],
        f"functions longer than {MAX_LINES} lines": [
            f"{item.name} ({item.lines})" for item in everything if item.lines > MAX_LINES
        ],
        f"modules on top, beyond {MAX_ON_TOP}": top[MAX_ON_TOP:],
    }


def _is_package(name: str) -> bool:
    return (SOURCE / name.replace(".", "/")).is_dir()


def _public_names(package: ast.Module) -> set[str]:
    (names,) = (
        ast.literal_eval(node.value)
        for node in package.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__"
    )
    return set(names)


def main() -> int:
    """Print everything; 1 where something is beyond its bar."""
    found = report(read_modules())
    for title, lines in found.items():
        print(f"{title}: {len(lines) or 'none'}")
        for line in lines:
            print(f"    {line}")
    return int(any(found.values()))


if __name__ == "__main__":
    sys.exit(main())
