"""What a source's URI says of itself: its scheme, the name of its file, and how it may be shown.

In: a URI as the user gave it. Out: parts of it. Holds nothing and reads nothing.
"""

from __future__ import annotations

import re
from pathlib import PurePath, PurePosixPath
from urllib.parse import unquote, unquote_plus

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_AUTHORITY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^/?#]*)(.*)", re.DOTALL)
_SECRET_PARAMETER = re.compile(
    r"token|secret|passw|pwd|signature|credential|auth|key(?!word)|^sig$|^x-(goog|amz)-",
    re.IGNORECASE,
)
_MASK = "***"


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


def mask_uri(uri: str) -> str:
    """Return the URI as it may be shown: no password, no token, no signature."""
    match = _AUTHORITY.fullmatch(uri)
    if match is None:
        return uri
    scheme, authority, rest = match.groups()
    port = authority.rpartition(":")[2]
    if "@" not in authority and ":" in authority and not port.isdecimal() and "@" in rest:
        # A password with a bare / ? or #: the URL is broken, and still not to be shown.
        tail, rest = rest.rpartition("@")[0], rest.rpartition("@")[2]
        return mask_uri(f"{scheme}{authority.partition(':')[0]}:{len(tail)}@{rest}")
    userinfo, at, host = authority.rpartition("@")
    if at:
        user, colon, _ = userinfo.partition(":")
        authority = f"{user}:{_MASK}@{host}" if colon else f"{_MASK}@{host}"
    path, mark, query = rest.partition("?")
    query, sharp, fragment = query.partition("#")
    shown = "".join(_mask_parameter(part) for part in re.split("([&;])", query))
    return f"{scheme}{authority}{path}{mark}{shown}{sharp}{fragment}"


def _mask_parameter(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    secret = equals and _SECRET_PARAMETER.search(unquote_plus(name))
    return f"{name}={_MASK}" if secret else parameter
