r"""A text of which there is a header and no row -> nothing, or the error that says what it is.

Loaded as a table without rows, it would replace a published one. So it must look like a CSV whose
rows are missing: several names on a single line, with the delimiters and line ends of a CSV.
Anything else is refused: a quote in the header may have taken the rows, or the rows end in
something that ends no row of a CSV; it may be a document of another kind, the beginning of a
binary file, a message of a server, or a row. A caller who names the header's row has looked at the
file: then only what cannot be a header is refused. A header whose names a schema declares is a
header. Rows in which all cells are empty do not count as rows.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loader.errors import EmptySource, EncodingError, NoRows, NotATable
from loader.formats.csv import reader
from loader.formats.csv.blocks import CsvBlock
from loader.formats.csv.dialect import DELIMITERS, Dialect
from loader.formats.csv.kinds import TEXT, kind_of
from loader.formats.csv.other_kinds import is_json, no_text

_WIDE = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_TEXT_OF_EBCDIC = re.compile(r"[\t\n\x85 -~]")
_TELLING_BYTES = 20  # a word by itself may be anything
_LIKELY_TEXT = 0.9  # of a text in Cyrillic or Greek letters it is little more than half
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x19\x1b-\x1f\x7f-\x9f]")
# No text has them; NUL, vertical tab, form feed and the separators of ASCII may end its rows.
_BINARY = re.compile(r"[\x01-\x08\x0e-\x1b\x7f]")
# What other systems end lines in: NUL, vertical tab, form feed, the separators of ASCII, next line
# (a control character too where EBCDIC is taken for another encoding), those of Unicode; or a line
# end that was written in its escaped form, or as the sign that shows it.
_OTHER_END = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u240a\u240d\u2424\u21b5\xb6]"
    r"|\\(?:[nr]|x0[adAD]|u000[adAD]|u202[89]|01[25])"
    r"|&#(?:0*1[03]|[xX]0*[adAD]);|%0[adAD]|_x000[adAD]_"
)
_OTHER_SEPARATORS = (";", "|", "~", "^", "\t")
_TAG = re.compile(r"<(?:/?[A-Za-z][\w.:-]*(?:\s[^<>]*)?/?>|[A-Za-z]\w*\s+\w+=|[!?])|^\s*<[A-Za-z]")
# What a document begins with: '<5 km' and '<first name>' may be names.
_FIRST_TAG = re.compile(r"\s*<(?:/?[A-Za-z][\w.:-]*\s*/?>|[A-Za-z][\w.:-]*\s+[\w.:-]+\s*=|[!?])")
# An object, a list of values, a call with either, or a name in quotes with a colon behind it.
_JSON = re.compile(r"""\s*\{|\s*\[\s*(?:["'{\[\]-]|[0-9]|$)|\s*[\w.]+\(\s*[\[{"]""")
_JSON_NAME = re.compile(r'"\s*:')
_CALL = re.compile(r"\s*[\w.$]+\(")
_LINE_END = re.compile(r"\r\n|\r|\n")
# What can be done, and the option that does it.
_Remedy = tuple[str, "str | None"]
_BY_SCHEMA: _Remedy = ("a schema that declares all columns takes it for a header", "schema")
_SHOWN_CHARACTERS = 60
_IN_NAMES = "\u200c\u200d"  # joiners, which words of Persian and Indian languages have
_SENTENCE_ENDS = (".", "!", "?", "\u2026")
_WORDS_OF_A_SENTENCE = 4  # in one cell


@dataclass(frozen=True)
class Rowless:
    """What was read.

    Attributes:
        head: Its first bytes, UTF-8.
        encoding: What it was in.
        dialect: How it was cut.
        headers: The header's cells.
        named_encoding: Whether the caller named the encoding.
        named_header: Whether the caller named the header's row.
        declared: Whether the caller's schema names all columns.
        nuls: Whether NULs were left out of it, which may have ended rows.
    """

    head: bytes
    encoding: str
    dialect: Dialect
    headers: Sequence[str]
    named_encoding: bool
    named_header: bool
    declared: bool
    nuls: bool = False

    @property
    def text(self) -> str:
        """What is written there, the character at which the head may be cut aside."""
        return self.head.decode("utf-8", errors="replace")


def check(rowless: Rowless) -> None:
    """Refuse a text without a row that is not plausibly a CSV with a header alone.

    Raises:
        EncodingError: In another encoding it has more in it.
        NotATable: It is a document of another kind, or a binary file.
        EmptySource: The header has no name in it.
        NoRows: Its rows seem to be where nobody looks for them, or it may be no header.
    """
    _refuse_rows_of_nothing(rowless)
    if not rowless.named_encoding:
        _refuse_ebcdic(rowless)
    _refuse_other_encodings(rowless)
    _refuse_other_lines(rowless)
    _refuse_other_kinds(rowless)
    if not any(letter.isalnum() for cell in rowless.headers for letter in cell):
        raise EmptySource(
            "the file has no name in its header, and no row below it",
            row=rowless.dialect.header_row,
            hint="was the upload or export complete?",
        )
    if not rowless.named_header:
        _refuse_other_ends(rowless)
        if not rowless.declared:
            _refuse_what_may_be_no_header(rowless)


def with_values(blocks: Iterator[CsvBlock], dialect: Dialect) -> Iterator[CsvBlock]:
    """Return the blocks of a text, which is refused at its end if its rows have nothing in them.

    As rows of NULLs these would take the place of a published table. An empty cell in quotes is a
    text, and not nothing.

    Args:
        blocks: Of the whole text.
        dialect: Its delimiter.

    Raises:
        NoRows: By the iterator: there are rows of delimiters and spaces alone.
    """
    return itertools.chain(_up_to_a_value(blocks, dialect), blocks)


def _up_to_a_value(blocks: Iterator[CsvBlock], dialect: Dialect) -> Iterator[CsvBlock]:
    """Yield blocks up to the first that has a value."""
    nothing = f"{dialect.delimiter}\r\n \t".encode()
    first_row = 0
    for block in blocks:
        yield block
        if block.data.translate(None, nothing):
            return
        first_row = first_row or block.row_number(0)
    if first_row:
        raise _nothing_in_rows(first_row)


def _refuse_rows_of_nothing(rowless: Rowless) -> None:
    """Refuse rows of delimiters alone, which are counted as blank lines."""
    row = rowless.dialect.header_row
    below = itertools.islice(enumerate(_records(rowless), start=1), row, None)
    empty = [number for number, cells in below if len(cells) > 1 and not any(cells)]
    if empty:
        raise _nothing_in_rows(empty[0])


def _nothing_in_rows(first: int) -> NoRows:
    return NoRows(
        "nothing is in the rows below the header but delimiters and spaces",
        row=first,
        hint="was the export complete? Without these rows, the file would empty the table",
    )


def _refuse_ebcdic(rowless: Rowless) -> None:
    """Refuse bytes that make sense as EBCDIC: it has other line ends."""
    if rowless.encoding == "utf-8" or len(rowless.head) < _TELLING_BYTES:
        return
    other = rowless.text.encode(rowless.encoding, "replace").decode("cp037")
    if len(_TEXT_OF_EBCDIC.findall(other)) > _LIKELY_TEXT * len(other):
        raise EncodingError(
            "the text looks like EBCDIC, of which there are several",
            hint="name the right one, such as cp037 or cp500",
            option="encoding",
        )


def _refuse_other_encodings(rowless: Rowless) -> None:
    """Refuse what was taken two or four bytes at a time, or for EBCDIC, and is a text otherwise."""
    if b"a,1\n".decode(rowless.encoding, "replace") == "a,1\n":  # then its line ends were seen
        return
    try:
        octets = rowless.text.encode(rowless.encoding, "replace")
    except UnicodeError:  # a codec of names, such as IDNA
        return
    for name in _WIDE:
        if name == rowless.encoding:
            continue
        try:
            text = octets.decode(name)
        except UnicodeDecodeError:
            continue
        if _CONTROL.search(text):
            continue
        if name == "utf-8" or text.isascii() or "\n" in text or "\r" in text:
            raise EncodingError(
                f"the text is not {rowless.encoding}, but {'ASCII' if octets.isascii() else name}",
                hint="leave the encoding to be found out",
                option="encoding",
            )
    if rowless.encoding in _WIDE and b"\0" not in octets:
        raise EncodingError(
            f"the text may not be {rowless.encoding}: no delimiter and no line end is in it",
            hint="leave the encoding to be found out",
            option="encoding",
        )


def _refuse_other_lines(rowless: Rowless) -> None:
    """Refuse more lines than a header row has, in quotes or not; blank lines aside.

    Where its row was given, those above it may be notes, but not rows like it; and where somebody
    knows the header, its cells and the notes may be of several lines, but not of what may be rows.
    """
    row = rowless.dialect.header_row
    above = list(itertools.islice(_records(rowless), max(0, row - 1)))
    lines = sum(1 for line in rowless.head.replace(b"\r", b"\n").split(b"\n") if line)
    if lines > _lines_known(rowless, above) or (
        not rowless.declared and _may_have_taken_rows(rowless)
    ):
        hint, option = _remedy_for_lines(rowless, above)
        raise NoRows(
            f"below the header there is no row, though the file has {lines} lines",
            row=row,
            hint=hint,
            option=option,
        )
    if rowless.named_header:
        _refuse_rows_above(rowless, above)


def _lines_known(rowless: Rowless, above: Sequence[Sequence[str]]) -> int:
    """Return how many lines the file may have."""
    known = 1
    if rowless.named_header:
        known = max(1, rowless.dialect.header_row) + sum(map(_further_lines, above))
    if rowless.named_header or rowless.declared:
        known += _further_lines(rowless.headers)
    return known


def _further_lines(cells: Sequence[str]) -> int:
    """Return how many lines cells in quotes add to their row: the last has its quote at least."""
    inside = [lines for cell in cells if (lines := _behind_the_first(cell))]
    return sum(1 + sum(map(bool, lines[:-1])) for lines in inside)


def _behind_the_first(cell: str) -> list[str]:
    return _LINE_END.split(cell)[1:]


def _may_have_taken_rows(rowless: Rowless) -> bool:
    """Tell whether a stray quote may have made rows a part of the header.

    They have its delimiter; those of a table of one column have none, and look like any text. Or
    there is more between the second stray quote and the next delimiter.
    """
    further = [line for cell in rowless.headers for line in _behind_the_first(cell)]
    if not further:
        return False
    if len(rowless.headers) == 1 or any(rowless.dialect.delimiter in line for line in further):
        return True
    records = rowless.dialect.records(rowless.text, strict=True)
    try:
        list(itertools.islice(records, rowless.dialect.header_row))
    except reader.Error:
        return True
    return False


def _remedy_for_lines(rowless: Rowless, above: Sequence[Sequence[str]]) -> _Remedy:
    if _may_have_taken_rows(rowless):
        hint, option = _BY_SCHEMA
        return f"mend the quotes in the header; if they are right, {hint}", option
    if rowless.named_header:  # the notes have a CR that ends none of the rows
        return "let all rows end in the same way", None
    if any(above) or not _further_lines(rowless.headers):
        return "name the header's row", "header_row"
    return _by_row(rowless.dialect)


def _by_row(dialect: Dialect) -> _Remedy:
    return f"header row {dialect.header_row} takes it for a header", "header_row"


def _refuse_rows_above(rowless: Rowless, above: Sequence[Sequence[str]]) -> None:
    """Refuse rows above the header that are like it, in quotes or not."""
    width = _filled(rowless.headers)
    alike = [cells for cells in above if max(_filled(cells), _widest(rowless, cells)) >= width]
    if alike:
        raise NoRows(
            f"below the header there is no row, and of those above it {len(alike)} have as many"
            " cells",
            row=rowless.dialect.header_row,
            hint="is this the header's row? name it",
            option="header_row",
        )


def _widest(rowless: Rowless, cells: Sequence[str]) -> int:
    """Return how many cells a line within a cell had, were it a row: 0 where there is none."""
    lines = [line for cell in cells for line in _behind_the_first(cell)]
    return max((line.count(rowless.dialect.delimiter) + 1 for line in lines), default=0)


def _records(rowless: Rowless) -> Iterator[list[str]]:
    return rowless.dialect.records(rowless.text)


def _filled(cells: Sequence[str]) -> int:
    return sum(1 for cell in cells if cell.strip())


def _refuse_other_kinds(rowless: Rowless) -> None:
    """Refuse binary files, and documents: a header whose names a schema has is none of these."""
    text = rowless.text.replace(rowless.dialect.delimiter, "")
    if _BINARY.search(text) or (rowless.named_header and rowless.nuls):
        raise no_text()
    if rowless.declared:
        return
    begins_with_tag = bool(_FIRST_TAG.match(rowless.text))
    if begins_with_tag or (not rowless.named_header and _TAG.search(text)):
        remedy, option = _BY_SCHEMA if begins_with_tag else _by_row(rowless.dialect)
        raise NotATable(
            "the source is HTML or XML, not a CSV table",
            hint=f"does the link lead to a login or error page? If not, {remedy}",
            option=option,
        )
    is_call = _is_call_with_json(rowless.text)
    if is_call or (not rowless.named_header and _is_like_json(rowless)):
        remedy, option = _BY_SCHEMA if is_call else _by_row(rowless.dialect)
        raise NotATable(
            "the source is a JSON document, not a CSV table",
            hint=f"export it as CSV; if it is one, {remedy}",
            option=option,
        )


def _is_call_with_json(text: str) -> bool:
    """Tell whether it is JSON in a call (JSONP): what is JSON without one is refused before."""
    call, text = _CALL.match(text), text.rstrip("; \t\r\n")
    return call is not None and text.endswith(")") and is_json(text[call.end() : -1])


def _is_like_json(rowless: Rowless) -> bool:
    """Tell whether it is JSON, whole or not: a name in brackets is none."""
    text, first = rowless.text.lstrip(), rowless.headers[0].rstrip()
    if _JSON.match(text) or (text.startswith("[") and not first.endswith("]")):
        return True
    return rowless.dialect.delimiter != ":" and bool(_JSON_NAME.search(text))


def _refuse_other_ends(rowless: Rowless) -> None:
    """Refuse a header in which something may end rows."""
    end = _OTHER_END.search(rowless.text.replace(rowless.dialect.delimiter, ""))
    found = "\0" if rowless.nuls else end[0] if end else _separator_of_rows(rowless.text)
    if found:
        name = f"'{found}'" if found.isprintable() else f"U+{ord(found[0]):04X}"
        raise NoRows(
            f"below the header there is no row, but in it {name}, which may end rows",
            row=rowless.dialect.header_row,
            hint="end all rows in a newline; name the encoding; or the header's row, if it is all"
            " there is",
            option="header_row",
        )


def _separator_of_rows(text: str) -> str | None:
    """Return what cuts a line into several of the same number of cells."""
    for end in _OTHER_SEPARATORS:
        rows = text.strip().strip(end).split(end)
        for delimiter in DELIMITERS:
            cells = {row.count(delimiter) for row in rows}
            if delimiter != end and len(rows) > 1 and len(cells) == 1 and cells != {0}:
                return end
    return None


def _refuse_what_may_be_no_header(rowless: Rowless) -> None:
    """Refuse a single cell, such as a message or a few bytes of anything, and a row of values."""
    row = rowless.dialect.header_row
    if len(rowless.headers) == 1:
        cell = rowless.headers[0].strip()
        cut = cell[:_SHOWN_CHARACTERS] + "..." * (len(cell) > _SHOWN_CHARACTERS)
        raise NoRows(
            f"the file has one cell, and no row: {cut}",
            row=row,
            hint=f"is it a message of the server's? {_by_row(rowless.dialect)[0]}",
            option="header_row",
        )
    if _is_sentence(rowless) or any(cell.count('"') % 2 for cell in rowless.headers):
        raise NoRows(
            "the file has one line, and it may be a message or a part of a text",
            row=row,
            hint=_by_row(rowless.dialect)[0],
            option="header_row",
        )
    if any(map(_has_unseen, rowless.headers)):
        raise NoRows(
            "the file has one line, with characters that cannot be seen, as binary files have",
            row=row,
            hint=_by_row(rowless.dialect)[0],
            option="header_row",
        )
    cells = [cell for cell in rowless.headers if cell.strip()]
    if all(kind_of(cell) != TEXT for cell in cells):
        raise NoRows(
            "the file has one row, and it looks like data",
            row=row,
            hint=f"header row 0 loads it as a row, {_by_row(rowless.dialect)[0]}",
            option="header_row",
        )


def _has_unseen(cell: str) -> bool:
    """Tell whether a few bytes of anything may have been read as this: a name can be seen."""
    return not all(
        letter in _IN_NAMES or letter.isprintable() or letter.isspace() for letter in cell
    )


def _is_sentence(rowless: Rowless) -> bool:
    """Tell whether a space is behind each delimiter, and words or signs are as in a sentence."""
    first, *others = rowless.headers
    if not all(cell.startswith(" ") for cell in others):
        return False
    ends = rowless.text.rstrip().endswith(_SENTENCE_ENDS)
    return ends or any(len(cell.split()) >= _WORDS_OF_A_SENTENCE for cell in (first, *others))
