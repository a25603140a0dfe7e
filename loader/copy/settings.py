"""What a caller may choose of a table that is loaded by COPY."""

from typing import Literal

FullText = Literal["all", "text", "none"]
FtsIndex = Literal["gin", "gist", "none"]
OnConcurrentWrites = Literal["warn", "keep", "refuse"]
