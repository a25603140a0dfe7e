"""Verified blocks -> COPY text, with ``_full_text`` where it is composed before the COPY.

In: verified blocks, from several threads at a time. Out: their COPY text, and at the end the
``_id`` of the rows whose ``_full_text`` the COPY leaves out, since their text is too long or the
server's parser too slow at it. Holds one number for each of these.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loader.copy import encode, fulltext, slow_texts
from loader.copy.encode import Form, Offsets
from loader.copy.lexemes import Composer
from loader.scan.verified import Verified, VerifiedRows
from loader.types.column import Column
from loader.types.registry import Lexemes

Flags = npt.NDArray[np.bool_]


class Encoder:
    """Encodes the verified blocks of one scan; safe to share between threads.

    Args:
        columns: Of the scan as it begins: once one is widened, nothing is encoded any more.
        form: Of the COPY.
        searched: Whether the server makes ``_full_text`` of the rows.
    """

    def __init__(self, columns: Sequence[Column], form: Form, *, searched: bool) -> None:
        self._searched = searched
        self._form = form
        self._texts = [
            index
            for index, column in enumerate(columns)
            if fulltext.lexemes_of(column) is Lexemes.TEXT
        ]
        self._left_out = array("q")
        self._lock = threading.Lock()

    @property
    def left_out(self) -> Offsets:
        """The ``_id`` of each row whose ``_full_text`` the COPY leaves out, in their order."""
        return np.unique(np.array(self._left_out))

    def encode(self, verified: Verified | None) -> list[memoryview] | None:
        """Return a block's COPY text.

        Args:
            verified: None once a column was widened, and so is what is returned.
        """
        if verified is None:
            return None
        if self._searched:
            self._leave_out_unsearchable(verified)
        return self._encode(verified, None)

    def _encode(self, verified: Verified, vectors: pa.StringArray | None) -> list[memoryview]:
        rows = verified.content
        if isinstance(rows, VerifiedRows):
            return encode.encode(rows.ids, rows.cells, self._form, vectors)
        return encode.number(rows.ids, rows.texts, self._form, vectors)

    def _leave_out_unsearchable(self, verified: Verified) -> None:
        """Leave out what the server's parser refuses, or is too slow at."""
        rows, texts = verified.content, self._texts
        if not texts:
            slow: Flags | bool = False
        elif isinstance(rows, VerifiedRows):
            slow = slow_texts.among([rows.cells[i] for i in texts])
        else:
            slow = slow_texts.in_records(rows.texts)
        self._leave_out(rows.ids[_is_long(rows.sizes) | slow])

    def _leave_out(self, ids: Offsets) -> None:
        with self._lock:
            self._left_out.extend(ids.tolist())


class ComposingEncoder(Encoder):
    """Encodes with ``_full_text``, until the composer gives up.

    Args:
        columns: As for ``Encoder``.
        form: As for ``Encoder``.
        composer: What makes ``_full_text``.
        order: The columns' places in the file, in the composer's order.

    Attributes:
        postponed: The blocks that came after that. They lack ``_full_text``, a column of this COPY.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        form: Form,
        composer: Composer,
        order: Sequence[int],
    ) -> None:
        super().__init__(columns, form, searched=True)
        self.postponed: list[Verified] = []
        self._composer = composer
        self._order = order

    @property
    def gave_up(self) -> bool:
        """Whether the rest of the blocks is to be copied without ``_full_text``."""
        return self._composer.gave_up

    def compose(self, verified: Verified | None) -> list[memoryview] | None:
        """Return a block's COPY text with ``_full_text``; none of it if it is postponed.

        Args:
            verified: As for ``encode``.
        """
        if verified is None:
            return None
        vectors = self._vectors(verified)
        if vectors is None:
            self.postponed.append(verified)
            return []
        self._leave_out(verified.content.ids[_is_null(vectors)])
        return self._encode(verified, vectors)

    def _vectors(self, verified: Verified) -> pa.StringArray | None:
        """Return the ``_full_text`` of each row; None once the composer has given up."""
        rows = verified.parse()
        if not len(rows.ids):
            return pa.array([], pa.string())
        cells = [rows.cells[place] for place in self._order]
        return self._composer.compose(cells, _is_long(rows.sizes))


def _is_long(sizes: Offsets) -> Flags:
    flags: Flags = sizes > fulltext.MAX_TEXT_BYTES
    return flags


def _is_null(vectors: pa.StringArray) -> Flags:
    nulls: Flags = vectors.is_null().to_numpy(zero_copy_only=False)
    return nulls
