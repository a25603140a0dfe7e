"""The operators' settings in the environment of Airflow's processes -> values.

In: variables named ``AIRCAN_``. Out: what they say. Where one is invalid, DAG files are read with
its fallback and each task fails with what is wrong: a typing error takes no DAG away. An empty
variable counts as not set. Holds nothing.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from loader.errors import UsageError

T = TypeVar("T")

_MOST = 2**31 - 1  # Airflow keeps such numbers in columns of 4 bytes
_MOST_BYTES = 2**63 - 1
_LONGEST_NAME = 250  # Airflow's columns for pools and queues take 256
_SHOWN = 60  # characters of a value
_PRESETS = ("@once", "@continuous")  # of Airflow, which are no cron expressions


@dataclass(frozen=True)
class Setting(Generic[T]):
    """One variable.

    Attributes:
        name: The variable's.
        default: What holds without it.
        read: Makes a value of the text, or raises ValueError.
        hint: What may stand there.
        fallback: What holds where the text cannot be.
    """

    name: str
    default: T
    read: Callable[[str], T]
    hint: str
    fallback: T

    def value(self) -> T:
        """Return the value.

        Raises:
            UsageError: It cannot be; names the variable and what it is.
        """
        text = os.environ.get(self.name, "").strip()
        if not text:
            return self.default
        try:
            return self.read(text)
        except ValueError:
            shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
            raise UsageError(f"{self.name} cannot be {shown!r}", hint=self.hint) from None

    def tolerant(self) -> T:
        """Return the value, or the fallback where it cannot be."""
        try:
            return self.value()
        except UsageError:
            return self.fallback


def _count(most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        # int() takes 1_000 and digits of other scripts, and is slow with thousands of digits.
        if not (text.isascii() and text.isdecimal() and len(text.lstrip("0")) <= len(str(most))):
            raise ValueError(text)
        if not 1 <= (number := int(text)) <= most:
            raise ValueError(text)
        return number

    return read


def _span(unit: timedelta, least: float, most: float) -> Callable[[str], timedelta]:
    def read(text: str) -> timedelta:
        # nan is in no range.
        if not text.isascii() or "_" in text or not least <= (number := float(text)) <= most:
            raise ValueError(text)
        return unit * number

    return read


def _switch(text: str) -> bool:
    known = {"0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}
    if text.lower() not in known:
        raise ValueError(text)
    return known[text.lower()]


def _name(text: str) -> str:
    if not text.isprintable() or len(text) > _LONGEST_NAME:
        raise ValueError(text)
    return text


def _schedule(text: str) -> str:
    from airflow.sdk import CronTriggerTimetable  # noqa: PLC0415  (only a schedule needs Airflow)
    from airflow.sdk.exceptions import AirflowTimetableInvalid  # noqa: PLC0415

    if text not in _PRESETS:
        timetable = CronTriggerTimetable(text, timezone="UTC")
        try:
            timetable.validate()
            _require_days(timetable.expression)
        except AirflowTimetableInvalid as error:
            raise ValueError(text) from error
    return text


def _require_days(expression: str) -> None:
    """Raise ValueError if there is no such day, as 31 April: such a DAG would never run.

    Airflow's scheduler asks for the time before, too, and fails where there was none. Both are
    looked for in fifty years, month by month, which takes some milliseconds at most.
    """
    from croniter import croniter  # noqa: PLC0415  (Airflow's own)

    croniter(expression).get_next()
    croniter(expression).get_prev()


def _encoding(text: str) -> str:
    try:
        "".encode(text)
        codecs.getincrementaldecoder(text)
    except LookupError as error:
        raise ValueError(text) from error
    return text


def _number(name: str, default: int, most: int = _MOST) -> Setting[int]:
    return Setting(name, default, _count(most), f"a whole number from 1 to {most}", default)


def _maybe(name: str) -> Setting[str | None]:
    hint = f"a name of up to {_LONGEST_NAME} characters"
    return Setting(name, None, _name, hint, None)


def _hosts(text: str) -> str:
    from loader.net.guard import Guard  # noqa: PLC0415  (no DAG file needs it)

    try:
        Guard.read(text)
    except UsageError as error:
        raise ValueError(text) from error
    return text


def _limit(name: str, keyword: str, hint: str) -> Setting[str | None]:
    def read(text: str) -> str:
        from loader.net.limits import Limits  # noqa: PLC0415  (no DAG file needs it)

        given: dict[str, Any] = {keyword: text}
        try:
            Limits.read(**given)
        except UsageError as error:
            raise ValueError(text) from error
        return text

    return Setting(name, None, read, hint, None)


MAX_ACTIVE_RUNS = _number("AIRCAN_MAX_ACTIVE_RUNS", 16)
LARGE_RUNS = _number("AIRCAN_LARGE_RUNS", 1)
LARGE_QUEUE = _maybe("AIRCAN_LARGE_QUEUE")
LARGE_POOL = _maybe("AIRCAN_LARGE_POOL")
TIMEOUT = Setting(
    "AIRCAN_TIMEOUT_HOURS",
    timedelta(hours=24),
    _span(timedelta(hours=1), 0.001, 8760),
    "a number of hours from 0.001 to 8760",
    timedelta(hours=24),
)
RETRY_DELAY = Setting(
    "AIRCAN_RETRY_DELAY_S",
    timedelta(seconds=15),
    _span(timedelta(seconds=1), 0, 86400),
    "a number of seconds from 0 to 86400",
    timedelta(seconds=15),
)
CLEANUP_SCHEDULE = Setting(
    "AIRCAN_CLEANUP_SCHEDULE",
    "@daily",
    _schedule,
    "a cron expression such as '0 3 * * *', or @daily, @weekly",
    "@daily",
)
MAX_LOADS: Setting[int | None] = Setting(
    "AIRCAN_MAX_LOADS", None, _count(_MOST), f"a whole number from 1 to {_MOST}", None
)
HUGE_BYTES = _number("AIRCAN_HUGE_BYTES", 1 << 30, _MOST_BYTES)
ALLOWED_HOSTS = Setting(
    "AIRCAN_ALLOWED_HOSTS",
    "",
    _hosts,
    "HOST, HOST:PORT, *.DOMAIN, an IP address or a network like 10.0.0.0/8, with commas between",
    "",
)
DEFAULT_ENCODING: Setting[str | None] = Setting(
    "AIRCAN_DEFAULT_ENCODING", None, _encoding, "an encoding such as windows-1250 or utf-8", None
)
# As ``Limits.read`` takes them.
MAX_BYTES = _limit("AIRCAN_MAX_BYTES", "max_bytes", "a number of bytes, such as 50GB or 500MiB")
MAX_RATIO = _limit("AIRCAN_MAX_RATIO", "max_ratio", "a number, 1 or more")
MIN_RATE = _limit("AIRCAN_MIN_RATE", "min_rate", "bytes a second, such as 10KiB; 0 for any")
# Refused where nobody can tell: a token that Airflow shows is shown for ever.
REFUSE_API_KEYS = Setting(
    "AIRCAN_REFUSE_API_KEYS", default=False, read=_switch, hint="true, or false", fallback=True
)

_OF_ALL: tuple[Setting[Any], ...] = (
    MAX_ACTIVE_RUNS,
    TIMEOUT,
    RETRY_DELAY,
    MAX_LOADS,
    HUGE_BYTES,
    ALLOWED_HOSTS,
    MAX_BYTES,
    MAX_RATIO,
    MIN_RATE,
    DEFAULT_ENCODING,
    REFUSE_API_KEYS,
)
_OF_DAG: dict[str, tuple[Setting[Any], ...]] = {
    "aircan_load_large": (LARGE_RUNS, LARGE_QUEUE, LARGE_POOL),
    "aircan_cleanup": (CLEANUP_SCHEDULE,),
}


def faults(dag_id: str) -> Iterator[UsageError]:
    """Yield what is wrong with the settings that count for a DAG."""
    for setting in (*_OF_ALL, *_OF_DAG.get(dag_id, ())):
        try:
            setting.value()
        except UsageError as error:
            yield error
