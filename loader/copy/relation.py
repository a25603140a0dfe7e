"""A connection and a resource id -> the relation that a load works on: its names and its mark.

Holds names.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.errors import UsageError

SHADOW_PREFIX = "_aircan_"
MARK = "of a table that AirCan has loaded"
_FOR = f"{MARK} for "
_MAX_RESOURCE_ID_BYTES = 63 - len("__id_seq")
SCHEMA = "public"  # CKAN's DataStore knows no other


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
    def sequence(self) -> str:
        """The one that numbers the live table's rows."""
        return f"{self.live}__id_seq"

    @property
    def primary_key(self) -> str:
        """The live table's key on ``_id``."""
        return f"{self.live}_pkey"

    @property
    def shadow_sequence(self) -> str:
        """The sequence's name until the swap."""
        return f"{self.shadow}__id_seq"

    @property
    def shadow_primary_key(self) -> str:
        """The primary key's name until the swap."""
        return f"{self.shadow}_pkey"

    @property
    def shadow_key(self) -> str:
        """The name, until the swap, of the unique key that the caller asks for."""
        return f"{self.shadow}_key"

    @property
    def shadow_full_text_index(self) -> str:
        """What it is called until the swap gives it CKAN's name."""
        return f"{self.shadow}_fts"


def name(resource_id: str) -> Names:
    """Return the names for one load.

    Raises:
        UsageError: The id is empty, too long, or would be hidden from CKAN.
    """
    # Control characters, unassigned ones and surrogates, among others.
    unseen = any(unicodedata.category(letter).startswith("C") for letter in resource_id)
    odd = resource_id.startswith("_") or '"' in resource_id or unseen
    if not resource_id or odd or len(resource_id.encode()) > _MAX_RESOURCE_ID_BYTES:
        raise UsageError(
            f"{resource_id!r} cannot name a DataStore table",
            hint=f"at most {_MAX_RESOURCE_ID_BYTES} bytes, no double quote, no leading underscore,"
            " nothing that cannot be seen",
        )
    return Names(resource_id, f"{SHADOW_PREFIX}{digest(resource_id)}_{secrets.token_hex(4)}")


def qualified(table: str) -> sql.Identifier:
    """Return a relation's name with its schema, quoted."""
    return sql.Identifier(SCHEMA, table)


def find_oid(
    connection: psycopg.Connection[TupleRow], name: str, schema: str = SCHEMA
) -> int | None:
    """Return a relation's oid, which another one of the same name would not have; None: no such."""
    row = connection.execute(
        "SELECT to_regclass(%s)::oid", (sql.Identifier(schema, name).as_string(None),)
    ).fetchone()
    return row[0] if row else None


@dataclass(frozen=True)
class Relation:
    """A resource's table in one database, and the shadow that a load of it fills.

    Attributes:
        connection: To the database. Each function says whether it has to be in a transaction.
        names: Of both tables and of what goes with them.
    """

    connection: psycopg.Connection[TupleRow]
    names: Names

    @property
    def name(self) -> str:
        """The resource's id, which is the live table's name."""
        return self.names.live

    @property
    def live(self) -> sql.Identifier:
        """The table that readers see, with its schema, quoted; it need not be there."""
        return qualified(self.names.live)

    @property
    def shadow(self) -> sql.Identifier:
        """The table that a load fills, with its schema, quoted; it need not be there."""
        return qualified(self.names.shadow)

    @property
    def tables(self) -> list[sql.Identifier]:
        """Both tables."""
        return [self.live, self.shadow]

    @property
    def live_regclass(self) -> str:
        """The live table's name as a parameter for ``to_regclass`` and ``::regclass``."""
        return self.live.as_string(None)

    @property
    def shadow_regclass(self) -> str:
        """The shadow's name as a parameter for ``to_regclass`` and ``::regclass``."""
        return self.shadow.as_string(None)

    @property
    def parameters(self) -> dict[str, str]:
        """The names as parameters of a statement that compares both tables."""
        return {
            "schema": SCHEMA,
            "live": self.live_regclass,
            "shadow": self.shadow_regclass,
            "prefix": f"{self.names.shadow}_",
            "full_text": self.names.full_text_index,
            "primary_key": self.names.primary_key,
        }

    def oid(self) -> int | None:
        """Return the live table's oid; None if there is no such table."""
        return find_oid(self.connection, self.names.live)

    def shadow_oid(self) -> int | None:
        """Return the shadow's oid; None if there is no such table."""
        return find_oid(self.connection, self.names.shadow)

    def has_rows(self) -> bool:
        """Tell whether the live table has a row; there may be no such table any more."""
        if self.oid() is None:
            return False
        query = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(self.live)
        row = self.connection.execute(query).fetchone()
        return bool(row and row[0])


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


def digest(resource_id: str) -> str:
    """Return the hash of a resource id that its shadows' names hold."""
    return hashlib.sha256(resource_id.encode()).hexdigest()[:16]
