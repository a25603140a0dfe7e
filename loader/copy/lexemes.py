"""A block's cells -> the text of each row's ``_full_text``, for a COPY that fills it.

Postgres's parser takes half of the time of loading text, and it reads the same words again and
again. Here each row's vector is put together from the vectors of its words, which a ``Vocabulary``
caches: on ``311`` that saves half of all CPU time. The lexemes of each row are those of the
trigger, and the positions those of ``fulltext.expression``. The server computes it for odd rows,
whose words alone do not decide: with a "<", which may open a tag, or with a very long word. If too
many words are new, or too many rows odd, the composer gives up before it asks.

Arrow and NumPy do the work, a block at a time; Python only what is done per new word. Holds about
ten copies of a block's texts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from psycopg.rows import TupleRow

from loader.choices import FullText
from loader.copy import fulltext
from loader.copy.database import ours
from loader.copy.fulltext import KNOWN, is_searched, lexemes_of
from loader.copy.vocabulary import (
    MOST_NEW,
    Entries,
    Indices,
    TooMuchToAsk,
    Vocabulary,
    is_word_by_word,
)
from loader.types.column import Column
from loader.types.registry import Lexemes, Type, type_named

Flags = npt.NDArray[np.bool_]

# The part of all rows that may be odd: one costs 1.5 times what it costs if the COPY fills it.
MOST_ODD = 0.05
FREE_ODD = 10_000  # odd rows that do not count, since a few may stand together; half a second
_MAX_CHUNK_BYTES = 256
_ASKED_AT_ONCE = 1000  # rows
_MAX_POSITION = 16383  # Postgres's limit; later words have it too
_POSITIONS = pa.array([f"{position} " for position in range(_MAX_POSITION + 1)])
_SPACE, _TAB, _CR, _LESS_THAN = b" \t\r<"
# The server is not asked for these: ``fulltext.leaves_numbers`` has checked that they stay as is.
_NUMBER = r"""^ ?[$#"'(\[]?[0-9]{1,30}\.?[,;:!?%"')\]]{0,2} ?$"""
_AROUND_NUMBER = " $#\"'([.,;:!?%)]"
_USUAL_FORMS = {
    Lexemes.DATE: ("dddd-dd-dd", "dddd:1 -dd:2 -dd:3"),
    Lexemes.TIME: ("dd:dd:dd", "dd:4 dd:4 dd:4"),
    Lexemes.TIMESTAMP: ("dddd-dd-dd dd:dd:dd", "dddd:1 -dd:2 -dd:3 tdd:4 dd:4 dd:4"),
}
_CLOCK = r"(\d\d):(\d\d):(\d\d(?:\.\d*[1-9])?)\.?0*$"
# Of other lengths, such as a time with fractions of a second: each expression in turn.
_OTHER_FORMS = {
    Lexemes.DATE: [],
    Lexemes.TIME: [(f"^{_CLOCK}", r"\1:4 \2:4 \3:4")],
    Lexemes.TIMESTAMP: [
        ("^(.{10})$", r"\1 00:00:00"),
        ("^(.{16})$", r"\1:00"),
        (
            rf"^(\d{{4}})-(\d\d)-(\d\d)[T ]{_CLOCK}",
            r"\1:1 -\2:2 -\3:3 t\4:4 \5:4 \6:4",
        ),
    ],
}


class Composer:
    """Composes the vectors of one table; safe to share between threads.

    Args:
        connection: In autocommit mode; nobody else uses it.
        columns: As for ``fulltext.expression``.
        which: As for ``fulltext.expression``.
        config: As for ``fulltext.expression``; ``can_compose`` has approved of it.
        time_zone: As for ``fulltext.expression``.

    Attributes:
        gave_up: Whether so much had to be asked for that the COPY would do it in less time.
    """

    def __init__(
        self,
        connection: psycopg.Connection[TupleRow],
        columns: Sequence[Column],
        which: FullText,
        config: str,
        time_zone: str,
    ) -> None:
        self.gave_up = False
        self._rows = self._odd = 0
        self._connection = connection
        self._vocabulary = Vocabulary(connection, config)
        self._types = [
            type_named(column.type) if is_searched(column, which) else None for column in columns
        ]
        found = {row.lexemes for row in self._types if row}
        # Behind the dates' positions, as where vectors are concatenated.
        has_time = bool(found & {Lexemes.TIME, Lexemes.TIMESTAMP})
        self._shift = 4 if has_time else 3 if Lexemes.DATE in found else 0
        expression = fulltext.expression(columns, which, config, time_zone, literals=True)
        self._whole_rows = _whole_rows(columns, expression)

    def compose(self, cells: Sequence[pa.StringArray], left_out: Flags) -> pa.StringArray | None:
        """Return each row's tsvector as text; None once it has given up.

        Args:
            cells: One array per column, as they go into the table.
            left_out: The rows that get null.
        """
        if self.gave_up:
            return None
        chosen = [(row, column) for row, column in zip(self._types, cells, strict=True) if row]
        known = [column for row, column in chosen if row.lexemes is Lexemes.NUMBER]
        known += [
            _moments(column, row.lexemes) for row, column in chosen if row.lexemes in _USUAL_FORMS
        ]
        texts = [
            row.printed(column) if row.printed else column
            for row, column in chosen
            if row.lexemes not in KNOWN
        ]
        odd = np.zeros(len(left_out), np.bool_)
        if texts:
            text = Text(texts, left_out)
            odd = text.odd
            try:
                self._count(odd)
                known.append(self._words(text, _beside(chosen)))
            except TooMuchToAsk:
                self.gave_up = True
                return None
        vectors = _joined(known or [pa.nulls(len(left_out), pa.string())])
        if odd.any():
            asked = self._ask([column.filter(pa.array(odd)) for column in cells])
            vectors = pc.replace_with_mask(vectors, pa.array(odd), asked)
        if left_out.any():
            vectors = pc.if_else(pa.array(left_out), None, vectors)
        return vectors

    def _count(self, odd: Flags) -> None:
        # Lanes that count at the same moment may miss one another: that is near enough.
        self._rows += len(odd)
        self._odd += int(odd.sum())
        if self._odd > FREE_ODD + MOST_ODD * self._rows:
            raise TooMuchToAsk

    def _words(self, text: Text, beside: tuple[Flags, Flags]) -> pa.StringArray:
        """Return what the texts' words add to each row's vector."""
        distinct, chunks = text.encoded(*beside)
        indices, entries = self._entries(distinct, len(chunks))
        widths, counts, firsts = (
            known.take(indices).take(chunks)
            for known in (entries.widths, entries.counts, entries.firsts)
        )
        before = np.cumsum(widths, dtype=np.int32) - widths
        row_begins = np.repeat(before[text.row_starts], text.row_lengths)
        lexemes_end = np.cumsum(counts, dtype=np.int32)
        lexemes = np.repeat(firsts - (lexemes_end - counts), counts)
        lexemes += np.arange(len(lexemes), dtype=np.int32)
        positions = np.repeat(before - row_begins + np.int32(self._shift), counts)
        positions += entries.positions[lexemes]
        # Lexeme and position by turns, one copy of bytes for both.
        pieces = np.empty(2 * len(lexemes), np.int32)
        pieces[0::2] = lexemes + len(_POSITIONS)
        pieces[1::2] = np.minimum(positions, _MAX_POSITION)
        written = pa.concat_arrays([_POSITIONS, entries.lexemes]).take(pa.array(pieces))
        ends = np.concatenate(([0], 2 * lexemes_end[text.row_ends - 1]))
        return _cut(written.buffers()[2], _offsets(written)[ends])

    def _entries(self, chunks: pa.StringArray, met: int) -> tuple[Indices, Entries]:
        """Return entries, and the index of each chunk's: the numbers' are not remembered."""
        is_number = pc.match_substring_regex(chunks, _NUMBER)
        numbers = pc.ascii_trim(chunks.filter(is_number), _AROUND_NUMBER)
        words = chunks.filter(pc.invert(is_number)).to_pylist()
        indices, entries = self._vocabulary.look_up(words, met)
        ones = np.ones(len(numbers), np.int32)
        written = pc.binary_join_element_wise(numbers, "", ":")
        of_numbers = Entries(ones, np.arange(len(numbers), dtype=np.int32), ones, ones, written)
        all_indices = np.empty(len(chunks), np.intp)
        mask = is_number.to_numpy(zero_copy_only=False)
        all_indices[~mask] = indices
        all_indices[mask] = len(entries.counts) + np.arange(len(numbers))
        return all_indices, entries.and_others(of_numbers)

    def _ask(self, cells: Sequence[pa.StringArray]) -> pa.StringArray:
        """Return what the server makes of whole rows."""
        vectors: list[str | None] = []
        for start in range(0, len(cells[0]), _ASKED_AT_ONCE):
            some = [column.slice(start, _ASKED_AT_ONCE).to_pylist() for column in cells]
            # The statement has the columns' names in it, and "%" is a letter there.
            with (
                ours("asking for full text", with_rows=True),
                psycopg.RawCursor(self._connection) as cursor,
            ):
                vectors += [row[0] for row in cursor.execute(self._whole_rows, some)]
        return pa.array(vectors, pa.string())


class Text:
    """The text of each row, and the chunks that it consists of.

    Args:
        columns: Whose values are joined by spaces, as the trigger joins them: without nulls.
        left_out: Rows that are taken to have no text.

    Attributes:
        chunks: Of all rows, each with the space behind it, also the last of a row.
        row_ends: How many chunks there are up to each row's end.
        odd: The rows whose chunks do not tell their lexemes; they have none here.
    """

    def __init__(self, columns: Sequence[pa.StringArray], left_out: Flags) -> None:
        texts = pc.binary_join_element_wise(*columns, "", " ", null_handling="skip")
        blank = left_out | (np.diff(_offsets(texts)) == 0)
        if blank.any():
            texts = pc.if_else(pa.array(blank), " ", texts)
        self._cut(texts)
        self.odd = self._odd(texts)
        if self.odd.any():
            self._cut(pc.if_else(pa.array(self.odd), " ", texts))

    @property
    def row_starts(self) -> Indices:
        """How many chunks there are before each row."""
        return np.concatenate((np.zeros(1, np.int64), self.row_ends[:-1]))

    @property
    def row_lengths(self) -> Indices:
        """How many chunks each row has."""
        return np.diff(self.row_ends, prepend=0)

    def encoded(self, before: Flags, behind: Flags) -> tuple[pa.StringArray, Indices]:
        """Return the distinct chunks, and the index in them of each chunk.

        Each has one space before it and one behind it, but not at the row's begin and end, unless
        something else than text stands there.

        Args:
            before: The rows with a number, for one, before the first text.
            behind: Those with one behind the last text.
        """
        encoded = self.chunks.dictionary_encode()
        inside = _between(" ", pc.ascii_rtrim_whitespace(encoded.dictionary), " ")
        is_only = self.row_lengths == 1
        firsts, lasts = self.row_starts[~before], self.row_ends[~behind] - 1
        begins, ends = (
            pc.ascii_rtrim_whitespace(self.chunks.take(pa.array(at))) for at in (firsts, lasts)
        )
        closing = pc.if_else(pa.array((is_only & ~behind)[~before]), "", " ")
        edges = pa.concat_arrays([_between(" ", ends, ""), _between("", begins, closing)])
        edges = edges.dictionary_encode()
        indices = encoded.indices.to_numpy().astype(np.intp)
        at_edges = edges.indices.to_numpy() + len(inside)
        indices[lasts] = at_edges[: len(lasts)]
        indices[firsts] = at_edges[len(lasts) :]  # also where a row has only one
        distinct = pa.concat_arrays([inside, edges.dictionary])
        used = np.bincount(indices, minlength=len(distinct)) > 0
        return distinct.filter(pa.array(used)), (np.cumsum(used) - 1)[indices]

    def _cut(self, texts: pa.StringArray) -> None:
        ends = _offsets(texts)
        octets = np.frombuffer(texts.buffers()[2], np.uint8)[: ends[-1]]
        # The octets wrap: what is below a tab is far above.
        is_space = (octets == _SPACE) | (octets - np.uint8(_TAB) <= _CR - _TAB)
        chunk_ends = np.flatnonzero(is_space) + 1
        self.row_ends: Indices = np.searchsorted(chunk_ends, ends[1:], side="right")
        self.chunks = _cut(texts.buffers()[2], np.concatenate(([0], chunk_ends)))

    def _odd(self, texts: pa.StringArray) -> Flags:
        octets = np.frombuffer(texts.buffers()[2], np.uint8)[: _offsets(texts)[-1]]
        tags = np.flatnonzero(octets == _LESS_THAN)
        long = np.flatnonzero(np.diff(_offsets(self.chunks)) > _MAX_CHUNK_BYTES)
        odd = np.zeros(len(texts), np.bool_)
        odd[np.searchsorted(_offsets(texts)[1:], tags, side="right")] = True
        odd[np.searchsorted(self.row_ends, long, side="right")] = True
        return odd


def can_compose(
    connection: psycopg.Connection[TupleRow],
    columns: Sequence[Column],
    which: FullText,
    config: str,
    sample: Sequence[pa.StringArray],
) -> bool:
    """Tell whether a ``Composer`` can do it, and is faster.

    Args:
        connection: In autocommit mode.
        columns: As for ``Composer``.
        which: As for ``Composer``.
        config: As for ``Composer``.
        sample: The cells of some rows.
    """
    chosen = [
        (lexemes_of(column), cells)
        for column, cells in zip(columns, sample, strict=True)
        if is_searched(column, which)
    ]
    # Those depend on the server's time zone.
    if any(lexemes is Lexemes.TIMESTAMPTZ for lexemes, _ in chosen):
        return False
    texts = [cells for lexemes, cells in chosen if lexemes is Lexemes.TEXT]
    known = fulltext.leaves_numbers(connection, config) and is_word_by_word(connection, config)
    return known and (not texts or not len(texts[0]) or _is_usual(texts))


def _beside(chosen: Sequence[tuple[Type, pa.StringArray]]) -> tuple[Flags, Flags]:
    """Return the rows with another value before the first text, and behind the last one."""
    return _leading(chosen), _leading(chosen[::-1])


def _leading(chosen: Sequence[tuple[Type, pa.StringArray]]) -> Flags:
    leading = np.zeros(len(chosen[0][1]), np.bool_)
    has_text = leading.copy()
    for row, cells in chosen:
        filled = cells.is_valid().to_numpy(zero_copy_only=False)
        if row.lexemes in KNOWN:
            leading |= filled & ~has_text
        else:
            has_text |= filled
        if has_text.all():
            break
    return leading


def _is_usual(texts: Sequence[pa.StringArray]) -> bool:
    """Tell whether few rows are odd, and few words of the second half new."""
    rows = len(texts[0])
    text = Text(texts, np.zeros(rows, np.bool_))
    if text.odd.sum() > MOST_ODD * rows:
        return False
    half = len(text.chunks) // 2
    earlier, later = text.chunks[:half], text.chunks[half:]
    is_number = pc.match_substring_regex(pc.ascii_rtrim_whitespace(later), _NUMBER)
    known = pc.or_(pc.is_in(later, value_set=earlier.unique()), is_number)
    new = len(later) - pc.sum(known, min_count=0).as_py()
    return bool(new <= MOST_NEW * len(later))


def _whole_rows(columns: Sequence[Column], expression: sql.Composed) -> sql.Composed:
    """Return the query for the vectors of rows, given as an array of texts for each column.

    Its placeholders are those of the server: ``$1``.
    """
    arrays = [
        sql.SQL(f"${number}::text[]::{{}}[]").format(sql.SQL(column.type))
        for number, column in enumerate(columns, 1)
    ]
    return sql.SQL("SELECT ({})::text FROM unnest({}) AS t ({})").format(
        expression,
        sql.SQL(", ").join(arrays),
        sql.SQL(", ").join(sql.Identifier(column.name) for column in columns),
    )


def _moments(cells: pa.StringArray, lexemes: Lexemes) -> pa.StringArray:
    """Return what dates or times add to each row's vector."""
    form, written = (np.frombuffer(text.encode(), np.uint8) for text in _USUAL_FORMS[lexemes])
    filled = cells.drop_null()
    if not pc.all(pc.equal(pc.binary_length(filled), len(form)), min_count=0).as_py():
        for pattern, replacement in _OTHER_FORMS[lexemes]:
            cells = pc.replace_substring_regex(cells, pattern, replacement)
        return cells
    # Seven times as fast as the expressions.
    begin, end = _offsets(filled)[[0, -1]]
    octets = np.frombuffer(filled.buffers()[2] or b"", np.uint8)[begin:end]
    vectors = np.tile(written, (len(filled), 1))
    digit = ord("d")
    vectors[:, written == digit] = octets.reshape(-1, len(form))[:, form == digit]
    lengths = np.where(cells.is_valid(), len(written), 0)
    return _cut(pa.py_buffer(vectors), np.concatenate(([0], np.cumsum(lengths))))


def _between(before: str, strings: pa.StringArray, behind: str | pa.StringArray) -> pa.StringArray:
    return pc.binary_join_element_wise(before, strings, behind, "")


def _joined(parts: Sequence[pa.StringArray]) -> pa.StringArray:
    return pc.binary_join_element_wise(*parts, " ", null_handling="replace", null_replacement="")


def _offsets(strings: pa.StringArray) -> npt.NDArray[np.int32]:
    begin = strings.offset
    return np.frombuffer(strings.buffers()[1], np.int32)[begin : begin + len(strings) + 1]


def _cut(data: pa.Buffer, offsets: npt.NDArray[np.integer]) -> pa.StringArray:
    buffer = pa.py_buffer(np.ascontiguousarray(offsets, np.int32))
    return pa.StringArray.from_buffers(len(offsets) - 1, buffer, data)
