"""Calls that a type checker accepts; mypy reads this file, nothing runs it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typing_extensions import Unpack, assert_type

import loader
from loader import AircanError, LoadOptions, Outcome, ReloadOptions, Report, errors
from loader.progress import Lines

assert_type(loader.load("a.csv"), Report)
assert_type(loader.load(Path("a.csv"), resource_id="a", mode="upsert", key=("id",)), Report)
loader.load("a.csv", via="copy", full_text="text", fts_index="none", lanes=None, progress=Lines())
loader.load("a.csv", schema={"fields": []}, dialect=None, header_row=0, delimiter=";")
loader.load("a.csv", on_type_error="widen", on_concurrent_writes="keep", rejects=Path("r.csv"))
loader.load(
    "https://example.org/a.csv",
    source=loader.SourceSettings(limits=loader.Limits.read("10GB", 500, "10KiB")),
    batches=loader.BatchSettings(rows=100),
    ckan_guard=loader.Guard(("10.1.0.0/16",)),
)
assert_type(loader.reload("a", via="api"), Report)
assert_type(loader.reload_dataset("trees", force=True), Iterator[Outcome])
assert_type(loader.reload_all(max_bad_rows=0), Iterator[Outcome])
assert_type(loader.infer("a.csv", encoding="windows-1252"), dict[str, Any])
assert_type(loader.validate("a.csv", schema={"fields": []}), dict[str, Any])
assert_type(loader.Options(lanes=2).lanes, int | None)


class Steps:
    """Whatever has these methods can be told of progress."""

    def begin(self, title: str) -> None:
        """Begin a step."""

    def expect(self, size: int | None) -> None:
        """Expect a number of bytes."""

    def advance(self, bytes_read: int, rows: int) -> None:
        """Have read some."""


def load_all(names: list[str], **options: Unpack[LoadOptions]) -> list[Report]:
    """Hand typed options on, as a caller's own function does."""
    return [loader.load(name, progress=Steps(), **options) for name in names]


def reload_again(name: str, options: ReloadOptions) -> AircanError | None:
    """See what became of a reload."""
    try:
        loader.reload(name, **options)
    except errors.ValueDoesNotFit as error:
        assert_type(error.row, int | None)
        assert_type(error.report, Report | None)
        return error
    return None
