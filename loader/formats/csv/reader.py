"""Python's csv reader, for cells of any length.

In: lines. Out: their cells, as ``csv.reader`` gives them. Holds nothing itself.

``csv`` refuses a cell of more than 128 KiB, such as a real geometry. That limit can be changed for
the whole process only, which is for the program to decide, not for a library; and to raise it for
the time of a call would take it away from the call of another thread when it is set back. So the C
module behind ``csv`` is loaded here a second time: since Python 3.10 at the latest each copy of it
keeps the limit in its own state.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from types import ModuleType

_LONGEST = 2**31 - 1  # the largest that a C long holds on every platform


def _second_copy(name: str) -> ModuleType:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ImportError(f"this Python has no {name}", name=name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_csv = _second_copy("_csv")
_csv.field_size_limit(_LONGEST)
read: Callable[..., Iterator[list[str]]] = _csv.reader  # takes what csv.reader takes
Error: type[Exception] = _csv.Error  # of this copy: it is not csv.Error
