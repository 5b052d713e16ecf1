"""The package's modules import one way, and the two engines have the same files."""

import ast
import graphlib
from pathlib import Path

import micrograd

FOLDER = Path(micrograd.__file__).parent
FILES = {
    ".".join(path.relative_to(FOLDER.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in FOLDER.rglob("*.py")
}


class Imports(ast.NodeVisitor):
    """Finds which modules of the package a module imports, also inside functions."""

    def __init__(self, name):
        is_package = FILES[name].name == "__init__.py"
        self.package = name.split(".") if is_package else name.split(".")[:-1]
        self.found = set()

    def visit_If(self, node):
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self.generic_visit(node)

    def visit_ImportFrom(self, node):
        if node.level:
            base = self.package[: len(self.package) - node.level + 1]
            base = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            for alias in node.names:
                module = f"{base}.{alias.name}"
                self.found.add(module if module in FILES else base)


def imports_of(name):
    visitor = Imports(name)
    visitor.visit(ast.parse(FILES[name].read_text(encoding="utf-8")))
    return visitor.found


def test_there_is_no_circle():
    graph = {name: imports_of(name) for name in FILES}
    assert "micrograd.compiled.binding" in graph["micrograd.compiled.value"]
    assert set().union(*graph.values()) <= FILES.keys()
    graphlib.TopologicalSorter(graph).prepare()  # or a CycleError, which has the circle


def test_both_engines_have_files_of_the_same_names():
    own = {"pure": {"arithmetic", "base"}, "compiled": {"binding", "library"}}
    names = {
        engine: {path.stem for path in (FOLDER / engine).glob("*.py")} - own[engine]
        for engine in own
    }
    assert names["pure"] == names["compiled"]
