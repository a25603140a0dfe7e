"""What a source's URI says of itself: its scheme, the name of its file, and how it may be shown.

In: a URI as the user gave it. Out: parts of it. Holds nothing and reads nothing.

Nobody can know which parameter of a URL is somebody's secret, so all values are masked but those
of a few that are known to be harmless, and theirs only if they look it. A secret in the path itself
cannot be told from a name. What has no scheme is a path to us, and may have been meant as a URL: it
is masked too if it has a user or a query, unless it begins with / or a dot, as only paths do.
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
_IS_PATH = re.compile(r"/(?!/)|\.|~/")
_HOST = re.compile(r"(?:[\w-]+\.)+[\w-]+(?::[0-9]+)?/")
# What begins as user: or, behind two slashes, is a user@; an @ follows. In a/10:30@b.csv is a time.
_USER = re.compile(r"[^?#]*?(?:^|(?<=/)(?!\d+:))()\s*(?:[^/?#:@\s]*:|(?<=//)[^/?#:@\s]*@)")
_MASK = "***"

# Their values tell what was asked for: a word, a number, a date; others are masked all the same.
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
_MOST_SHOWN = 32  # characters of a value
_MOST_LETTERS = 15  # of all its words: passwords made for programs have 16
_DATE = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}(?:T[0-9]{2}:?[0-9]{2}(?::?[0-9]{2})?Z?)?")
_BETWEEN_WORDS = re.compile(r"[._:,+*-]")
# A number, a word in one case or in CamelCase, or one that has a number by its nature: utf8, v2.
_HARMLESS_WORD = re.compile(
    r"[0-9]{0,10}|[A-Z]?[a-z]+|[A-Z]+|(?:[a-z]{2,})?(?:[A-Z][a-z]{2,})*|(?:utf|ucs|cp|latin|v)[0-9]{1,5}",
)
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
    """Return a text with the URLs in it, and what may be meant as one, as they may be shown."""
    return _WORD.sub(_masked_word, text)


def _masked_word(match: re.Match[str]) -> str:
    word = match[0].lstrip("({")
    bracket = match[0][: -len(word)] if word else match[0]
    return bracket + _shown_word(word)


def _shown_word(word: str) -> str:
    if "://" in word or word.startswith("//") or _is_meant_as_url(word):
        return mask_uri(word)
    before, slash, path = word.partition("/")
    return before + mask_path(slash + path) if "?" in path else word


def mask_uri(uri: str) -> str:
    """Return the URI as it may be shown: no user, no password, no token, no signature.

    Of the query, the values of parameters in ``HARMLESS`` are left if they look harmless; of the
    fragment nothing is. A plain path is left as it is.
    """
    match = _URL.search(uri)
    begin = match.end() if match else 0
    if match is None or re.search("[@?#=]", uri[: match.start()]):
        # Nothing before a URL, and it may be in a query or be itself a part of a password.
        if match is None and not _is_meant_as_url(uri):
            return uri
        begin = (_user_begin(uri) or 0) if match is None else 0
    before, rest = uri[:begin], uri[begin:]
    found = _PARTS.fullmatch(rest)
    authority, tail = (found[1], rest[found.end(1) :]) if found else ("", rest)
    # A password with a bare / ? or #: the URL is broken, and still not to be shown.
    if _ends_later(authority, tail, has_scheme=before.strip() not in ("", "//")):
        behind = tail.rpartition("@")[2]
        host = re.split("[/?#]", behind, maxsplit=1)[0]
        authority, tail = f"@{host}", behind[len(host) :]
    shown = before + _mask_authority(authority) + mask_path(tail)
    # Whoever reads a log line by line must not take a URL for several of them.
    return "".join(c if is_plain(c) else quote(c, errors="replace") for c in shown)


def _ends_later(authority: str, tail: str, *, has_scheme: bool) -> bool:
    """Tell whether the user and password of a URL go on behind what should be its host."""
    is_in_path = "@" in re.split("[?#]", tail, maxsplit=1)[0]
    if not has_scheme and ":" in authority and is_in_path:
        return True
    # A password that begins with digits looks like a port.
    is_user = _port(authority) != "" and is_in_path
    return "@" not in authority and (is_user or (_is_broken(authority) and "@" in tail))


def _is_meant_as_url(path: str) -> bool:
    """Tell whether a path may be a URL without its scheme, and have something to hide."""
    path = path.strip()
    if _IS_PATH.match(path):
        return False
    before, mark, query = path.partition("?")
    if mark and ("=" in query or _HOST.match(before)):
        return True
    # host/path?TOKEN; a file may have a question mark in its name, and then mostly goes on.
    is_token = bool(mark) and not re.search(r"[\s.]", query) and not _is_harmless(query)
    host = _HOST.match(path)
    has_fragment = host is not None and "=" in path.partition("#")[2]
    return is_token or has_fragment or _has_user(path)


def _has_user(path: str) -> bool:
    """Tell whether there is user:password@, or something begins as user@host/."""
    if path.lower().startswith("mailto:"):
        return False
    if _user_begin(path) is not None:
        return True
    begin = re.split(r"[/?#\s]", path, maxsplit=1)[0]
    return "@" in begin and path[len(begin) :].startswith("/")


def _user_begin(path: str) -> int | None:
    """Return where a user:password@ begins, at the begin of a path or behind a slash."""
    word = path[: len(path) - len(path.lstrip())] + re.split(r"\s", path.lstrip(), maxsplit=1)[0]
    match = _USER.match(word[: word.rfind("@") + 1])
    return match.start(1) if match else None


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
    if equals and name.lower() in HARMLESS and _is_harmless(value):
        return parameter
    # ?TOKEN, ?TOKEN==, and a name that holds an encoded = and a value
    is_name = value.strip("=") and not _EQUALS.search(name) and _NAME.fullmatch(unquote_plus(name))
    return f"{name}={_MASK}" if is_name else _MASK


def _is_harmless(value: str) -> bool:
    """Tell whether a value is a number, a date or a few words, and no token made at random."""
    if len(value) > _MOST_SHOWN:
        return False
    if _DATE.fullmatch(value):
        return True
    words = _BETWEEN_WORDS.split(value)
    letters = sum(map(str.isalpha, value))
    return letters <= _MOST_LETTERS and all(map(_HARMLESS_WORD.fullmatch, words))
