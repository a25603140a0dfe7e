"""What the package promises to callers: its names, and the types that a checker sees."""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from dataclasses import fields
from pathlib import Path
from typing import Literal, get_args, get_type_hints

import pytest

import loader
from loader import choices

ROOT = Path(__file__).parents[2]
TYPED = Path(__file__).with_name("typed")
INIT = ROOT / "loader" / "__init__.py"
PAGE = ROOT / "docs" / "library.md"

PUBLIC = {
    *("load", "reload", "reload_all", "reload_dataset", "infer", "validate"),
    *("Options", "LoadOptions", "ReadOptions", "ReloadOptions"),
    *("BatchSettings", "Guard", "Limits", "SourceSettings"),
    *("Report", "Outcome", "Progress", "AircanError"),
    *("errors", "progress"),
}


def test_the_public_names_are_these():
    assert set(loader.__all__) == PUBLIC
    assert loader.__all__ == sorted(loader.__all__)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_public_name_is_there_and_says_what_it_is(name):
    assert getattr(loader, name).__doc__


def test_a_name_that_there_is_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'lode'"):
        loader.lode  # noqa: B018


def test_a_type_checker_is_told_of_the_public_names_and_no_others():
    imported = {
        alias.name
        for node in ast.walk(ast.parse(INIT.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("loader")
        for alias in node.names
    }
    assert imported == PUBLIC


def test_the_page_of_the_library_names_the_public_names_and_no_others():
    page = PAGE.read_text("utf-8")
    named = set(re.findall(r"`loader\.(\w+)", page))
    for imported in re.findall("from loader import (.*)", page):
        named |= set(imported.split(", "))
    assert named == PUBLIC


def test_a_dag_file_that_imports_the_package_imports_nothing_of_weight():
    code = "import loader, loader.choices, sys; print(*sorted(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    weighty = {"frictionless", "numpy", "pyarrow", "psycopg", "requests", "rich", "smart_open"}
    assert not weighty & set(said.stdout.split())


# Types


def test_the_keywords_of_a_load_are_the_fields_of_options():
    options = {field.name for field in fields(loader.Options)}
    hints = get_type_hints(loader.Options)
    assert get_type_hints(loader.LoadOptions) == {name: hints[name] for name in options}


def test_fewer_keywords_are_for_what_needs_fewer():
    all_of_them = get_type_hints(loader.LoadOptions)
    for_reload = get_type_hints(loader.ReloadOptions)
    assert all_of_them.keys() - for_reload.keys() == {"resource_id", "dataset_id"}
    assert get_type_hints(loader.ReadOptions).items() < for_reload.items()


def test_every_option_with_a_closed_set_of_values_has_it_from_one_place():
    sets = {kind for kind in vars(choices).values() if isinstance(kind, type(Literal["a"]))}
    used = {kind for kind in get_type_hints(loader.Options).values() if get_args(kind)}
    assert {kind for kind in used if kind in sets} == sets - {choices.TakenVia}
    assert set(get_args(choices.Via)) - {"auto"} == set(get_args(choices.TakenVia))


def errors_of_mypy(*names: str) -> dict[tuple[str, int], set[str]]:
    """Return the codes of mypy's errors in each line of some files."""
    command = [sys.executable, "-m", "mypy", *(str(TYPED / name) for name in names)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert not said.stderr
    found = defaultdict(set)
    for line in said.stdout.splitlines():
        if error := re.fullmatch(r"(\S+):(\d+): error: .*\[([\w-]+)\]", line):
            path, number, code = error.groups()
            found[Path(path).name, int(number)].add(code)
    return found


def test_a_type_checker_knows_right_calls_from_wrong_ones():
    wanted = {
        ("wrong.py", number): set(line.split("# error: ")[1].split(", "))
        for number, line in enumerate((TYPED / "wrong.py").read_text("utf-8").splitlines(), 1)
        if "# error: " in line
    }
    assert len(wanted) > 30
    assert errors_of_mypy("right.py", "wrong.py") == wanted


def test_every_file_is_shipped(tmp_path):
    """The mark of a typed package too, and the statements beside their modules."""
    code = "import setuptools; setuptools.setup()"
    built, eggs = tmp_path / "built", tmp_path / "eggs"
    eggs.mkdir()
    command = [sys.executable, "-c", code, "-q", "egg_info", "--egg-base", str(eggs)]
    command += ["build_py", "--build-lib", str(built)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    shipped = {path.relative_to(built) for path in built.rglob("*") if path.is_file()}
    there = {path.relative_to(ROOT) for path in (ROOT / "loader").rglob("*") if path.is_file()}
    assert shipped == {path for path in there if "__pycache__" not in path.parts}
    assert {Path("loader/py.typed"), Path("loader/copy/views.find.sql")} <= shipped
