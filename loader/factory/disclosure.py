"""What a CKAN that a conf names is told: of its own load, and nothing of the worker's environment.

In: an update as the operator's own CKAN gets it. Out: the same without paths, settings, and errors
that are the operator's to mend. Only fields named here are sent. Holds one update.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from loader.errors import (
    AddressRefused,
    AircanError,
    Cancelled,
    CkanError,
    KeyViolated,
    OutOfMemory,
    RowRefused,
    RowsInDoubt,
    RowsLost,
    SourceError,
    SourceTooLarge,
    SourceTooSlow,
    TableChanged,
    TableError,
    TooManyBadRows,
    Unexpected,
    UsageError,
)

_INFO = ("table", "rows", "bytes", "progress", "warnings", "valid", "errors", "first")
_REPORT = (
    *("resource_id", "table", "source", "via", "mode", "rows", "bytes", "columns", "hash"),
    *("warnings", "timings_s", "rows_per_second"),
)
_BAD_ROWS = ("rejected", "repaired", "first")
_ERROR = ("type", "message", "hint", "option", "row", "column", "value", "retryable", "table")

# Their messages are about the file, the conf, or the CKAN that it names. Those below them are too.
_OF_LOADS = (
    *(SourceError, TableError, CkanError),
    *(RowsLost, RowsInDoubt, RowRefused, KeyViolated, TableChanged),
)
# No more than these: below UsageError is the lack of an Airflow connection.
_EXACTLY = (UsageError, Cancelled, Unexpected, OutOfMemory)
# Their messages have the operator's limits, or tell what his addresses are used for.
_IN_OTHER_WORDS: dict[type[AircanError], str] = {
    SourceTooLarge: "the file has more bytes, or unpacks to more, than may be loaded here",
    SourceTooSlow: "the file's server sent too little over a long time",
    AddressRefused: "files at this address are not loaded from here",
    OutOfMemory: "its rows need more memory than a load may take: is a quote not closed?",
}
# The hint names the file of the rejected rows.
_HINTS: dict[type[AircanError], str] = {TooManyBadRows: "mend the file, or allow more bad rows"}

WITHHELD = "the load failed for a reason that is not the file's"
_HINT = "those who run the factory see the reason in the task's log"


def disclosed(update: Mapping[str, Any], *, is_of_load: bool) -> dict[str, Any]:
    """Return what of an update a CKAN may hear that is not the operator's.

    Args:
        update: ``status``, ``step``, ``message``, ``info``.
        is_of_load: Whether its error came up in the load, and not with the operator's settings.
    """
    info: Mapping[str, Any] = update["info"]
    shown = {name: info[name] for name in _INFO if name in info}
    message = update["message"]
    if isinstance(report := info.get("report"), Mapping):
        shown["report"] = _report(report)
    if update["status"] == "FAILED":
        shown["error"] = _error(info.get("error") or {}, is_of_load=is_of_load)
        message = shown["error"]["message"]
    return {"status": update["status"], "step": update["step"], "message": message, "info": shown}


def _report(report: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: report[name] for name in _REPORT if name in report}
    bad_rows = {name: v for name, v in report["bad_rows"].items() if name in _BAD_ROWS}
    return shown | {"bad_rows": bad_rows | {"rejects": None}, "error": None}


def _error(error: Mapping[str, Any], *, is_of_load: bool) -> dict[str, Any]:
    shown = {name: error.get(name) for name in _ERROR}
    kind = _KINDS.get(str(shown["type"])) if is_of_load else None
    if kind is None:
        return (
            shown
            | dict.fromkeys(("option", "row", "column", "value"))
            | {
                "message": WITHHELD,
                "hint": _HINT,
            }
        )
    if kind in _IN_OTHER_WORDS:
        return shown | {"message": _IN_OTHER_WORDS[kind], "hint": None, "option": None}
    return shown | ({"hint": _HINTS[kind]} if kind in _HINTS else {})


def _all_below(kind: type[AircanError]) -> Iterator[type[AircanError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _all_below(below)


# By name, as an artifact has it.
_KINDS: dict[str, type[AircanError]] = {
    kind.__name__: kind for top in _OF_LOADS for kind in _all_below(top)
} | {kind.__name__: kind for kind in _EXACTLY}
