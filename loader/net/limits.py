"""The limits of a source: its size, its compression ratio, and its slowest rate.

In: what a user or an operator writes, such as ``10GB``. Out: Limits. Holds nothing else.

Without them, a source of a few kilobytes could unpack to terabytes and fill the disk, and a server
that sends a byte a minute could keep a load, its lock and its worker for ever.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace

from loader.errors import SourceTooLarge, UsageError

# Unpacked bytes from which on the ratio counts: less than that is harmless at any ratio.
JUDGED_FROM_BYTES = 64 * 1024 * 1024

# Honest files stay below these ratios, as measured with gzip -9 and with xz: 500 columns, one of
# them set in each row, have 160 and 150; 300 columns of 0 and one number 146 and 640; a thousand
# constant columns and a time 380 and 1,220. Only 1,500 constant columns exceed the first (476).
# Deflate cannot exceed 1,032. The dense formats write a repeated row in next to no bytes, and
# reach 6,000 to 180,000.
_DEFLATE_RATIO = 400.0
_DENSE_RATIO = 2000.0

_SIZE = re.compile(r"(?P<number>[0-9]{1,15}(?:\.[0-9]{1,9})?) ?(?P<unit>(?:[KMGTP]I?)?B)?")
_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?")
_POWERS = "BKMGTP"
_SIZE_HINT = "a number of bytes, such as 500000, 500MiB or 10GB"
_MOST_BYTES = 1 << 62


@dataclass(frozen=True)
class Limits:
    """The limits of one source.

    Attributes:
        max_bytes: The most bytes, unpacked.
        max_ratio: The most unpacked bytes for each packed byte of gzip or zip.
        max_dense_ratio: The same for bz2, xz and zstd, which pack repetitions better.
        min_rate: The least bytes a second; 0 for no limit. Only the time that a load waits for the
            source counts.
        window_s: The seconds of waiting over which the rate is averaged.
    """

    max_bytes: int = 1 << 40
    max_ratio: float = _DEFLATE_RATIO
    max_dense_ratio: float = _DENSE_RATIO
    min_rate: float = 1024.0
    window_s: float = 300.0

    def __post_init__(self) -> None:
        """Refuse values that are no limits: below the least, infinite, or not a number."""
        _check("max_bytes", self.max_bytes, 1, _SIZE_HINT)
        _check("max_ratio", self.max_ratio, 1, "a number, 1 or more")
        _check("max_dense_ratio", self.max_dense_ratio, 1, "a number, 1 or more")
        _check("min_rate", self.min_rate, 0, f"{_SIZE_HINT}, each second; 0 for any")
        _check("window_s", self.window_s, 0, "seconds")

    @classmethod
    def read(
        cls,
        max_bytes: int | str | None = None,
        max_ratio: float | str | None = None,
        min_rate: float | str | None = None,
        bound: Limits | None = None,
    ) -> Limits:
        """Return the limits that a user or an operator gives.

        Args:
            max_bytes: A number, or one with a unit: ``10GB``, ``500MiB``.
            max_ratio: For all compression formats.
            min_rate: As ``max_bytes``, for each second.
            bound: The limits that the others may tighten but not loosen. They are the default, too;
                without them the default is that of the class.

        Raises:
            UsageError: One of them is not a number, or too small.
        """
        limits = bound or cls()
        if max_bytes is not None:
            size = _size("max_bytes", max_bytes)
            _check("max_bytes", size, 1, _SIZE_HINT)
            limits = replace(limits, max_bytes=int(size))
        if max_ratio is not None:
            ratio = _number("max_ratio", max_ratio)
            limits = replace(limits, max_ratio=ratio, max_dense_ratio=ratio)
        if min_rate is not None:
            limits = replace(limits, min_rate=_size("min_rate", min_rate))
        return limits if bound is None else limits.within(bound)

    def within(self, bound: Limits) -> Limits:
        """Return the tighter of both, limit by limit."""
        return replace(
            self,
            max_bytes=min(self.max_bytes, bound.max_bytes),
            max_ratio=min(self.max_ratio, bound.max_ratio),
            max_dense_ratio=min(self.max_dense_ratio, bound.max_dense_ratio),
            min_rate=max(self.min_rate, bound.min_rate),
        )

    def check_bytes(self, shown: str, count: int, *, announced: bool = False) -> None:
        """Raise SourceTooLarge if these are more bytes than are allowed.

        Args:
            shown: The source, as it may be shown.
            count: How many there are, or were read so far.
            announced: Whether the source states this count before it is read.
        """
        if count > self.max_bytes:
            has = f"has {count:,} bytes" if announced else "has more bytes"
            raise SourceTooLarge(
                f"{shown} {has}, and {self.max_bytes:,} are allowed",
                hint="allow more, or load it in parts",
                option="max_bytes",
            )

    def check_ratio(self, shown: str, packed: int, unpacked: int, *, dense: bool) -> None:
        """Raise SourceTooLarge if the source unpacks to more than an honest file would.

        Args:
            shown: The source, as it may be shown.
            packed: Bytes read so far.
            unpacked: Bytes that they were unpacked to.
            dense: Whether ``max_dense_ratio`` applies.
        """
        most = self.max_dense_ratio if dense else self.max_ratio
        if unpacked >= JUDGED_FROM_BYTES and unpacked > most * max(packed, 1):
            raise SourceTooLarge(
                f"{shown} unpacks to {unpacked / max(packed, 1):,.0f} times its size"
                f" ({packed:,} bytes to {unpacked:,} so far), and {most:,.10g} times are allowed",
                hint="if that is what it should hold, allow more",
                option="max_ratio",
            )


def _check(name: str, value: object, least: int, hint: str) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # Infinity and NaN fail this comparison too; so does an int that is too large for a float.
    if not is_number or not least <= value <= sys.float_info.max:  # type: ignore[operator]
        raise UsageError(f"{name} cannot be {value!r}", hint=hint, option=name)


def _size(name: str, given: float | str) -> float:
    if not isinstance(given, str):
        return given
    match = _SIZE.fullmatch(given.strip().upper())
    if match is None:
        raise UsageError(f"{name} cannot be {given!r}", hint=_SIZE_HINT, option=name)
    unit = match["unit"] or "B"
    size = float(match["number"]) * (1024 if "I" in unit else 1000) ** _POWERS.index(unit[0])
    return min(float(size), _MOST_BYTES)


def _number(name: str, given: float | str) -> float:
    if not isinstance(given, str):
        return given
    # float() would also accept 1_0, nan, and the digits of other scripts.
    if not _NUMBER.fullmatch(given.strip()):
        raise UsageError(f"{name} cannot be {given!r}", hint="a number, 1 or more", option=name)
    return float(given)
