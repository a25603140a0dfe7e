"""The house: which room may import which, who owns which package, and the drawing of it.

A room is a package of ``loader`` or a module beside them. Imports count wherever they stand: in a
function and for type checking, too.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from imports import ROOT, graph, packages, sources

# From the bottom: a room imports from those above it in this list, never from its own line.
LAYERS = [
    {"choices", "printable", "progress", "report"},
    {"errors"},
    {"types", "net", "embedded"},
    {"formats", "source"},
    {"scan", "steps"},
    {"copy", "ckan", "destination"},
    {"options"},
    {"pipeline", "describe"},
    {"reloading"},
    {"api"},
    {"", "factory"},
    {"cli"},
    {"__main__"},
]
# What any room may use is not drawn.
WORDS = {
    "",
    "choices",
    "destination",
    "errors",
    "options",
    "printable",
    "progress",
    "report",
    "steps",
}
OWNERS = {
    "airflow": {"loader.factory"},
    "ckanapi": {"loader.ckan"},
    "frictionless": {"loader.types", "loader.describe"},
    "google": {"loader.source", "loader.factory.stores"},
    "psycopg": {"loader.copy", "loader.embedded"},
    "requests": {"loader.net", "loader.source", "loader.ckan"},
    "smart_open": {"loader.source", "loader.factory.stores"},
    "sqlalchemy": {"loader.copy"},
    "typer": {"loader.cli"},
    "urllib3": {"loader.net", "loader.ckan"},
}
MOST = {"modules beside the rooms": 13, "floors": 13, "arrows between rooms": 102}


def room(module: str) -> str:
    return [*module.split("."), ""][1]


def arrows(needs: dict[str, set[str]]) -> set[tuple[str, str]]:
    """Return which room imports which."""
    return {
        (room(name), room(needed))
        for name, all_needed in needs.items()
        for needed in all_needed
        if room(name) != room(needed)
    }


def floors(needs: dict[str, set[str]]) -> int:
    """Return how many modules the longest chain of imports has."""
    known: dict[str, int] = {}

    def floor(name: str) -> int:
        if name not in known:
            known[name] = 1 + max(map(floor, needs[name]), default=0)
        return known[name]

    return max(map(floor, needs))


def test_every_room_has_its_place():
    assert {room(name) for name in graph()} == set().union(*LAYERS)


def test_a_room_imports_from_lower_ones_only():
    level = {name: i for i, layer in enumerate(LAYERS) for name in layer}
    wrong = {
        f"{name} imports {needed}"
        for name, all_needed in graph().items()
        for needed in all_needed
        if room(name) != room(needed) and level[room(needed)] >= level[room(name)]
    }
    assert wrong == set()


@pytest.mark.parametrize("package", OWNERS)
def test_a_package_is_imported_by_its_owners_only(package: str):
    users = {name for name, tree in sources().items() if package in packages(tree)}
    owners = OWNERS[package]
    strangers = {
        name for name in users if not any(f"{name}.".startswith(f"{one}.") for one in owners)
    }
    assert users
    assert strangers == set()


def test_of_the_loader_dag_files_know_the_factory_only():
    for name, tree in sources(folder="dags").items():
        known = packages(tree) - {"__future__"}
        assert known <= {"airflow", "loader", "datetime", "typing", "collections"}, name
    text = "".join(path.read_text("utf-8") for path in (ROOT / "dags").glob("*.py"))
    assert set(re.findall(r"from loader\.(\w+)", text)) == {"factory"}


def test_the_extension_does_not_know_the_loader():
    parsed = sources(ROOT / "ckanext-aircan", "ckanext")
    assert [name for name, tree in parsed.items() if "loader" in packages(tree)] == []


def test_the_house_stays_as_small_as_it_is():
    needs = graph()
    beside = list((ROOT / "loader").glob("*.py"))
    now = {
        "modules beside the rooms": len(beside),
        "floors": floors(needs),
        "arrows between rooms": len(arrows(needs)),
    }
    assert {what: count for what, count in now.items() if count > MOST[what]} == {}


def drawn() -> set[tuple[str, str]]:
    """Return the arrows of the drawing in the docs."""
    text = Path(ROOT, "docs", "how-it-works.md").read_text("utf-8")
    (drawing,) = re.findall(r"```mermaid\n(.*?)```", text, re.DOTALL)
    found = set()
    for line in drawing.splitlines():
        if match := re.fullmatch(r"\s*(\w+(?: & \w+)*) --> (\w+(?: & \w+)*)", line):
            begins, ends = (side.split(" & ") for side in match.groups())
            found |= {(begin, end) for begin in begins for end in ends}
    return found


def test_the_drawing_shows_the_house():
    shown = {
        (begin, end) for begin, end in arrows(graph()) if not {begin, end} & WORDS - {"__main__"}
    }
    assert drawn() == {pair for pair in shown if "__main__" not in pair}


# That the tests above can fail.
BROKEN = {
    "lazy": "def f():\n    from loader.cli import commands",
    "for types": "if TYPE_CHECKING:\n    from loader.cli.commands import app",
    "the package": "import loader.cli.commands",
}


@pytest.mark.parametrize("statement", BROKEN.values(), ids=BROKEN)
def test_an_import_is_seen_wherever_it_stands(tmp_path: Path, statement: str):
    for name, text in {"cli/commands": "app = 1", "copy/lanes": statement}.items():
        path = tmp_path / "loader" / f"{name}.py"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert arrows(graph(tmp_path)) == {("copy", "cli")}
