"""Chunks of text -> the lexemes that the server's text search makes of each, cached.

A chunk is what stands between two spaces, with one space before and one after it, except at the
begin and end of its text: ".." is a file's name only between words. No token of Postgres's parser
crosses white space, except tags and comments, so a text's vector can be put together from those of
its chunks. The lexemes depend on the server's configuration, so they always come from the server,
in one query for many chunks. Holds at most 2 MiB of chunks: with their lexemes about 32 MB.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg.rows import TupleRow

from loader.copy import statements
from loader.copy.database import ours

Integers = npt.NDArray[np.int32]
Indices = npt.NDArray[np.intp]

# The part of all chunks that may be new: to ask for one costs ten times what a known one saves.
MOST_NEW = 0.03
FREE_NEW = 1 << 14  # new ones that do not count, since every file begins with some; half a second
MOST_CHUNKS = 1 << 17
MOST_BYTES = 2 << 20
ASKED_AT_ONCE = 1 << 13  # the answer takes about 100 bytes a chunk
# Whether the parser is the built-in one, and no dictionary looks at several words at a time.
_WORD_BY_WORD = """
    SELECT p.prsname = 'default' AND p.prsnamespace = 'pg_catalog'::regnamespace
        AND NOT EXISTS (
            SELECT FROM pg_ts_config_map m JOIN pg_ts_dict d ON d.oid = m.mapdict
            JOIN pg_ts_template t ON t.oid = d.dicttemplate
            WHERE m.mapcfg = c.oid
            AND t.tmplname NOT IN ('simple', 'synonym', 'ispell', 'snowball', 'unaccent'))
    FROM pg_ts_config c JOIN pg_ts_parser p ON p.oid = c.cfgparser WHERE c.oid = %s::regconfig
"""


@dataclass(frozen=True)
class Entries:
    """The lexemes of some chunks, all in one array.

    Attributes:
        widths: How many positions each chunk takes.
        firsts: Where each chunk's lexemes begin.
        counts: How many lexemes each chunk has.
        positions: Of each lexeme, counted from 1 at its chunk's beginning.
        lexemes: As a tsvector's text has them, up to the position.
    """

    widths: Integers
    firsts: Integers
    counts: Integers
    positions: Integers
    lexemes: pa.StringArray

    def and_others(self, others: Entries) -> Entries:
        """Return these entries and others behind them."""
        return Entries(
            np.concatenate((self.widths, others.widths)),
            np.concatenate((self.firsts, others.firsts + np.int32(len(self.lexemes)))),
            np.concatenate((self.counts, others.counts)),
            np.concatenate((self.positions, others.positions)),
            pa.concat_arrays([self.lexemes, others.lexemes]),
        )


_ZERO = np.zeros(1, np.int32)
_EMPTY_CHUNK = Entries(_ZERO, _ZERO, _ZERO, _ZERO[:0], pa.array([], pa.string()))


def is_word_by_word(connection: psycopg.Connection[TupleRow], config: str) -> bool:
    """Tell whether a text's lexemes are those of its words, under this configuration."""
    with ours("reading the text search configuration"):
        row = connection.execute(_WORD_BY_WORD, (config,)).fetchone()
    return bool(row and row[0])


class TooMuchToAsk(Exception):
    """So much is new that the server is faster if it computes the vectors itself."""


class Vocabulary:
    """The chunks met so far; safe to share between threads.

    Args:
        connection: In autocommit mode; nobody else uses it.
        config: The text search configuration, as ``regconfig`` prints it; it keeps numbers.
    """

    def __init__(self, connection: psycopg.Connection[TupleRow], config: str) -> None:
        self._connection = connection
        self._config = config
        # A random number: no dictionary changes it, and no text can contain it on purpose.
        self._marker = str(10**17 + secrets.randbelow(9 * 10**17))
        self._lock = threading.Lock()
        self._met = self._asked = 0
        self._forget()

    def _forget(self) -> None:
        self._indices = {"": 0}
        self._bytes = 0
        self._entries = _EMPTY_CHUNK

    def look_up(self, chunks: Sequence[str], met: int) -> tuple[Integers, Entries]:
        """Return the entries, and the index of each chunk's in them; ask for what is new.

        Args:
            chunks: In any order; a chunk may be there several times.
            met: How many chunks the texts had, with repetitions.

        Raises:
            TooMuchToAsk: Too many were new, of all that were met so far.
        """
        with self._lock:
            new = self._new(chunks)
            if new and (len(self._indices) > MOST_CHUNKS or self._bytes > MOST_BYTES):
                self._forget()
                new = self._new(chunks)
            self._met += met
            if self._asked + len(new) > FREE_NEW + MOST_NEW * self._met:
                raise TooMuchToAsk
            self._asked += len(new)
            self._learn(new)
            return np.fromiter(map(self._indices.__getitem__, chunks), np.int32), self._entries

    def _new(self, chunks: Sequence[str]) -> list[str]:
        return [chunk for chunk in dict.fromkeys(chunks) if chunk not in self._indices]

    def _learn(self, chunks: Sequence[str]) -> None:
        for start in range(0, len(chunks), ASKED_AT_ONCE):
            some = chunks[start : start + ASKED_AT_ONCE]
            entries = self._ask(some)
            self._indices.update(zip(some, range(len(self._indices), 1 << 62), strict=False))
            self._bytes += sum(map(len, some))
            self._entries = self._entries.and_others(entries)

    def _ask(self, chunks: Sequence[str]) -> Entries:
        parameters = {"chunks": "\n".join(chunks), "config": self._config, "marker": self._marker}
        with ours("asking for lexemes"):
            row = self._connection.execute(
                statements.read("vocabulary.lexemes"), parameters
            ).fetchone()
        assert row is not None  # noqa: S101  # an aggregate gives one row
        chunk_of = np.fromstring(row[0], np.int32, sep=" ") - 1
        positions = np.fromstring(row[1], np.int32, sep=" ")
        is_marker = np.append(np.diff(chunk_of) != 0, True)  # the last of each chunk
        counts = np.bincount(chunk_of, minlength=len(chunks)).astype(np.int32) - 1
        lexemes = pa.array(row[2].split("\n"), pa.string()).filter(pa.array(~is_marker))
        return Entries(
            positions[is_marker] - 1,
            np.cumsum(counts, dtype=np.int32) - counts,
            counts,
            positions[~is_marker],
            _as_written(lexemes),
        )


def _as_written(lexemes: pa.StringArray) -> pa.StringArray:
    escaped = pc.replace_substring(pc.replace_substring(lexemes, "\\", "\\\\"), "'", "''")
    quoted = pc.binary_join_element_wise("'", escaped, "':", "")
    plain = pc.binary_join_element_wise(lexemes, "", ":")
    return pc.if_else(pc.utf8_is_alnum(lexemes), plain, quoted)
