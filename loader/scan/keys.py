"""The rows of an upsert -> which of them have the key of a later row, which wins.

Holds 16 bytes for each row, whatever its key, and to compare them 40 more.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loader.errors import KeyViolated
from loader.types.column import Column
from loader.types.registry import type_named

_DIGEST = np.dtype([("high", "<u8"), ("low", "<u8")])


class Keys:
    """The keys of all rows, in the order of the file.

    Args:
        columns: The key's.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._digests = bytearray()
        self._keyless: KeyViolated | None = None

    def add(self, ids: npt.NDArray[np.int64], parts: Sequence[pa.StringArray]) -> None:
        """Take in the keys of further rows.

        Args:
            ids: Their ``_id``, for errors.
            parts: The key's columns.
        """
        for column, part in zip(self._columns, parts, strict=True):
            if part.null_count and self._keyless is None:
                first = int(np.flatnonzero(part.is_null().to_numpy(zero_copy_only=False))[0])
                self._keyless = no_key(int(ids[first]), column.name)
        equal = [
            type_named(column.type).equal(part)
            for column, part in zip(self._columns, parts, strict=True)
        ]
        for key in zip(*equal, strict=True):
            self._digests += blake2b(json.dumps(key).encode(), digest_size=16).digest()

    def check(self) -> None:
        """Refuse a row without a key: it would equal no other.

        Raises:
            KeyViolated: Of the first.
        """
        if self._keyless is not None:
            raise self._keyless

    def overtaken(self) -> npt.NDArray[np.bool_]:
        """Tell for each row whether a later one has its key."""
        digests = np.frombuffer(self._digests, _DIGEST)
        order = np.lexsort((digests["low"], digests["high"]))  # stable: equal ones as in the file
        is_overtaken = np.zeros(len(digests), dtype=bool)
        is_overtaken[order[:-1]] = digests[order[:-1]] == digests[order[1:]]
        return is_overtaken


def no_key(row_id: int, column: str) -> KeyViolated:
    """Return the error for a row that has no value in a column of the key."""
    return KeyViolated(
        f"the row with _id {row_id} has no value there, and it is a part of the key",
        column=column,
        hint="fill it in, or name another key",
        option="key",
    )


def duplicate_warnings(duplicates: int) -> list[str]:
    """Return the warning that so many rows had the key of a later one, if any had."""
    return [f"rows with the key of a later row, left out: {duplicates}"] if duplicates else []
