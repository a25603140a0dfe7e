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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Literal

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.choices import FullText
from loader.copy import locks, slow_texts, statements
from loader.copy.database import ours
from loader.copy.relation import qualified
from loader.types.column import Column
from loader.types.registry import TEXT, Lexemes, type_named

# A tsvector holds 1 MiB, and hyphenated words or URLs quadruple their text. Rows with more text
# than this get NULL from the expression and are done one by one afterwards, as the trigger would;
# so do those whose text the parser is slow at.
MAX_TEXT_BYTES = 256 << 10
_FILLING = sql.Identifier("pg_temp", "aircan_full_text")
_SEARCHABLE_CHARACTERS = 100_000  # of a row that even the trigger would refuse
# The time for a row is up; or the parser's stack is full, after thousands of "@" without a space.
_TOO_SLOW = (psycopg.errors.QueryCanceled, psycopg.errors.StatementTooComplex)
# The time for one of these rows, including the wait for a lock: 1 MB of prose takes the parser
# 0.3 s. And for all of them together, after which rows with a slow text are not tried any more.
ROW_MS = 20_000
ALL_ROWS_S = 60.0
_FILLED_AT_ONCE = 100  # in a transaction: a file of aligned sequences has such a text in each row


# NULL leaves the row to be done afterwards.
_WITHOUT_KNOWN = sql.SQL("CASE WHEN {bytes} > {most} OR {is_slow} THEN NULL ELSE {parsed} END")
# "<" may open a tag that swallows the numbers between two texts: then all is parsed, in order.
_BESIDE_KNOWN = sql.SQL(
    "CASE WHEN {bytes} > {most} OR {is_slow} THEN NULL"
    " WHEN greatest({tags}) > 0 THEN {parsed} ELSE {known} || {rest_parsed} END"
)


def expression(  # noqa: PLR0913, PLR0917  (all that the text depends on)
    columns: Sequence[Column],
    which: FullText,
    config: str,
    time_zone: str,
    literals: bool,
    row: str | None = None,
) -> sql.Composed:
    """Return the SQL expression.

    Args:
        columns: In the table's order, with types that loads store.
        which: ``all`` columns, or only those of type ``text``.
        config: The text search configuration, as ``regconfig`` prints it.
        time_zone: The session's TimeZone, in which CKAN's trigger writes a timestamptz.
        literals: Whether the configuration leaves numbers as they are (``leaves_numbers``).
        row: What SQL calls the row: ``new`` in a trigger. None if only one can be meant.
    """
    values = [
        _Value(
            sql.Identifier(row, column.name) if row else sql.Identifier(column.name),
            lexemes_of(column),
            is_known=literals and lexemes_of(column) in KNOWN,
        )
        for column in columns
        if is_searched(column, which)
    ]
    zone = sql.Literal(time_zone)
    regconfig = sql.SQL("{}::regconfig").format(sql.Literal(config))
    known_values = [value for value in values if value.is_known]
    known = _known_vector(known_values, zone)
    if len(known_values) == len(values):
        return known
    rest_parsed = _parsed(regconfig, values, zone, skip_known=True)
    texts = [value.as_text for value in values if value.lexemes is Lexemes.TEXT]
    if not texts:
        return sql.SQL("{} || {}").format(known, rest_parsed)
    branches = _BESIDE_KNOWN if known_values else _WITHOUT_KNOWN
    return branches.format(
        bytes=slow_texts.added(
            [sql.SQL("coalesce(octet_length({}), 0)").format(text) for text in texts]
        ),
        most=sql.Literal(MAX_TEXT_BYTES),
        is_slow=slow_texts.condition(texts),
        tags=sql.SQL(", ").join(sql.SQL("strpos({}, '<')").format(text) for text in texts),
        parsed=_parsed(regconfig, values, zone),
        known=known,
        rest_parsed=rest_parsed,
    )


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
    parameters = {"probe": probe, "literal": literal, "config": config}
    with ours("probing the text search configuration"):
        row = connection.execute(statements.read("fulltext.leaves_numbers"), parameters).fetchone()
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
def filling(
    connection: psycopg.Connection[TupleRow], table: str, value: sql.Composed
) -> Iterator[None]:
    """Have a trigger fill ``_full_text`` of the rows that come meanwhile.

    For a table that has rows: to make the column a generated one would write them all anew. It
    takes about a tenth longer. The function is a temporary one: should the connection break, the
    server drops both.

    Args:
        connection: In autocommit mode.
        table: Nobody else writes to it when this begins and ends.
        value: An ``expression`` of the row ``new``.
    """
    body = (
        sql.SQL("BEGIN new._full_text := {}; RETURN new; END").format(value).as_string(connection)
    )
    create = sql.SQL(
        "CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS {body};"
        " CREATE TRIGGER full_text BEFORE INSERT ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION {function}()"
    )
    named = qualified(table)
    created = create.format(function=_FILLING, body=sql.Literal(body), table=named)
    dropped = sql.SQL("DROP FUNCTION {}() CASCADE").format(_FILLING)
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
        batch = ids[first : first + _FILLED_AT_ONCE]
        forms = locks.retry(
            connection, "indexing long rows", [qualified(table)], partial(filler.fill_all, batch)
        )
        for row_id, form in zip(batch, forms, strict=True):
            done[form].append(row_id)
    return Cut(done["beginning"], done["pieces"])


_ALL = sql.SQL("true")
# The placeholders are those of the server: the columns that are searched, and the row's _id.
_FILL_ROW = sql.SQL("""
    UPDATE {table} AS t SET _full_text = (
        SELECT to_tsvector({words}) FROM json_each_text(row_to_json(t.*)) WHERE key = ANY ($1)
    )
    WHERE _id = $2 AND _full_text IS NULL AND {only}
""")


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
        # Its statements have names of columns in them, so "%" must be no placeholder.
        self._cursor = psycopg.RawCursor(connection)
        self._table = qualified(table)
        chosen = [column for column in columns if is_searched(column, which)]
        self._chosen = [column.name for column in chosen]
        texts = [
            _Value(sql.Identifier("t", column.name), Lexemes.TEXT).as_text
            for column in chosen
            if lexemes_of(column) is Lexemes.TEXT
        ]
        is_slow = slow_texts.condition(texts) if texts else sql.SQL("false")
        size = sql.Literal(_SEARCHABLE_CHARACTERS)
        whole = sql.SQL("string_agg(value, ' ')")
        beginning = sql.SQL("left({}, {})").format(whole, size)
        self._whole = self._fill(whole)
        self._whole_if_quick = self._fill(whole, sql.SQL("({}) IS NOT TRUE").format(is_slow))
        self._beginning = self._fill(beginning)
        self._pieces = self._fill(slow_texts.in_pieces(whole))
        self._beginning_in_pieces = self._fill(slow_texts.in_pieces(beginning))
        self._left_s = ALL_ROWS_S

    def fill_all(self, ids: Sequence[int]) -> list[_Form]:
        """Fill rows, in a transaction, and return how much of each."""
        return [self._fill_row(row_id) for row_id in ids]

    def _fill_row(self, row_id: int) -> _Form:
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
            self._cursor.execute(self._beginning_in_pieces, (self._chosen, row_id))
            return "beginning"
        return "pieces" if is_slow else "beginning"

    def _try(self, statement: sql.Composed, row_id: int) -> int:
        """Return how many rows were filled within the time for one."""
        with self._connection.transaction():
            self._connection.execute(
                "SELECT set_config('statement_timeout', %s, true)", (str(ROW_MS),)
            )
            filled = self._cursor.execute(statement, (self._chosen, row_id)).rowcount
            # Not to the end of the transaction that this is a part of.
            self._connection.execute("SELECT set_config('statement_timeout', '0', true)")
            return filled

    def _is_unfilled(self, row_id: int) -> bool:
        unfilled = sql.SQL("SELECT FROM {} WHERE _id = %s AND _full_text IS NULL").format(
            self._table
        )
        return self._connection.execute(unfilled, (row_id,)).rowcount > 0

    def _fill(self, words: sql.Composable, only: sql.Composable = _ALL) -> sql.Composed:
        """Return the statement that does for one row what CKAN's trigger does."""
        return _FILL_ROW.format(table=self._table, words=words, only=only)


@dataclass(frozen=True)
class _Value:
    """A value of a row.

    Attributes:
        cell: How it is named in SQL.
        lexemes: How its words are found.
        is_known: Whether they are found without the server's parser.
    """

    cell: sql.Identifier
    lexemes: Lexemes
    is_known: bool = False

    @property
    def as_text(self) -> sql.Composed:
        """The SQL of what Postgres prints of it."""
        return sql.SQL("{}::text").format(self.cell)


def lexemes_of(column: Column) -> Lexemes:
    """Return how the words of a column's values are found."""
    return type_named(column.type).lexemes


def is_searched(column: Column, which: FullText) -> bool:
    """Tell whether a column's words go into ``_full_text``."""
    return which == "all" or column.type == TEXT


def _parsed(
    regconfig: sql.Composed,
    values: Sequence[_Value],
    zone: sql.Literal,
    *,
    skip_known: bool = False,
) -> sql.Composed:
    """Return ``to_tsvector`` over the columns' values in JSON form, as the trigger joins them.

    Args:
        regconfig: The text search configuration.
        values: Of the row.
        zone: As ``expression`` has it.
        skip_known: Whether a space stands for values whose words are known. Without it a text
            beside them could have other words: some, such as "..", depend on white space around.
    """
    texts: list[sql.Composable] = []
    for is_skipped, group in groupby(values, key=lambda value: skip_known and value.is_known):
        if is_skipped:
            filled = [sql.SQL("{} IS NOT NULL").format(value.cell) for value in group]
            space = sql.SQL("CASE WHEN {} THEN ' ' ELSE '' END")
            texts.append(space.format(sql.SQL(" OR ").join(filled)))
        else:
            text = sql.SQL("coalesce({} || ' ', '')")
            texts += [text.format(_json_text(value, zone)) for value in group]
    return sql.SQL("to_tsvector({}, left({}, -1))").format(regconfig, _joined(texts))


def _joined(values: Sequence[sql.Composable]) -> sql.Composable:
    """Join SQL texts pairwise: Postgres limits how deep ``a || b || c ...`` may nest."""
    if len(values) == 1:
        return values[0]
    half = len(values) // 2
    return sql.SQL("({} || {})").format(_joined(values[:half]), _joined(values[half:]))


def _known_vector(values: Sequence[_Value], zone: sql.Literal) -> sql.Composed:
    """Return the tsvector of values whose lexemes are known without a parser."""
    numbers = [value.as_text for value in values if value.lexemes is Lexemes.NUMBER]
    times = [
        sql.SQL("coalesce({}, '')").format(_MOMENTS[value.lexemes](value.cell, zone))
        for value in values
        if value.lexemes in _MOMENTS
    ]
    vectors: list[sql.Composable] = []
    if numbers:
        listed = sql.SQL(", ").join(numbers)
        vectors.append(sql.SQL("array_to_tsvector(array_remove(ARRAY[{}], NULL))").format(listed))
    if times:
        vectors.append(sql.SQL("{}::tsvector").format(_joined(times)))
    return sql.SQL(" || ").join(vectors or [sql.SQL("''::tsvector")])


# The parts of a date as the parser reads them: 2015-08-18 as 2015, -08 and -18.
_DATE_LEXEMES = sql.SQL(
    "lpad(date_part('year', {date})::int::text, {year_digits}, '0') || ':1 -'"
    " || lpad(date_part('month', {date})::int::text, 2, '0') || ':2 -'"
    " || lpad(date_part('day', {date})::int::text, 2, '0') || ':3 '"
)
_ISO_DATE = sql.SQL(
    "lpad(date_part('year', {date})::int::text, {year_digits}, '0')"
    " || '-' || lpad(date_part('month', {date})::int::text, 2, '0')"
    " || '-' || lpad(date_part('day', {date})::int::text, 2, '0')"
)
_TIME_LEXEMES = sql.SQL("replace({time}::text, ':', ':4 ') || ':4 '")
# The parser reads 2015-08-18T06:34:36 as 2015, -08, -18, T06, 34 and 36.
_TIMESTAMP_LEXEMES = sql.SQL("{date} || 't' || {time}")
_YEAR_DIGITS = sql.Literal(4)
# A zone can put the last hours of 9999 into the year 10000.
_YEAR_DIGITS_IN_ZONE = sql.SQL("CASE WHEN {local} < '10000-01-01'::timestamp THEN 4 ELSE 5 END")
# The sign, and the size as HH:MM:SS, of a zone's offset at a timestamptz.
_OFFSET_SIGN = sql.SQL("CASE WHEN {local} < {utc} THEN '-' ELSE '+' END")
_OFFSET_SIZE = sql.SQL("greatest({local} - {utc}, {utc} - {local})::time::text")
# Few offsets have seconds: those from before there was a standard time.
_OFFSET_LEXEMES = sql.SQL(
    "{sign} || substr({size}, 1, 2) || ':5 ' || substr({size}, 4, 2) || ':5 '"
    " || CASE WHEN substr({size}, 7) = '00' THEN '' ELSE substr({size}, 7) || ':5 ' END"
)
_ISO_OFFSET = sql.SQL(
    "{sign} || substr({size}, 1, 5)"
    " || CASE WHEN substr({size}, 7) = '00' THEN '' ELSE substr({size}, 6) END"
)


def _timestamp_lexemes(
    cell: sql.Composable, year_digits: sql.Composable = _YEAR_DIGITS
) -> sql.Composed:
    return _TIMESTAMP_LEXEMES.format(
        date=_DATE_LEXEMES.format(date=cell, year_digits=year_digits),
        time=_TIME_LEXEMES.format(time=sql.SQL("{}::time").format(cell)),
    )


@dataclass(frozen=True)
class _InZone:
    """A timestamptz as it is written in a time zone."""

    local: sql.Composed
    year_digits: sql.Composed
    sign: sql.Composed
    size: sql.Composed

    @classmethod
    def of(cls, cell: sql.Composable, zone: sql.Literal) -> _InZone:
        local = sql.SQL("timezone({}, {})").format(zone, cell)
        utc = sql.SQL("timezone('UTC', {})").format(cell)
        return cls(
            local,
            _YEAR_DIGITS_IN_ZONE.format(local=local),
            _OFFSET_SIGN.format(local=local, utc=utc),
            _OFFSET_SIZE.format(local=local, utc=utc),
        )


def _timestamptz_lexemes(cell: sql.Composable, zone: sql.Literal) -> sql.Composed:
    moment = _InZone.of(cell, zone)
    return sql.SQL("{} || {}").format(
        _timestamp_lexemes(moment.local, moment.year_digits),
        _OFFSET_LEXEMES.format(sign=moment.sign, size=moment.size),
    )


_MOMENTS: dict[Lexemes, Callable[[sql.Composable, sql.Literal], sql.Composed]] = {
    Lexemes.DATE: lambda cell, _: _DATE_LEXEMES.format(date=cell, year_digits=_YEAR_DIGITS),
    Lexemes.TIME: lambda cell, _: _TIME_LEXEMES.format(time=cell),
    Lexemes.TIMESTAMP: lambda cell, _: _timestamp_lexemes(cell),
    Lexemes.TIMESTAMPTZ: _timestamptz_lexemes,
}
# What is known without the server's parser.
KNOWN = (Lexemes.NUMBER, *_MOMENTS)


def _json_text(value: _Value, zone: sql.Literal) -> sql.Composed:
    """Return the text that ``row_to_json`` makes of a value."""
    if value.lexemes is Lexemes.DATE:
        return _ISO_DATE.format(date=value.cell, year_digits=_YEAR_DIGITS)
    if value.lexemes is Lexemes.TIMESTAMP:
        return sql.SQL("{} || 'T' || {}::time::text").format(
            _ISO_DATE.format(date=value.cell, year_digits=_YEAR_DIGITS), value.cell
        )
    if value.lexemes is Lexemes.TIMESTAMPTZ:
        moment = _InZone.of(value.cell, zone)
        return sql.SQL("{} || 'T' || {}::time::text || {}").format(
            _ISO_DATE.format(date=moment.local, year_digits=moment.year_digits),
            moment.local,
            _ISO_OFFSET.format(sign=moment.sign, size=moment.size),
        )
    return value.as_text
