"""Which version of a source this is: what a transport is told of it, made comparable.

In: an ETag, a generation, a file's status. Out: whether two of them are of the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Identity:
    """What tells one version of a source from the next."""

    etag: str | None = None
    last_modified: str | None = None
    generation: int | None = None
    inode: int | None = None
    mtime_ns: int | None = None
    size: int | None = None

    @property
    def strong_etag(self) -> str | None:
        """Return the ETag if it promises the same bytes, not only the same meaning."""
        return None if self.etag is None or self.etag.startswith("W/") else self.etag

    @property
    def is_certain(self) -> bool:
        """Whether two that match are of the same bytes; a time may be that of two versions."""
        return bool(self.strong_etag or self.generation is not None or self.inode is not None)

    def matches(self, other: Identity | None) -> bool:
        """Tell whether both are of the same bytes; a size that is not known fits any."""
        if other is None or (self.size != other.size and None not in (self.size, other.size)):
            return False
        if self.strong_etag and other.strong_etag:
            # Mirrors behind one name agree on the ETag, not always on the time.
            return self.etag == other.etag
        return replace(self, size=None) == replace(other, size=None)
