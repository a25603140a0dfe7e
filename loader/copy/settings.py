"""The settings of a load by COPY, and the protocol by which the caller follows it.

The caller has checked the settings. Holds nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from loader.choices import FtsIndex, FullText, Mode, OnConcurrentWrites
from loader.types.column import Column


@dataclass(frozen=True)
class CopySettings:
    """How rows become those of a table.

    Attributes:
        mode: ``replace`` the table, ``append`` the rows to it, or ``upsert`` them by their key.
        key: The columns of the unique key; it is created where there is none.
        full_text: Which columns ``_full_text`` makes searchable.
        fts_index: The index on it.
        lanes: Connections that COPY side by side.
        max_loads: How many loads the database may have at a time, this one included; None for any
            number.
        on_concurrent_writes: What is done about rows that others write into a table while it is
            replaced: ``warn`` that they are gone with the old one, ``keep`` those inserted, or
            ``refuse`` to replace it.
    """

    mode: Mode = "replace"
    key: Sequence[str] = ()
    full_text: FullText = "all"
    fts_index: FtsIndex = "gin"
    lanes: int = 1
    max_loads: int | None = None
    on_concurrent_writes: OnConcurrentWrites = "warn"


class Steps(Protocol):
    """What a load reports its progress to, and asks before it changes what readers see."""

    def step(self, name: str, title: str) -> AbstractContextManager[None]:
        """Return a context manager around one step; the title is for people."""

    def ask(self, old: Sequence[Column] | None, new: Sequence[Column]) -> None:
        """Raise if the columns of the table that readers see may not change into the new ones."""

    def before_change(self) -> None:
        """Hear that the table that readers see changes directly after this; raise to prevent it."""

    def warn(self, warning: str) -> None:
        """Record a warning, which is shown also if the load fails afterwards."""
