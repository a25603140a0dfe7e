"""A scan's rows -> the shadow table, by COPY, and the ``_full_text`` of each row.

Whether ``_full_text`` is composed before the COPY or computed by the server in it is decided here,
from the columns, a sample and the server's configuration. Holds what the lanes and the composer
hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from typing import TypeVar

import psycopg
import pyarrow as pa
from psycopg import sql
from psycopg.rows import TupleRow

from loader.copy import database, fulltext, lanes, lexemes, shadow, triggers
from loader.copy.encode import Form
from loader.copy.encoder import ComposingEncoder, Encoder
from loader.copy.relation import Relation
from loader.copy.settings import CopySettings
from loader.scan.scan import Scan
from loader.types.column import Column

_Item = TypeVar("_Item")
# Makes the shadow, of columns in the table's order and the expression that fills ``_full_text``.
Create = Callable[[Sequence[Column], sql.Composed | None], None]


class Storing:
    """Stores the rows of one load; a second time, if the first scan has widened a column.

    Args:
        relation: Its connection is in autocommit mode; it holds the resource's lock.
        url: Of the database, for the connections of the lanes.
        settings: How to load.
        merges: Whether the rows are to be put among those of the live table.
    """

    def __init__(
        self, relation: Relation, url: str, settings: CopySettings, *, merges: bool
    ) -> None:
        self._relation = relation
        self._url = url
        self._settings = settings
        self._merges = merges
        self._changed_by_triggers = False
        self._encoder: Encoder | None = None

    def store(self, scan: Scan, order: Sequence[int], create: Create) -> int:
        """COPY all rows of a scan; there is no shadow yet.

        Args:
            scan: One reading of the source.
            order: The columns' places in the file, in the table's order.
            create: Makes the shadow.

        Returns:
            How many rows the server has taken; 0 once a column was widened.

        Raises:
            AircanError: As ``lanes.copy``, and as ``create``.
        """
        columns = [scan.columns[i] for i in order]
        sample = [scan.reading.sample[i] for i in order]
        form = Form(scan.reading.table.delimiter, scan.reading.table.line_end)
        with ExitStack() as stack:
            composer, expression = self._full_text(columns, sample, stack)
            create(columns, None if composer else expression)
            connections = [
                self._connect(stack, f"lane {lane}") for lane in range(1, self._settings.lanes + 1)
            ]
            if composer is None or expression is None:
                self._encoder = encoder = Encoder(
                    scan.columns, form, searched=expression is not None
                )
                return self._copy(
                    scan,
                    scan.blocks(),
                    lambda share: map(encoder.encode, map(scan.verify, share)),
                    connections,
                )
            self._encoder = composing = ComposingEncoder(scan.columns, form, composer, order)
            return self._copy_composed(scan, composing, expression, connections)

    def _copy(
        self,
        scan: Scan,
        blocks: Iterable[_Item],
        stages: lanes.Stages[_Item],
        connections: Sequence[psycopg.Connection[TupleRow]],
        *,
        full_text: bool = False,
    ) -> int:
        statement = lanes.statement(
            self._relation.names.shadow,
            [column.name for column in scan.columns],
            scan.reading.table.delimiter,
            full_text=full_text,
        )
        return lanes.copy(blocks, stages, connections, statement, self._relation.connection)

    def _copy_composed(
        self,
        scan: Scan,
        encoder: ComposingEncoder,
        expression: sql.Composed,
        connections: Sequence[psycopg.Connection[TupleRow]],
    ) -> int:
        """COPY with the composer's ``_full_text``; once it gives up, a trigger fills the rest.

        Blocks that lanes had taken, or that were in their queue, wait until there is a trigger.
        """
        blocks = scan.blocks()
        rows = self._copy(
            scan,
            iter(lambda: None if encoder.gave_up else next(blocks, None), None),
            lambda share: map(encoder.compose, map(scan.verify, share)),
            connections,
            full_text=True,
        )
        if encoder.gave_up:
            shadow_name = self._relation.names.shadow
            with fulltext.filling(self._relation.connection, shadow_name, expression):
                postponed = encoder.postponed
                rows += self._copy(scan, postponed, partial(map, encoder.encode), connections)
                postponed.clear()
                rows += self._copy(
                    scan,
                    blocks,
                    lambda share: map(encoder.encode, map(scan.verify, share)),
                    connections,
                )
        return rows

    def _connect(self, stack: ExitStack, purpose: str) -> psycopg.Connection[TupleRow]:
        return stack.enter_context(closing(database.connect_another(self._url, purpose)))

    def _full_text(
        self,
        columns: Sequence[Column],
        sample: Sequence[pa.StringArray],
        stack: ExitStack,
    ) -> tuple[lexemes.Composer | None, sql.Composed | None]:
        """Return what composes ``_full_text`` before the COPY, if anything, and its SQL expression.

        The expression is a trigger's where there is a composer, else the column's.
        """
        which = self._settings.full_text
        if which == "none":
            return None, None
        config, time_zone = fulltext.settings(self._relation.connection)
        literals = fulltext.leaves_numbers(self._relation.connection, config)
        expression = partial(fulltext.expression, columns, which, config, time_zone, literals)
        self._changed_by_triggers = not self._merges and triggers.act_on_rows(self._relation)
        if (
            self._changed_by_triggers
            or not fulltext.may_fill(self._relation.connection)
            or not lexemes.can_compose(self._relation.connection, columns, which, config, sample)
        ):
            return None, expression()
        connection = self._connect(stack, "full text")
        composer = lexemes.Composer(connection, columns, which, config, time_zone)
        return composer, expression(row="new")

    def fill_long_rows(self, columns: Sequence[Column]) -> fulltext.Cut:
        """Fill ``_full_text`` of the rows that the COPY has left out.

        Args:
            columns: Of the scan.

        Returns:
            The rows that could not be done as CKAN's trigger would.
        """
        if self._settings.full_text == "none":
            return fulltext.Cut()
        shadow.finish_full_text(self._relation)
        table = self._relation.names.shadow
        left_out = self._encoder.left_out.tolist() if self._encoder else []
        if self._merges and left_out:  # each is found by its _id
            shadow.add_primary_key(self._relation)
        return fulltext.fill_long_rows(
            self._relation.connection,
            table,
            columns,
            self._settings.full_text,
            # Where triggers change the rows, only the server knows which were left out.
            fulltext.left_out(self._relation.connection, table)
            if self._changed_by_triggers
            else left_out,
        )
