"""A connection that failed -> the SQLSTATEs with which servers refused it.

libpq does not give them, only the messages, which are in the server's language. So it is asked to
connect again and to trace the protocol. The trace contains the password too, and stays in memory:
some hundred bytes.
"""

from __future__ import annotations

import logging
import os
import re
import select
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import ConnStatus, PGconn, PollingStatus, Trace, abc

_log = logging.getLogger(__name__)

_TIMEOUT_S = 10.0
_LISTS = ("host", "hostaddr", "port")
# Such as: B 105 ErrorResponse S "FATAL" V "FATAL" C "53300" M "too many connections ..."
_ERROR = re.compile(rb'^B\t\d+\tErrorResponse\t S "[^"]*" V "[^"]*" C "(\w{5})"', re.MULTILINE)


@dataclass(frozen=True)
class Refusal:
    """How another try to connect has ended.

    Attributes:
        states: With which the servers refused it; more than one where several hosts are named, or
            several ways to encrypt were tried.
        lacks_password: Whether a server asked for a password, and there was none.
    """

    states: tuple[str, ...]
    lacks_password: bool


def ask(conninfo: str) -> Refusal | None:
    """Try to connect to each host, and give up the connections.

    Args:
        conninfo: As libpq takes it.

    Returns:
        How that ended; None if that cannot be found out: on other systems than Linux, with an old
        libpq, or where this process may create no file in memory.
    """
    if sys.platform != "linux" or not hasattr(os, "memfd_create"):
        return None
    try:
        refusals = list(map(_ask, _attempts(conninfo)))
    except (OSError, psycopg.Error) as error:  # must not hide the error that is looked into
        _log.info("how the server refuses cannot be asked: %s", type(error).__name__)
        return None
    return Refusal(
        tuple(state for refusal in refusals for state in refusal.states),
        any(refusal.lacks_password for refusal in refusals),
    )


def _attempts(conninfo: str) -> Iterator[str]:
    """Yield one for each host: libpq asks no other when the first one refuses, psycopg does."""
    parameters = conninfo_to_dict(conninfo)
    lists = {name: str(parameters[name]).split(",") for name in _LISTS if name in parameters}
    for i in range(max(map(len, lists.values()), default=1)):
        host = {name: values[i % len(values)] for name, values in lists.items()}
        yield make_conninfo("", **{**parameters, **host})


def _ask(conninfo: str) -> Refusal:
    connection = PGconn.connect_start(conninfo.encode())
    try:
        with os.fdopen(os.memfd_create("refusal"), "rb") as written:
            _try(connection, written.fileno())
            written.seek(0)
            states = [state.decode() for state in _ERROR.findall(written.read())]
        return Refusal(tuple(states), connection.needs_password)
    finally:
        connection.finish()


def _try(connection: abc.PGconn, written: int) -> None:
    connection.trace(written)
    try:
        connection.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
        _wait(connection)
    finally:
        connection.untrace()


def _wait(connection: abc.PGconn) -> None:
    """Wait until the connection is there, refused, or takes too long."""
    end = time.monotonic() + _TIMEOUT_S
    wanted: int = PollingStatus.WRITING
    while wanted in (PollingStatus.READING, PollingStatus.WRITING):
        if connection.status == ConnStatus.BAD or not _is_ready(connection, wanted, end):
            return
        wanted = connection.connect_poll()


def _is_ready(connection: abc.PGconn, wanted: int, end: float) -> bool:
    poll = select.poll()
    event = select.POLLIN if wanted == PollingStatus.READING else select.POLLOUT
    poll.register(connection.socket, event)
    return bool(poll.poll(max(0.0, end - time.monotonic()) * 1000))
