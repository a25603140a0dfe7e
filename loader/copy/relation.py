"""Resource id and columns -> the shadow table, and all names and DDL around it.

The shadow carries its final types from the start: COPY goes straight into the shape that CKAN's
DataStore has. Its name starts with an underscore, which hides it from CKAN, and holds a hash of
the resource id, which is also the key of the resource's advisory lock: whoever holds the lock
knows that every other shadow of that resource is an orphan.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import time
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql
from psycopg.rows import TupleRow
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.schema import CreateTable

from loader.copy import locks
from loader.copy.database import DDL_DIALECT, ours
from loader.errors import LoadInProgress, PermissionDenied, TableBusy, UsageError
from loader.types.column import Column
from loader.types.registry import type_named

_log = logging.getLogger(__name__)

_PREFIX = "_aircan_"
MARK = "of a table that AirCan has loaded"
_FOR = f"{MARK} for "
_MAX_RESOURCE_ID_BYTES = 63 - len("__id_seq")
# The server takes a moment to notice that the last load has closed its connection.
_LOCK_PATIENCE_S = 1.0
_LOCK_PAUSE_S = 0.05
_INDEX_METHODS = {"gin": sql.SQL("gin"), "gist": sql.SQL("gist")}
SCHEMA = "public"  # CKAN's DataStore knows no other
# Storage parameters of the shadow and of its TOAST table.
_AUTOVACUUM = (sql.SQL("autovacuum_enabled"), sql.SQL("toast.autovacuum_enabled"))
_DROPPING = "dropping the shadow table"


class _Stored(sa.types.UserDefinedType[Any]):
    """A type that a load stores values as: Postgres knows it by the name in its row."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = type_named(name).name  # SQLAlchemy copies types by their attributes

    def get_col_spec(self, **_: object) -> str:
        """Return what ``CREATE TABLE`` says."""
        return self.name


@dataclass(frozen=True)
class Names:
    """The names of a resource's relations; ``live`` is the resource id."""

    live: str
    shadow: str

    @property
    def full_text_index(self) -> str:
        """CKAN's name: with another one, saving the Data Dictionary rebuilds the index."""
        expression = f'{self.live}"_full_text"'
        return hashlib.sha1(expression.encode(), usedforsecurity=False).hexdigest()

    @property
    def shadow_full_text_index(self) -> str:
        """What it is called until the swap gives it CKAN's name."""
        return f"{self.shadow}_fts"


def name(resource_id: str) -> Names:
    """Return the names for one load.

    Raises:
        UsageError: The id is empty, too long, or would be hidden from CKAN.
    """
    # Control characters, among others, and what no encoding has.
    unseen = any(unicodedata.category(letter).startswith("C") for letter in resource_id)
    odd = resource_id.startswith("_") or '"' in resource_id or unseen
    if not resource_id or odd or len(resource_id.encode()) > _MAX_RESOURCE_ID_BYTES:
        raise UsageError(
            f"{resource_id!r} cannot name a DataStore table",
            hint=f"at most {_MAX_RESOURCE_ID_BYTES} bytes, no double quote, no leading underscore,"
            " nothing that cannot be seen",
        )
    return Names(resource_id, f"{_PREFIX}{_hash(resource_id)}_{secrets.token_hex(4)}")


def has_rows(connection: psycopg.Connection[TupleRow], table: str) -> bool:
    """Tell whether a table has a row; there may be no such table any more."""
    if oid(connection, table) is None:
        return False
    query = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(qualified(table))
    row = connection.execute(query).fetchone()
    return bool(row and row[0])


def oid(connection: psycopg.Connection[TupleRow], name: str, schema: str = SCHEMA) -> int | None:
    """Return what tells a relation from the next of its name; None if there is none."""
    row = connection.execute(
        "SELECT to_regclass(%s)::oid", (sql.Identifier(schema, name).as_string(None),)
    ).fetchone()
    return row[0] if row else None


def qualified(relation: str) -> sql.Identifier:
    """Return a relation's name with its schema, quoted."""
    return sql.Identifier(SCHEMA, relation)


def lock(connection: psycopg.Connection[TupleRow], names: Names) -> None:
    """Take the resource's lock, held until the connection closes.

    Raises:
        LoadInProgress: Another load of this resource is running.
    """
    give_up_at = time.monotonic() + _LOCK_PATIENCE_S
    while not _try_lock(connection, names):
        if time.monotonic() > give_up_at:
            raise LoadInProgress(
                f"another load of {names.live} is running in this database",
                hint="wait until it has ended, then load again",
            )
        time.sleep(_LOCK_PAUSE_S)


def _try_lock(connection: psycopg.Connection[TupleRow], names: Names) -> bool:
    with ours("locking the resource"):
        row = connection.execute(
            "SELECT pg_try_advisory_lock(%s)", (_lock_key(_hash(names.live)),)
        ).fetchone()
    return bool(row and row[0])


def lock_for_now(connection: psycopg.Connection[TupleRow], resource_id: str) -> bool:
    """Take a resource's lock until the transaction's end; return whether nobody is loading it."""
    with ours("looking for running loads"):
        row = connection.execute(
            "SELECT pg_try_advisory_xact_lock(%s)", (_lock_key(_hash(resource_id)),)
        ).fetchone()
    return bool(row and row[0])


# Asked for first: without them Postgres does not tell of what is in the schema.
_LACKING_IN_SCHEMA = """
    SELECT 'permission denied for schema public: ' || quote_ident(current_user) || ' lacks '
        || string_agg(privilege, ' and ')
    FROM unnest(ARRAY['USAGE', 'CREATE']) AS privilege
    WHERE NOT has_schema_privilege('public', privilege) HAVING count(*) > 0
"""
_LACKING = """
    SELECT 'the table ' || %(name)s::text || ' belongs to ' || relowner::regrole
        || ', and ' || quote_ident(current_user) || ' is no member of it'
    FROM pg_class WHERE oid = to_regclass(%(live)s) AND NOT pg_has_role(relowner, 'USAGE')
    UNION ALL
    SELECT quote_ident(current_user) || ' lacks ' || string_agg(privilege, ' and ')
        || ' on the table _table_stats'
    FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
    WHERE pg_class.oid = to_regclass('public._table_stats')
        AND NOT has_table_privilege(pg_class.oid, privilege) HAVING count(*) > 0
    UNION ALL
    SELECT quote_ident(current_user) || ' lacks EXECUTE on the function populate_full_text_trigger'
    FROM pg_proc WHERE oid = to_regprocedure('public.populate_full_text_trigger()')
        AND NOT has_function_privilege(oid, 'EXECUTE')
"""


def check_rights(connection: psycopg.Connection[TupleRow], names: Names) -> None:
    """See whether the role may do what a load does.

    Args:
        connection: In autocommit mode.
        names: Of the table, which need not be there.

    Raises:
        PermissionDenied: Says which rights are missing.
    """
    with ours("looking at the role's rights"):
        rows = connection.execute(_LACKING_IN_SCHEMA).fetchall()
        if not rows:
            table = {"name": names.live, "live": qualified(names.live).as_string(None)}
            rows = connection.execute(_LACKING, table).fetchall()
    if rows:
        raise PermissionDenied(
            "; ".join(row[0] for row in rows), hint="connect as the DataStore's write role"
        )


def mark(site: str, dataset_id: str) -> str:
    """Return the comment of the ``_id`` sequence of a table that a load into a CKAN has made.

    Args:
        site: The URL by which that CKAN calls itself.
        dataset_id: The dataset whose resource's rows they are: CKAN may give the resource's id to
            another dataset's, once the resource is deleted.
    """
    return f"{_FOR}{site} {dataset_id}"


def dataset_of(comment: str | None, site: str) -> str | None:
    """Return the dataset that a sequence's comment names, if it is a mark of that CKAN."""
    begin = mark(site, "")
    if comment is None or not comment.startswith(begin):
        return None
    return comment.removeprefix(begin)


def names_a_site(comment: str | None) -> bool:
    """Tell whether a sequence's comment is the ``mark`` of some CKAN."""
    return comment is not None and comment.startswith(_FOR)


def create(  # noqa: PLR0913  (the last two have defaults)
    connection: psycopg.Connection[TupleRow],
    names: Names,
    columns: Sequence[Column],
    full_text: str | None,
    *,
    unlogged: bool = False,
    comment: str | None = None,
) -> None:
    """Create the shadow table, without keys and indexes.

    No autovacuum comes to it before ``let_autovacuum_come``: one in the middle of a load of 500,000
    rows kept the swap waiting for 12 s, and has nothing to do but to read all rows.

    Args:
        connection: In autocommit mode; the table is there for the lanes at once.
        names: The shadow's.
        columns: With types that loads store.
        full_text: The expression that fills ``_full_text``; None leaves it NULL.
        unlogged: Spare the write-ahead log, for rows that go on into another table.
        comment: The ``mark`` of the CKAN that is loaded into; None without a CKAN.
    """
    generated = [sa.Computed(sa.literal_column(full_text), persisted=True)] if full_text else []
    table = sa.Table(
        names.shadow,
        sa.MetaData(schema=SCHEMA),
        sa.Column("_id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("_full_text", TSVECTOR(), *generated),
        *(sa.Column(column.name, _Stored(column.type)) for column in columns),
        prefixes=["UNLOGGED"] if unlogged else [],
    )
    sequence = qualified(f"{names.shadow}__id_seq")
    shadow = qualified(names.shadow)
    off = sql.SQL(", ").join(sql.SQL("{} = false").format(name) for name in _AUTOVACUUM)
    with ours("creating the table"), connection.transaction():
        _run(connection, str(CreateTable(table).compile(dialect=DDL_DIALECT)))
        connection.execute(sql.SQL("ALTER TABLE {} SET ({})").format(shadow, off))
        connection.execute(
            sql.SQL("CREATE SEQUENCE {} AS integer OWNED BY {}._id").format(sequence, shadow)
        )
        connection.execute(
            sql.SQL("ALTER TABLE {} ALTER _id SET DEFAULT nextval({}::regclass)").format(
                shadow, sql.Literal(sequence.as_string(None))
            )
        )
        # Tells whose table it is, also when it is live: one that an operator has loaded by hand,
        # or into another CKAN that has the same database, is not to go with a resource of this one.
        if comment is not None:
            connection.execute(
                sql.SQL("COMMENT ON SEQUENCE {} IS {}").format(sequence, sql.Literal(comment))
            )


def let_autovacuum_come(connection: psycopg.Connection[TupleRow], names: Names) -> None:
    """Take back what ``create`` has set, and let no vacuum come before the transaction's end.

    Args:
        connection: In a transaction, with a limit that lets vacuums give way: what comes all the
            same is one against the wraparound of transaction ids.
        names: The shadow's.
    """
    connection.execute(
        sql.SQL("ALTER TABLE {} RESET ({})").format(
            qualified(names.shadow), sql.SQL(", ").join(_AUTOVACUUM)
        )
    )


def add_primary_key(connection: psycopg.Connection[TupleRow], names: Names) -> None:
    """Add the key on ``_id``."""
    statement = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} PRIMARY KEY (_id)").format(
        qualified(names.shadow), sql.Identifier(f"{names.shadow}_pkey")
    )
    _alter(connection, "adding the primary key", names.shadow, statement)


def keep_full_text(connection: psycopg.Connection[TupleRow], names: Names) -> None:
    """Make ``_full_text`` the plain column that CKAN expects; instant, the values stay."""
    statement = sql.SQL("ALTER TABLE {} ALTER _full_text DROP EXPRESSION IF EXISTS").format(
        qualified(names.shadow)
    )
    _alter(connection, "finishing the full text column", names.shadow, statement)


def add_full_text_index(
    connection: psycopg.Connection[TupleRow], table: str, index: str, method: str
) -> None:
    """Add the index on ``_full_text``, unless it is there.

    Args:
        connection: In autocommit mode.
        table: The shadow, or the live table: others can read it meanwhile.
        index: The index's name.
        method: ``gin`` or ``gist``.
    """
    # To save the Data Dictionary adds it to a live table too.
    statement = sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} USING {} (_full_text)").format(
        sql.Identifier(index), qualified(table), _INDEX_METHODS[method]
    )
    _alter(connection, "adding the full text index", table, statement)


def analyze(connection: psycopg.Connection[TupleRow], table: str) -> None:
    """Give the planner a table's statistics."""
    statement = sql.SQL("ANALYZE {}").format(qualified(table))
    _alter(connection, "analysing the table", table, statement)


def _alter(
    connection: psycopg.Connection[TupleRow], doing: str, table: str, statement: sql.Composed
) -> None:
    locks.patiently(connection, doing, [qualified(table)], lambda: connection.execute(statement))


def add_trigger(connection: psycopg.Connection[TupleRow], names: Names) -> None:
    """Add CKAN's full text trigger where CKAN has installed its function."""
    with ours("adding the full text trigger"):
        row = connection.execute(
            "SELECT to_regprocedure('public.populate_full_text_trigger()') IS NOT NULL"
        ).fetchone()
    if row and row[0]:
        statement = sql.SQL(
            "CREATE TRIGGER zfulltext BEFORE INSERT OR UPDATE ON {}"
            " FOR EACH ROW EXECUTE PROCEDURE public.populate_full_text_trigger()"
        ).format(qualified(names.shadow))
        _alter(connection, "adding the full text trigger", names.shadow, statement)


def label(
    connection: psycopg.Connection[TupleRow], names: Names, columns: Iterable[Column]
) -> None:
    """Keep original headers as the labels of CKAN's Data Dictionary, for renamed columns.

    The comments have the form of CKAN 2.11 and later: JSON behind a space.
    """
    for column in columns:
        if not column.label:
            continue
        comment = " " + json.dumps({"_info": {"label": column.label}}, ensure_ascii=False)
        statement = sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(
            qualified(names.shadow), sql.Identifier(column.name), sql.Literal(comment)
        )
        _alter(connection, "writing the labels", names.shadow, statement)


def drop(connection: psycopg.Connection[TupleRow], names: Names) -> None:
    """Drop the shadow, if it is there.

    Raises:
        TableBusy: Others kept it locked through every try.
    """
    statement = sql.SQL("DROP TABLE IF EXISTS {}").format(qualified(names.shadow))
    _alter(connection, _DROPPING, names.shadow, statement)


def drop_if_free(connection: psycopg.Connection[TupleRow], names: Names) -> None:
    """Drop the shadow, if it is there, in one try: nobody needs it to be gone.

    Raises:
        TableBusy: Somebody, pg_dump for one, has it locked.
    """
    statement = sql.SQL("DROP TABLE IF EXISTS {}").format(qualified(names.shadow))
    locks.once(connection, _DROPPING, lambda: connection.execute(statement))


def drop_orphans(connection: psycopg.Connection[TupleRow], names: Names) -> list[str]:
    """Drop what killed loads of this resource have left; the caller holds the lock.

    One that somebody has locked is left to the next load: it is in nobody's way.
    """
    prefix = f"{_PREFIX}{_hash(names.live)}_"
    dropped = []
    for orphan in _shadows(connection):
        if orphan.startswith(prefix):
            try:
                drop_if_free(connection, Names(names.live, orphan))
            except TableBusy as error:
                _log.warning("%s stays until the next load: %s", orphan, error)
            else:
                dropped.append(orphan)
    return dropped


def drop_all_orphans(connection: psycopg.Connection[TupleRow], *, dry_run: bool) -> Iterator[str]:
    """Drop every shadow table whose resource is not being loaded.

    Yields:
        The name of each, once it is dropped, or with ``dry_run`` of each that would be.

    Raises:
        TableBusy: Somebody kept one of them locked; all others are dropped by then.
    """
    busy = []
    for table in _shadows(connection):
        # Not for long: a load that begins meanwhile would be refused.
        work = partial(_drop_orphan, connection, table, dry_run=dry_run)
        try:
            if locks.once(connection, _DROPPING, work, limit_ms=locks.READERS_WAIT_MS):
                yield table
        except TableBusy:
            busy.append(table)
    for table in busy:
        work = partial(_drop_orphan, connection, table, dry_run=dry_run)
        if locks.patiently(
            connection,
            _DROPPING,
            [qualified(table)],
            work,
            limit_ms=locks.READERS_WAIT_MS,
        ):
            yield table


def _drop_orphan(connection: psycopg.Connection[TupleRow], table: str, *, dry_run: bool) -> bool:
    """Drop a shadow whose resource is not being loaded, unless ``dry_run``; tell whether it is."""
    key = _lock_key(table.removeprefix(_PREFIX).split("_")[0])
    row = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (key,)).fetchone()
    is_orphan = bool(row and row[0])
    if is_orphan and not dry_run:
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(qualified(table)))
    return is_orphan


def _shadows(connection: psycopg.Connection[TupleRow]) -> list[str]:
    with ours("looking for shadow tables"):
        rows = connection.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'r' AND n.nspname = %s AND c.relname ~ %s ORDER BY 1",
            (
                SCHEMA,
                f"^{_PREFIX}[0-9a-f]{{16}}_[0-9a-f]{{8}}$",
            ),
        ).fetchall()
    return [row[0] for row in rows]


def _hash(resource_id: str) -> str:
    return hashlib.sha256(resource_id.encode()).hexdigest()[:16]


def _lock_key(digest: str) -> int:
    return int.from_bytes(bytes.fromhex(digest), "big", signed=True)


def _run(connection: psycopg.Connection[TupleRow], ddl: str) -> None:
    # SQLAlchemy has quoted every identifier in it.
    connection.execute(sql.SQL(ddl))
