"""JSON that people write, a schema or a dialect -> what it says, or an error in one line.

In: text, or what was read from one. Out: the same as Python has it. Holds nothing else.

An editor writes it at a resource, and Python gives up on what is nested some hundred deep, with an
error that ends more than this load.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from loader.errors import UsageError

_MOST_LEVELS = 50  # a schema has six


def from_json(text: str, shown: str) -> Any:  # noqa: ANN401
    """Return what a text says.

    Args:
        text: JSON.
        shown: What it is called in an error.

    Raises:
        UsageError: It is not JSON, or nested too deep.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise _too_deep(shown) from None
    except ValueError as error:
        raise UsageError(f"{shown} is not JSON: {error}") from error
    check_levels(value, shown)
    return value


def check_levels(value: object, shown: str) -> None:
    """Check that a value is not nested too deep.

    Raises:
        UsageError: It is.
    """
    if not _has_at_most(value, _MOST_LEVELS):
        raise _too_deep(shown)


def _has_at_most(value: object, levels: int) -> bool:
    if not isinstance(value, (Mapping, list)):
        return True
    parts = value.values() if isinstance(value, Mapping) else value
    return levels > 0 and all(_has_at_most(part, levels - 1) for part in parts)


def _too_deep(shown: str) -> UsageError:
    return UsageError(f"{shown} is nested more than {_MOST_LEVELS} levels deep")
