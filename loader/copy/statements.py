"""The name of a statement -> its text, for psycopg: a long one is a file beside its module.

Each file is one whole statement, which ``psql`` or PREPARE runs by itself once its named
placeholders, ``%(name)s``, have values. Its comments say why it is so. Holds all texts that were
asked for, some 20 kB.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

# Of format(), for one; to psycopg "%" is a letter only where it stands twice.
_NO_PLACEHOLDER = re.compile(r"%(?!\(\w+\)s)")


@cache
def read(name: str) -> str:
    """Return a statement as psycopg takes it together with parameters.

    Args:
        name: Of the file, without ``.sql``: that of the module, and what it asks for.
    """
    text = resources.files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
    return _NO_PLACEHOLDER.sub("%%", text)
