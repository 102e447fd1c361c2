import ast

from tools.structure import Function, cycles, functions, import_graph, package_graph, read_modules, report


def test_nothing_is_beyond_its_bar():
    found = report(read_modules())
    assert len(found) == 5
    assert {title: lines for title, lines in found.items() if lines} == {}


def parsed(**texts):
    return {name.replace("__", "."): ast.parse(text) for name, text in texts.items()}


def test_lazy_imports_and_those_for_types_count():
    modules = parsed(
        synthset="",
        synthset__a="",
        synthset__a__one="def f():\n    from synthset.b import two",
        synthset__b="",
        synthset__b__two="if TYPE_CHECKING:\n    import synthset.a.one",
        synthset__b__three="from synthset.b.two import x",
    )
    graph = import_graph(modules)
    assert graph["synthset.b.three"] == {"synthset.b.two"}
    assert cycles(graph) == [["synthset.a.one", "synthset.b.two"]]
    assert cycles(package_graph(graph)) == [["synthset.a", "synthset.b"]]


def test_functions_are_measured_without_self():
    (method, nested) = functions(parsed(synthset__a="class C:\n    def f(self, a, *, b):\n        def g(): pass\n"))
    assert method == Function("synthset.a.C.f", 2, 2)
    assert nested == Function("synthset.a.C.f.g", 0, 1)
