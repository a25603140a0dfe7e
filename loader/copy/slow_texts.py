"""Texts -> which of them Postgres's text search parser is slow at, and a form that it is fast at.

At each word the parser tries to read a host, a file's path or an e-mail address, as far as there
may be one; if there is none, it tries again at the next word. So its time grows with the square of
the length of ``a_a_a_...``: 16 kB take 3 s, 1 MB takes hours. Only characters of ``_RUN`` continue
such a try; a comment is searched for its end. So a text counts as slow if a run of these characters
has too many parts, or the text too many comments. The other texts take the parser 12 us a byte at
most, usual ones 0.2.

The client and the server apply the same rule; the client may find more. Holds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

Flags = npt.NDArray[np.bool_]

_RUN = "A-Za-z0-9_./@~-"
_MOST_PARTS = 100  # more than the hyphens of a line across a page
_MOST_ADDRESSES = 8  # at each "@" the parser starts again, within what it has started again
# For RE2 and for Postgres; in both "-" has to be the last of a character class.
_EXPRESSION = (
    f"(?:[A-Za-z0-9]*[_./@~-]){{{_MOST_PARTS}}}|(?:[A-Za-z0-9_./~-]*@){{{_MOST_ADDRESSES}}}"
)
_COMMENT = "<!--"
_PIECE_CHARACTERS = 60  # 1 us a byte


# A shorter text cannot be slow.
_HAS_SLOW_RUN = sql.SQL("(octet_length({text}) >= {parts} AND {text} ~ {run})")
_COMMENT_BYTES = sql.SQL(
    "CASE WHEN strpos({text}, {comment}) > 0"
    " THEN octet_length({text}) - octet_length(replace({text}, {comment}, '')) ELSE 0 END"
)


def condition(texts: Sequence[sql.Composable]) -> sql.Composed:
    """Return the SQL condition that a row's text is slow.

    Args:
        texts: SQL of its parts, one at least.
    """
    parts, run = sql.Literal(_MOST_PARTS), sql.Literal(_EXPRESSION)
    comment = sql.Literal(_COMMENT)
    return sql.SQL("({runs} OR {comment_bytes} >= {most})").format(
        runs=sql.SQL(" OR ").join(
            _HAS_SLOW_RUN.format(text=text, parts=parts, run=run) for text in texts
        ),
        comment_bytes=added([_COMMENT_BYTES.format(text=text, comment=comment) for text in texts]),
        most=sql.Literal(_MOST_PARTS * len(_COMMENT)),
    )


def among(texts: Sequence[pa.StringArray]) -> Flags:
    """Return the rows whose text is slow.

    Args:
        texts: Its parts, one at least.
    """
    slow = np.zeros(len(texts[0]), np.bool_)
    comments = np.zeros(len(texts[0]), np.int64)
    for cells in texts:
        found = pc.match_substring_regex(cells, _EXPRESSION).fill_null(fill_value=False)
        slow |= found.to_numpy(zero_copy_only=False)
        comments += pc.count_substring(cells, _COMMENT).fill_null(fill_value=0).to_numpy()
    return slow | (comments >= _MOST_PARTS)


def in_records(records: pa.StringArray) -> Flags:
    """Return the records whose text is slow, as far as the unparsed record shows it.

    Args:
        records: Unescaped, one behind the other in memory, and each with its line end.
    """
    _, offsets, data = records.buffers()
    ends = np.frombuffer(offsets, np.int32)[records.offset :]
    whole = pa.StringArray.from_buffers(1, pa.py_buffer(ends[[0, len(records)]]), data)
    if not among([whole])[0]:  # no run crosses a line end, so no record is slow
        return np.zeros(len(records), np.bool_)
    return among([records])


def in_pieces(text: sql.Composable) -> sql.Composed:
    """Return the SQL of a text with its long runs cut into pieces, at which the parser is fast.

    Words of usual length are still found in it; tags and addresses are not recognised any more.
    """
    return sql.SQL("regexp_replace(translate({}, '<@', '  '), {}, '\\& ', 'g')").format(
        text, sql.Literal(f"[{_RUN}]{{{_PIECE_CHARACTERS}}}")
    )


def added(values: Sequence[sql.Composable]) -> sql.Composable:
    """Add SQL numbers pairwise: Postgres limits how deep ``a + b + c ...`` may nest."""
    if len(values) == 1:
        return values[0]
    half = len(values) // 2
    return sql.SQL("({} + {})").format(added(values[:half]), added(values[half:]))
