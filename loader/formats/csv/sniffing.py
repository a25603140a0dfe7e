"""The head of a text -> the dialect that makes the best table of it.

Every dialect whose characters are there is tried on the first records. A delimiter has to stand in
the header as often as in the rows; what is cut should be values, or texts that do not begin with a
space. In doubt the usual delimiters win over the unusual ones, and one column over a bad split.

In: the first bytes of the UTF-8 text, and what the caller has declared. Out: a Tried. Holds the
head once more for each dialect, one at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from loader.formats.csv import cutting, header, quotes
from loader.formats.csv.cutting import Cut
from loader.formats.csv.declared import Declared
from loader.formats.csv.dialect import DELIMITERS, Dialect
from loader.formats.csv.header import Header
from loader.formats.csv.kinds import NUMBER, TEXT, kind_of
from loader.formats.csv.plain import WIDE

# The delimiter of a table of one column, in whose text all others stand: no text has it.
NONE = "\x1f"
_UNUSUAL = (" ", "#", ":", "^", "~")
_COMMENTS = ("#", "%", "//", ";")
_SAMPLE_BYTES = 1 << 16  # has 100 records of most tables
_SAMPLE_LINES = 2 * cutting.SNIFFED_RECORDS
_REGULAR = 0.5  # of the records, of a usual delimiter; the others are ragged
_SPACED = 0.9  # of the delimiters have a space behind them: as in a sentence
_NEARLY_ALL = 0.9
_VALUES = 0.9  # of the lines are values, each as a whole
_TYPED = 0.5  # of two columns, for a space to be a delimiter; of more, one
_FEW = 3
# Colons in times, and in addresses of the web, are no delimiters.
_NO_COLON = re.compile(r"(?<=[0-9]):(?=[0-9]{2})|:(?=//)|:(?= )")


@dataclass(frozen=True)
class Tried:
    """A dialect, and the table that it makes of the head.

    Attributes:
        cut: The records.
        header: The row of the names.
        regular: The share of records from the header on that have the usual width.
        spaced: The share of cells, but for each record's first, that begin with a space.
        is_given: Whether the caller has named the header's row.
    """

    cut: Cut
    header: Header
    regular: float
    spaced: float
    is_given: bool

    @property
    def width(self) -> int:
        """How many cells most records have."""
        return self.cut.dialect.width

    @property
    def names(self) -> Sequence[str]:
        """The header's cells, or those of the first row."""
        return self.cut.records[self.place] if self.place < len(self.cut.records) else []

    @property
    def place(self) -> int:
        """Where the header is among the records, or the first row."""
        return self.header.above - (self.header.row > 0)

    @property
    def is_full(self) -> bool:
        """Whether the header has a name for every column, but for that of R's row names."""
        if len(self.names) == self.width:
            return all(map(str.strip, self.names))
        return len(self.names) == self.width - 1 and cutting.lacks_row_names(self.cut, self.place)

    @property
    def is_doubtful(self) -> bool:
        """Whether a delimiter that texts have too may be the right one."""
        has_note = any(self.cut.records[: self.place]) and not self.is_given
        return has_note or not self.is_full or self.regular < _NEARLY_ALL

    @property
    def quality(self) -> float:
        """How good the table is, to compare usual delimiters with each other."""
        found = self.header
        score = self.regular * (1 + found.typed + 0.2 * (1 - self.spaced))
        if not self.is_full:
            score *= 0.8
        filled_above = sum(1 for record in self.cut.records[: self.place] if record)
        if filled_above and not (found.is_proven or self.is_given):
            score *= 0.6
        return score


def sniff(head: bytes, declared: Declared, whole: bool) -> Cut:
    """Find delimiter, quote, escape, spaces and comments.

    Args:
        head: The first bytes of the text.
        declared: What the caller knows already.
        whole: Whether the head is the whole text.

    Returns:
        The head as the dialect found cuts it.
    """
    sample, is_all = _sample(head, whole)
    best_reading = _best(sample, declared, is_all)
    dialect = best_reading.cut.dialect
    if declared.skip_initial_space is None and _are_all_spaced(best_reading):
        dialect = replace(dialect, skip_initial_space=True)
    dialect = replace(dialect, universal_newlines=False, width=0)
    if not declared.quoting_is_known:
        dialect = quotes.choose(head, dialect, whole)
    best = cutting.cut(head, dialect, whole)
    if not dialect.comment and not any(best.records):
        return best
    place = max(0, (declared.header_row or 0) - 1)
    width = (
        cutting.table_width(best.records[place:])
        if not best.dialect.universal_newlines
        else best.dialect.width
    )
    return replace(
        best,
        dialect=replace(best.dialect, width=width, line_end=cutting.usual_end(head, best.dialect)),
    )


def _sample(head: bytes, whole: bool) -> tuple[bytes, bool]:
    """Return the beginning of the head, if it has lines enough."""
    begin = head[:_SAMPLE_BYTES]
    if len(head) <= _SAMPLE_BYTES or begin.count(b"\n") + begin.count(b"\r") < _SAMPLE_LINES:
        return head, whole
    return begin, False


def _best(sample: bytes, declared: Declared, whole: bool) -> Tried:
    """Return the best reading of a sample."""
    row = declared.header_row
    tried = [_read(sample, dialect, whole, row) for dialect in _candidates(sample, declared)]
    if declared.delimiter is not None:
        likely = [one for one in tried if _comments_are_none_of_its_rows(one, sample)]
        return max(likely or tried, key=_with_comments)
    usual = [one for one in tried if _is_usual(one.cut.dialect)]
    unusual = [
        one for one in tried if _is_good_unusual(one, sample) and not _is_behind_table(one, usual)
    ]
    good = [one for one in usual if _is_good(one, sample)]
    if good:
        # A comma beside a quote delimits cells.
        has_quotes = b'",' in sample or b',"' in sample
        best = max(good if has_quotes else _without_commas_in_cells(good), key=_rank)
        better = [one for one in unusual if one.quality > best.quality]
        return max(better, key=_rank) if better and best.is_doubtful else best
    if unusual:
        return max(unusual, key=_rank)
    alone = [
        one
        for one in usual
        if one.width <= 1 and one.regular == 1 and _comments_are_none_of_its_rows(one, sample)
    ]
    if alone:
        return max(alone, key=_with_comments)
    base = replace(usual[0].cut.dialect, delimiter=NONE, comment=None, skip_initial_space=False)
    return _read(sample, base, whole, row)


def _is_behind_table(unusual: Tried, usual: Sequence[Tried]) -> bool:
    """Tell whether a table of a usual delimiter is above: then it would be made of its notes."""
    return any(
        sum(1 for record in one.cut.records[: unusual.place] if len(record) == one.width) > 1
        for one in usual
        if one.width > 1
    )


def _without_commas_in_cells(good: list[Tried]) -> list[Tried]:
    """Leave out commas where a rarer sign is in every line, the header's too, as often."""
    others = [
        one
        for one in good
        if one.cut.dialect.delimiter != ","
        and one.regular == 1
        and sum(map(bool, one.cut.records)) > 1
        and len(one.names) == one.width
        and _rank(one)[0]
    ]
    if not others:
        return good
    first = min(one.place for one in others)
    return [one for one in good if one.cut.dialect.delimiter != "," or one.place < first]


def _are_all_spaced(one: Tried) -> bool:
    """Tell whether a space is behind every delimiter, as a part of it."""
    return one.spaced == 1 and one.width > 1 and sum(map(bool, one.cut.records)) >= _FEW


def _is_usual(dialect: Dialect) -> bool:
    return dialect.delimiter in DELIMITERS and not dialect.wide


def _with_comments(one: Tried) -> tuple[float, bool, bool]:
    return round(one.quality, 6), one.cut.dialect.comment is not None, not one.cut.dialect.wide


def _rank(one: Tried) -> tuple[bool, float, bool, int, bool]:
    dialect = one.cut.dialect
    well = (
        cutting.falls_well(one.cut.text, dialect, len(one.cut.records)) if dialect.quote else True
    )
    # What is a comment above the header is one between the rows behind the sample, too.
    is_double = dialect.quote != quotes.SINGLE
    return well, round(one.quality, 6), is_double, one.width, dialect.comment is not None


def _read(sample: bytes, dialect: Dialect, whole: bool, row: int | None) -> Tried:
    """Cut a sample, and find the header, or take the row that is the header's."""
    cut = cutting.cut(sample, dialect, whole)
    place = row - 1 if row and row <= len(cut.records) else 0
    width = cutting.table_width(cut.records[place:])
    if not cut.dialect.universal_newlines:
        cut = replace(cut, dialect=replace(cut.dialect, width=width))
    if place or row == 1:
        found = header.at(cut.records, place, cut.dialect.width)
    else:
        found = header.find(cut.records, cut.dialect.width)
    first = max(0, found.above - (found.row > 0))
    first += found.row > 0 and cutting.lacks_row_names(cut, first)  # narrower than its rows
    below = [record for record in cut.records[first:] if record]
    others = [cell for record in below for cell in record[1:] if cell]
    return Tried(
        cut,
        found,
        sum(1 for record in below if len(record) == cut.dialect.width) / max(1, len(below)),
        sum(1 for cell in others if cell[0] == " ") / max(1, len(others)),
        row is not None,
    )


def _candidates(sample: bytes, declared: Declared) -> Iterator[Dialect]:
    """Yield the dialects that may be that of a sample."""
    base = Dialect(
        quote=declared.quote,
        double_quote=declared.double_quote,
        escape=declared.escape,
        skip_initial_space=bool(declared.skip_initial_space),
        comment=declared.comment,
        is_guessed=not declared.quoting_is_known,
    )
    comments = [declared.comment] if declared.comment else [None, *_comments(sample)]
    for dialect in _delimited(sample, declared, base):
        for comment in comments:
            if comment != dialect.delimiter:
                yield replace(dialect, comment=comment)


def _delimited(sample: bytes, declared: Declared, base: Dialect) -> Iterator[Dialect]:
    if declared.wide:
        yield replace(base, delimiter=WIDE, wide=True)
        return
    given = (declared.delimiter,) if declared.delimiter is not None else DELIMITERS
    for delimiter in given:
        dialect = replace(base, delimiter=delimiter)
        if delimiter == "," or delimiter.encode() in sample or declared.delimiter:
            yield dialect
        if not declared.quoting_is_known and _has_single_quotes(sample, delimiter):
            yield replace(dialect, quote=quotes.SINGLE)
        if declared.skip_initial_space is None and _has_spaced_quotes(sample, dialect):
            yield replace(dialect, skip_initial_space=True)
    if declared.delimiter is not None:
        return
    for delimiter in _UNUSUAL:
        if delimiter.encode() in sample:
            yield replace(base, delimiter=delimiter)
    if b"  " in sample:
        yield replace(base, delimiter=" ", skip_initial_space=True)
        if b"\t" not in sample:
            yield replace(base, delimiter=WIDE, wide=True)


def _has_single_quotes(sample: bytes, delimiter: str) -> bool:
    """Tell whether a cell in single quotes seems to have a delimiter in it."""
    between = re.escape(delimiter).encode()
    cell = re.compile(rb"(?:^|[\r\n]|" + between + rb")'([^']*)'(?=$|[\r\n]|" + between + b")")
    return any(delimiter.encode() in found[1] for found in cell.finditer(sample))


def _has_spaced_quotes(sample: bytes, dialect: Dialect) -> bool:
    """Tell whether a quote behind a delimiter and spaces seems to open a cell."""
    if not dialect.quote or dialect.delimiter == " ":
        return False
    between, quote = (re.escape(sign).encode() for sign in (dialect.delimiter, dialect.quote))
    spaced = between + b" +" + quote + b"[^" + quote + b"\r\n]*" + quote + b"(?:$|[\r\n]|" + between
    return re.search(spaced + b")", sample) is not None


def _comments(sample: bytes) -> list[str]:
    """Return the signs that lines begin with, and may make them comments."""
    signs = [(sign, sign.encode()) for sign in _COMMENTS]
    return [
        sign
        for sign, octets in signs
        if sample.startswith(octets) or b"\n" + octets in sample or b"\r" + octets in sample
    ]


def _is_good(one: Tried, sample: bytes) -> bool:
    """Tell whether a usual delimiter makes a table, rather than pieces of free text."""
    if one.width <= 1 or not _comments_are_none_of_its_rows(one, sample):
        return False
    if one.regular < _REGULAR and one.spaced >= _SPACED:
        return False
    return one.is_given or not _is_one_column(one)


def _is_one_column(one: Tried) -> bool:
    """Tell whether the first line is the name of a column, and the delimiters stand in its text."""
    above = [record for record in one.cut.records[: one.header.above] if record]
    above = above[:-1] if one.header.row else above
    if len(above) != 1 or len(above[0]) != 1 or one.header.is_proven:
        return False
    rows = [
        record for record in one.cut.records[one.header.above - (one.header.row > 0) :] if record
    ]
    between = one.cut.dialect.delimiter
    values = sum(1 for record in rows if kind_of(between.join(record)) not in ("", TEXT))
    if values >= _VALUES * len(rows) or one.spaced >= _SPACED:
        return True
    # A blank line is below a title, and not below a header.
    is_title = any(not record for record in one.cut.records[: one.place])
    # Commas stand in texts; of the others, as many in every line.
    is_rare = between != "," and one.regular == 1 and one.width >= _FEW
    return one.header.typed == 0 and len(above[0][0].split()) == 1 and not (is_title or is_rare)


def _are_values(one: Tried, kind: str = "") -> bool:
    """Tell whether every line is a value, if it is not cut: a moment, a number of thousands."""
    rows = [record for record in one.cut.records[one.header.above :] if record]
    between = one.cut.dialect.delimiter
    kinds = [kind_of(between.join(record)) for record in rows]
    values = sum(1 for found in kinds if (found == kind if kind else found not in ("", TEXT)))
    return values >= _VALUES * len(rows)


def _is_good_unusual(one: Tried, sample: bytes) -> bool:
    """Tell whether a delimiter that texts have too makes a table without an exception."""
    delimiter = one.cut.dialect.delimiter
    if _is_usual(one.cut.dialect) or not _is_without_exception(one):
        return False
    if not _comments_are_none_of_its_rows(one, sample):
        return False
    if delimiter == " " or one.cut.dialect.wide:
        if _has_quoted_spaces(one) or (one.cut.dialect.wide and _rows(one) >= _FEW):
            return True
        is_typed = one.header.typed >= (_TYPED if one.width < _FEW else 1 / one.width)
        return is_typed and (one.header.is_proven or one.header.row == 0)
    if delimiter == ":":
        return one.width >= _FEW and not _NO_COLON.search(one.cut.text)
    return len(set(one.names)) == one.width and one.spaced < _SPACED


def _rows(one: Tried) -> int:
    return sum(map(bool, one.cut.records[one.header.above :]))


def _is_without_exception(one: Tried) -> bool:
    """Tell whether all rows are as wide as their header, and nothing is above it that may be it."""
    if one.width <= 1 or one.regular < 1 or not one.is_full or not _rows(one):
        return False
    if one.header.row == 0:
        is_rare = one.cut.dialect.delimiter != " " and not one.cut.dialect.wide
        return (one.header.typed == 1 or is_rare) and not _are_values(one)
    is_first = one.header.is_proven or not any(one.cut.records[: one.place])
    return is_first and not _are_values(one, NUMBER)


def _has_quoted_spaces(one: Tried) -> bool:
    """Tell whether spaces within a cell are in quotes, and all quotes fall well."""
    quote = one.cut.dialect.quote
    rows = [record for record in one.cut.records[one.place :] if record]
    if not quote or len(rows) < _FEW:
        return False
    is_quoted = re.search(rf"(?:^|[ \r\n]){re.escape(quote)}", one.cut.text) is not None
    has_spaces = any(" " in cell for row in rows for cell in row)
    return (
        is_quoted
        and has_spaces
        and cutting.falls_well(one.cut.text, one.cut.dialect, len(one.cut.records))
    )


def _are_no_values(marked: Sequence[Sequence[str]], one: Tried) -> bool:
    """Tell whether comments, as wide as rows, cannot be rows: the first column has numbers, say."""
    sign = len(one.cut.dialect.comment or "")
    is_typed = bool(one.header.kinds) and one.header.kinds[0] not in ("", TEXT)
    return is_typed and not any(kind_of(record[0][sign:]) != TEXT for record in marked)


def _comments_are_none_of_its_rows(one: Tried, sample: bytes) -> bool:
    """Tell whether the lines that were taken for comments are neither rows nor the header."""
    dialect = one.cut.dialect
    if dialect.comment is None:
        return True
    sign = dialect.comment
    plain = cutting.cut(
        sample, replace(dialect, comment=None, universal_newlines=False), whole=False
    )
    marked = [
        place for place, record in enumerate(plain.records) if record and record[0].startswith(sign)
    ]
    if not marked or not any(one.cut.records):
        return False
    # Then it is the delimiter, of rows whose first cell is empty.
    if sign == ";" and all(";" in line for line in one.cut.text.splitlines() if line):
        return False
    first_row = one.header.above
    between = [place for place in marked if place >= first_row]
    alike = [plain.records[place] for place in between if len(plain.records[place]) == one.width]
    if alike and not _are_no_values(alike, one):
        return False
    top = [place for place in marked if place < first_row]
    last = plain.records[top[-1]] if top else []
    if len(last) == one.width > 1:
        # It may name the columns; but not with the spaces of a sentence.
        is_sentence = one.spaced == 0 and any(cell.startswith(" ") for cell in last[1:])
        return one.header.is_proven or is_sentence
    return bool(top) or one.width > 1
