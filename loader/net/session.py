"""Sessions of requests for http(s) sources: how far they go, how long they wait, what they send.

In: a target. Out: a session for smart_open, which tells the target's pace of all that arrives:
headers and redirects too, which may come byte by byte. With a guard it resolves each name itself,
a redirect's too, judges all addresses and connects to one of those and no other: a name that
resolves otherwise a moment later leads nowhere else. Holds a buffer of 8 KiB.
"""

from __future__ import annotations

import http.client
import io
import logging
import os
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from loader.errors import AddressRefused
from loader.net.failures import EndlessHead
from loader.net.guard import ALLOWED_HOSTS, WEB, Guard, origin
from loader.net.limits import Limits
from loader.net.pace import Pace
from loader.net.target import Arrivals, Target
from loader.net.uri import mask_text

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_log = logging.getLogger(__name__)
# Of one answer, those that precede it included: 8 or 16 KiB and one Early Hints with most servers,
# and a 102 Processing every few seconds with some.
_MOST_HEAD_BYTES = 1 << 20
_MOST_HEADS = 1000


class _Masking(logging.Filter):
    """Masks the queries in what urllib3 and smart_open log, each request at level DEBUG."""

    def filter(self, record: logging.LogRecord) -> bool:
        masked = mask_text(record.getMessage())
        record.msg, record.args = masked, ()
        return True


for _name in (
    "smart_open.http",
    "urllib3.connection",  # the URL whose headers it cannot read, at level WARNING
    "urllib3.connectionpool",
    "urllib3.http2.connection",
    "urllib3.poolmanager",
    "urllib3.response",
    "urllib3.util.retry",
):
    logging.getLogger(_name).addFilter(_Masking())
# It logs the URL and all headers, as they are, whenever something is opened.
logging.getLogger("smart_open.smart_open_lib").addFilter(lambda _: False)


def new_session(target: Target) -> requests.Session:
    """Return a session for a target.

    No password of ~/.netrc takes our Authorization's place, and of what redirects only the headers
    are read: requests would read its body into memory, however long it is.
    """
    pace: Arrivals = target.pace or Pace(Limits(min_rate=0), target.shown)
    session = _Session(target, pace)
    if target.guard is not None:
        session = _GuardedSession(target, pace, target.guard)
    session.hooks["response"].append(_close_redirect)
    if "Authorization" in target.headers:
        session.auth = lambda request: request
    return session


class _Session(requests.Session):
    """Keeps the token where it belongs when it is redirected."""

    def __init__(self, target: Target, pace: Arrivals) -> None:
        super().__init__()
        self._token_stays = target.token_stays
        self.connect_by(_PacedAdapter(pace))

    def connect_by(self, adapter: HTTPAdapter) -> None:
        """Have an adapter connect to every URL."""
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]
        # Requests keeps it on one host: http:// to https:// is to go on, another file is not.
        paths = {
            urlsplit(str(request.url)).path for request in (prepared_request, response.request)
        }
        if self._token_stays and len(paths) > 1:
            prepared_request.headers.pop("Authorization", None)


def _close_redirect(response: requests.Response, **_: object) -> None:
    if response.is_redirect:
        response.close()


class _PacedAdapter(HTTPAdapter):
    """Gives urllib3 connections that tell a pace of what arrives, a proxy's too."""

    def __init__(self, pace: Arrivals) -> None:
        self._pace = pace
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
        super().init_poolmanager(*args, **options)
        self._connect_paced(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **options: Any) -> PoolManager:  # noqa: ANN401
        manager: PoolManager = super().proxy_manager_for(*args, **options)
        self._connect_paced(manager)
        return manager

    def _connect_paced(self, manager: PoolManager) -> None:
        response = type("_Response", (_PacedResponse,), {"pace": self._pace})
        manager.pool_classes_by_scheme = {
            scheme: _derived(pool, {"response_class": response})
            for scheme, pool in manager.pool_classes_by_scheme.items()
        }


def _derived(pool: Any, attributes: dict[str, Any]) -> Any:  # noqa: ANN401
    """Return a class of pools whose connections have these attributes.

    What a pool hands to its connections is fixed, so they are in their class.
    """
    connection = pool.ConnectionCls
    derived = type(connection.__name__, (connection,), attributes)
    return type(pool.__name__, (pool,), {"ConnectionCls": derived})


class _PacedResponse(http.client.HTTPResponse):
    """A response whose socket tells a pace of each piece that arrives."""

    pace: Arrivals

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **options)
        # What the buffered reader wraps reads the socket once for each call.
        self._paced = _PacedSocket(self.fp.detach(), self.pace)
        self.fp = _Buffer(self._paced)

    def begin(self) -> None:
        """Read headers up to those of the final answer.

        Servers may send others before it, such as 103 Early Hints; http.client passes over 100.
        """
        super().begin()
        while self._is_informational():
            self.headers = None  # type: ignore[assignment]  # as before the first answer
            super().begin()
        self._paced.is_body = True

    def _is_informational(self) -> bool:
        is_asked = self.status == http.client.SWITCHING_PROTOCOLS  # which nobody asks for here
        return self.status // 100 == 1 and not is_asked


class _PacedSocket(io.RawIOBase):
    """A socket's bytes, reported to a pace as they come; headers do not count as the source's."""

    def __init__(self, raw: Any, pace: Arrivals) -> None:  # noqa: ANN401
        super().__init__()
        self.is_body = False
        self._raw = raw
        self._pace = pace

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        count: int | None = self._raw.readinto(buffer)
        self._pace.arrived(count if count and self.is_body else 0)
        return count

    def take_back(self, count: int) -> None:
        """Tell the pace that so many bytes were none of the source."""
        if self.is_body:
            self._pace.arrived(-count)

    def fileno(self) -> int:
        return int(self._raw.fileno())

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._raw.close()


class _Buffer(io.BufferedReader):
    """A socket's buffer, of which lines are no bytes of the source.

    In a body these are the sizes of chunks, with whatever a server adds to them, and what follows
    the last chunk: both may be as long as it likes. Before it they are the headers, of the final
    answer and of those that precede it, which have an end.
    """

    def __init__(self, raw: _PacedSocket) -> None:
        super().__init__(raw)
        self._paced = raw
        self._head_bytes = 0
        self._heads = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(-1 if size is None else size)
        self._paced.take_back(len(line))
        if not self._paced.is_body:
            self._count_head(line)
        return line

    def _count_head(self, line: bytes) -> None:
        if not line:  # http.client would take what came for the whole of it
            raise http.client.RemoteDisconnected("the connection ended in the headers")
        self._head_bytes += len(line)
        self._heads += line in (b"\r\n", b"\n")
        if self._head_bytes > _MOST_HEAD_BYTES or self._heads > _MOST_HEADS:
            raise EndlessHead


class _GuardedSession(_Session):
    """Fetches from where the guard allows, and by itself.

    A proxy would fetch for us what we refuse, and ~/.netrc holds the passwords of this machine,
    not of whoever wrote the URL: of the environment only the CA bundle is used.
    """

    def __init__(self, target: Target, pace: Arrivals, guard: Guard) -> None:
        super().__init__(target, pace)
        self._guard, self._shown = guard, target.shown
        self.trust_env = False
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        self.verify = bundle or True
        self.connect_by(_GuardedAdapter(pace, guard, self._shown))
        # Connections of its own: one that it has open is not to serve another URL of that host.
        self._own: HTTPAdapter | None = None
        if guard.own:
            self._own = _GuardedAdapter(pace, guard.allowing(guard.own), self._shown)

    def close(self) -> None:
        """Close the connections, also those of the adapter that is not mounted."""
        super().close()
        if self._own:
            self._own.close()

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


class _GuardedAdapter(_PacedAdapter):
    """Gives urllib3 connections that also obey a guard."""

    def __init__(self, pace: Arrivals, guard: Guard, shown: str) -> None:
        self._attributes = {"guard": guard, "shown": shown, "pace": pace}
        super().__init__(pace)

    def _connect_paced(self, manager: PoolManager) -> None:
        manager.pool_classes_by_scheme = {
            "http": _derived(_Pool, self._attributes),
            "https": _derived(_TlsPool, self._attributes),
        }
        super()._connect_paced(manager)


class _Connection(HTTPConnection):
    """Connects to an address that was judged before."""

    guard: Guard
    shown: str
    pace: Arrivals

    def _new_conn(self) -> socket.socket:
        failure = OSError("the name has no address")
        for address in self._addresses():
            self.pace.arrived(0)  # a name may have hundreds that let nobody in
            try:
                return socket.create_connection((address, self.port), self.timeout)
            except OSError as error:
                failure = error
        raise failure

    def connect(self) -> None:
        super().connect()
        # No request is sent yet. This check holds even if a later urllib3 connects in another way.
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


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection
