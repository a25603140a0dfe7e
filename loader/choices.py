"""What a caller may choose from: each closed set of values, once.

The library's options, the command's, the conf's JSON Schema and the steps take their values from
here; ``typing.get_args`` lists them. Imports nothing, since DAG files are read every few seconds.
"""

from __future__ import annotations

from typing import Literal

Mode = Literal["replace", "append", "upsert"]
Via = Literal["auto", "copy", "api"]
FullText = Literal["all", "text", "none"]
FtsIndex = Literal["gin", "gist", "none"]
OnTypeError = Literal["fail", "widen"]
OnConcurrentWrites = Literal["warn", "keep", "refuse"]
Types = Literal["auto", "strict"]
Dates = Literal["auto", "dmy", "mdy", "iso"]
Decimal = Literal["auto", "comma", "point"]
Missing = Literal["keep", "auto"]

# Which of ``Via`` a load took, once ``auto`` is decided.
TakenVia = Literal["copy", "api"]
