"""Airflow's Connections -> the URL and token of CKAN, the URL of the DataStore's database.

In: what Airflow calls a Connection, whose fields are named alike here. Out: settings that hold
secrets and show none. Holds nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from loader.errors import UsageError
from loader.net.guard import WEB

# Of libpq: what else an extra of the connection may hold is for Airflow's own hooks.
_LIBPQ = ("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "options", "connect_timeout")


class Connection(Protocol):
    """What is read of an Airflow Connection."""

    @property
    def conn_id(self) -> str: ...  # noqa: D102
    @property
    def conn_type(self) -> str | None: ...  # noqa: D102
    @property
    def host(self) -> str | None: ...  # noqa: D102
    @property
    def port(self) -> int | None: ...  # noqa: D102
    @property
    def login(self) -> str | None: ...  # noqa: D102
    @property
    def password(self) -> str | None: ...  # noqa: D102
    @property
    def schema(self) -> str | None: ...  # noqa: D102
    @property
    def extra_dejson(self) -> Mapping[str, Any]: ...  # noqa: D102


class NoConnection(UsageError):
    """Airflow has no connection of this name."""

    def __init__(self, conn_id: str) -> None:
        super().__init__(
            f"Airflow has no connection {conn_id}",
            hint="make it: airflow connections add, or Admin > Connections",
        )


def ckan_url(connection: Connection) -> str:
    """Return CKAN's URL.

    Args:
        connection: Its host is the URL, or the host of one whose scheme is the connection's
            ``schema`` or type; by default https.

    Raises:
        UsageError: It has no host.
    """
    host = (connection.host or "").strip().rstrip("/")
    if not host:
        raise UsageError(
            f"the Airflow connection {connection.conn_id} has no host",
            hint="its host is CKAN's URL, such as https://demo.ckan.org",
        )
    if "://" not in host:
        scheme = next((s for s in (connection.schema, connection.conn_type) if s in WEB), "https")
        host = f"{scheme}://{host}"
    parts = urlsplit(host)
    if not connection.port or parts.netloc.endswith(f":{connection.port}"):
        return host
    return urlunsplit(parts._replace(netloc=f"{parts.netloc}:{connection.port}"))


def ckan_token(connection: Connection) -> str:
    """Return the API token.

    Raises:
        UsageError: It has none.
    """
    if not connection.password:
        raise UsageError(
            f"the Airflow connection {connection.conn_id} has no password",
            hint="its password is an API token of CKAN, of a user who may edit the datasets",
        )
    return connection.password


def datastore_url(connection: Connection) -> str:
    """Return the URL of a Postgres database, password included.

    Raises:
        UsageError: It is of another kind, or names no database.
    """
    if connection.conn_type not in ("postgres", "postgresql"):
        raise UsageError(
            f"the Airflow connection {connection.conn_id} is of type {connection.conn_type!r}",
            hint="the DataStore's is of type postgres",
        )
    if not connection.schema:
        raise UsageError(
            f"the Airflow connection {connection.conn_id} names no database",
            hint="put the database's name into its schema",
        )
    host = connection.host or ""
    query = {name: str(v) for name, v in connection.extra_dejson.items() if name in _LIBPQ}
    if host.startswith("/"):  # the folder of a socket
        query["host"], host = host, ""
    place = _quoted(host, safe="[:]") + (f":{connection.port}" if connection.port else "")
    if connection.login:
        password = f":{_quoted(connection.password)}" if connection.password else ""
        place = f"{_quoted(connection.login)}{password}@{place}"
    return f"postgresql://{place}/{_quoted(connection.schema)}?{urlencode(query, quote_via=quote)}"


def _quoted(part: str, safe: str = "") -> str:
    return quote(part, safe=safe)
