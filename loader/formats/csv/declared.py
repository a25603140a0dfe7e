"""What the caller says of the dialect: options and a frictionless Dialect descriptor -> Declared.

In: what people write. Out: a frozen Declared, or the error that names what cannot be. Holds
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from loader.errors import UsageError
from loader.formats.csv.plain import WIDE

_DELIMITER_NAMES = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|"}
_QUOTING = {"quoteChar", "doubleQuote", "escapeChar"}
_CSV_PROPERTIES = {"delimiter", "lineTerminator", "skipInitialSpace"} | _QUOTING
_WIDE = "  "  # two spaces or more
_PROPERTIES = {"header", "headerRows", "commentChar", "commentRows", "csv"}
_ANNOTATIONS = {"type", "name", "title", "description", "$schema", "profile"}


@dataclass(frozen=True)
class Declared:
    """What the caller says of the dialect; None means: find it.

    Attributes:
        above: How many rows are to be left out, where there is no header.
        quoting_is_known: Whether the caller has said how cells are quoted.
    """

    delimiter: str | None = None
    quote: str | None = '"'
    double_quote: bool = True
    escape: str | None = None
    header_row: int | None = None
    skip_initial_space: bool | None = None
    wide: bool = False
    comment: str | None = None
    above: int = 0
    quoting_is_known: bool = field(default=False, compare=False)


def declare(
    descriptor: Mapping[str, object] | None,
    delimiter: str | None = None,
    header_row: int | None = None,
) -> Declared:
    """Merge a frictionless Dialect descriptor with the options, which win.

    Raises:
        UsageError: A property that the loader does not know, or a value that cannot be.
    """
    descriptor = descriptor or {}
    properties = _csv_properties(descriptor)
    if header_row is None:
        header_row = _declared_header_row(descriptor)
    elif header_row < 0:
        raise UsageError(
            "the header row is counted from 1; 0 means that there is none", option="header_row"
        )
    if delimiter is None:
        given = properties.get("delimiter")
    else:
        given = _DELIMITER_NAMES.get(delimiter, delimiter)
    quote = _character(properties.get("quoteChar", '"'), "quoteChar")
    escape = _character(properties.get("escapeChar"), "escapeChar")
    double_quote = _boolean(properties, "doubleQuote", default=True)
    if escape is not None and escape == quote:
        # Some tools say that a quote escapes itself where others say that it is doubled.
        double_quote, escape = True, None
    wide = given == _WIDE
    declared = Declared(
        WIDE if wide else _delimiter(given),
        quote,
        double_quote,
        escape,
        header_row,
        skip_initial_space=_boolean(properties, "skipInitialSpace", default=None),
        wide=wide,
        comment=_comment(descriptor),
        above=_rows_left_out(descriptor, header_row),
        quoting_is_known=not _QUOTING.isdisjoint(properties),
    )
    if declared.delimiter is not None and declared.delimiter in (quote, escape):
        raise UsageError("the dialect's delimiter, quote and escape must differ")
    return declared


def _refuse_unknown(given: Mapping[str, object], known: set[str], prefix: str) -> None:
    for name in given:
        if name not in known:
            raise UsageError(
                f"the dialect's property '{prefix}{name}' is not supported",
                hint=f"supported: {', '.join(sorted(_PROPERTIES | _CSV_PROPERTIES))}",
                option="dialect",
            )


def _csv_properties(descriptor: Mapping[str, object]) -> Mapping[str, object]:
    """Return the properties of the CSV, which Data Package's flat form has at the top level."""
    properties = descriptor.get("csv") or {}
    if not isinstance(properties, Mapping):
        raise UsageError("the dialect's 'csv' is not an object")
    _refuse_unknown(descriptor, _PROPERTIES | _CSV_PROPERTIES | _ANNOTATIONS, "")
    _refuse_unknown(properties, _CSV_PROPERTIES | _ANNOTATIONS, "csv.")
    return {**{k: v for k, v in descriptor.items() if k in _CSV_PROPERTIES}, **properties}


def _declared_header_row(descriptor: Mapping[str, object]) -> int | None:
    if not _boolean(descriptor, "header", default=True):
        return 0
    rows = descriptor.get("headerRows")
    if rows is None:
        return None
    if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], int) or rows[0] < 1:
        raise UsageError("the dialect's 'headerRows' must be one row, counted from 1")
    return rows[0]


def _comment(descriptor: Mapping[str, object]) -> str | None:
    sign = descriptor.get("commentChar")
    if sign is None or sign == "":
        return None
    is_sign = isinstance(sign, str) and sign.isascii() and sign.isprintable()
    if not isinstance(sign, str) or not is_sign or sign[0].isalnum() or sign[0] in ' "':
        raise UsageError(
            f"the dialect's 'commentChar' must be a sign of ASCII, not {sign!r}", option="dialect"
        )
    return sign


def _rows_left_out(descriptor: Mapping[str, object], header_row: int | None) -> int:
    rows = descriptor.get("commentRows") or []
    if rows and header_row != 0:
        raise UsageError(
            "the dialect's 'commentRows' are understood where there is no header",
            hint="'headerRows' names the header's row: what is above it is left out",
            option="dialect header_row",
        )
    if not isinstance(rows, list) or rows != list(range(1, len(rows) + 1)):
        raise UsageError(
            "the dialect's 'commentRows' must be the first rows, counted from 1", option="dialect"
        )
    return len(rows)


_Default = TypeVar("_Default", bool, None)


def _boolean(properties: Mapping[str, object], name: str, *, default: _Default) -> bool | _Default:
    value = properties.get(name, default)
    if value is default:
        return default
    if not isinstance(value, bool):
        raise UsageError(f"the dialect's '{name}' must be true or false, not {value!r}")
    return value


def _delimiter(value: object) -> str | None:
    delimiter = _character(value, "delimiter")
    # It stands in COPY's CSV too, behind the digits of _id.
    if delimiter is not None and (delimiter.isalnum() or delimiter == '"'):
        raise UsageError("the dialect's 'delimiter' must be no letter or digit, nor a double quote")
    return delimiter


def _character(value: object, name: str) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in "\r\n\0":
        raise UsageError(
            f"the dialect's '{name}' must be a single ASCII character, not {value!r}",
            hint="for example ',' ';' '|' or 'tab'",
            option="dialect",
        )
    return value
