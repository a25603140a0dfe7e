"""How to speak to a server: timeouts, retries, headers, and what may be fetched, and how much.

In: what the caller says. Out: the same, frozen. Holds nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from loader.net.guard import Guard
from loader.net.limits import Limits


@dataclass(frozen=True)
class SourceSettings:
    """How to speak to a server, and how patient to be with it.

    Attributes:
        headers: Sent over HTTP; ``Authorization`` to the source's own host only, not to one that
            it redirects to.
        token_stays: Whether ``Authorization`` goes to this very URL only, and to no other of its
            host that it redirects to.
        guard: What may be fetched, for URLs that others wrote: http(s):// at its addresses only,
            redirects included and without the environment's proxies and ~/.netrc, and gs://.
            None for the user's own: anything.
        limits: How many bytes there may be, and how slowly they may come.
    """

    connect_timeout_s: float = 5.0
    read_timeout_s: float = 60.0
    retries: int = 8  # in a row, without progress of a megabyte between them
    all_retries: int = 2000  # whatever the progress: once a minute for a day are 1,440
    backoff_s: float = 0.5
    max_backoff_s: float = 15.0
    opening_retries: int = 3  # before the first answer: a wrong address is to be told soon
    opening_wait_s: float = 5.0  # between all of those
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # they may hold a token
    token_stays: bool = False
    guard: Guard | None = None
    limits: Limits = field(default_factory=Limits)
