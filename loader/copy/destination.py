"""Rows -> the DataStore's database by COPY: a shadow table, then the swap, or a merge.

Holds the connection that has the resource's lock, and what ``storing`` holds.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from loader.copy import (
    changes,
    concurrent_writes,
    database,
    dictionary,
    fulltext,
    gone,
    indexes,
    live_table,
    locks,
    merge,
    numbering,
    resource_lock,
    rights,
    shadow,
    slots,
    swap,
    triggers,
    unique_key,
    views,
)
from loader.copy.columns import prepare as prepare_columns
from loader.copy.portal import Portal
from loader.copy.relation import Relation, mark, name
from loader.copy.settings import CopySettings, Steps
from loader.copy.storing import Storing
from loader.errors import DatabaseError, SchemaDiffers, UsageError, ValueDoesNotFit
from loader.report import TableChange, TableState
from loader.scan import keys
from loader.scan.scan import Scan
from loader.types import registry
from loader.types.column import Column
from loader.types.compare import check_columns

_log = logging.getLogger(__name__)

MOST_LISTED = 100  # of the rows that are not searchable whole: so many are named in warnings


@contextmanager
def opened(
    url: str,
    resource_id: str,
    settings: CopySettings,
    steps: Steps,
    portal: Portal | None = None,
) -> Iterator[Copying]:
    """Lock the resource and see whether its table can be loaded; leave no shadow behind.

    Args:
        url: Of the database.
        resource_id: The table.
        settings: How to load.
        steps: Are told of every step.
        portal: The one whose DataStore this is to be; None where there is none.

    Raises:
        DatabaseError: The database cannot be reached, or does not allow the load.
        UsageError: It is not the DataStore of that portal.
    """
    names = name(resource_id)
    url = database.normalise_url(url)
    with closing(database.connect(url, f"load {names.live}")) as connection:
        relation = Relation(connection, names)
        comment = None
        if portal is not None:
            _check_shared(portal, connection, steps)
            comment = _mark(portal, resource_id)
        rights.check(relation)
        resource_lock.take(relation)
        if settings.max_loads is not None:
            slots.take(connection, settings.max_loads)
        live_table.check(relation, replaced=settings.mode == "replace")
        for orphan in shadow.drop_orphans(relation):
            _log.info("dropped %s, left by a load that was killed", orphan)
        copying = Copying(relation, url, settings, steps, portal, comment)
        try:
            yield copying
        finally:
            copying.clean_up()


def check_rights(url: str, resource_id: str) -> None:
    """See whether a load of a resource may do what it has to.

    Args:
        url: As for ``opened``.
        resource_id: The table, which need not be there.

    Raises:
        PermissionDenied: Says which rights are missing.
        DatabaseError: The database cannot be reached.
        UsageError: The id cannot name a table.
    """
    names = name(resource_id)
    url = database.normalise_url(url)
    with closing(database.connect(url, "rights")) as connection:
        rights.check(Relation(connection, names))


def _check_shared(portal: Portal, connection: psycopg.Connection[TupleRow], steps: Steps) -> None:
    shares = portal.shares_datastore(dictionary.tables(connection))
    if shares is None:
        steps.warn("CKAN shows no tables that would tell whether this database is its DataStore")
    if shares is False:
        raise UsageError(
            f"the database named is not the DataStore of {portal.url}",
            hint="it is to be CKAN's ckan.datastore.write_url",
            option="datastore_url",
        )


def _mark(portal: Portal, resource_id: str) -> str | None:
    """Return the mark of a table of this portal's; None if it does not tell its URL."""
    site, dataset = portal.site(), portal.home(resource_id)
    return mark(site, dataset) if site and dataset else None


def withdraw(url: str, portal: Portal, resource_id: str) -> bool:
    """Drop the table of a resource that is gone, which an earlier process has loaded.

    Args:
        url: Of the database.
        portal: Has said that the resource is gone.
        resource_id: The resource.

    Returns:
        Whether the table is no longer there: it stays if no load into that portal has made it.

    Raises:
        DatabaseError: The database cannot be reached, or another load of the resource is running.
    """
    names = name(resource_id)
    url = database.normalise_url(url)
    comment = _mark(portal, resource_id)
    with closing(database.connect(url, f"withdraw {names.live}")) as connection:
        relation = Relation(connection, names)
        resource_lock.take(relation)
        return gone.drop(relation, portal, comment)


class Copying:
    """One load by COPY; see ``loader.destination``."""

    def __init__(  # noqa: PLR0913, PLR0917  (what a load by COPY has, from ``opened`` only)
        self,
        relation: Relation,
        url: str,
        settings: CopySettings,
        steps: Steps,
        portal: Portal | None,
        mark: str | None,
    ) -> None:
        self._relation = relation
        self._portal = portal
        self._mark = mark
        self._settings = settings
        self._steps = steps
        live = dictionary.types(relation)
        self.existed = live is not None
        self.has_begun = False
        self._change = TableChange()
        # Where there is no old table to read, the rows are shown first, and indexed then.
        self.settled = self.existed
        self.merges = self.existed and settings.mode != "replace"
        self._computed = self._look_at_columns()
        # The columns that take the file's values.
        self._live = live and [column for column in live if column.name not in self._computed]
        # Of the table that readers see in the end: the live one, or the shadow, once there is one.
        self._oid = gone.oid_of(relation.connection, relation.name) if self.merges else None
        self._key = self._merge_key()
        self._others = self._look_at_others()
        self._overrides: Mapping[str, str] = {}
        self._storing = Storing(relation, url, self._settings, merges=self.merges)

    @property
    def table_state(self) -> TableState:
        """What has become of the table that readers see, should the load stop now."""
        return self._change.table

    def _look_at_columns(self) -> frozenset[str]:
        """Return what the table that rows are added to computes itself; see if it numbers them."""
        if not self.merges:
            return frozenset()
        appends = self._settings.mode == "append"
        numbering.check(self._relation, appends=appends)
        computed = dictionary.computed(self._relation.connection, self._relation.name)
        if "_full_text" in computed:
            self._settings = replace(self._settings, full_text="none")
        return computed

    def _merge_key(self) -> Sequence[str]:
        if self.merges and self._settings.mode == "upsert":
            return unique_key.find(self._relation, self._settings.key)
        return self._settings.key

    def _look_at_others(self) -> changes.Others | None:
        if self.merges:  # rows come among those of others
            return None
        before = concurrent_writes.remember(self._relation)
        return changes.Others(self._settings.on_concurrent_writes, before)

    def declared(self) -> Mapping[str, str]:
        """Return the live table's types for a merge, else those of its Data Dictionary."""
        if self.merges:
            return {column.name: registry.verified_as(column.type) for column in self._live or ()}
        self._overrides = dictionary.overrides(self._relation)
        return self._overrides

    def columns(self) -> Sequence[Column]:
        """Return the live table's columns, without those that it computes."""
        return self._live or ()

    def check(self, columns: Sequence[Column]) -> None:
        """Refuse a file whose columns are not those of the table it is merged into."""
        if self._live is not None and self.merges:
            check_columns(self._live, columns, self._computed)

    def replaced(self) -> Sequence[str]:
        """Return the columns of the table whose rows the new ones replace, if it has any."""
        if self._live is None or self.merges:
            return []
        has_rows = locks.retry(
            self._relation.connection,
            "looking at the live table",
            [self._relation.live],
            self._relation.has_rows,
        )
        return [column.name for column in self._live] if has_rows else []

    def store(self, scan: Scan) -> int:
        """COPY a scan's rows into a new shadow table."""
        shadow.drop(self._relation)
        try:
            return self._storing.store(scan, self._order(scan.columns), self._create)
        except ValueDoesNotFit as error:
            raise _differs(error) if self.merges else error from None

    def _order(self, columns: Sequence[Column]) -> list[int]:
        """Return the columns' places in the file, in the table's order: lexemes depend on it."""
        places = {column.name: i for i, column in enumerate(columns)}
        if self._live and self.merges:
            return [places[column.name] for column in self._live]
        return list(places.values())

    def _create(self, columns: Sequence[Column], full_text: sql.Composed | None) -> None:
        shadow.create(
            self._relation,
            columns,
            full_text,
            unlogged=self.merges,
            comment=self._mark,
        )
        if not self.merges:
            self._oid = gone.oid_of(self._relation.connection, self._relation.names.shadow)
            prepare_columns(self._relation)
            views.check(self._relation)
            triggers.copy_to_shadow(self._relation)

    def finish(self, scan: Scan) -> tuple[int, list[str]]:
        """Finish the shadow and swap it in, or merge it into the live table."""
        if self.merges:
            return self._merge(scan, self._storing.fill_long_rows(scan.columns))
        rows, warnings = scan.rows_verified, []
        with self._steps.step("primary_key", "adding the primary key"):
            if self._settings.mode == "upsert" and self._key:
                earlier = unique_key.drop_earlier(self._relation, self._key)
                rows -= earlier
                warnings += keys.duplicate_warnings(earlier)
            shadow.add_primary_key(self._relation)
            warnings += indexes.build(self._relation, self._key)
        warnings += _cut_warnings(self._storing.fill_long_rows(scan.columns))
        if self.existed:
            self._index(self._relation.names.shadow, self._relation.names.shadow_full_text_index)
        self._steps.ask(dictionary.types(self._relation), scan.columns)
        with self._steps.step("swap", "swapping the tables"):
            triggers.add_full_text(self._relation)
            shadow.label(self._relation, scan.columns)
            self._check_still_there()
            self._steps.before_change()
            self.has_begun = True
            swapped = swap.swap(self._relation, scan.rows_read, rows, self._others, self._change)
        warnings += swapped.warnings + self._overruled(scan.columns)
        # ``indexes`` and ``swap`` both warn of what cannot be built on the shadow.
        return rows + swapped.carried, list(dict.fromkeys(warnings))

    def _overruled(self, columns: Sequence[Column]) -> list[str]:
        """Warn of type overrides that the Data Dictionary got or lost during the load.

        Readers see the new rows by now, so the load does not fail if this cannot be found out.
        """
        try:
            now = dictionary.overrides(self._relation)
        except DatabaseError as error:
            return [
                f"whether the Data Dictionary's types changed during the load is unknown: {error}"
            ]
        names = [column.name for column in columns]
        changed = [name for name in names if now.get(name) != self._overrides.get(name)]
        if not changed:
            return []
        listed = ", ".join(changed)
        return [f"the Data Dictionary's types changed during the load, load again: {listed}"]

    def settle(self) -> list[str]:
        """Index the rows that are shown already.

        A failure is a warning: no row is lost, and loading again would append the rows twice.
        """
        try:
            self._index(self._relation.name, self._relation.names.full_text_index)
        except DatabaseError as error:
            return [f"searches are slow, the rows are not indexed: {error}"]
        self.settled = True
        return []

    def _index(self, table: str, index: str) -> None:
        if "none" not in (self._settings.full_text, self._settings.fts_index):
            with self._steps.step("full_text_index", "indexing the full text"):
                shadow.add_full_text_index(
                    self._relation.connection, table, index, self._settings.fts_index
                )
        with self._steps.step("analyze", "analysing the table"):
            shadow.analyze(self._relation.connection, table)

    def _merge(self, scan: Scan, cut: fulltext.Cut) -> tuple[int, list[str]]:
        with self._steps.step("swap", "adding the rows"):
            self._check_still_there()
            how = (cut.ids, self._settings.full_text, self._change)
            self._steps.before_change()
            self.has_begun = True
            if self._settings.mode == "append":
                merged = merge.append(self._relation, *how)
            else:
                merged = merge.upsert(self._relation, self._key, *how)
        warnings = _cut_warnings(cut)
        rows = merged.inserted + merged.updated
        if lost := scan.rows_verified - merged.duplicates - rows:
            warnings.append(f"rows that a trigger of the table has left out: {lost}")
        return rows, warnings + keys.duplicate_warnings(merged.duplicates)

    def _check_still_there(self) -> None:
        """See that no deleted resource is given a table, which CKAN would show to everybody."""
        if self._portal is not None:
            self._portal.check_still_there(self._relation.name)

    def withdraw(self) -> bool:
        """Drop the live table of a resource that is gone."""
        if self._portal is None:
            return False
        dropped = gone.drop(self._relation, self._portal, self._mark, loaded=self._oid)
        if dropped:
            self._change.table = "dropped"
        return dropped

    def clean_up(self) -> None:
        """Drop the shadow, if the swap has not made it the live table."""
        if self.table_state == "replaced":
            return
        try:
            shadow.drop_if_free(self._relation)
        except DatabaseError as error:  # must not hide why the load failed
            _log.warning("%s stays until the next load: %s", self._relation.names.shadow, error)


def _cut_warnings(cut: fulltext.Cut) -> list[str]:
    return [
        *_listed(cut.beginnings, "too long to be searched whole, its beginning is"),
        *_listed(cut.pieces, "Postgres is too slow at its long words, they are cut for searches"),
    ]


def _listed(ids: Sequence[int], said: str) -> list[str]:
    more = len(ids) - MOST_LISTED
    listed = [f"_id {row_id}: {said}" for row_id in ids[:MOST_LISTED]]
    return [*listed, f"{more:,} more rows: {said}"] if more > 0 else listed


def _differs(error: ValueDoesNotFit) -> SchemaDiffers:
    return SchemaDiffers(
        f"{error.message}, which the column has in the table",
        row=error.row,
        column=error.column,
        value=error.value,
        hint="correct the value, or let the file replace the table, with types of its own",
        option="mode",
    )
