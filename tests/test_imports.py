"""No module of the loader needs one that needs it, types included."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Give the imports that stand outside of functions: those for type checking too."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for block in ("body", "orelse", "finalbody", "handlers"):
                yield from at_import(getattr(node, block, []))


def imported(node: ast.stmt, modules: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in modules)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        for alias in node.names:
            below = f"{node.module}.{alias.name}"
            name = below if below in modules else node.module
            if name in modules:
                yield name


def needs(root: Path) -> dict[str, set[str]]:
    trees = {
        module_name(path, root): ast.parse(path.read_text("utf-8"))
        for path in (root / "loader").rglob("*.py")
    }
    return {
        name: {found for node in at_import(tree.body) for found in imported(node, set(trees))}
        for name, tree in trees.items()
    }


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
    assert graph["loader.errors"] == {
        "loader.report",
        "loader.printable",
        "loader.table_state",
    }
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


# Who speaks with a database. Others pass its connection on, as a ``database.Connection``.
DATABASE = ("loader.copy.", "loader.embedded.server", "loader.copy.destination")


def packages(tree: ast.AST) -> set[str]:
    """Return the packages that are imported anywhere: in functions and for types too."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_psycopg_is_imported_where_sql_is_written_only():
    importing = {
        name
        for path in (ROOT / "loader").rglob("*.py")
        if "psycopg" in packages(ast.parse(path.read_text("utf-8")))
        for name in [module_name(path, ROOT)]
    }
    assert "loader.copy.database" in importing
    assert [name for name in importing if not name.startswith(DATABASE)] == []
