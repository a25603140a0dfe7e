"""What a live table carries -> the same on the table that takes its place.

Before the rows come: the triggers that act on every row put in. Before the swap: indexes, unique
keys, constraints and defaults, under temporary names. In the swap: owner, privileges, comments,
storage parameters, all triggers with their states, and the final names; the settings of columns
once more (``columns``). A warning tells what is left behind: what uses a column that is gone or
has another type, extended statistics, security labels, tablespaces, and what else no load makes.
Holds one line for each of these things.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.copy import columns, locks
from loader.copy.database import ours
from loader.copy.relation import MARK, SCHEMA, Names, qualified
from loader.errors import DependentObjects, KeyViolated, RowRefused, UsageError

_Result = TypeVar("_Result")

# Both tables, and how their names begin the definitions that Postgres gives.
_PAIR = """
    WITH pair AS (
        SELECT l.oid AS live, s.oid AS shadow, format('%%I.%%I', %(schema)s::text, l.relname)
            AS live_name, format('%%I.%%I', %(schema)s::text, s.relname) AS shadow_name,
            %(prefix)s::text AS prefix
        FROM (SELECT to_regclass(%(live)s)::oid AS oid) a JOIN pg_class l USING (oid),
            (SELECT to_regclass(%(shadow)s)::oid AS oid) b JOIN pg_class s USING (oid)
    )
"""
# A temporary name holds the hash of the final one: nobody has to remember which is whose.
_ADDITIONS = """,
    index AS (
        SELECT c.oid, c.relname AS name, i.indisunique AS is_unique,
            CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END AS word,
            prefix || left(md5(c.relname), 12) AS temporary
        FROM pair JOIN pg_index i ON i.indrelid = live JOIN pg_class c ON c.oid = i.indexrelid
        WHERE NOT indisprimary AND indisvalid AND c.relname <> %(full_text)s
            AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid
                AND k.conrelid = live AND k.contype IN ('p', 'u', 'x'))
            -- A key that the caller asks for takes the place of all others, as in CKAN.
            AND NOT (%(key_name)s::text IS NOT NULL AND (indisunique OR c.relname = %(key_name)s))
    ),
    "constraint" AS (
        SELECT k.oid, conname AS name, contype, pg_get_constraintdef(k.oid) AS definition,
            CASE WHEN contype = 'c' THEN conname
                ELSE prefix || left(md5(conname), 12) END AS temporary
        FROM pair JOIN pg_constraint k ON k.conrelid = live WHERE contype IN ('u', 'x', 'c')
    ),
    "column" AS (
        SELECT a.attname AS name, a.attnotnull AND NOT coalesce(b.attnotnull, false) AS not_null,
            -- From PostgreSQL 18 on it has a name.
            'ADD CONSTRAINT ' || quote_ident(n.conname) || ' ' || pg_get_constraintdef(n.oid)
                AS named,
            pg_get_expr(adbin, adrelid) AS preset, b.atthasdef AS has_preset
        FROM pair JOIN pg_attribute a ON a.attrelid = live
        LEFT JOIN pg_attribute b ON b.attrelid = shadow AND b.attname = a.attname
        LEFT JOIN pg_attrdef d
            ON d.adrelid = live AND d.adnum = a.attnum AND a.attgenerated = ''
        LEFT JOIN pg_constraint n
            ON n.conrelid = live AND n.contype = 'n' AND n.conkey = ARRAY[a.attnum]
        WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attname NOT IN ('_id', '_full_text')
    ),
    addition AS (
        SELECT 1 AS step, 'index' AS kind, name, is_unique AS is_key,
            format('CREATE %%sINDEX %%I ON %%s USING ', word, temporary, shadow_name)
            || right(pg_get_indexdef(oid),
                -length(format('CREATE %%sINDEX %%I ON %%s USING ', word, name, live_name))
            ) AS statement,
            'pg_class'::regclass AS class, oid, NULL::name AS uses,
            EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                WHERE i.indrelid = shadow AND c.relname = temporary) AS done
        FROM pair, index
        UNION ALL
        SELECT 2, 'constraint', name, contype <> 'c',
            format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', shadow_name, temporary, definition),
            'pg_constraint'::regclass, oid, NULL, EXISTS (
                SELECT FROM pg_constraint s WHERE s.conrelid = shadow AND s.conname = temporary)
        FROM pair, "constraint"
        UNION ALL
        SELECT 3, 'NOT NULL of', name, false,
            format('ALTER TABLE %%s ', shadow_name)
                || coalesce(named, format('ALTER %%I SET NOT NULL', name)),
            0, 0, name, false FROM pair, "column" WHERE not_null
        UNION ALL
        SELECT 4, 'default of', name, false,
            format('ALTER TABLE %%s ALTER %%I SET DEFAULT %%s', shadow_name, name, preset),
            0, 0, name, false FROM pair, "column"
        WHERE preset IS NOT NULL AND has_preset IS NOT TRUE
    )
    SELECT kind || ' ' || quote_ident(name), is_key, statement, ARRAY(
            SELECT used FROM (
                SELECT attname FROM pg_depend d
                JOIN pg_attribute a ON a.attrelid = refobjid AND a.attnum = refobjsubid
                WHERE d.classid = class AND d.objid = oid AND refobjid = live
                    AND refclassid = 'pg_class'::regclass AND refobjsubid > 0
                UNION SELECT uses WHERE uses IS NOT NULL
            ) AS u (used)
            WHERE NOT EXISTS (SELECT FROM pg_attribute
                WHERE attrelid = shadow AND attname = used AND NOT attisdropped)
            ORDER BY 1
        )::text[], done
    FROM pair, addition ORDER BY step, name
"""
# Everything up to the table's name can be told from the catalog, so that exactly this is replaced.
_ROW_TRIGGERS = """
    SELECT tgname, tgfoid, format('CREATE TRIGGER %%I BEFORE INSERT ON %%s ', tgname, shadow_name)
        || right(pg_get_triggerdef(t.oid), -length(format(
            'CREATE TRIGGER %%I BEFORE %%s ON %%s ', tgname,
            concat_ws(' OR ', 'INSERT', CASE WHEN tgtype & 8 > 0 THEN 'DELETE' END,
                CASE WHEN tgtype & 16 > 0 THEN 'UPDATE' || coalesce((
                    SELECT ' OF ' || string_agg(quote_ident(attname), ', ' ORDER BY number)
                    FROM unnest(tgattr::int2[]) WITH ORDINALITY u (attnum, number)
                    JOIN pg_attribute a ON a.attrelid = live AND a.attnum = u.attnum
                ), '') END), live_name)))
    FROM pair JOIN pg_trigger t ON t.tgrelid = live
    WHERE tgtype & 7 = 7 AND tgenabled IN ('O', 'A') AND NOT tgisinternal
        AND tgname <> 'zfulltext'
    ORDER BY tgname
"""
# Uses of columns that are gone: Postgres would refuse such a trigger in the swap.
_LOST_TRIGGERS = """
    SELECT DISTINCT 'trigger ' || quote_ident(tgname) || ' (uses the column '
        || quote_ident(a.attname) || ')'
    FROM pair JOIN pg_trigger t ON t.tgrelid = live AND NOT tgisinternal
    JOIN pg_depend d ON d.classid = 'pg_trigger'::regclass AND d.objid = t.oid
        AND d.refclassid = 'pg_class'::regclass AND d.refobjid = live
    JOIN pg_attribute a ON a.attrelid = live AND a.attnum = d.refobjsubid
    WHERE d.refobjsubid > 0 AND NOT EXISTS (
        SELECT FROM pg_attribute b WHERE b.attrelid = shadow AND b.attname = a.attname)
    ORDER BY 1
"""
# Run when the shadow bears the live table's name.
_AFTERWARDS = """,
    trigger AS (
        SELECT t.* FROM pair JOIN pg_trigger t ON t.tgrelid = live WHERE NOT tgisinternal
    ),
    index AS (
        SELECT i.*, c.relname AS name, prefix || left(md5(c.relname), 12) AS temporary
        FROM pair JOIN pg_index i ON i.indrelid = live JOIN pg_class c ON c.oid = i.indexrelid
    ),
    carried AS (
        SELECT i.*, i.name IN (%(full_text)s, %(primary_key)s) AS is_named FROM pair, index i
        WHERE i.name IN (%(full_text)s, %(primary_key)s) OR EXISTS (
            SELECT FROM pg_index s JOIN pg_class c ON c.oid = s.indexrelid
            WHERE s.indrelid = shadow AND c.relname = temporary)
    ),
    "constraint" AS (
        SELECT k.*, prefix || left(md5(conname), 12) AS temporary
        FROM pair JOIN pg_constraint k ON k.conrelid = live
    ),
    statement (step, text) AS (
        SELECT 1, format('DROP TRIGGER %%I ON %%s', s.tgname, live_name)
        FROM pair JOIN pg_trigger s ON s.tgrelid = shadow WHERE NOT s.tgisinternal
            AND (s.tgname <> 'zfulltext' OR 'zfulltext' IN (SELECT tgname FROM trigger))
        UNION ALL SELECT 2, pg_get_triggerdef(oid) FROM trigger
        UNION ALL SELECT 3, format('ALTER TABLE %%s %%s TRIGGER %%I', live_name, CASE tgenabled
            WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, tgname)
        FROM pair, trigger WHERE tgenabled <> 'O'
        UNION ALL SELECT 3, format('COMMENT ON TRIGGER %%I ON %%s IS %%L', tgname, live_name,
            obj_description(oid, 'pg_trigger'))
        FROM pair, trigger WHERE obj_description(oid, 'pg_trigger') IS NOT NULL
        UNION ALL SELECT 1, format('ALTER TABLE %%s RENAME CONSTRAINT %%I TO %%I', live_name,
            s.conname, k.conname)
        FROM pair JOIN pg_constraint s ON s.conrelid = shadow
        JOIN "constraint" k ON k.temporary = s.conname
        UNION ALL SELECT 3, format('COMMENT ON CONSTRAINT %%I ON %%s IS %%L', k.conname, live_name,
            obj_description(k.oid, 'pg_constraint'))
        FROM pair JOIN pg_constraint s ON s.conrelid = shadow
        JOIN "constraint" k ON s.conname IN (k.temporary, k.conname)
        WHERE obj_description(k.oid, 'pg_constraint') IS NOT NULL
        UNION ALL SELECT 1, format('ALTER INDEX %%I.%%I RENAME TO %%I', %(schema)s::text,
            temporary, name)
        FROM carried WHERE NOT is_named AND NOT EXISTS (
            SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('u', 'x'))
        UNION ALL SELECT 3, format('COMMENT ON INDEX %%I.%%I IS %%L', %(schema)s::text, name,
            obj_description(indexrelid, 'pg_class'))
        FROM carried WHERE obj_description(indexrelid, 'pg_class') IS NOT NULL
        -- Those of an expression, which is a column of the index only.
        UNION ALL SELECT 3, format('ALTER INDEX %%I.%%I ALTER COLUMN %%s SET STATISTICS %%s',
            %(schema)s::text, name, attnum, attstattarget)
        FROM carried JOIN pg_attribute ON attrelid = indexrelid
        WHERE NOT is_named AND attstattarget >= 0
        -- All others have them in their definition.
        UNION ALL SELECT 3, format('ALTER INDEX %%I.%%I SET (%%I = %%L)', %(schema)s::text, name,
            option_name, option_value)
        FROM pair, carried JOIN pg_class c ON c.oid = indexrelid, pg_options_to_table(reloptions)
        WHERE is_named AND EXISTS (SELECT FROM pg_index i JOIN pg_class s ON s.oid = i.indexrelid
            WHERE i.indrelid = shadow AND s.relam = c.relam AND s.relname
                = prefix || CASE name WHEN %(full_text)s THEN 'fts' ELSE 'pkey' END)
        UNION ALL SELECT 3, format('COMMENT ON CONSTRAINT %%I ON %%s IS %%L', conname, live_name,
            obj_description(oid, 'pg_constraint'))
        FROM pair, "constraint" WHERE conname = %(primary_key)s AND contype = 'p'
            AND obj_description(oid, 'pg_constraint') IS NOT NULL
        UNION ALL SELECT 3, format('ALTER TABLE %%s CLUSTER ON %%I', live_name, name)
        FROM pair, carried WHERE indisclustered
        UNION ALL SELECT 3, format('ALTER TABLE %%s REPLICA IDENTITY USING INDEX %%I', live_name,
            name)
        FROM pair, carried WHERE indisreplident
        UNION ALL SELECT 3, format('ALTER TABLE %%s REPLICA IDENTITY %%s', live_name,
            CASE relreplident WHEN 'f' THEN 'FULL' ELSE 'NOTHING' END)
        FROM pair JOIN pg_class ON oid = live WHERE relreplident IN ('f', 'n')
        UNION ALL SELECT 1, format('ALTER INDEX %%I.%%I RENAME TO %%I', %(schema)s::text,
            prefix || 'key', %(key_name)s::text)
        FROM pair WHERE %(key_name)s::text IS NOT NULL
    )
    SELECT text FROM statement ORDER BY step, text
"""
_LEFT_BEHIND = """
    SELECT 'statistics object ' || quote_ident(stxname) FROM pair JOIN pg_statistic_ext
        ON stxrelid = live
    UNION SELECT 'the ' || pg_get_constraintdef(k.oid) FROM pair
        JOIN pg_constraint k ON conrelid = live AND contype = 'p'
        WHERE pg_get_constraintdef(k.oid) <> 'PRIMARY KEY (_id)'
    UNION SELECT 'the name ' || quote_ident(conname) || ' of the primary key' FROM pair
        JOIN pg_constraint ON conrelid = live AND contype = 'p' WHERE conname <> %(primary_key)s
    UNION SELECT 'the type ' || format_type(atttypid, atttypmod) || ' of _id' FROM pair
        JOIN pg_attribute ON attrelid = live
        WHERE attname = '_id' AND atttypid <> 'integer'::regtype
    UNION SELECT 'the default ' || pg_get_expr(d.adbin, live) || ' of _id' FROM pair
        JOIN pg_attribute ON attrelid = live AND attname = '_id' AND attgenerated = ''
        JOIN pg_attrdef d ON adrelid = live AND adnum = attnum
        WHERE NOT EXISTS (SELECT FROM pg_depend n JOIN pg_depend o ON o.objid = n.refobjid
            WHERE n.classid = 'pg_attrdef'::regclass AND n.objid = d.oid
                AND o.classid = 'pg_class'::regclass AND o.refobjid = live AND o.deptype = 'a')
    UNION SELECT 'NOT NULL of _full_text' FROM pair
        JOIN pg_attribute ON attrelid = live WHERE attname = '_full_text' AND attnotnull
    UNION SELECT 'the domain ' || format_type(atttypid, atttypmod) || ' of ' || quote_ident(attname)
        FROM pair JOIN pg_attribute ON attrelid = live JOIN pg_type t ON t.oid = atttypid
        WHERE attnum > 0 AND NOT attisdropped AND typtype = 'd'
    UNION SELECT 'the identity of ' || quote_ident(attname) FROM pair
        JOIN pg_attribute ON attrelid = live WHERE attidentity <> '' AND NOT attisdropped
    UNION SELECT 'that ' || quote_ident(attname) || ' is generated' FROM pair
        JOIN pg_attribute ON attrelid = live WHERE attgenerated <> '' AND NOT attisdropped
    UNION SELECT 'that it is unlogged' FROM pair JOIN pg_class c ON c.oid = live
        JOIN pg_class s ON s.oid = shadow
        WHERE c.relpersistence = 'u' AND s.relpersistence <> 'u'
    UNION SELECT 'that it is of the type ' || reloftype::regtype FROM pair
        JOIN pg_class c ON c.oid = live WHERE reloftype <> 0
    UNION SELECT 'the access method ' || quote_ident(amname) FROM pair
        JOIN pg_class c ON c.oid = live JOIN pg_class s ON s.oid = shadow
        JOIN pg_am m ON m.oid = c.relam WHERE c.relam <> s.relam
    UNION SELECT 'tablespace ' || quote_ident(spcname) || ' of the index ' || quote_ident(relname)
        FROM pair JOIN pg_index ON indrelid = live JOIN pg_class c ON c.oid = indexrelid
        JOIN pg_tablespace t ON t.oid = c.reltablespace
    UNION SELECT 'that ' || pg_describe_object(classid, objid, 0) || ' goes with the '
            || pg_describe_object(refclassid, refobjid, 0)
        FROM pair JOIN pg_depend ON deptype = 'x' AND refclassid = 'pg_extension'::regclass
        WHERE (classid = 'pg_class'::regclass
                AND objid IN (SELECT indexrelid FROM pg_index WHERE indrelid = live))
            OR (classid = 'pg_trigger'::regclass
                AND objid IN (SELECT oid FROM pg_trigger WHERE tgrelid = live))
    UNION SELECT 'the collation of ' || quote_ident(attname) FROM pair
        JOIN pg_attribute a ON attrelid = live JOIN pg_type t ON t.oid = atttypid
        WHERE attnum > 0 AND NOT attisdropped AND attcollation <> typcollation
    UNION SELECT 'security label by ' || provider FROM pair JOIN pg_seclabel ON objoid = live
        AND classoid = 'pg_class'::regclass
    UNION SELECT 'tablespace ' || quote_ident(spcname) FROM pair JOIN pg_class c ON c.oid = live
        JOIN pg_tablespace t ON t.oid = c.reltablespace
    UNION SELECT 'the owner ' || relowner::regrole FROM pair JOIN pg_class c ON c.oid = live
        WHERE relowner <> (SELECT relowner FROM pg_class WHERE oid = shadow)
            AND NOT has_schema_privilege(relowner, relnamespace, 'CREATE')
            AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
    ORDER BY 1
"""
# Whoever may drop the old one belongs to its owner. A superuser may do all; others can make only
# those roles owners that may create in the schema.
_OWNER = """
    SELECT format('ALTER TABLE %%s OWNER TO %%s', new.oid::regclass, old.relowner::regrole)
    FROM pg_class old, pg_class new
    WHERE old.oid = %(old)s::oid AND new.oid = %(new)s::oid AND old.relowner <> new.relowner
        AND new.relkind <> 'S' AND (
            has_schema_privilege(old.relowner, new.relnamespace, 'CREATE')
            OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user))
"""
# Who owned the old one and does not own the new one keeps what an owner may do. Privileges that
# the new one has by default go: without them on the old one, somebody has taken them away.
_CARRY = """
    WITH old AS (SELECT * FROM pg_class WHERE oid = %(old)s::oid),
    new AS (
        SELECT *, oid::regclass AS named,
            CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind,
            CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END AS word
        FROM pg_class WHERE oid = %(new)s::oid
    ),
    change (step, form, part, grantee, privilege) AS (
        SELECT 1, 'REVOKE ALL ON %%1$s%%2$s FROM %%3$s', NULL::text, grantee, NULL
        FROM new, aclexplode(relacl) WHERE grantee <> relowner
        UNION
        SELECT 2, 'GRANT %%4$s ON %%1$s%%2$s TO %%3$s'
            || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END,
            NULL, grantee, privilege_type
        FROM old, new, aclexplode(coalesce(old.relacl, acldefault(
            CASE old.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", old.relowner)))
        WHERE grantee <> new.relowner
        UNION
        SELECT 2, 'GRANT %%4$s (%%5$s) ON %%2$s TO %%3$s'
            || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END,
            quote_ident(a.attname), grantee, privilege_type
        FROM old, new, pg_attribute a JOIN pg_attribute b USING (attname), aclexplode(a.attacl)
        WHERE a.attrelid = old.oid AND b.attrelid = new.oid AND grantee <> new.relowner
    )
    SELECT step, format(form, word, named,
        CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END, privilege, part)
    FROM change, new
    UNION
    SELECT 3, format('COMMENT ON COLUMN %%s.%%I IS %%L', named, b.attname,
        col_description(a.attrelid, a.attnum))
    FROM old, new, pg_attribute a JOIN pg_attribute b USING (attname)
    WHERE a.attrelid = old.oid AND b.attrelid = new.oid
        AND col_description(a.attrelid, a.attnum) IS NOT NULL
    UNION
    SELECT 3, format('COMMENT ON %%s %%s IS %%L', kind, named, obj_description(old.oid, 'pg_class'))
    FROM old, new WHERE obj_description(old.oid, 'pg_class') IS NOT NULL
        AND NOT (kind = 'SEQUENCE' AND starts_with(obj_description(old.oid, 'pg_class'), %(mark)s))
    UNION
    SELECT 3, format('COMMENT ON TYPE %%s IS %%L', new.reltype::regtype,
        obj_description(old.reltype, 'pg_type'))
    FROM old, new WHERE obj_description(old.reltype, 'pg_type') IS NOT NULL
    UNION
    SELECT 3, format('ALTER VIEW %%s ALTER COLUMN %%I SET DEFAULT %%s', named, b.attname,
        pg_get_expr(adbin, adrelid))
    FROM old, new, pg_attrdef JOIN pg_attribute a ON adrelid = a.attrelid AND adnum = a.attnum
        JOIN pg_attribute b USING (attname)
    WHERE kind = 'VIEW' AND a.attrelid = old.oid AND b.attrelid = new.oid
    UNION
    SELECT 3, format('ALTER SEQUENCE %%s INCREMENT BY %%s CACHE %%s %%s', named, seqincrement,
        seqcache, CASE WHEN seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END)
    -- One that runs down would come to the rows loaded.
    FROM old, new, pg_sequence WHERE kind = 'SEQUENCE' AND seqrelid = old.oid AND seqincrement > 0
    UNION
    SELECT 3, format('ALTER TABLE %%s SET (%%s%%I = %%L)', named, space, option_name, option_value)
    FROM old LEFT JOIN pg_class t ON t.oid = old.reltoastrelid, new,
        LATERAL (VALUES ('', old.reloptions), ('toast.', t.reloptions)) AS o (space, options),
        pg_options_to_table(options)
    ORDER BY 1
"""


@dataclass(frozen=True)
class _Addition:
    """Something on the live table that the shadow gets before the swap."""

    what: str
    is_key: bool
    statement: str
    gone: list[str]  # columns that it uses and the shadow has not
    done: bool


def has_row_triggers(connection: psycopg.Connection[TupleRow], names: Names) -> bool:
    """Tell whether ``add_triggers`` has any to add: they may change the rows that COPY brings."""
    with ours("looking for triggers"):
        row = connection.execute(
            "SELECT FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND tgtype & 7 = 7"
            " AND tgenabled IN ('O', 'A') AND NOT tgisinternal AND tgname <> 'zfulltext'",
            (qualified(names.live).as_string(None),),
        ).fetchone()
    return row is not None


def add_triggers(connection: psycopg.Connection[TupleRow], names: Names) -> None:
    """Let the live table's triggers act on the rows that COPY brings, as on rows put in by CKAN.

    Those for each row BEFORE INSERT are put on the shadow, for INSERT only: updates that a load
    makes afterwards are not an editor's. A generated ``_full_text`` is computed after them.

    Args:
        connection: In autocommit mode.
        names: The shadow has its columns and no rows yet.

    Raises:
        DependentObjects: A trigger cannot be had with the new columns.
    """
    locks.patiently(
        connection, "adding the triggers", _tables(names), lambda: _add_triggers(connection, names)
    )


def _add_triggers(connection: psycopg.Connection[TupleRow], names: Names) -> None:
    lost = [row[0] for row in _ask(connection, names, _LOST_TRIGGERS)]
    if lost:
        raise _in_the_way(names, ", ".join(lost))
    for name, _, statement in _ask(connection, names, _ROW_TRIGGERS):
        try:
            connection.execute(statement)
        except psycopg.ProgrammingError as error:
            raise _in_the_way(names, f"trigger {name} ({error.diag.message_primary})") from error


def _in_the_way(names: Names, what: str) -> DependentObjects:
    return DependentObjects(
        f"{names.live} cannot be replaced, this would be lost: {what}",
        hint="drop what is in the way, load, then create it again",
    )


def build_indexes(
    connection: psycopg.Connection[TupleRow], names: Names, key: Sequence[str] = ()
) -> list[str]:
    """Give the shadow the live table's indexes, keys, constraints and defaults.

    What is there already is not built again, so that it can be called as often as needed.

    Args:
        connection: In autocommit mode.
        names: The shadow has its rows.
        key: Columns of a unique key that is asked for; it takes the place of all others.

    Returns:
        Warnings: what is left out, and why.

    Raises:
        KeyViolated: Rows of the file have the same key.
        RowRefused: Rows of the file break another constraint.
        UsageError: The key's columns are not there, or cannot be a key.
    """

    def patiently(work: Callable[[], list[_Result]]) -> list[_Result]:
        return locks.patiently(connection, "building the indexes", _tables(names), work)

    warnings = patiently(partial(_add_key, connection, names, key)) if key else []
    for addition in patiently(partial(_additions, connection, names)):
        if addition.gone:
            columns = ", ".join(addition.gone)
            warnings.append(f"left out: {addition.what}, which uses {columns}: not in the file")
        elif not addition.done:
            warnings += patiently(partial(_build, connection, addition))
    return warnings


def _tables(names: Names) -> list[sql.Identifier]:
    return [qualified(names.live), qualified(names.shadow)]


def missing(connection: psycopg.Connection[TupleRow], names: Names) -> frozenset[str]:
    """Return what ``build_indexes`` would build now; may wait for the live table's lock."""
    return frozenset(
        addition.what
        for addition in _additions(connection, names)
        if not addition.done and not addition.gone
    )


def _build(connection: psycopg.Connection[TupleRow], addition: _Addition) -> list[str]:
    try:
        with connection.transaction():
            connection.execute(addition.statement)
    except psycopg.IntegrityError as error:
        raise _violated(error, addition.what, is_key=addition.is_key) from error
    except (
        psycopg.ProgrammingError,
        psycopg.DataError,
        psycopg.NotSupportedError,
        psycopg.errors.ProgramLimitExceeded,
    ) as error:
        if addition.is_key:
            raise _violated(error, addition.what, is_key=True) from error
        # An index for trigrams on what has become a number, for one.
        return [f"left out: {addition.what}: {error.diag.message_primary}"]
    return []


def _violated(error: psycopg.Error, what: str, *, is_key: bool) -> KeyViolated | RowRefused:
    said = " ".join(filter(None, (error.diag.message_primary, error.diag.message_detail)))
    if is_key:
        return KeyViolated(
            f"the rows of the file do not keep the table's unique key, {what}: {said}",
            hint="correct the file, or drop the key",
        )
    return RowRefused(
        f"the rows of the file break the table's own rule, {what}: {said}",
        hint="correct the file, or drop the constraint",
    )


def _add_key(
    connection: psycopg.Connection[TupleRow], names: Names, key: Sequence[str]
) -> list[str]:
    has = unique_columns(connection, names)
    if has and sorted(set(key)) == sorted(has):
        return []
    shown = ", ".join(key)
    try:
        connection.execute(
            sql.SQL("CREATE UNIQUE INDEX IF NOT EXISTS {} ON {} ({})").format(
                sql.Identifier(f"{names.shadow}_key"),
                qualified(names.shadow),
                sql.SQL(", ").join(map(sql.Identifier, key)),
            )
        )
    except psycopg.IntegrityError as error:
        raise KeyViolated(
            f"the key ({shown}) is not unique in the file: {error.diag.message_detail}",
            hint="name other columns, or correct the file",
            option="key",
        ) from error
    except psycopg.ProgrammingError as error:
        raise UsageError(
            f"({shown}) cannot be the key: {error.diag.message_primary}",
            hint="name columns of the file",
            option="key",
        ) from error
    return [f"left out: the unique key ({', '.join(has)}), for ({shown})"] if has else []


def unique_columns(connection: psycopg.Connection[TupleRow], names: Names) -> list[str]:
    """Return the columns of all the live table's unique keys: to CKAN they are one."""
    rows = connection.execute(
        "SELECT DISTINCT attname FROM pg_index JOIN pg_attribute"
        " ON attrelid = indrelid AND attnum = ANY (indkey)"
        " WHERE indrelid = to_regclass(%s) AND indisunique AND NOT indisprimary ORDER BY 1",
        (qualified(names.live).as_string(None),),
    )
    return [row[0] for row in rows]


def key_index(names: Names, key: Sequence[str]) -> str:
    """Return CKAN's name for the index of a unique key."""
    columns = ", ".join('"' + column.replace('"', '""') + '"' for column in key)
    digest = hashlib.sha1(f"{names.live}{columns}".encode(), usedforsecurity=False)
    return digest.hexdigest()


def afterwards(connection: psycopg.Connection[TupleRow], names: Names) -> list[str]:
    """Return the statements that finish the new table once it has the live one's name.

    They are read while both tables are there, and run when the old one is gone.
    """
    key = _asked_key(connection, names)
    return [row[0] for row in _ask(connection, names, _AFTERWARDS, key)]


def first_key(connection: psycopg.Connection[TupleRow], names: Names) -> list[str]:
    """Return the statement that names the asked key of a table that replaces none, if any."""
    key = _asked_key(connection, names)
    if key is None:
        return []
    rename = sql.SQL("ALTER INDEX {} RENAME TO {}").format(
        qualified(f"{names.shadow}_key"), sql.Identifier(key)
    )
    return [rename.as_string(None)]


def not_null_names(connection: psycopg.Connection[TupleRow], names: Names) -> list[str]:
    """Return the statements that name NOT NULL after the table, as PostgreSQL 18 does.

    The shadow has the live table's name already.
    """
    rows = connection.execute(
        "SELECT format("
        " 'ALTER TABLE %%s RENAME CONSTRAINT %%I TO %%I', %(table)s::text, conname, final)"
        " FROM pg_constraint,"
        " LATERAL (SELECT %(live)s || right(conname, -length(%(shadow)s))) AS n (final)"
        " WHERE conrelid = to_regclass(%(table)s) AND contype = 'n'"
        " AND starts_with(conname, %(shadow)s) AND octet_length(final) < 64",
        {
            "table": qualified(names.live).as_string(None),
            "live": names.live,
            "shadow": names.shadow,
        },
    )
    return [row[0] for row in rows]


def carry(connection: psycopg.Connection[TupleRow], old: int, new: int) -> None:
    """Give a new table, sequence or view what its old self has.

    Owner, privileges on it and on its columns, comments, storage parameters, settings of columns;
    of a sequence how it counts. A comment of the old
    one wins over the label of this load: an editor may have written it. But for the mark on a
    sequence, which tells whose load has made the table: that is this one.
    """
    relations = {"old": old, "new": new, "mark": MARK}
    for (statement,) in connection.execute(_OWNER, relations).fetchall():
        connection.execute(statement)
    statements = [row[1] for row in connection.execute(_CARRY, relations)]
    if statements:
        connection.execute("; ".join(statements))
    columns.carry(connection, old, new)


def left_behind(connection: psycopg.Connection[TupleRow], names: Names) -> list[str]:
    """Return warnings: what is on the old table and will not be on the new one."""
    lost = [row[0] for row in _ask(connection, names, _LEFT_BEHIND)]
    warnings = [f"not carried over from the old table: {', '.join(lost)}"] if lost else []
    acted = {
        tuple(row)
        for row in connection.execute(
            "SELECT tgname, tgfoid FROM pg_trigger WHERE tgrelid = to_regclass(%s)",
            (qualified(names.shadow).as_string(None),),
        )
    }
    return warnings + [
        f"the trigger {name} came during the load: it has not seen the rows loaded"
        for name, function, _ in _ask(connection, names, _ROW_TRIGGERS)
        if (name, function) not in acted
    ]


def _additions(connection: psycopg.Connection[TupleRow], names: Names) -> list[_Addition]:
    key = _asked_key(connection, names)
    return [_Addition(*row) for row in _ask(connection, names, _ADDITIONS, key)]


def _asked_key(connection: psycopg.Connection[TupleRow], names: Names) -> str | None:
    """Return CKAN's name for the key that the caller has asked for, if it is on the shadow."""
    rows = connection.execute(
        "SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indexrelid"
        " WHERE indexrelid = to_regclass(%s) ORDER BY attnum",
        (qualified(f"{names.shadow}_key").as_string(None),),
    ).fetchall()
    return key_index(names, [row[0] for row in rows]) if rows else None


def _ask(
    connection: psycopg.Connection[TupleRow],
    names: Names,
    query: str,
    key_name: str | None = None,
) -> list[TupleRow]:
    parameters = {
        "schema": SCHEMA,
        "live": qualified(names.live).as_string(None),
        "shadow": qualified(names.shadow).as_string(None),
        "prefix": f"{names.shadow}_",
        "full_text": names.full_text_index,
        "primary_key": f"{names.live}_pkey",
        "key_name": key_name,
    }
    return connection.execute(_PAIR + query, parameters).fetchall()
