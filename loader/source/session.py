"""Sessions of requests for http(s) sources: how far they go, and which passwords they send.

In: a target. Out: a session for smart_open. With a guard it resolves each name itself, a
redirect's too, judges all addresses and connects to one of those and no other: a name that
resolves otherwise a moment later leads nowhere else. Holds nothing.
"""

from __future__ import annotations

import logging
import os
import socket
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from loader.errors import AddressRefused
from loader.source.guard import ALLOWED_HOSTS, WEB, Guard, origin
from loader.source.transport import Target

_log = logging.getLogger(__name__)


def new_session(target: Target) -> requests.Session:
    """Return a session in which no password of ~/.netrc takes our Authorization's place."""
    session = _Session(target)
    if target.guard is not None:
        session = _GuardedSession(target, target.guard)
    if "Authorization" in target.headers:
        session.auth = lambda request: request
    return session


class _Session(requests.Session):
    """Keeps the token where it belongs when it is redirected."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self._token_stays = target.token_stays

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]
        # Requests keeps it on one host: http:// to https:// is to go on, another file is not.
        paths = {urlsplit(str(one.url)).path for one in (prepared_request, response.request)}
        if self._token_stays and len(paths) > 1:
            prepared_request.headers.pop("Authorization", None)


class _GuardedSession(_Session):
    """Fetches from where the guard allows, and by itself.

    A proxy would fetch for us what we refuse, and ~/.netrc holds the passwords of this machine,
    not of whoever wrote the URL: of the environment only the CA bundle is used.
    """

    def __init__(self, target: Target, guard: Guard) -> None:
        super().__init__(target)
        self._guard, self._shown = guard, target.shown
        self.trust_env = False
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        self.verify = bundle or True
        adapter = _GuardedAdapter(guard, self._shown)
        self.mount("http://", adapter)
        self.mount("https://", adapter)
        # Connections of its own: one that it has open is not to serve another URL of that host.
        self._own = _GuardedAdapter(guard.allowing(guard.own), self._shown) if guard.own else None

    def get_adapter(self, url: str) -> requests.adapters.BaseAdapter:
        """Return what connects to a URL; it is asked for each, a redirect's too."""
        if urlsplit(url).scheme.lower() in WEB:
            self._guard.require_open(url, self._shown)
        if self._own and self._guard.is_own(url):
            return self._own
        try:
            return super().get_adapter(url)
        except requests.exceptions.InvalidSchema:
            raise AddressRefused(
                f"{self._shown}: it redirects to what is neither http:// nor https://",
                hint="name the address where the file itself is",
            ) from None


class _GuardedAdapter(HTTPAdapter):
    """Gives urllib3 connections that heed a guard."""

    def __init__(self, guard: Guard, shown: str) -> None:
        self._heeding = {"guard": guard, "shown": shown}
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {
            "http": self._pool(HTTPConnectionPool, _Connection),
            "https": self._pool(HTTPSConnectionPool, _TlsConnection),
        }

    def _pool(self, pool: type[HTTPConnectionPool], connection: type[_Connection]) -> Any:  # noqa: ANN401
        # What a pool hands to its connections is fixed, so it is in their class.
        heeding = type(connection.__name__, (connection,), self._heeding)
        return type(pool.__name__, (pool,), {"ConnectionCls": heeding})


class _Connection(HTTPConnection):
    """Connects to an address that was judged before."""

    guard: Guard
    shown: str

    def _new_conn(self) -> socket.socket:
        failure = OSError("the name has no address")
        for address in self._addresses():
            try:
                return socket.create_connection((address, self.port), self.timeout)
            except OSError as error:
                failure = error
        raise failure

    def connect(self) -> None:
        super().connect()
        # Nothing is asked for yet. This holds even if a urllib3 to come connects in another way.
        self._judge([self.sock.getpeername()[0]])

    def _addresses(self) -> list[str]:
        """Resolve the host, whatever way its address is spelled in."""
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        addresses = [str(socket_address[0]) for *_, socket_address in found]
        self._judge(addresses)
        return addresses

    def _judge(self, addresses: list[str]) -> None:
        for address in addresses:
            if not self.guard.allows(self.host, self.port, address):
                place = origin(self.host, self.port)
                # Whoever wrote the URL need not learn the addresses of names in here.
                _log.warning("%s: refused to connect to %s, at %s", self.shown, place, address)
                raise AddressRefused(
                    f"{self.shown}: {place} is not at a public address",
                    hint=f"if AirCan may read from there, add it to {ALLOWED_HOSTS}",
                )


class _TlsConnection(_Connection, HTTPSConnection):
    """The same over TLS, for the certificate of the host's name."""
