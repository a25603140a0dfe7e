"""What a step does -> CKAN's ``aircan_status_update``: one dictionary each time, the newest last.

In: a status, a step, its progress. Out: calls of CKAN's API, at most one every few seconds, which
never make a load fail. Holds the newest status only. One question is asked too, and its answer
counts: whether the columns of a table may change.

Each carries a ``sequence`` that grows: CKAN drops what comes later and is older. Sent twice, it
says the same.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import Self

from loader.errors import AircanError, CkanNotFound, CkanRefused, ColumnsRefused
from loader.factory.disclosure import disclosed
from loader.report import TableState

if TYPE_CHECKING:
    from loader.ckan.client import Ckan
    from loader.types.column import Column

_log = logging.getLogger(__name__)

Status = Literal["RUNNING", "DONE", "FAILED"]  # a job that waits, or is cancelled, is CKAN's to say
ACTION = "aircan_status_update"
QUESTION = "aircan_columns_change"
_PAUSE_S = 3.0  # between two that only tell how far a step is


class Job:
    """What CKAN is told of one job.

    Args:
        ckan: Where.
        facts: What is the same in all: ``job_id``, ``job_type``, ``dag_id``, ``run_id``,
            ``resource_id``.
        is_over: Whether somebody has told the job's end: a task that is being stopped must not
            tell that it runs.
        is_brought: Whether it is a CKAN that the conf brings: it hears of its own load only, and
            the log has the rest.
    """

    def __init__(
        self,
        ckan: Ckan,
        facts: Mapping[str, Any],
        is_over: Callable[[], bool],
        *,
        is_brought: bool = False,
    ) -> None:
        self._ckan = ckan
        self._facts = facts
        self._is_over = is_over
        self._is_brought = is_brought
        self._warned = False

    def __enter__(self) -> Self:
        """Return this object, which is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections to CKAN."""
        self._ckan.close()

    def tell(
        self,
        status: Status,
        step: str,
        message: str,
        *,
        table: TableState = "unknown",
        is_of_load: bool = False,
        **info: Any,  # noqa: ANN401
    ) -> None:
        """Tell CKAN; what keeps it from hearing is logged, no more.

        Args:
            status: Of the job.
            step: The step it is at.
            message: One line for people.
            table: What has become of the resource's table.
            is_of_load: Whether its error came up in the load, and not with the operator's settings.
            info: ``rows``, ``progress``, ``artifacts``, ``error``, ``warnings``, ``report``.
        """
        info_with_table = {"table": table, **info}
        update = {"status": status, "step": step, "message": message, "info": info_with_table}
        if self._is_brought:
            update = self._disclosed(update, is_of_load=is_of_load)
        sequence = _sequence()  # before the question: smaller than that of an end told meanwhile
        try:
            if status == "RUNNING" and self._is_over():
                return
            sent = {**self._facts, **update, "sequence": sequence}
            self._ckan.call(ACTION, sent, repeat=status != "RUNNING")  # the next one tells more
        except AircanError as error:
            # Without the extension this would be a line for every update.
            level = logging.DEBUG if self._warned else logging.WARNING
            _log.log(level, "CKAN was not told of the job's status: %s", error)
            self._warned = True

    def _disclosed(self, update: Mapping[str, Any], *, is_of_load: bool) -> dict[str, Any]:
        """Return what a CKAN that the conf brings may hear; the operator's log has the rest."""
        heard = disclosed(update, is_of_load=is_of_load)
        if update["status"] != "RUNNING":
            withheld = {name: update["info"].get(name) for name in ("error", "artifacts")}
            _log.info(
                "%s; CKAN hears %r, and not: %s", update["message"], heard["message"], withheld
            )
        return heard


def _sequence() -> int:
    """Return microseconds since 1970: greater in every later process, and exact in JSON."""
    return time.time_ns() // 1000


class Telling:
    """A step's progress, told to CKAN as it goes; a ``loader.Progress``.

    What CKAN is told of the table has to be true as long as the step lasts. A thread of its own
    sends the newest state, so that a slow CKAN does not slow a load.
    """

    def __init__(
        self, job: Job, step: str, table: TableState = "unknown", *, pause_s: float = _PAUSE_S
    ) -> None:
        self._job = job
        self._step = step
        self._table = table
        self._pause_s = pause_s
        self._message = ""
        self._size: int | None = None
        self._news: dict[str, Any] | None = None
        self._ended = threading.Event()
        self._changed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="aircan-status", daemon=True)

    def __enter__(self) -> Telling:
        """Begin to tell."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Tell no more: what comes next is the caller's."""
        self._ended.set()
        self._changed.set()
        self._thread.join()

    def begin(self, title: str) -> None:
        """Take the name of what is done now."""
        self._message = title
        self._put({})

    def expect(self, size: int | None) -> None:
        """Take the source's bytes."""
        self._size = size

    def advance(self, bytes_read: int, rows: int) -> None:
        """Take how far it is."""
        progress = round(bytes_read / self._size, 4) if self._size else None
        self._put({"rows": rows, "bytes": bytes_read, "progress": progress})

    def _put(self, info: dict[str, Any]) -> None:
        self._news = info | {"message": self._message}
        self._changed.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._changed.wait()
            self._changed.clear()
            news = self._news
            if news is not None and not self._ended.is_set():
                info = {name: value for name, value in news.items() if name != "message"}
                self._job.tell("RUNNING", self._step, news["message"], table=self._table, **info)
                self._ended.wait(self._pause_s)


def ask(
    ckan: Ckan, names: Mapping[str, Any], before: Sequence[Column], after: Sequence[Column]
) -> None:
    """Ask CKAN whether a table's columns may change; a CKAN without this action lets them.

    Args:
        ckan: Where.
        names: ``resource_id``, ``job_id``, ``run_id``.
        before: The columns that the table has.
        after: Those that it is to have.

    Raises:
        ColumnsRefused: They may not; says why.
        CkanError: Nobody knows.
    """
    columns = {"before": _fields(before), "after": _fields(after)}
    try:
        ckan.call(QUESTION, {**names, **columns})
    except CkanRefused as error:
        if ckan.has(QUESTION):
            raise ColumnsRefused(
                f"CKAN does not let the columns change: {error.reason or error}",
                hint="correct the file, or ask who keeps the portal",
            ) from None
    except CkanNotFound:
        if ckan.has(QUESTION):
            raise


def _fields(columns: Sequence[Column]) -> list[dict[str, str]]:
    return [{"id": column.name, "type": column.type} for column in columns]
