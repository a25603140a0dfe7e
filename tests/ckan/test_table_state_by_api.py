"""What has become of the table through CKAN's API: before, between and after the batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loads import load_text, rows, settings
from portal import Portal
from unsteady import Call, Fault, Unsteady, cut_after, cut_before, refused

from loader import errors, load
from loader.ckan.settings import BatchSettings
from loader.progress import Silent

OLD = "id,b\n1,x\n"
NEW = "id,b\n2,a\n3,b\n4,c\n5,d\n"  # two batches
OF_OLD, OF_NEW = [("1", "x")], [("2", "a"), ("3", "b"), ("4", "c"), ("5", "d")]
BATCHES = BatchSettings(rows=2, settle_s=0.5)
UPSERT, DELETE = "datastore_upsert", "datastore_records_delete"
NO = refused(413)


@pytest.fixture
def resource_id(portal_212: Portal, tmp_path: Path, hasty: None) -> str:
    """A resource with one row; the tries of a call have no pauses."""
    resource_id = str(portal_212.new_resource()["id"])
    load_text(portal_212, resource_id, OLD, tmp_path, via="copy", key=["id"])
    return resource_id


@pytest.fixture
def front(portal_212: Portal) -> Any:
    with Unsteady(portal_212.url) as front:
        yield front


@pytest.fixture
def loading(portal_212: Portal, front: Unsteady, resource_id: str, tmp_path: Path) -> Callable:
    """Load new rows in vain; return the error."""
    path = tmp_path / "new.csv"
    path.write_text(NEW, encoding="utf-8")

    def loading(mode: str, progress: Silent | None = None) -> errors.AircanError:
        given = settings(portal_212) | {"ckan_url": front.url, "resource_id": resource_id}
        key = ["id"] if mode == "upsert" else []
        how = {"mode": mode, "key": key, "via": "api", "batches": BATCHES}
        with pytest.raises(errors.AircanError) as caught:
            load(path, **given, **how, progress=progress)
        error = caught.value
        assert error.table == error.report.to_dict()["table"] == error.to_dict()["table"]
        return error

    return loading


def left(table: str, mode: str, found: list[tuple]) -> bool:
    """Tell whether the rows are what a state says."""
    all_in = OF_NEW if mode == "replace" else OF_OLD + OF_NEW
    return {
        "untouched": found == OF_OLD,
        "replaced": found == OF_NEW,
        "merged": found == all_in,
        "partly": found not in (OF_OLD, all_in),
        "unknown": True,
    }[table]


# name: mode, what happens to calls, what has become of the table
FAULTS: dict[str, tuple[str, dict[str, list[Fault | None]], str]] = {
    "replace, old rows kept": ("replace", {DELETE: [NO]}, "untouched"),
    "replace, an answer lost": ("replace", {DELETE: [cut_after] * 9}, "unknown"),
    "replace, no batch": ("replace", {UPSERT: [NO]}, "partly"),
    "replace, one batch": ("replace", {UPSERT: [None, NO]}, "partly"),
    "replace, not counted": ("replace", {UPSERT: [None, None, NO]}, "partly"),
    "append, no batch": ("append", {UPSERT: [NO]}, "untouched"),
    "append, one batch": ("append", {UPSERT: [None, NO]}, "untouched"),
    "append, not taken back": ("append", {UPSERT: [None, NO], DELETE: [NO]}, "partly"),
    "append, not counted": ("append", {UPSERT: [None, None, NO]}, "untouched"),
    "upsert, no batch": ("upsert", {UPSERT: [NO]}, "untouched"),
    "upsert, an answer lost": ("upsert", {UPSERT: [cut_before] * 9}, "unknown"),
    # CKAN 2.12 takes two calls for a batch.
    "upsert, one batch": ("upsert", {UPSERT: [None, None, NO]}, "partly"),
    "upsert, not counted": ("upsert", {UPSERT: [None] * 4 + [NO]}, "merged"),
}


def but_for_trials(faults: dict[str, list[Fault | None]]) -> Fault:
    """Let calls fail, but for those that only try whether the token may write."""

    def fault(handler: Any, call: Call) -> None:
        waiting = [] if b'"dry_run"' in call.body else faults.get(call.action)
        one = waiting.pop(0) if waiting else None
        if one is None:
            handler.pass_on(call)
        else:
            one(handler, call)

    return fault


@pytest.mark.parametrize(("mode", "faults", "table"), FAULTS.values(), ids=FAULTS)
def test_a_call_that_fails(
    portal_212: Portal,
    front: Unsteady,
    resource_id: str,
    loading: Callable,
    mode: str,
    faults: dict[str, list[Fault | None]],
    table: str,
):
    front.always = but_for_trials({action: list(each) for action, each in faults.items()})
    assert loading(mode).table == table
    assert left(table, mode, rows(portal_212, resource_id))


class At(Silent):
    """Does something when a step begins, or when rows of it are done."""

    def __init__(self, step: str, act: Callable[[], None], *, rows: bool = False) -> None:
        self._step, self._act, self._rows = step, act, rows
        self._now = ""

    def begin(self, title: str) -> None:
        self._now = title
        if not self._rows:
            self._look()

    def advance(self, bytes_read: int, rows: int) -> None:
        self._look()

    def _look(self) -> None:
        if self._now == self._step:
            self._now = ""
            self._act()


def stop() -> None:
    raise KeyboardInterrupt


SENDING = "sending the rows to CKAN"
# mode, whether a batch is in, what has become of the table
STOPS = [
    ("replace", False, "untouched"),
    ("replace", True, "partly"),
    ("append", False, "untouched"),
    ("append", True, "untouched"),
    ("upsert", False, "untouched"),
    ("upsert", True, "partly"),
]


@pytest.mark.parametrize(("mode", "has_rows", "table"), STOPS)
def test_a_load_that_is_stopped(
    portal_212: Portal,
    resource_id: str,
    loading: Callable,
    mode: str,
    has_rows: bool,
    table: str,
):
    error = loading(mode, At(SENDING, stop, rows=has_rows))
    assert (type(error), error.table) == (errors.Cancelled, table)
    assert left(table, mode, rows(portal_212, resource_id))


@pytest.mark.parametrize("ends", ["stopped", "refused"])
@pytest.mark.parametrize(
    ("mode", "table"), [("replace", "replaced"), ("append", "merged"), ("upsert", "merged")]
)
def test_all_rows_are_in_and_ckan_is_not_told(
    portal_212: Portal,
    front: Unsteady,
    resource_id: str,
    loading: Callable,
    mode: str,
    table: str,
    ends: str,
):
    def refuse() -> None:
        front.always = NO

    error = loading(mode, At("telling CKAN", stop if ends == "stopped" else refuse))
    assert error.table == table
    assert left(table, mode, rows(portal_212, resource_id))


@pytest.mark.parametrize("mode", ["replace", "append", "upsert"])
def test_a_file_that_cannot_be_loaded(
    portal_212: Portal, resource_id: str, tmp_path: Path, mode: str
):
    key = ["id"] if mode == "upsert" else []
    with pytest.raises(errors.UnclosedQuote) as caught:
        load_text(portal_212, resource_id, 'id,b\n2,"a\n', tmp_path, via="api", mode=mode, key=key)
    assert caught.value.table == "untouched"
    assert rows(portal_212, resource_id) == OF_OLD
