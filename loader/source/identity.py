"""Which version of a source this is: what a transport learns of it, made comparable.

In: an ETag, a generation, a file's status. Out: whether two of them are of the same version, and
whether that shows that all its bytes are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Identity:
    """What tells one version of a source from the next.

    Attributes:
        etag: As the server gives it.
        last_modified: As the server gives it.
        last_modified_is_strong: Whether it was older than the answer by a second or more: within
            one second a file may be written twice (RFC 9110, 8.8.2.2).
        codings: How the server has packed the file for the way.
    """

    etag: str | None = None
    last_modified: str | None = None
    last_modified_is_strong: bool = field(default=False, compare=False)
    codings: tuple[str, ...] = ()
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
        """Whether a source that matches this has the same bytes, whatever times a server gives."""
        return bool(self.strong_etag or self.generation is not None or self.inode is not None)

    @property
    def is_strong(self) -> bool:
        """Tell whether what matches this has the same byte at each offset.

        A weak ETag promises the same meaning only.
        """
        by_time = self.last_modified is not None and self.last_modified_is_strong
        return bool(self.strong_etag) or by_time or self.generation is not None

    def matches(self, other: Identity | None) -> bool:
        """Tell whether both are of the same version; a size that is not known fits any."""
        if other is None or (self.size != other.size and None not in (self.size, other.size)):
            return False
        if self.codings != other.codings:  # some servers give both forms the same ETag
            return False
        if self.strong_etag and other.strong_etag:
            # Mirrors behind one name agree on the ETag, not always on the time.
            return self.etag == other.etag
        return replace(self, size=None) == replace(other, size=None)
