"""The examples of the page on extending the loader, run as modules."""

from __future__ import annotations

import re
import textwrap
from types import ModuleType

from imports import ROOT

PAGE = ROOT / "docs" / "extending.md"


def run(module: ModuleType, name: str) -> None:
    """Run a code block of the page in a module, by the name in the comment above it."""
    (code,) = re.findall(
        rf"<!-- example: {name} -->\n\n((?:    .*\n|\n)+)", PAGE.read_text("utf-8")
    )
    exec(compile(textwrap.dedent(code), f"docs/extending.md: {name}", "exec"), vars(module))  # noqa: S102
