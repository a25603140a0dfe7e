"""How a load ended, in its report and in the error that stopped it.

In: whatever a load raises. Out: an AircanError that has the report, and what became of the table.
Holds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from loader.destination import Destination
from loader.errors import AircanError, Cancelled, memory_ours
from loader.net.uri import mask_uri
from loader.options import Options, default_resource_id
from loader.report import Report, TableState


@dataclass
class Ending:
    """What tells what has become of the table, should the load stop now.

    Attributes:
        earlier: What earlier tries of this load made of it.
        destination: Of this try; None until it is open.
    """

    earlier: TableState = "untouched"
    destination: Destination | None = None

    @property
    def table(self) -> TableState:
        """What has become of the table."""
        state = self.destination.table_state if self.destination else "untouched"
        return self.earlier if state == "untouched" else state


def new_report(uri: str, options: Options) -> Report:
    """Return the report of a load that begins."""
    resource_id = options.resource_id or default_resource_id(uri)
    return Report(resource_id, mask_uri(uri), mode=options.mode)


@contextmanager
def reported(report: Report, earlier: TableState = "untouched") -> Iterator[Ending]:
    """Let an error know the report, and the report the error; both, what became of the table.

    Args:
        report: Of the load, which is the whole block.
        earlier: What earlier tries of it made of the table.

    Yields:
        What the load tells its destination, as soon as it is open.

    Raises:
        Cancelled: Ctrl-C was pressed, or SIGTERM came where it is handled in the same way.
        OutOfMemory: The process may take no more memory.
    """
    ending = Ending(earlier)
    try:
        with _ours(), memory_ours(), report.timing("total"):
            yield ending
    except AircanError as error:
        error.report, report.error = report, error
        error.table = ending.table
        raise
    finally:
        report.table = ending.table


@contextmanager
def _ours() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise Cancelled("the load was stopped") from interrupt
