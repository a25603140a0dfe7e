"""What the modules of the loader import, read from their text: lazy and for types, too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


parsed = cache(ast.parse)


@cache
def imports(tree: ast.Module) -> list[ast.stmt]:
    """Return the imports of a module, wherever they stand."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def sources(root: Path = ROOT, folder: str = "loader") -> dict[str, ast.Module]:
    """Return the modules of a folder, parsed, by name."""
    return {
        module_name(path, root): parsed(path.read_text("utf-8"))
        for path in (root / folder).rglob("*.py")
    }


def at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Give the imports that stand outside of functions: those for type checking too."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for block in ("body", "orelse", "finalbody", "handlers"):
                yield from at_import(getattr(node, block, []))


def imported(node: ast.AST, modules: set[str]) -> Iterator[str]:
    """Give those of some modules that an import names."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in modules)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        for alias in node.names:
            below = f"{node.module}.{alias.name}"
            name = below if below in modules else node.module
            if name in modules:
                yield name


def packages(tree: ast.Module) -> set[str]:
    """Return the outermost packages that a module imports, wherever it does."""
    found = set()
    for node in imports(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def graph(root: Path = ROOT, *, lazy: bool = True) -> dict[str, set[str]]:
    """Return what each module of the loader imports of it; ``lazy``: in its functions, too."""
    trees = sources(root)
    modules = set(trees)
    return {
        name: {
            found
            for node in (imports(tree) if lazy else at_import(tree.body))
            for found in imported(node, modules)
        }
        - {name}
        for name, tree in trees.items()
    }
