"""A Postgres URL -> connections whose errors are ours.

Every ``psycopg.Error`` leaves ``loader.copy`` through ``ours``, which decides by SQLSTATE. No
message repeats the password.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import PGconn, Ping
from psycopg.rows import TupleRow
from sqlalchemy.dialects import postgresql

from loader.copy import refusal
from loader.errors import (
    AircanError,
    AuthenticationFailed,
    DatabaseError,
    DatabaseFull,
    DatabaseUnreachable,
    DependentObjects,
    PermissionDenied,
    RowRefused,
    TableBusy,
    UsageError,
)
from loader.net.retry import Attempts, Backoff

_log = logging.getLogger(__name__)

OLDEST_SERVER = 130000  # PostgreSQL 13
# A cut cable is noticed within a minute, not after the kernel's two hours: by the keepalives while
# nothing is sent, and by the user timeout while what COPY has sent waits for its acknowledgement,
# since then no keepalives go out. The URL may say otherwise.
_DEFAULTS = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
# How long a fault that may pass is retried. The caller may try again later, as Airflow does.
GIVE_UP_AFTER_S = 5.0
_FIRST_PAUSE_S = 0.5
# SQLAlchemy writes the DDL, psycopg runs it without parameters: "%" must stay as it is.
DDL_DIALECT = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]

# What a role's or database's settings may have changed: the form of COPY's text, limits made for
# web requests, and whether a transaction that has waited for a lock sees what came while it waited.
_REQUIRED = {
    "default_transaction_isolation": "'read committed'",
    "datestyle": "'ISO, YMD'",
    "client_encoding": "'UTF8'",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "quote_all_identifiers": "off",  # types' names are compared
    "standard_conforming_strings": "on",
}
# Settings that not every server has or allows: even with the right version the system, a pooler or
# a provider may refuse them. Each with the first version that has it.
_OPTIONAL = {
    "client_min_messages": ("warning", 0),
    "default_transaction_deferrable": ("off", 0),
    "default_transaction_read_only": ("off", 0),
    "idle_in_transaction_session_timeout": ("0", 0),
    "idle_session_timeout": ("0", 140000),
    # Within a second the server stops working for a loader that was killed.
    "client_connection_check_interval": ("'1s'", 140000),
    "transaction_timeout": ("0", 170000),
}
# Unknown, of a value that the server cannot have, forbidden, or not understood by a pooler.
_REFUSED = (
    psycopg.ProgrammingError,
    psycopg.DataError,
    psycopg.NotSupportedError,
    psycopg.errors.CantChangeRuntimeParam,
)

# The type for modules that only pass a connection on: they need not import psycopg.
Connection = psycopg.Connection[TupleRow]

# SQLSTATE, or its class, -> what it means to the caller and what to do about it.
_BY_SQLSTATE: dict[str, tuple[type[DatabaseError], str]] = {
    "08": (DatabaseUnreachable, "the connection was lost: load again"),
    "57P": (DatabaseUnreachable, "the server stopped or was restarted: load again"),
    "28": (AuthenticationFailed, "check user and password"),
    "3D000": (AuthenticationFailed, "check the database's name"),
    "42501": (PermissionDenied, "connect as the DataStore's write role"),
    "53": (DatabaseFull, "free disk space, memory or connections on the server; load again"),
    "58030": (DatabaseFull, "the server cannot write its files: look at its disk and log"),
    "40": (TableBusy, "others use the table in a crossing order: load again"),
    "55P03": (TableBusy, "someone keeps the table locked: load again later"),
    "2BP01": (DependentObjects, "drop or move what depends on the table, then load again"),
    "23": (RowRefused, "the table's own rule forbids it: correct the file, or drop the rule"),
    "P0001": (RowRefused, "the table's trigger refuses the row: correct the file or the trigger"),
    "54": (RowRefused, "a row holds 8 kB of numbers, dates and short texts: use fewer columns"),
}

# What is said about these is said of the URL.
_OPTIONS: dict[type[DatabaseError], str] = {
    AuthenticationFailed: "datastore_url",
    PermissionDenied: "datastore_url",
}

# A value that Postgres refuses: one of a row while rows are inserted, else one of AirCan's own.
_VALUE = "22"
_BY_A_ROW = (RowRefused, "please report this file: the value had passed every check")


@contextmanager
def ours(doing: str, *, with_rows: bool = False) -> Iterator[None]:
    """Turn psycopg's errors into ours.

    Args:
        doing: What was being done, for the message: "copying rows".
        with_rows: Whether the file's values are given to the server.
    """
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, doing, with_rows=with_rows) from error


def translate(error: psycopg.Error, doing: str, *, with_rows: bool = False) -> AircanError:
    """Return our error for a psycopg error, by its SQLSTATE; arguments as for ``ours``."""
    state = error.sqlstate or ""
    said = error.diag.message_primary or str(error)
    message = f"{doing}: {' '.join(said.split())}"
    if error.diag.message_detail and state == "2BP01":
        message += f" ({' '.join(error.diag.message_detail.split())})"
    if isinstance(error, psycopg.OperationalError) and not state:
        return DatabaseUnreachable(message, hint="the connection was lost: load again")
    if with_rows and state.startswith(_VALUE):
        kind, hint = _BY_A_ROW
        return kind(message, hint=error.diag.message_hint or hint)
    return _by_state(state, message, error.diag.message_hint)


def _by_state(state: str, message: str, said_hint: str | None = None) -> DatabaseError:
    for length in (5, 3, 2):
        if state[:length] in _BY_SQLSTATE:
            kind, hint = _BY_SQLSTATE[state[:length]]
            return kind(message, hint=said_hint or hint, option=_OPTIONS.get(kind))
    return DatabaseError(f"{message} (SQLSTATE {state})" if state else message)


def normalise_url(url: str) -> str:
    """Return a libpq URL: SQLAlchemy's ``postgresql+driver://`` is understood too.

    Raises:
        UsageError: Not a Postgres URL; the message does not repeat it.
    """
    url = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url.strip())
    if not url.startswith("postgresql://"):
        raise UsageError(
            "the DataStore's URL is not a Postgres URL",
            hint="postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
            option="datastore_url",
        )
    try:
        parameters = conninfo_to_dict(url)
        urlsplit(url)
    except (psycopg.ProgrammingError, ValueError):
        raise _malformed() from None  # the cause repeats parts of the URL
    # An unescaped "@" or "/" in a password moves parts of it into the host, which is shown.
    parts = [str(parameters.get(name, "")) for name in ("host", "dbname", "port")]
    if "@" in "".join(parts) or not re.fullmatch("[0-9,]*", parts[-1]):
        raise _malformed()
    return url


def _malformed() -> UsageError:
    return UsageError(
        "the DataStore's URL cannot be parsed",
        hint="percent-encode special characters of the password: '@' is %40, '/' is %2F",
        option="datastore_url",
    )


def shown(url: str) -> str:
    """Return user, host and database of a URL, for people, without the password."""
    parts = conninfo_to_dict(url)
    user, host = parts.get("user", ""), parts.get("host", "localhost")
    port = f":{parts['port']}" if "port" in parts else ""
    return f"{parts.get('dbname', user)} on {host}{port} as {user or 'the default user'}"


def connect(url: str, purpose: str) -> psycopg.Connection[TupleRow]:
    """Open a connection in autocommit mode, as CKAN's write role where there is one.

    A superuser, or a member of the role that owns CKAN's ``_table_metadata``, becomes that role,
    since CKAN has to change the table afterwards. A fault that may pass, such as a restart of the
    server or a lack of free connections, is retried for some seconds.

    Args:
        url: As ``normalise_url`` returns it.
        purpose: Shown in ``pg_stat_activity``.

    Raises:
        DatabaseUnreachable: Nobody listens, or the server is not ready.
        DatabaseFull: The server, the database or the role has no connection left.
        AuthenticationFailed: The server listens, and refuses the user or the database.
        DatabaseError: The server is older than PostgreSQL 13.
    """
    attempts = Attempts(Backoff(_FIRST_PAUSE_S), limit_s=GIVE_UP_AFTER_S)
    while True:
        try:
            return _connect(url, purpose)
        except DatabaseError as error:
            log = partial(_log.warning, "%s; again in %.1f s", error)
            if not (error.retryable and attempts.wait(log=log)):
                raise


def _connect(url: str, purpose: str) -> psycopg.Connection[TupleRow]:
    try:
        connection = psycopg.connect(
            _conninfo(url),
            autocommit=True,
            application_name=f"aircan {purpose}",
        )
    except psycopg.OperationalError as error:
        raise _not_connected(error, url) from error
    try:
        check_version(connection.info.server_version)
        _prepare(connection)
        _become_owner(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_another(url: str, purpose: str) -> psycopg.Connection[TupleRow]:
    """Open one more connection with a URL that the server has accepted before.

    Raises:
        DatabaseFull: It accepts no more.
        DatabaseError: As for ``connect``.
    """
    try:
        return connect(url, purpose)
    except DatabaseFull as error:
        error.hint = "the server takes no more connections: use fewer lanes, or load again"
        error.option = "lanes"
        raise


def check_version(version: int) -> None:
    """Refuse a server that is too old.

    Args:
        version: As libpq gives it: 130004 is PostgreSQL 13.4.

    Raises:
        DatabaseError: It is older than PostgreSQL 13.
    """
    if version < OLDEST_SERVER:
        raise DatabaseError(
            f"the server is PostgreSQL {version // 10000}",
            hint=f"AirCan needs PostgreSQL {OLDEST_SERVER // 10000} or newer",
        )


def _prepare(connection: psycopg.Connection[TupleRow]) -> None:
    version = connection.info.server_version
    optional = {name: value for name, (value, first) in _OPTIONAL.items() if version >= first}
    with ours("preparing the connection"):
        try:
            _set(connection, _REQUIRED | optional)  # in one round trip: few servers refuse any
        except _REFUSED:
            for name, value in _REQUIRED.items():
                with ours(f"preparing the connection: the setting {name}"):
                    _set(connection, {name: value})
            for name, value in optional.items():
                _try_to_set(connection, name, value)


def _try_to_set(connection: psycopg.Connection[TupleRow], name: str, value: str) -> None:
    try:
        _set(connection, {name: value})
    except _REFUSED as error:
        _log.info("the server does not take %s = %s: %s", name, value, error.diag.message_primary)


def _set(connection: psycopg.Connection[TupleRow], settings: Mapping[str, str]) -> None:
    connection.execute("; ".join(f"SET {name} = {value}" for name, value in settings.items()))


def _become_owner(connection: psycopg.Connection[TupleRow]) -> None:
    """Act as CKAN's write role where CKAN is and this role may: CKAN must own its tables."""
    # From PostgreSQL 16 on a member of a role may not always become it.
    right = "SET" if connection.info.server_version >= 160000 else "MEMBER"
    with ours("looking for CKAN's write role"):
        connection.execute(
            "SELECT set_config('role', rolname, false) FROM pg_class"
            " JOIN pg_namespace n ON n.oid = relnamespace JOIN pg_roles r ON r.oid = relowner"
            # Not by to_regclass: the role may not even look into the schema yet.
            " WHERE nspname = 'public' AND relname = '_table_metadata'"
            " AND rolname <> current_user AND pg_has_role(r.oid, %s)",
            (right,),
        )


def _not_connected(error: psycopg.OperationalError, url: str) -> DatabaseError:
    said = " ".join(str(error).split())
    password = conninfo_to_dict(url).get("password")
    if password:
        said = said.replace(str(password), "***")
    found = refusal.ask(_conninfo(url))
    if found is None and PGconn.ping(_conninfo(url).encode()) == Ping.OK:
        # Whether it may pass is unknown, so it counts as one that may: to give up could be wrong.
        return DatabaseUnreachable(
            said,
            hint="check user, password and database, and whether the server has connections left",
            option="datastore_url",
        )
    if found and found.states:
        # Where one of several may accept it later, the others do not matter.
        errors = [_by_state(state, said) for state in found.states]
        return next((error for error in errors if error.retryable), errors[-1])
    if found and found.lacks_password:
        return AuthenticationFailed(said, hint="name a password", option="datastore_url")
    return DatabaseUnreachable(said, hint=f"is Postgres running and reachable? tried {shown(url)}")


def _conninfo(url: str) -> str:
    return make_conninfo("", **{**_DEFAULTS, **conninfo_to_dict(url)})
