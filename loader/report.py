"""What a load did, as one object: the JSON that ``--json`` prints.

With it, what has become of the table: whoever changes it keeps that in a ``TableChange``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from time import perf_counter
from typing import Any, Literal, Protocol, get_args

STEPS = (
    "infer",
    "copy",
    "primary_key",
    "full_text_index",
    "analyze",
    "swap",
    "register",
    "total",
)


Status = Literal["loaded", "unchanged", "skipped", "failed"]  # of one resource of many

# What has become of the table that readers see, in one word, from which front ends write sentences:
#     untouched    the load has changed nothing in it
#     replaced     it has the rows of the load instead of those of before, or there was none before
#     merged       the rows of the load were added to it, or put in by their key: all of them
#     partly       neither as it was nor complete: rows were deleted, or only some of the new are in
#     dropped      it is no longer there, since its resource was deleted during the load
#     unknown      nobody can tell, as when the connection breaks in the moment of the commit
# ``replaced`` and ``merged`` are also the states of a load that failed later, such as one after
# which CKAN could not be told.
TableState = Literal["untouched", "replaced", "merged", "partly", "dropped", "unknown"]
TABLE_STATES: tuple[TableState, ...] = get_args(TableState)


def table_state(word: object) -> TableState:
    """Return a state that somebody has written; ``unknown`` for what is none."""
    return next((state for state in TABLE_STATES if state == word), "unknown")


@dataclass
class TableChange:
    """The change that a load makes: whoever makes it keeps the state true at every moment.

    A load may be stopped between any two statements. So the state is set before what could make it
    false, and again after it.

    Attributes:
        table: What has become of the table so far.
    """

    table: TableState = "untouched"


@dataclass
class BadRows:
    """Rows that were not as wide as the table, or not readable.

    Attributes:
        rejected: How many were set aside.
        repaired: How many were padded or trimmed, and loaded.
        rejects: Where those set aside are; None when there are none, or no place was named.
        first: Row number and reason of the first ones set aside.
    """

    rejected: int = 0
    repaired: int = 0
    rejects: str | None = None
    first: list[dict[str, object]] = field(default_factory=list)


class _Error(Protocol):
    """An AircanError, which knows the report: this need not know it."""

    table: TableState

    def to_dict(self) -> dict[str, object]:
        """Return the report's ``error``."""


@dataclass
class Report:
    """The outcome of a load.

    Attributes:
        resource_id: The resource, which is the table's name.
        table: What has become of the table.
        source: Path or URL, without secrets.
        rows: Rows in the table.
        bytes: Bytes read from the source, compressed as they came.
        columns: ``id``, Postgres ``type``, ``label``, ``inferred_as`` and ``widened_from`` of each
            column; the label is '' where the header is the name. ``read_as``: how its values are
            written in the file; ``missing``: its signs for no value, and how often each is there;
            ``would_be``: its type without them, or if its type were not kept.
        hash: MD5 of the file, if it was loaded into a CKAN and nothing is left to do.
        timings_s: Seconds of each step; ``total`` is all of it.
        error: What stopped the load; None after a success.
    """

    resource_id: str
    source: str
    via: str = "copy"
    mode: str = "replace"
    table: TableState = "untouched"
    rows: int = 0
    bytes: int = 0
    columns: list[dict[str, object]] = field(default_factory=list)
    bad_rows: BadRows = field(default_factory=BadRows)
    warnings: list[str] = field(default_factory=list)
    timings_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STEPS, 0.0))
    hash: str | None = None
    error: _Error | None = None

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> Report:
        """Return the report that ``to_dict`` wrote, without its error."""
        names = [field.name for field in fields(cls) if field.name not in ("error", "table")]
        bad_rows = {field.name: written["bad_rows"][field.name] for field in fields(BadRows)}
        # An older version wrote the table's name there.
        table = table_state(written.get("table"))
        given = {name: written[name] for name in names} | {"bad_rows": BadRows(**bad_rows)}
        return cls(table=table, **given)

    @property
    def rows_per_second(self) -> int:
        """Rows over the whole time, finalizing included."""
        total = self.timings_s["total"]
        return round(self.rows / total) if total else 0

    @contextmanager
    def timing(self, step: str) -> Iterator[None]:
        """Add the time that the block takes to a step."""
        started = perf_counter()
        try:
            yield
        finally:
            self.timings_s[step] += perf_counter() - started

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {
            "resource_id": self.resource_id,
            "table": self.table,
            "source": self.source,
            "via": self.via,
            "mode": self.mode,
            "rows": self.rows,
            "bytes": self.bytes,
            "columns": self.columns,
            "bad_rows": {
                "rejected": self.bad_rows.rejected,
                "repaired": self.bad_rows.repaired,
                "rejects": self.bad_rows.rejects,
                "first": self.bad_rows.first,
            },
            "hash": self.hash,
            "warnings": self.warnings,
            "timings_s": {step: round(s, 3) for step, s in self.timings_s.items()},
            "rows_per_second": self.rows_per_second,
            "error": self.error.to_dict() if self.error else None,
        }


@dataclass(frozen=True)
class Outcome:
    """What became of one resource of many.

    Attributes:
        dataset: The dataset's name.
        resource_id: The resource.
        name: The resource's name.
        status: ``loaded``; ``unchanged``: the file is the one in the DataStore; ``skipped``: it
            is no CSV file; ``failed``.
        report: Of the load; None if there was none.
        table: What has become of the resource's table.
        reason: Why it was not loaded, in one line.
    """

    dataset: str
    resource_id: str
    name: str
    status: Status
    report: Report | None = None
    reason: str = ""
    table: TableState = "untouched"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {
            "dataset": self.dataset,
            "resource_id": self.resource_id,
            "name": self.name,
            "status": self.status,
            "reason": self.reason,
            "table": self.table,
            "report": self.report.to_dict() if self.report else None,
        }
