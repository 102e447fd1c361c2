"""Sphinx's configuration: `make docs` builds the site into docs/_build."""

import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))  # for tools.docs_pages, wherever sphinx-build is started

from tools.docs_pages import write_pages  # noqa: E402

from synthset.version import __version__  # noqa: E402

project = "Synthset"
copyright = "the authors of Synthset, Apache License 2.0"  # noqa: A001
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
smartquotes_action = "D"  # dashes alone; a flag in plain text would become one, which a test looks for
default_role = "code"  # docstrings write `names` as Markdown does

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "separated"  # no signature of thirty fields over a config
autodoc_preserve_defaults = True
napoleon_use_ivar = True  # "Attributes:" as a list; a field that has a text of its own would else stand there twice
napoleon_numpy_docstring = False

html_theme = "pydata_sphinx_theme"
html_title = "Synthset"
html_sidebars = {page: [] for page in ("python", "papers", "project/experiments", "scale", "security")}
html_static_path = ["_static"]
html_css_files = ["synthset.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options: dict[str, Any] = {
    "header_links_before_dropdown": 8,
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": True,
    "show_toc_level": 2,
    "navigation_depth": 3,
    "back_to_top_button": False,
}


def part_sections(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Put an empty line before each section of a docstring: ours go without, and napoleon would join the two."""
    for i in range(len(lines) - 1, 0, -1):
        if re.match(r"\s*(Args|Attributes|Raises|Returns|Example):", lines[i]) and lines[i - 1].strip():
            lines.insert(i, "")


def setup(app: Any) -> None:
    """Write the pages that follow from declarations before Sphinx looks for pages."""
    app.connect("config-inited", lambda *_: write_pages(HERE))
    app.connect("autodoc-process-docstring", part_sections, priority=100)  # before napoleon
