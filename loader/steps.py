"""The steps of a load, as they begin and end: timed in its report, told to its progress, logged.

Before one that changes the columns of a table that readers see, the load's caller is asked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from loader.progress import Progress
from loader.report import Report
from loader.types.column import Column

_log = logging.getLogger(__name__)

BeforeColumnsChange = Callable[[Sequence[Column], Sequence[Column]], None]


def do_nothing() -> None:
    """Let the table change."""


@dataclass
class Steps:
    """Reports what a load does, and asks its caller before the columns of a table change.

    Attributes:
        report: Gets the times.
        progress: Shows each step.
        before_columns_change: Is asked, with the old columns and the new ones; None allows all.
        before_change: Is called directly before anything of the table that readers see changes;
            what it raises stops the load.
        stored: Rows that are stored so far.
    """

    report: Report
    progress: Progress
    before_columns_change: BeforeColumnsChange | None = None
    before_change: Callable[[], None] = do_nothing
    stored: int = 0

    @contextmanager
    def step(self, name: str, title: str) -> Iterator[None]:
        """Do one step.

        Args:
            name: In the report's ``timings_s``.
            title: For people.
        """
        self.progress.begin(title)
        began = perf_counter()
        with self.report.timing(name):
            yield
        _log.info(
            "%s: %d rows, %d bytes, %.2f s",
            title,
            self.stored,
            self.report.bytes,
            perf_counter() - began,
        )

    def warn(self, warning: str) -> None:
        """Put a warning into the report, which has it also if the load fails."""
        self.report.warnings.append(warning)

    def ask(self, old: Sequence[Column] | None, new: Sequence[Column]) -> None:
        """Ask whether the columns of a table may change, if they do; their order does not count.

        Args:
            old: Of the table that readers see; None where there is none.
            new: What they are to be.

        Raises:
            AircanError: They may not, or nobody can tell.
        """
        if self.before_columns_change is None or old is None:
            return
        if _names_and_types(old) != _names_and_types(new):
            self.before_columns_change(old, new)


def _names_and_types(columns: Sequence[Column]) -> list[tuple[str, str]]:
    return sorted((column.name, column.type) for column in columns)
