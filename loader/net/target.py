"""One thing to open over the network: where it is, how long to wait, and who counts its bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from loader.net.guard import Guard


class Arrivals(Protocol):
    """Counts what arrives."""

    def arrived(self, count: int) -> None:
        """Note that something came: so many bytes of a body, 0 for what precedes it.

        Fewer than none take back some that were none of the source: what frames it.
        """


@dataclass(frozen=True)
class Target:
    """What to open; only `shown` may be seen by anyone."""

    uri: str = field(repr=False)
    shown: str
    timeout: tuple[float, float]  # seconds until connected, and between two reads
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    token_stays: bool = False  # whether Authorization goes to this very URL only
    guard: Guard | None = None  # where its bytes may come from; None: from anywhere
    pace: Arrivals | None = None  # is told of what arrives while a read still waits for more
