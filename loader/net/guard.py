"""Which addresses a source may be fetched from, where its URL is not the operator's own.

In: the list of what is allowed beside the public internet, and where AirCan keeps its artifacts.
Out: a yes or no for a URL, and for a host, a port and the address that the host has. Holds the
list; asks nobody, not even for the address of a name.

Who may write a URL into CKAN may otherwise read, with AirCan's hands, what only AirCan's network
can reach: databases, other people's consoles, the cloud's metadata with its keys.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import unquote, urlsplit

from loader.errors import AddressRefused, UsageError
from loader.net.uri import mask_uri, split_scheme

ALLOWED_HOSTS = "AIRCAN_ALLOWED_HOSTS"  # the environment variable with the list
WEB = ("http", "https")
SCHEMES = (*WEB, "gs")  # what may be fetched at all

Address = IPv4Address | IPv6Address

DEFAULT_PORTS = {"http": 80, "https": 443}
_ENTRY = re.compile(r"(?:\[(?P<v6>[^]]+)\]|(?P<host>[^][:]+))(?::(?P<port>[0-9]+))?")
# Where Google serves the objects of buckets: BUCKET is in the path, or before the host's name.
_GOOGLE = (".googleapis.com", "storage.cloud.google.com")
_BUCKET_CHARACTERS = 222  # Google's limit
_JSON_API = re.compile(r"(?:.*/)?b/([^/]+)/o/(.*)", re.DOTALL)
# The last part begins with a letter: 10.0.0 is half an address, and no name.
_NAME = re.compile(r"(\*\.)?([a-z0-9_-]+\.)*[a-z_][a-z0-9_-]*")

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
# Not all releases of Python take these for what they are.
_NOT_PUBLIC = tuple(
    ip_network(network)
    for network in (
        "100.64.0.0/10",  # shared by a provider's customers; Alibaba's metadata
        "168.63.129.16",  # Azure's host, which answers inside Azure only
        "192.0.0.0/24",  # special purposes; Oracle's metadata
        "192.88.99.0/24",  # relays of 6to4
        "2001::/23",  # special purposes, Teredo among them
        "3fff::/20",  # documentation
    )
)


@dataclass(frozen=True)
class Guard:
    """What may be fetched: the public internet, and what is allowed beside it.

    Args:
        allowed: Each a host name, ``*.`` and a domain, an IP address or a network, with
            ``:PORT`` behind it if only that port is allowed.
        own: One URL that is allowed whatever the address of its host: the upload of the resource
            that is loaded, at its own CKAN. Other paths of that host are judged like all others.
        closed: ``gs://BUCKET/PREFIX`` of buckets from which nothing is read, by no kind of URL.
        schemes: What may be fetched at all.

    Raises:
        UsageError: An entry of ``allowed`` is none of these.
    """

    allowed: tuple[str, ...] = ()
    own: str | None = field(default=None, repr=False)  # it may hold a password
    closed: tuple[str, ...] = ()
    schemes: tuple[str, ...] = SCHEMES

    def __post_init__(self) -> None:
        """Check the list while whoever wrote it is looking."""
        _ = self._rules

    @classmethod
    def read(cls, text: str, artifacts: str = "") -> Guard:
        """Return the guard of a list with commas, as ``AIRCAN_ALLOWED_HOSTS`` has it.

        Args:
            text: The list.
            artifacts: Where AirCan keeps its artifacts, as ``AIRCAN_ARTIFACTS`` has it: rows of
                other resources lie there, which whoever wrote a URL may not be allowed to see.

        Raises:
            UsageError: An entry of the list means nothing.
        """
        allowed = tuple(entry.strip() for entry in text.split(",") if entry.strip())
        is_bucket = split_scheme(artifacts.strip())[0] == "gs"  # no path is read with a guard
        return cls(allowed, closed=(artifacts.strip(),) if is_bucket else ())

    def require_open(self, url: str, shown: str | None = None) -> None:
        """Refuse a URL of another kind, or of an object in a bucket that is closed.

        Args:
            url: What is to be fetched.
            shown: What the error names, if not this URL.

        Raises:
            AddressRefused: It may not be fetched, whatever the address of its host.
        """
        shown = shown or mask_uri(url)
        scheme = split_scheme(url)[0]
        if scheme not in self.schemes:
            raise AddressRefused(
                f"{shown} is at none of {', '.join(self.schemes)}",
                hint="a bucket is read with AirCan's own account: name the file's https:// URL"
                if scheme == "gs"
                else "a file of this machine is loaded by aircan load",
            )
        for base in self.closed:
            bucket, _, prefix = split_scheme(base)[1].strip("/").partition("/")
            if any(_is_below(found, bucket, prefix) for found in _objects(url)):
                raise AddressRefused(
                    f"{shown} is among the artifacts of AirCan's runs, which are not to be loaded",
                    hint="name a file elsewhere",
                )

    def is_own(self, url: str) -> bool:
        """Tell whether this is the one URL that is allowed whatever its address."""
        return self.own is not None and _file_of(url) == _file_of(self.own)

    def allowing(self, url: str) -> Guard:
        """Return a guard that also allows the host and the port of a URL, as of CKAN's own.

        Raises:
            UsageError: It is no http(s) URL.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme]
        except (ValueError, KeyError):
            host = None
        if not host:
            raise UsageError("the URL to allow is not one", hint="give http(s)://HOST[:PORT]")
        return replace(self, allowed=(*self.allowed, origin(host, port)))

    def allows(self, host: str, port: int, address: str) -> bool:
        """Tell whether a host may be spoken to at a port, at one of the addresses that it has."""
        found = ip_address(address)
        return is_public(found) or any(rule.fits(host, port, found) for rule in self._rules)

    @cached_property
    def _rules(self) -> tuple[_Rule, ...]:
        return tuple(_rule(entry) for entry in self.allowed)


def _file_of(url: str) -> tuple[str, str | None, int | None, str]:
    parts = urlsplit(url)
    port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    return parts.scheme, parts.hostname, port, unquote(parts.path)


def _objects(url: str) -> Iterator[tuple[str, str]]:
    """Yield each bucket and key that a URL may be of, as one of several servers reads it."""
    scheme, rest = split_scheme(url)
    authority, _, path = rest.partition("/")
    host = authority.rpartition("@")[2].lower()
    if scheme == "gs":
        yield host, path
        return
    name = host.partition(":")[0].rstrip(".")
    path = posixpath.normpath(f"/{unquote(re.split('[?#]', path)[0])}").lstrip("/")
    yield name, path  # a bucket that is named as a host
    emulator = _emulator()
    is_emulator = bool(emulator) and (host == emulator or host.endswith(f".{emulator}"))
    if not (name.endswith(_GOOGLE) or is_emulator):
        return
    yield from ((label, path) for label in _labels(name))  # BUCKET.storage.googleapis.com
    yield path.partition("/")[0], path.partition("/")[2]
    if found := _JSON_API.fullmatch(path):
        yield found[1], found[2]


def _labels(name: str) -> Iterator[str]:
    """Yield what a host's name may begin with as a bucket, whose name may have dots."""
    for at, letter in enumerate(name[: _BUCKET_CHARACTERS + 1]):
        if letter == ".":
            yield name[:at]


def _emulator() -> str:
    return urlsplit(os.environ.get("STORAGE_EMULATOR_HOST", "")).netloc.lower()


def _is_below(found: tuple[str, str], bucket: str, prefix: str) -> bool:
    """Tell whether an object lies below a prefix, however its key is read."""
    key = re.split("[?#]", found[1])[0]
    if found[0] != bucket.lower():
        return False
    keys = {key.lstrip("/"), unquote(key).lstrip("/")}
    keys |= {posixpath.normpath(f"/{key}").lstrip("/") for key in keys}
    return any(not prefix or key == prefix or key.startswith(f"{prefix}/") for key in keys)


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the public internet, for one host."""
    address = _carried(address)
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    if address.is_multicast or not address.is_global:
        return False
    return not any(address in network for network in _NOT_PUBLIC)


def origin(host: str, port: int) -> str:
    """Return ``HOST:PORT``, as a URL and the list of what is allowed have it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True)
class _Rule:
    """One entry of the list: a name or a network, and a port or all of them."""

    place: str | IPv4Network | IPv6Network
    port: int | None

    def fits(self, host: str, port: int, address: Address) -> bool:
        if self.port not in (None, port):
            return False
        if not isinstance(self.place, str):
            return address in self.place or _carried(address) in self.place
        host = host.lower().rstrip(".")
        return host.endswith(self.place[1:]) if self.place[0] == "*" else host == self.place


def _rule(entry: str) -> _Rule:
    match = _ENTRY.fullmatch(entry)
    # An IPv6 address without brackets has colons of its own.
    host, port = (match["v6"] or match["host"], match["port"]) if match else (entry, None)
    try:
        return _Rule(_place(host), _port(port))
    except ValueError:
        raise UsageError(
            f"{ALLOWED_HOSTS}: {entry!r} is neither a host nor a network",
            hint="give HOST, HOST:PORT, *.DOMAIN, an IP address or a network like 10.0.0.0/8, "
            "with commas between them",
        ) from None


def _place(host: str) -> str | IPv4Network | IPv6Network:
    name = host.encode("idna").decode().lower().rstrip(".")  # UnicodeError is a ValueError
    return name if _NAME.fullmatch(name) else ip_network(host)


def _port(text: str | None) -> int | None:
    port = None if text is None else int(text)
    if port is not None and not 0 < port < 1 << 16:
        raise ValueError(text)
    return port


def _carried(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address leads to, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
