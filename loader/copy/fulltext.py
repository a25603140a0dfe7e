"""A table's columns -> the expression that fills ``_full_text`` while COPY runs.

CKAN's trigger turns every row into JSON and all its values into one text, which the text search
parser reads. Here numbers, dates and times skip the parser: their lexemes are known from their
digits. Numbers become an array (4 us for 14 of them, as a tsvector literal 8), dates
and times a literal whose positions let a date be searched as a phrase; only text goes through
``to_tsvector``. The lexemes are the trigger's, row by row; numbers have no position.

Everything in the expression must be IMMUTABLE, since it is declared
``GENERATED ALWAYS AS (...) STORED``: that is why dates are put together from ``date_part``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.copy import locks
from loader.copy.database import ours
from loader.copy.relation import qualified
from loader.options import FullText

# A tsvector holds 1 MiB, and hyphenated words or URLs quadruple their text. Rows with more text
# than this get NULL from the expression and are done one by one afterwards, as the trigger would.
MAX_TEXT_BYTES = 256 << 10
_UNBOUNDED = ("text", "json")  # types whose values can be long, and can hold "<"
_FILL = sql.Identifier("pg_temp", "aircan_full_text")
_SEARCHABLE_CHARACTERS = 100_000  # of a row that even the trigger would refuse


def expression(  # noqa: PLR0913, PLR0917  (all that the text depends on)
    columns: Sequence[tuple[str, str]],
    which: FullText,
    config: str,
    time_zone: str,
    literals: bool,
    row: str = "",
) -> str:
    """Return the SQL expression.

    Args:
        columns: Name and Postgres type of each column, in the table's order.
        which: ``all`` columns, or only those of type ``text``.
        config: The text search configuration, as ``regconfig`` prints it.
        time_zone: The session's TimeZone, in which CKAN's trigger writes a timestamptz.
        literals: Whether the configuration leaves numbers as they are (``keeps_numbers``).
        row: What stands before each column's name: ``NEW.`` in a trigger.
    """
    chosen = [
        (row + _quoted(name), kind) for name, kind in columns if which == "all" or kind == "text"
    ]
    parsed = [(n, kind) for n, kind in chosen if not literals or kind not in _KNOWN]
    skipped = {name for name, kind in chosen if (name, kind) not in parsed}
    zone, regconfig = _literal(time_zone), f"{_literal(config)}::regconfig"
    known = [(name, kind) for name, kind in chosen if name in skipped]
    known_vector = _known_vector(known, zone)
    if not parsed:
        return known_vector
    texts = [f"{column}::text" for column, kind in parsed if kind in _UNBOUNDED]
    fast = _parsed(regconfig, chosen, time_zone, skipped)
    if not texts:
        return f"{known_vector} || {fast}"
    lengths = _added([f"coalesce(octet_length({text}), 0)" for text in texts])
    branches = f"CASE WHEN {lengths} > {MAX_TEXT_BYTES} THEN NULL"
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


def keeps_numbers(connection: psycopg.Connection[TupleRow], config: str) -> bool:
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
    locks.patiently(
        connection, "changing the way to full text", [named], lambda: connection.execute(created)
    )
    yield
    locks.patiently(
        connection, "finishing the full text", [named], lambda: connection.execute(dropped)
    )


def fill_long_rows(
    connection: psycopg.Connection[TupleRow],
    table: str,
    columns: Sequence[tuple[str, str]],
    which: FullText,
    ids: Sequence[int],
) -> list[int]:
    """Fill ``_full_text`` of rows whose text was too long for the expression.

    Args:
        connection: In autocommit mode.
        table: The table, whose ``_full_text`` is a plain column by now.
        columns: As for ``expression``.
        which: As for ``expression``.
        ids: The rows.

    Returns:
        The ids of which only the beginning is searchable: CKAN's trigger would refuse them.
    """
    chosen = [name for name, kind in columns if which == "all" or kind == "text"]
    whole = sql.SQL("string_agg(value, ' ')")
    beginning = sql.SQL("left({}, {})").format(whole, _SEARCHABLE_CHARACTERS)

    def fill_whole(row_id: int) -> bool:
        try:
            with connection.transaction():
                connection.execute(_fill(table, whole), (chosen, row_id))
        except psycopg.errors.ProgramLimitExceeded:
            connection.execute(_fill(table, beginning), (chosen, row_id))
            return False
        return True

    return [
        row_id
        for row_id in ids
        if not locks.patiently(
            connection, "indexing a long row", [qualified(table)], partial(fill_whole, row_id)
        )
    ]


def _fill(table: str, text: sql.Composable) -> sql.Composed:
    """Return the statement that does for one row what CKAN's trigger does."""
    return sql.SQL(
        "UPDATE {table} AS t SET _full_text = (SELECT to_tsvector({text})"
        " FROM json_each_text(row_to_json(t.*)) WHERE key = ANY (%s))"
        " WHERE _id = %s AND _full_text IS NULL"
    ).format(table=qualified(table), text=text)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _parsed(
    regconfig: str,
    columns: Sequence[tuple[str, str]],
    time_zone: str,
    skipped: Collection[str] = (),
) -> str:
    """Return ``to_tsvector`` over the columns' values in JSON form, as the trigger joins them.

    Args:
        regconfig: The text search configuration.
        columns: As they are written in SQL, and their types.
        time_zone: As for ``expression``.
        skipped: Columns of which only the place is parsed: whether there is white space at the
            begin and end of a text makes it another one, ".." for one.
    """
    values = []
    for skips, group in groupby(columns, key=lambda column: column[0] in skipped):
        if skips:
            filled = " OR ".join(f"{column} IS NOT NULL" for column, _ in group)
            values.append(f"CASE WHEN {filled} THEN ' ' ELSE '' END")
        else:
            texts = (_json_text(column, kind, _literal(time_zone)) for column, kind in group)
            values += [f"coalesce({text} || ' ', '')" for text in texts]
    return f"to_tsvector({regconfig}, left({_joined(values)}, -1))"


def _added(values: Sequence[str]) -> str:
    if len(values) == 1:
        return values[0]
    half = len(values) // 2
    return f"({_added(values[:half])} + {_added(values[half:])})"


def _joined(values: Sequence[str]) -> str:
    """Join SQL texts pairwise: Postgres limits how deep ``a || b || c ...`` may nest."""
    if len(values) == 1:
        return values[0]
    half = len(values) // 2
    return f"({_joined(values[:half])} || {_joined(values[half:])})"


def _known_vector(columns: Sequence[tuple[str, str]], zone: str) -> str:
    """Return the tsvector of columns whose lexemes are known without a parser."""
    numbers = [f"{column}::text" for column, kind in columns if kind in _NUMBERS]
    times = [
        f"coalesce({_LEXEMES[kind](column, zone)}, '')"
        for column, kind in columns
        if kind in _LEXEMES
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


_NUMBERS = ("bigint", "numeric")
_LEXEMES: dict[str, Callable[[str, str], str]] = {
    "date": lambda column, zone: _date_lexemes(column),
    "time": lambda column, zone: _time_lexemes(column),
    "timestamp": lambda column, zone: _timestamp_lexemes(column),
    "timestamptz": _timestamptz_lexemes,
}
_KNOWN = (*_NUMBERS, *_LEXEMES)


def _json_text(column: str, kind: str, zone: str) -> str:
    """Return the text that ``row_to_json`` makes of a value."""
    if kind == "date":
        return _iso_date(column)
    if kind == "timestamp":
        return f"{_iso_date(column)} || 'T' || {column}::time::text"
    if kind == "timestamptz":
        sign, size = _offset(column, zone)
        local = f"timezone({zone}, {column})"
        seconds = f"CASE WHEN substr({size}, 7) = '00' THEN '' ELSE substr({size}, 6) END"
        return (
            f"{_iso_date(local, _year_digits(local))} || 'T' || {local}::time::text"
            f" || {sign} || substr({size}, 1, 5) || {seconds}"
        )
    return f"{column}::text"
