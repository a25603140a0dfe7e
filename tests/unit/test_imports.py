"""No module of the loader needs one that needs it, types included."""

from pathlib import Path

import pytest
from imports import ROOT, graph


def needs(root: Path) -> dict[str, set[str]]:
    return graph(root, lazy=False)


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules of a circle, or none."""
    left = {name: set(needed) for name, needed in graph.items()}
    while free := [name for name, needed in left.items() if not needed & set(left)]:
        for name in free:
            del left[name]
    if not left:
        return []
    way = [next(iter(sorted(left)))]
    while way.count(way[-1]) == 1:
        way.append(min(left[way[-1]] & set(left)))
    return way[way.index(way[-1]) :]


def test_no_module_needs_one_that_needs_it():
    graph = needs(ROOT)
    assert len(graph) > 70
    assert graph["loader.errors"] == {"loader.report", "loader.printable"}
    assert circle(graph) == []


# What one module says of another: at run time, for its types, in a class, in a branch.
CIRCLES = {
    "at run time": "import loader.b",
    "from it": "from loader.b import x",
    "from its package": "from loader import b",
    "for types": "if TYPE_CHECKING:\n    from loader.b import x",
    "in a branch": "try:\n    pass\nexcept ImportError:\n    from loader import b",
    "in a class": "class A:\n    from loader import b",
}


@pytest.mark.parametrize("text", CIRCLES.values(), ids=CIRCLES)
def test_a_circle_is_found(tmp_path, text):
    (folder := tmp_path / "loader").mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "a.py").write_text(text)
    (folder / "b.py").write_text("from loader import c\n")
    (folder / "c.py").write_text("def late():\n    from loader import a\n")
    assert circle(needs(tmp_path)) == []
    (folder / "c.py").write_text("from loader.a import x\n")
    assert circle(needs(tmp_path)) == ["loader.a", "loader.b", "loader.c", "loader.a"]
