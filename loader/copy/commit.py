"""A transaction that changes the live table -> whether its change is done, or nobody can know.

Between COMMIT and the server's answer the connection may break, and the load may be stopped. Until
COMMIT is sent the table is certainly as it was, whatever happens. Holds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from loader.errors import DatabaseUnreachable
from loader.report import TableChange


@contextmanager
def known(change: TableChange) -> Iterator[None]:
    """Keep a change true while a transaction is tried, which is the whole block.

    The last statement in the transaction has to be followed by ``change.table = "unknown"``.
    """
    change.table = "untouched"
    try:
        yield
    except DatabaseUnreachable:
        raise  # as it was when the connection broke
    except Exception:
        change.table = "untouched"  # the server has answered: nothing was committed
        raise
