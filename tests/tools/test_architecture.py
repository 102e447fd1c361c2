import doctest

import pytest
from tools.structure import PACKAGE, import_graph, package_graph, read_modules

from tools import architecture


def test_examples_of_the_functions():
    failed, attempted = doctest.testmod(architecture)
    assert attempted
    assert not failed


def test_the_list_of_files_is_that_of_the_files():
    text = architecture.DOCUMENT.read_text(encoding="utf-8")
    assert architecture.with_files(text) == text, "run: make architecture"


def test_a_document_without_marks_is_refused():
    with pytest.raises(ValueError, match="end of files"):
        architecture.with_files(architecture.BEGIN)


def test_every_file_stands_in_the_list_below_what_it_imports():
    listed, wings = architecture.file_list(), architecture.wing_list()
    for path in architecture.SOURCE.rglob("*.py"):
        assert path == architecture.SOURCE / "__init__.py" or architecture.first_sentence(path) in listed
    graph = package_graph(import_graph(read_modules()))
    places = {name: wings.find(f"**{name.removeprefix(f'{PACKAGE}.')}/**") for name in graph}
    for name, imported in graph.items():
        for below in imported - {PACKAGE}:
            if places[name] >= 0 and places[below] >= 0:
                assert places[below] < places[name]
