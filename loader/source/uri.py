"""What a source's URI says of itself: its scheme, the name of its file, and how it may be shown.

In: a URI as the user gave it. Out: parts of it. Holds nothing and reads nothing.

Nobody can know which parameter of a URL is somebody's secret, so all values are masked but those
of a few that are known to be harmless. A secret in the path itself cannot be told from a name.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePath, PurePosixPath
from urllib.parse import quote, unquote, unquote_plus

from loader.printable import is_plain

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_AUTHORITY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^/?#]*)(.*)", re.DOTALL)
# With too few slashes, or something before it, a URL is a path to us; it is masked all the same.
# It begins with a word: looked for from each letter, a long one takes the square of its length.
_URL = re.compile(
    r"(?<![A-Za-z0-9+.-])[A-Za-z0-9+.-]+://|\b(?:https?|ftps?|gs|s3a?|abfss?|wasbs?):/*|^//",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\s\"'<>]+")
_PARTS = re.compile(r"([^/?#]*)([^#]*)(#?)(.*)", re.DOTALL)
_NO_SCHEME = re.compile(r"(?![./\\])[^?]*\?.*=", re.DOTALL)  # host/path?name=value, to us a path
_MASK = "***"

# Their values tell what was asked for: a word, a number, a date.
HARMLESS = frozenset(
    {
        "charset",
        "count",
        "date",
        "day",
        "delimiter",
        "encoding",
        "format",
        "lang",
        "language",
        "layer",
        "layers",
        "limit",
        "locale",
        "month",
        "offset",
        "outputformat",
        "page",
        "pagesize",
        "per_page",
        "request",
        "rows",
        "service",
        "size",
        "sort",
        "start",
        "table",
        "typename",
        "typenames",
        "version",
        "year",
    }
)
_HARMLESS_VALUE = re.compile(r"[A-Za-z0-9._:,+*-]{0,32}")
_NAME = re.compile(r"[A-Za-z0-9_.$\[\]-]{1,30}")  # what is longer may itself be a token
_QUERY = re.compile(r"\?|%(?:25)*3F", re.IGNORECASE)  # encoded, it is one to some servers
_EQUALS = re.compile(r"=|%(?:25)*3D", re.IGNORECASE)
_PATH_PARAMETER = re.compile(r"(;|%3B)((?:(?!%3B)[^/;=?#])*)=[^/;?#]*", re.IGNORECASE)
_PATH_USER = re.compile(r"(?<=//)[^/@?#]*@|(?<=:)[^/@:?#]*@")
# What is new whenever a server signs the same URL again.
_ROTATING = re.compile(
    r"token|secret|passw|pwd|signature|credential|auth|key(?!word)|^sig$|^expires$|^x-(goog|amz)-",
    re.IGNORECASE,
)


def split_scheme(uri: str) -> tuple[str, str]:
    """Return the scheme in lower case and what follows its ``://``; a plain path has none."""
    match = _SCHEME.match(uri)
    return (match[1].lower(), uri[match.end() :]) if match else ("", uri)


def file_name(uri: str) -> str:
    """Return the file's name, without path and query, or the host's if there is no path."""
    match = _AUTHORITY.fullmatch(uri)
    if match is None:
        return PurePath(uri).name
    scheme, authority, path = match.groups()
    if scheme != "gs://":
        path = unquote(re.split("[?#]", path)[0])
    return PurePosixPath(path).name or authority.rpartition("@")[2]


def has_one_reading(url: str) -> bool:
    """Tell whether every program finds the same host in an http(s) URL.

    A backslash ends the host for some (requests, browsers), and is a part of the user for others
    (``urllib.parse``): what one takes for CKAN's host, the other does not connect to.
    """
    authority = re.split("[/?#]", url.partition("://")[2], maxsplit=1)[0]
    return "\\" not in authority and all("!" <= c != "\x7f" for c in authority)


def mask_text(text: str) -> str:
    """Return a text with the URLs in it, and the paths that have a query, as they may be shown."""
    return _WORD.sub(_masked_word, text)


def _masked_word(match: re.Match[str]) -> str:
    word = match[0]
    if "://" in word:
        return mask_uri(word)
    before, slash, path = word.partition("/")
    return before + mask_path(slash + path) if "?" in path else word


def mask_uri(uri: str) -> str:
    """Return the URI as it may be shown: no user, no password, no token, no signature.

    Of the query, the values of parameters in ``HARMLESS`` are left; of the fragment nothing is. A
    plain path is left as it is.
    """
    match = _URL.search(uri)
    if match is None:
        return mask_path(uri) if _NO_SCHEME.match(uri) else uri
    before, rest = uri[: match.end()], uri[match.end() :]
    found = _PARTS.fullmatch(rest)
    authority, tail = (found[1], rest[found.end(1) :]) if found else ("", rest)
    # A password with a bare / ? or #: the URL is broken, and still not to be shown. One that
    # begins with digits looks like a port.
    is_user = _port(authority) != "" and "@" in re.split("[?#]", tail, maxsplit=1)[0]
    if "@" not in authority and (is_user or (_is_broken(authority) and "@" in tail)):
        behind = tail.rpartition("@")[2]
        host = re.split("[/?#]", behind, maxsplit=1)[0]
        authority, tail = f"@{host}", behind[len(host) :]
    shown = before + _mask_authority(authority) + mask_path(tail)
    # Whoever reads a log line by line must not take a URL for several of them.
    return "".join(c if is_plain(c) else quote(c, errors="replace") for c in shown)


def fingerprint(uri: str, salt: str) -> str:
    """Return what tells a URI from another without showing either, though it hides their secrets.

    What a server makes anew whenever it signs a URL does not count.

    Args:
        uri: The whole of it.
        salt: What makes it worthless to compare with those of other runs.
    """
    match = _AUTHORITY.fullmatch(uri)
    if match is None:
        lasting = uri
    else:
        scheme, authority, rest = match.groups()
        userinfo, _, host = authority.rpartition("@")
        user, colon, _ = userinfo.partition(":")
        path, mark, query = rest.partition("?")
        parts = [part for part in re.split("[&;]", query) if not _is_rotating(part)]
        lasting = f"{scheme}{user if colon else ''}@{host}{path}{mark}{'&'.join(parts)}"
    # Slow, since what is secret may be short; 16 MiB and 50 ms.
    data = lasting.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(data, salt=salt.encode(), n=1 << 14, r=8, p=1, dklen=16).hex()


def _is_rotating(parameter: str) -> bool:
    name, equals, _ = parameter.partition("=")
    return bool(equals and _ROTATING.search(unquote_plus(name)))


def _is_broken(authority: str) -> bool:
    """Tell whether what should be a port is none."""
    port = _port(authority)
    return "@" not in authority and port != "" and not port.isdecimal()


def _port(authority: str) -> str:
    """Return what follows the host's colon; an IPv6 address has colons of its own in brackets."""
    return authority.rpartition("]")[2].partition(":")[2]


def _mask_authority(authority: str) -> str:
    _user, at, host = authority.rpartition("@")
    if at:
        return f"{_MASK}@{host}"
    if not _is_broken(authority):
        return host
    name = f"{host.partition(']')[0]}]" if host.startswith("[") else host.partition(":")[0]
    return f"{name}:{_MASK}"


def mask_path(rest: str) -> str:
    """Return what follows a URL's host as it may be shown."""
    rest, sharp, fragment = rest.partition("#")
    mark = _QUERY.search(rest)
    path = rest[: mark.start()] if mark else rest
    path = _PATH_USER.sub(f"{_MASK}@", path)
    path = _PATH_PARAMETER.sub(rf"\1\2={_MASK}", path)
    query = ""
    if mark:
        parts = re.split("([&;])", rest[mark.end() :])
        query = mark[0] + "".join(map(_mask_parameter, parts))
    return f"{path}{query}{sharp}{_MASK if fragment else ''}"


def _mask_parameter(parameter: str) -> str:
    if parameter in ("", "&", ";"):
        return parameter
    name, equals, value = parameter.partition("=")
    if equals and name.lower() in HARMLESS and _HARMLESS_VALUE.fullmatch(value):
        return parameter
    # ?TOKEN, ?TOKEN==, and a name that holds an encoded = and a value
    is_name = value.strip("=") and not _EQUALS.search(name) and _NAME.fullmatch(unquote_plus(name))
    return f"{name}={_MASK}" if is_name else _MASK
