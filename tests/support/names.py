"""Names that columns and tables may have, of every kind that somebody's code stumbles over."""

from __future__ import annotations

import unicodedata

from hypothesis import strategies as st

# kind: a header's cell
HEADERS = {
    "percent": "Share %",
    "percents": "100 %% %",
    "a placeholder": "%s",
    "another placeholder": "%b%t",
    "a named placeholder": "%(name)s",
    "an odd placeholder": "% d %1$s %I",
    "a numbered placeholder": "$1",
    "dollars": "$$ US $$",
    "a dollar's tag": "$body$",
    "a quote": "it's",
    "quotes": "''a'''b'",
    "double quotes": 'a "b"',
    "only double quotes": '""',
    "backticks": "`a`",
    "a backslash": "back\\slash",
    "backslashes at the end": "a\\\\",
    "a backslash at the end": "a\\",
    "a backslash and a quote": "a\\'b",
    "escapes": "\\x41\\n\\N",
    "braces": "{}",
    "numbered braces": "{0} {1!r}",
    "torn braces": "}{",
    "brackets": "[red]bold[/red]",
    "a colon": "Zeit :von",
    "a colon first": ":x",
    "a colon and a dollar": "a :$1",
    "a colon behind a backslash": "C\\:temp\\:",
    "two colons": "a::text",
    "an equals sign": "=1+1",
    "a plus sign": "+1",
    "an at sign": "@SUM(1)",
    "63 bytes": "a" * 63,
    "63 bytes of umlauts": "ä" * 31 + "x",
    "more than 63 bytes of umlauts": "ü" * 40,
    "the same up to 63 bytes": "ü" * 41,
    "70 bytes": "b" * 70,
    "70 bytes, another end": "b" * 69 + "c",
    "emoji": "🙂🏳️‍🌈",
    "right to left": "العربية",
    "a direction mark": "a\u202eb",
    "combining": "e\u0301te\u0301",
    "one letter instead": "\u00e9t\u00e9",
    "Turkish": "İı",
    "select": "select",
    "user": "user",
    "ORDER": "ORDER",
    "a type": "tsvector",
    "the DataStore's own": "_id",
    "the DataStore's own, the other": "_full_text",
    "almost the DataStore's own": "full_text",
    "with capitals": "_Full_Text",
    "capitals": "ID",
    "an alias of a load's": "s",
    "another alias of a load's": "l",
    "a third alias of a load's": "t",
    "a name of a load's": "_known",
    "other names of a load's": "value",
    "more names of a load's": "key",
    "a variable of a trigger's": "NEW",
    "a system column": "ctid",
    "another system column": "tableoid",
    "spaces": " two  words ",
    "a dot": "public.t",
    "a semicolon": "a; DROP TABLE t;",
    "a comment": "-- a",
    "a long comment": "/* a",
    "the end of a comment": "a */",
    "a line": "two\nlines",
    "a tab": "a\ttab",
    "a carriage return": "two\r\nlines",
    "a comma": "a,b",
    "a less-than sign": "<b>",
    "an ampersand": "a&amp;b",
    "a slash": "a/b?c#d",
    "a number": "2015",
    "a date": "2015-08-18",
    "null": "NULL",
    "empty": "",
    "JSON": '{"a": [1]}',
}
# What they are made of.
PIECES = [
    *"%'\"`\\{}[]()<>:$;,.=+-*/&@#|_ \n\t~!?^",
    *("%s", "%(x)s", "%%", "$1", "$$", ":x", "::", "{0}", "--", "/*", "*/", "\\'", "\\:", "''"),
    *("a", "B", "ä", "ß", "1", "id", "_id", "select", "🙂", "\u202e", "\u0301", "\u00a0", "x" * 30),
]
headers = st.one_of(
    st.sampled_from(list(HEADERS.values())),
    st.lists(st.sampled_from(PIECES), max_size=6).map("".join),
)


def is_table_name(name: str) -> bool:
    """Tell whether a table may have this name."""
    return (
        0 < len(name.encode()) <= 55
        and not name.startswith("_")
        and '"' not in name
        and not any(unicodedata.category(letter).startswith("C") for letter in name)
    )


TABLES = {kind: name for kind, name in HEADERS.items() if is_table_name(name)}
tables = headers.filter(is_table_name)
