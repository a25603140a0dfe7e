"""What has become of the table that readers see: one word, from which front ends write sentences.

    untouched    the load has changed nothing in it
    replaced     it has the rows of the load instead of those of before, or there was none before
    merged       the rows of the load were added to it, or put in by their key: all of them
    partly       neither as it was nor complete: rows were deleted, or only some of the new are in
    dropped      it is no longer there, since its resource was deleted during the load
    unknown      nobody can tell, as when the connection breaks in the moment of the commit

``replaced`` and ``merged`` are also the states of a load that failed later, such as one after which
CKAN could not be told. In: nothing. Out: the words. Holds one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

TableState = Literal["untouched", "replaced", "merged", "partly", "dropped", "unknown"]
TABLE_STATES: tuple[TableState, ...] = get_args(TableState)


@dataclass
class TableChange:
    """The change that a load makes: whoever makes it keeps the state true at every moment.

    A load may be stopped between any two statements. So the state is set before what could make it
    false, and again after it.

    Attributes:
        table: What has become of the table so far.
    """

    table: TableState = "untouched"


def table_state(word: object) -> TableState:
    """Return a state that somebody has written; ``unknown`` for what is none."""
    return next((state for state in TABLE_STATES if state == word), "unknown")
