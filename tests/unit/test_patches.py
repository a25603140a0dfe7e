"""What the tests patch is read where they put it: what nothing reads would test nothing."""

import ast
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (ROOT / "loader", ROOT / "ckanext-aircan" / "ckanext")


@dataclass(frozen=True)
class Patch:
    """Where it is, and what is put in whose place."""

    place: str
    module: str
    name: str


@cache
def modules() -> dict[str, ast.Module]:
    found = {}
    for package in PACKAGES:
        for path in package.rglob("*.py"):
            parts = path.relative_to(package.parent).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = ast.parse(path.read_text("utf-8"))
    return found


@cache
def aliases(tree: ast.AST) -> dict[str, str]:
    """Return the modules of ours that names stand for."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if f"{node.module}.{alias.name}" in modules():
                    found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname and alias.name in modules():
                    found[alias.asname] = alias.name
    return found


def patches(text: str, place: str) -> Iterator[Patch]:
    """Give what a test file patches, in the programs too that it holds as texts."""
    tree = ast.parse(text)
    names = aliases(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if "import" in node.value and "\n" in node.value and "=" in node.value:
                yield from _patches_within(node, place)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                owner = getattr(target, "value", None)
                module = names.get(owner.id) if isinstance(owner, ast.Name) else None
                if isinstance(target, ast.Attribute) and module:
                    yield Patch(f"{place}:{node.lineno}", module, target.attr)
        elif isinstance(node, ast.Call) and _is_setattr(node):
            found = _patched(node, names)
            if found and found[0] in modules():
                yield Patch(f"{place}:{node.lineno}", *found)


def _patches_within(node: ast.Constant, place: str) -> Iterator[Patch]:
    with suppress(SyntaxError):  # no program
        yield from patches(str(node.value), f"{place}:{node.lineno}, line")


def _is_setattr(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and node.func.attr == "setattr"


def _patched(node: ast.Call, names: dict[str, str]) -> tuple[str, str] | None:
    """Return the module and the name in it; of a class's method both with the class."""
    first, second = node.args[0], node.args[1]
    if isinstance(first, ast.Constant):
        dotted = str(first.value)
    elif isinstance(second, ast.Constant):
        dotted = f"{ast.unparse(first)}.{second.value}"
        head, _, rest = dotted.partition(".")
        dotted = f"{names.get(head, head)}.{rest}"
    else:
        return None
    module = dotted
    while module and module not in modules():
        module = module.rpartition(".")[0]
    return (module, dotted.removeprefix(f"{module}.")) if module else None


def is_read(patch: Patch) -> bool:
    """Tell whether a function reads the name where it is put: in its module, or through it."""
    owner, dot, name = patch.name.rpartition(".")
    if dot:  # a method: of that class, and called by somebody
        return _has_method(modules()[patch.module], owner, name) and any(
            isinstance(node, ast.Attribute) and node.attr == name
            for tree in modules().values()
            for node in ast.walk(tree)
        )
    if any(_reads(node, name) for node in _at_run_time(modules()[patch.module])):
        return True
    for tree in modules().values():
        through = {alias for alias, module in aliases(tree).items() if module == patch.module}
        if any(_reads_through(node, through, name) for node in _at_run_time(tree)):
            return True
    return False


@cache
def _at_run_time(tree: ast.AST) -> list[ast.AST]:
    """Return what functions do when they are called: defaults were read long before."""
    return [
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for statement in node.body
        for inner in ast.walk(statement)
    ]


def _reads(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)


def _reads_through(node: ast.AST, through: set[str], name: str) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr == name
        and isinstance(node.value, ast.Name)
        and node.value.id in through
    )


def _has_method(tree: ast.Module, owner: str, name: str) -> bool:
    return any(
        isinstance(node, ast.ClassDef)
        and node.name == owner
        and any(isinstance(one, ast.FunctionDef) and one.name == name for one in node.body)
        for node in tree.body
    )


FILES = sorted(path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__))


def test_what_is_patched_is_read():
    found = [
        patch
        for path in FILES
        for patch in patches(path.read_text("utf-8"), str(path.relative_to(ROOT)))
    ]
    assert len(found) > 40
    assert any(patch.place.startswith("tests/postgres/test_failures.py") for patch in found)
    assert any(patch.module.startswith("ckanext.") for patch in found)
    assert [patch for patch in found if not is_read(patch)] == []


# A patch, and whether anything reads it.
KINDS = {
    "a constant": ("from loader.formats.csv import opening\nopening._HEAD_BYTES = 1", True),
    "one that lives elsewhere": ("from loader.scan import scan\nscan._HEAD_BYTES = 1", False),
    "one that is not there": (
        "from loader.formats.csv import blocks\nm.setattr(blocks, 'CUT', 1)",
        False,
    ),
    "a function read through its module": (
        "from loader.formats.csv import blocks\nm.setattr(blocks, 'cut', 1)",
        True,
    ),
    "by its path": ("m.setattr('loader.copy.lanes.WATCH_EVERY_S', 1)", True),
    "by a path that leads nowhere": ("m.setattr('loader.copy.lanes._WATCH_S', 1)", False),
    "a method": (
        "from loader.copy import lexemes\nm.setattr(lexemes.Composer, 'compose', 1)",
        True,
    ),
    "a method that is none": (
        "from loader.copy import lexemes\nm.setattr(lexemes.Composer, 'composed', 1)",
        False,
    ),
    "in a program": ("X = '''\nfrom loader.scan import scan\nscan._HEAD_BYTES = 1\n'''", False),
    "read as a default only": (
        "from loader.source import stream\nm.setattr(stream, '_DEFAULTS', 1)",
        False,
    ),
}


@pytest.mark.parametrize(("text", "expected"), KINDS.values(), ids=KINDS)
def test_a_patch_that_nothing_reads_is_found(text, expected):
    (patch,) = patches(text, "here")
    assert is_read(patch) == expected
