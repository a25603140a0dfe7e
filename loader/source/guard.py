"""Which addresses a source may be fetched from, where its URL is not the operator's own.

In: the list of what is allowed beside the public internet. Out: a yes or no for a host, a port and
the address that the host has. Holds the list; asks nobody, not even for the address of a name.

Who may write a URL into CKAN may otherwise read, with AirCan's hands, what only AirCan's network
can reach: databases, other people's consoles, the cloud's metadata with its keys.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import urlsplit

from loader.errors import UsageError

ALLOWED_HOSTS = "AIRCAN_ALLOWED_HOSTS"  # the environment variable with the list
SCHEMES = ("http", "https", "gs")  # what may be fetched at all

Address = IPv4Address | IPv6Address

_DEFAULT_PORTS = {"http": 80, "https": 443}
_ENTRY = re.compile(r"(?:\[(?P<v6>[^]]+)\]|(?P<host>[^][:]+))(?::(?P<port>[0-9]+))?")
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

    Raises:
        UsageError: One of them is none of these.
    """

    allowed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the list while whoever wrote it is looking."""
        _ = self._rules

    @classmethod
    def read(cls, text: str) -> Guard:
        """Return the guard of a list with commas, as ``AIRCAN_ALLOWED_HOSTS`` has it.

        Raises:
            UsageError: An entry of it means nothing.
        """
        return cls(tuple(entry.strip() for entry in text.split(",") if entry.strip()))

    def allowing(self, url: str) -> Guard:
        """Return a guard that also allows the host and the port of a URL, as of CKAN's own.

        Raises:
            UsageError: It is no http(s) URL.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or _DEFAULT_PORTS[parts.scheme]
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
