"""The steps of a load, as they begin and end: timed in its report, told to its progress, logged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from loader.progress import Progress
from loader.report import Report

_log = logging.getLogger(__name__)


@dataclass
class Steps:
    """Where a load tells what it does.

    Attributes:
        report: Gets the times.
        progress: Is told.
        stored: Rows that are stored so far.
    """

    report: Report
    progress: Progress
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
