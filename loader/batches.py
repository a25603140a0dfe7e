"""Rows -> batches of CKAN's API."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BatchSettings:
    """How much one call takes."""

    rows: int = 5000
    bytes: int = 8 << 20
