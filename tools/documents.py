"""Writes the parts of README.md and ARCHITECTURE.md that follow from the code: `make documents`; a test holds them.

A part stands between `<!-- generated: NAME -->` and `<!-- end -->`, see PARTS.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "synthset"
_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Bring the documents up to date."""
    for path in (ROOT / "README.md", ROOT / "ARCHITECTURE.md"):
        path.write_text(with_parts(path.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


def with_parts(text: str) -> str:
    """The document with every generated part as it is now."""
    return _PART.sub(lambda match: f"{match[1]}{PARTS[match[2]]()}{match[3]}", text)


def strategy_table() -> str:
    """A line a strategy, as its declaration sums it up."""
    from synthset.prompts.strategies import STRATEGIES

    rows = [f"| `{strategy.name}` | {strategy.summary} |" for strategy in STRATEGIES.values()]
    return "\n".join(["| strategy | each image is drawn from |", "|---|---|", *rows, ""])


def wing_table() -> str:
    """A line a wing: what it is for, by the first line of its package, and its files."""
    rows = []
    for path in sorted(PACKAGE.iterdir()):
        if path.suffix == ".py" and path.stem != "__init__":
            rows.append(f"| `{path.name}` | {first_line(path)} | |")
        elif (path / "__init__.py").is_file():
            files = sorted(file.stem for file in path.glob("*.py") if not file.stem.startswith("__"))
            folders = sorted(f"{file.parent.name}/" for file in path.glob("*/__init__.py"))
            rows.append(f"| `{path.name}/` | {first_line(path / '__init__.py')} | {', '.join([*files, *folders])} |")
    return "\n".join(["| where | purpose | files |", "|---|---|---|", *rows, ""])


def file_table() -> str:
    """A line a file, by its own first line."""
    rows = [
        f"| `{path.relative_to(PACKAGE).as_posix()}` | {first_line(path)} |"
        for path in sorted(PACKAGE.rglob("*.py"))
        if first_line(path)
    ]
    return "\n".join(["| file | purpose |", "|---|---|", *rows, ""])


def first_line(path: Path) -> str:
    """The first line of a module's docstring."""
    text = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
    return text.replace("|", "\\|")


PARTS: dict[str, Callable[[], str]] = {"strategies": strategy_table, "wings": wing_table, "files": file_table}


if __name__ == "__main__":
    main()
