"""A table's columns -> the expression that fills ``_full_text`` while COPY runs.

CKAN's trigger turns each row into JSON and all its values into one text, which the text search
parser reads. Here numbers, dates and times skip the parser, since their digits tell their lexemes.
Numbers become an array (4 us for 14 of them; a tsvector literal takes 8), dates and times a literal
with positions, so that a date can be searched as a phrase; only text goes through ``to_tsvector``.
The lexemes of each row are those of the trigger; numbers have no position.

Everything in the expression must be IMMUTABLE, since it is declared
``GENERATED ALWAYS AS (...) STORED``: that is why dates are put together from ``date_part``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Literal

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.choices import FullText
from loader.copy import locks, slow_texts
from loader.copy.database import ours
from loader.copy.relation import qualified
from loader.types.column import Column
from loader.types.registry import TEXT, Lexemes, type_named

# A tsvector holds 1 MiB, and hyphenated words or URLs quadruple their text. Rows with more text
# than this get NULL from the expression and are done one by one afterwards, as the trigger would;
# so do those whose text the parser is slow at.
MAX_TEXT_BYTES = 256 << 10
_FILL = sql.Identifier("pg_temp", "aircan_full_text")
_SEARCHABLE_CHARACTERS = 100_000  # of a row that even the trigger would refuse
# The time for a row is up; or the parser's stack is full, after thousands of "@" without a space.
_TOO_SLOW = (psycopg.errors.QueryCanceled, psycopg.errors.StatementTooComplex)
# The time for one of these rows, including the wait for a lock: 1 MB of prose takes the parser
# 0.3 s. And for all of them together, after which rows with a slow text are not tried any more.
ROW_MS = 20_000
ALL_ROWS_S = 60.0
_FILLED_AT_ONCE = 100  # in a transaction: a file of aligned sequences has such a text in each row


def expression(  # noqa: PLR0913, PLR0917  (all that the text depends on)
    columns: Sequence[Column],
    which: FullText,
    config: str,
    time_zone: str,
    literals: bool,
    row: str = "",
) -> str:
    """Return the SQL expression.

    Args:
        columns: In the table's order, with types that loads store.
        which: ``all`` columns, or only those of type ``text``.
        config: The text search configuration, as ``regconfig`` prints it.
        time_zone: The session's TimeZone, in which CKAN's trigger writes a timestamptz.
        literals: Whether the configuration leaves numbers as they are (``leaves_numbers``).
        row: What stands before each column's name: ``NEW.`` in a trigger.
    """
    chosen = [
        _Value(row + _quoted(column.name), lexemes_of(column))
        for column in columns
        if is_searched(column, which)
    ]
    known = [value for value in chosen if literals and value.lexemes in KNOWN]
    skipped = frozenset(known)
    parsed = [value for value in chosen if value not in skipped]
    zone, regconfig = _literal(time_zone), f"{_literal(config)}::regconfig"
    known_vector = _known_vector(known, zone)
    if not parsed:
        return known_vector
    texts = [f"{value.sql}::text" for value in parsed if value.lexemes is Lexemes.TEXT]
    fast = _parsed(regconfig, chosen, time_zone, skipped)
    if not texts:
        return f"{known_vector} || {fast}"
    lengths = slow_texts.added([f"coalesce(octet_length({text}), 0)" for text in texts])
    slow = slow_texts.condition(texts)
    branches = f"CASE WHEN {lengths} > {MAX_TEXT_BYTES} OR {slow} THEN NULL"
    if known:
        # "<" may open a tag that swallows the numbers between two texts: then order matters.
        tags = ", ".join(f"strpos({text}, '<')" for text in texts)
        branches += f" WHEN greatest({tags}) > 0 THEN {_parsed(regconfig, chosen, time_zone)}"
        fast = f"{known_vector} || {fast}"
    return f"{branches} ELSE {fast} END"


def settings(connection: psycopg.Connection[TupleRow]) -> tuple[str, str]:
    """Return the database's text search configuration and the session's TimeZone."""
    with ours("reading the text search configuration"):
        row = connection.execute(
            "SELECT get_current_ts_config()::text, current_setting('TimeZone')"
        ).fetchone()
    assert row is not None  # noqa: S101  # a SELECT without FROM gives one row
    return row[0], row[1]


def leaves_numbers(connection: psycopg.Connection[TupleRow], config: str) -> bool:
    """Tell whether this configuration indexes numbers as they are, as the built-in ones do.

    For a number of any length only the catalog can tell: it must lead to the dictionary that
    changes nothing. The probe then compares what comes out.
    """
    probe = "7 -8 15.30 -0.5 2015 -08 -18 t06 34 36.25 +05 17, 28."
    literal = " ".join(f"{word.rstrip(',.')}:1" for word in probe.split())
    with ours("probing the text search configuration"):
        row = connection.execute(
            "SELECT strip(to_tsvector(c.oid, %s)) = strip(%s::tsvector) AND NOT EXISTS ("
            " SELECT FROM ts_token_type(c.cfgparser) t LEFT JOIN pg_ts_config_map m"
            " ON m.mapcfg = c.oid AND m.maptokentype = t.tokid AND m.mapseqno = 1"
            " LEFT JOIN pg_ts_dict d ON d.oid = m.mapdict"
            " WHERE t.alias IN ('int', 'uint', 'float', 'numword')"
            " AND (d.oid IS DISTINCT FROM 'pg_catalog.simple'::regdictionary"
            " OR d.dictinitoption IS NOT NULL))"
            " FROM pg_ts_config c WHERE c.oid = %s::regconfig",
            (probe, literal, config),
        ).fetchone()
    return bool(row and row[0])


def may_fill(connection: psycopg.Connection[TupleRow]) -> bool:
    """Tell whether the role may do what ``filling`` does; most may."""
    with ours("looking at the role's rights"):
        row = connection.execute(
            "SELECT has_database_privilege(current_database(), 'TEMPORARY') AND EXISTS"
            " (SELECT FROM pg_language"
            " WHERE lanname = 'plpgsql' AND has_language_privilege(oid, 'USAGE'))"
        ).fetchone()
    return bool(row and row[0])


@contextmanager
def filling(connection: psycopg.Connection[TupleRow], table: str, value: str) -> Iterator[None]:
    """Have a trigger fill ``_full_text`` of the rows that come meanwhile.

    For a table that has rows: to make the column a generated one would write them all anew. It
    takes about a tenth longer. The function is a temporary one: should the connection break, the
    server drops both.

    Args:
        connection: In autocommit mode.
        table: Nobody else writes to it when this begins and ends.
        value: An ``expression`` of the row ``NEW``.
    """
    body = f"BEGIN NEW._full_text := {value}; RETURN NEW; END"
    create = sql.SQL(
        "CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS {body};"
        " CREATE TRIGGER full_text BEFORE INSERT ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION {function}()"
    )
    named = qualified(table)
    created = create.format(function=_FILL, body=sql.Literal(body), table=named)
    dropped = sql.SQL("DROP FUNCTION {}() CASCADE").format(_FILL)
    locks.retry(
        connection,
        "changing how the full text is made",
        [named],
        lambda: connection.execute(created),
    )
    yield
    locks.retry(connection, "finishing the full text", [named], lambda: connection.execute(dropped))


_Form = Literal["whole", "pieces", "beginning"]


@dataclass(frozen=True)
class Cut:
    """Rows in which a search does not find all: CKAN's trigger refuses them, or takes too long.

    Attributes:
        beginnings: ``_id`` of those of which only the beginning is searchable.
        pieces: Of those whose long words are searchable in pieces only.
    """

    beginnings: Sequence[int] = ()
    pieces: Sequence[int] = ()

    @property
    def ids(self) -> list[int]:
        """All of them."""
        return [*self.beginnings, *self.pieces]


def left_out(connection: psycopg.Connection[TupleRow], table: str) -> list[int]:
    """Return the ``_id`` of each row that the expression has left out; reads the whole table."""
    unfilled = sql.SQL("SELECT _id FROM {} WHERE _full_text IS NULL ORDER BY _id").format(
        qualified(table)
    )
    with ours("looking for long rows"):
        return [row[0] for row in connection.execute(unfilled)]


def fill_long_rows(
    connection: psycopg.Connection[TupleRow],
    table: str,
    columns: Sequence[Column],
    which: FullText,
    ids: Iterable[int],
) -> Cut:
    """Fill ``_full_text`` of the rows that the expression has left out, as CKAN's trigger would.

    Each is given a limited time, and those that the parser is slow at a limited time together:
    beyond it their long words are cut into pieces.

    Args:
        connection: In autocommit mode.
        table: The table, whose ``_full_text`` is a plain column by now.
        columns: As for ``expression``.
        which: As for ``expression``.
        ids: The rows; others among them stay as they are.

    Returns:
        The rows that could not be done as CKAN's trigger would.
    """
    filler = _Filler(connection, table, columns, which)
    ids = list(ids)
    done: dict[_Form, list[int]] = {"whole": [], "beginning": [], "pieces": []}
    for first in range(0, len(ids), _FILLED_AT_ONCE):
        some = ids[first : first + _FILLED_AT_ONCE]
        forms = locks.retry(
            connection, "indexing long rows", [qualified(table)], partial(filler.fill_all, some)
        )
        for row_id, form in zip(some, forms, strict=True):
            done[form].append(row_id)
    return Cut(done["beginning"], done["pieces"])


class _Filler:
    """Fills one row after the other, and knows how long that has taken."""

    def __init__(
        self,
        connection: psycopg.Connection[TupleRow],
        table: str,
        columns: Sequence[Column],
        which: FullText,
    ) -> None:
        self._connection = connection
        self._table = qualified(table)
        chosen = [column for column in columns if is_searched(column, which)]
        self._chosen = [column.name for column in chosen]
        texts = [
            f"t.{_quoted(column.name)}::text"
            for column in chosen
            if lexemes_of(column) is Lexemes.TEXT
        ]
        slow = sql.SQL(slow_texts.condition(texts).replace("%", "%%") if texts else "false")
        whole = sql.SQL("string_agg(value, ' ')")
        pieces = slow_texts.in_pieces(whole)
        beginning = sql.SQL("left({}, {})")
        size = sql.Literal(_SEARCHABLE_CHARACTERS)
        self._whole = self._fill(whole)
        self._whole_if_quick = self._fill(whole, sql.SQL("({}) IS NOT TRUE").format(slow))
        self._beginning = self._fill(beginning.format(whole, size))
        self._pieces = self._fill(pieces)
        self._beginning_in_pieces = self._fill(slow_texts.in_pieces(beginning.format(whole, size)))
        self._left_s = ALL_ROWS_S

    def fill_all(self, ids: Sequence[int]) -> list[_Form]:
        """Fill rows, in a transaction, and return how much of each."""
        return [self._fill_one(row_id) for row_id in ids]

    def _fill_one(self, row_id: int) -> _Form:
        began = time.monotonic()
        whole = self._whole if self._left_s > 0 else self._whole_if_quick
        try:
            if self._try(whole, row_id) or not self._is_unfilled(row_id):
                return "whole"
            is_slow = True
        except _TOO_SLOW:
            is_slow = True
        except psycopg.errors.ProgramLimitExceeded:
            is_slow = False
        finally:
            self._left_s -= time.monotonic() - began
        try:
            self._try(self._pieces if is_slow else self._beginning, row_id)
        except (*_TOO_SLOW, psycopg.errors.ProgramLimitExceeded):
            self._connection.execute(self._beginning_in_pieces, self._values(row_id))
            return "beginning"
        return "pieces" if is_slow else "beginning"

    def _try(self, statement: sql.Composed, row_id: int) -> int:
        """Return how many rows were filled within the time for one."""
        with self._connection.transaction():
            self._connection.execute(
                "SELECT set_config('statement_timeout', %s, true)", (str(ROW_MS),)
            )
            filled = self._connection.execute(statement, self._values(row_id)).rowcount
            # Not to the end of the transaction that this is a part of.
            self._connection.execute("SELECT set_config('statement_timeout', '0', true)")
            return filled

    def _is_unfilled(self, row_id: int) -> bool:
        unfilled = sql.SQL("SELECT FROM {} WHERE _id = %s AND _full_text IS NULL").format(
            self._table
        )
        return self._connection.execute(unfilled, (row_id,)).rowcount > 0

    def _values(self, row_id: int) -> Mapping[str, object]:
        return {"chosen": self._chosen, "id": row_id}

    def _fill(self, text: sql.Composable, only: sql.Composable | None = None) -> sql.Composed:
        """Return the statement that does for one row what CKAN's trigger does."""
        statement = sql.SQL(
            "UPDATE {table} AS t SET _full_text = (SELECT to_tsvector({text})"
            " FROM json_each_text(row_to_json(t.*)) WHERE key = ANY (%(chosen)s))"
            " WHERE _id = %(id)s AND _full_text IS NULL AND {only}"
        )
        return statement.format(table=self._table, text=text, only=only or sql.SQL("true"))


def _quoted(name: str) -> str:
    return sql.Identifier(name).as_string(None)


def _literal(text: str) -> str:
    return sql.Literal(text).as_string(None)


@dataclass(frozen=True)
class _Value:
    """A value of a row: how it is written in SQL, and how its words are found."""

    sql: str
    lexemes: Lexemes


def lexemes_of(column: Column) -> Lexemes:
    """Return how the words of a column's values are found."""
    return type_named(column.type).lexemes


def is_searched(column: Column, which: FullText) -> bool:
    """Tell whether a column's words go into ``_full_text``."""
    return which == "all" or column.type == TEXT


def _parsed(
    regconfig: str,
    values: Sequence[_Value],
    time_zone: str,
    skipped: Collection[_Value] = (),
) -> str:
    """Return ``to_tsvector`` over the columns' values in JSON form, as the trigger joins them.

    Args:
        regconfig: The text search configuration.
        values: Of the row.
        time_zone: As for ``expression``.
        skipped: Those of which only the place is parsed: whether there is white space at the
            begin and end of a text makes it another one, ".." for one.
    """
    texts = []
    for skips, group in groupby(values, key=lambda value: value in skipped):
        if skips:
            filled = " OR ".join(f"{value.sql} IS NOT NULL" for value in group)
            texts.append(f"CASE WHEN {filled} THEN ' ' ELSE '' END")
        else:
            found = (_json_text(value, _literal(time_zone)) for value in group)
            texts += [f"coalesce({text} || ' ', '')" for text in found]
    return f"to_tsvector({regconfig}, left({_joined(texts)}, -1))"


def _joined(values: Sequence[str]) -> str:
    """Join SQL texts pairwise: Postgres limits how deep ``a || b || c ...`` may nest."""
    if len(values) == 1:
        return values[0]
    half = len(values) // 2
    return f"({_joined(values[:half])} || {_joined(values[half:])})"


def _known_vector(values: Sequence[_Value], zone: str) -> str:
    """Return the tsvector of values whose lexemes are known without a parser."""
    numbers = [f"{value.sql}::text" for value in values if value.lexemes is Lexemes.NUMBER]
    times = [
        f"coalesce({_MOMENTS[value.lexemes](value.sql, zone)}, '')"
        for value in values
        if value.lexemes in _MOMENTS
    ]
    vectors = []
    if numbers:
        vectors.append(f"array_to_tsvector(array_remove(ARRAY[{', '.join(numbers)}], NULL))")
    if times:
        vectors.append(f"{_joined(times)}::tsvector")
    return " || ".join(vectors) or "''::tsvector"


def _date_parts(column: str, year_digits: str) -> list[str]:
    return [
        f"lpad(date_part('{part}', {column})::int::text, {digits}, '0')"
        for part, digits in (("year", year_digits), ("month", "2"), ("day", "2"))
    ]


def _date_lexemes(column: str, year_digits: str = "4") -> str:
    year, month, day = _date_parts(column, year_digits)
    return f"{year} || ':1 -' || {month} || ':2 -' || {day} || ':3 '"


def _time_lexemes(column: str) -> str:
    return f"replace({column}::text, ':', ':4 ') || ':4 '"


def _timestamp_lexemes(column: str, year_digits: str = "4") -> str:
    # The parser reads 2015-08-18T06:34:36 as 2015, -08, -18, T06, 34 and 36.
    return f"{_date_lexemes(column, year_digits)} || 't' || {_time_lexemes(f'{column}::time')}"


def _iso_date(column: str, year_digits: str = "4") -> str:
    return " || '-' || ".join(_date_parts(column, year_digits))


def _year_digits(local: str) -> str:
    # A zone can put the last hours of 9999 into the year 10000.
    return f"CASE WHEN {local} < '10000-01-01'::timestamp THEN 4 ELSE 5 END"


def _offset(column: str, zone: str) -> tuple[str, str]:
    """Return the sign, and the size as HH:MM:SS, of a zone's offset at a timestamptz."""
    local, utc = f"timezone({zone}, {column})", f"timezone('UTC', {column})"
    sign = f"CASE WHEN {local} < {utc} THEN '-' ELSE '+' END"
    return sign, f"greatest({local} - {utc}, {utc} - {local})::time::text"


def _timestamptz_lexemes(column: str, zone: str) -> str:
    sign, size = _offset(column, zone)
    local = f"timezone({zone}, {column})"
    seconds = f"CASE WHEN substr({size}, 7) = '00' THEN '' ELSE substr({size}, 7) || ':5 ' END"
    return (
        f"{_timestamp_lexemes(local, _year_digits(local))} || {sign}"
        f" || substr({size}, 1, 2) || ':5 ' || substr({size}, 4, 2) || ':5 ' || {seconds}"
    )


_MOMENTS: dict[Lexemes, Callable[[str, str], str]] = {
    Lexemes.DATE: lambda column, zone: _date_lexemes(column),
    Lexemes.TIME: lambda column, zone: _time_lexemes(column),
    Lexemes.TIMESTAMP: lambda column, zone: _timestamp_lexemes(column),
    Lexemes.TIMESTAMPTZ: _timestamptz_lexemes,
}
# What is known without the server's parser.
KNOWN = (Lexemes.NUMBER, *_MOMENTS)


def _json_text(value: _Value, zone: str) -> str:
    """Return the text that ``row_to_json`` makes of a value."""
    column = value.sql
    if value.lexemes is Lexemes.DATE:
        return _iso_date(column)
    if value.lexemes is Lexemes.TIMESTAMP:
        return f"{_iso_date(column)} || 'T' || {column}::time::text"
    if value.lexemes is Lexemes.TIMESTAMPTZ:
        sign, size = _offset(column, zone)
        local = f"timezone({zone}, {column})"
        seconds = f"CASE WHEN substr({size}, 7) = '00' THEN '' ELSE substr({size}, 6) END"
        return (
            f"{_iso_date(local, _year_digits(local))} || 'T' || {local}::time::text"
            f" || {sign} || substr({size}, 1, 5) || {seconds}"
        )
    return f"{column}::text"
