"""CSV as one of the formats: a text's head -> its encoding, dialect and header, and its blocks.

In: bytes, and what the caller says of them. Out: a CsvTable, whose blocks go on from the first one.
Holds the head until the first block is cut.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from loader.formats.csv import (
    blocks,
    declared,
    detection,
    other_kinds,
    rowless,
    sniffing,
    table,
    text,
)
from loader.formats.csv.blocks import CsvBlock
from loader.formats.csv.declared import Declared
from loader.formats.csv.detection import Detected
from loader.formats.csv.dialect import Dialect
from loader.formats.csv.filters import WithoutDosEnd, WithoutMarks, WithoutNuls
from loader.formats.csv.matcher import Matcher
from loader.formats.csv.plain import Rewriter
from loader.formats.csv.table import CsvRows
from loader.formats.csv.text import TextStream
from loader.formats.format import Settings
from loader.formats.readable import Readable, Rejoined, read_fully
from loader.formats.rows import Records
from loader.types.column import Column
from loader.types.descriptor import check_levels

_BEGIN_BYTES = 4096  # what tells a binary file
_HEAD_BYTES = 1 << 20  # what the dialect is found in
_FIRST_TIMES = 2  # the first block is larger: types guessed from more rows are wrong less often


def knows(head: bytes) -> bool:  # noqa: ARG001
    """Take any file: ``open_table`` refuses what is no CSV."""
    return True


def open_table(content: Readable, settings: Settings) -> CsvTable:
    """Find out what the head of a text tells.

    Raises:
        SourceError, TableError, UsageError: As ``Format.open_table``.
    """
    check_levels(settings.dialect, "the dialect")
    given = declared.declare(settings.dialect, settings.delimiter, settings.header_row)
    begin = read_fully(content, _BEGIN_BYTES)
    other_kinds.refuse_binary(begin)
    stream = text.decode(Rejoined(begin, content), settings.encoding, settings.default_encoding)
    unmarked = WithoutMarks(stream)
    whole = WithoutDosEnd(unmarked)
    begin = read_fully(whole, _BEGIN_BYTES)
    if text.is_binary(begin):
        raise other_kinds.no_text()
    stored = WithoutNuls(Rejoined(begin, whole))
    head = read_fully(stored, _HEAD_BYTES)
    found = detect(head, given, len(head) < _HEAD_BYTES)
    may_be_row = found.may_be_row(head) if given.comment is None else lambda _: False
    rewriter = Rewriter(found.dialect, may_be_row)
    begun = _Begun(head, stream, stored, found, rewriter, given.header_row is not None, settings)
    return CsvTable(
        headers=found.headers,
        blocks=rowless.with_values(_blocks(begun), found.dialect),
        preamble=found.preamble,
        header_is_known=begun.header_is_known,
        dialect=found.dialect,
        doubts=found.doubts,
        rewriter=rewriter,
        text=stream,
        unmarked=unmarked,
        whole=whole,
        stored=stored,
        encoding_is_known=settings.encoding is not None,
    )


def detect(head: bytes, given: Declared, whole: bool) -> Detected:
    """Find the dialect and read the header.

    Args:
        head: The first bytes of the text, UTF-8.
        given: What the caller knows already.
        whole: Whether the head is the whole text; if not, its last record may be cut.

    Raises:
        NotATable: The text is another kind of document.
        EmptySource, NotATable, UsageError: As ``detection.read_header``.
    """
    other_kinds.refuse(head.decode("utf-8", errors="replace"), whole)
    head, given, instruction = detection.without_instruction(head, given)
    cut = sniffing.sniff(head, given, whole)
    found = detection.read_header(head, cut, given, whole)
    return detection.below_instruction(found, instruction)


@dataclass(frozen=True)
class CsvTable:
    """An open CSV.

    Attributes:
        headers: As in ``Table``, and so ``blocks``, ``header_is_known`` and ``preamble``.
        dialect: How its records and cells are cut.
        doubts: What was decided of them, and may be wrong.
        rewriter: What has left out lines of comment.
        text: What it is read from.
        unmarked: The same without the byte order marks of files that were put together.
        whole: The same without what a file of DOS ends in.
        stored: And without NULs.
        encoding_is_known: Whether the caller has named the encoding.
    """

    headers: Sequence[str]
    blocks: Iterator[CsvBlock]
    preamble: int
    header_is_known: bool
    dialect: Dialect
    doubts: Sequence[str]
    rewriter: Rewriter
    text: TextStream
    unmarked: WithoutMarks
    whole: WithoutDosEnd
    stored: WithoutNuls
    encoding_is_known: bool

    @property
    def types(self) -> Sequence[str | None]:
        """None: all that a CSV has is text."""
        return ()

    @property
    def header_row(self) -> int:
        """The header's record, counted from 1; 0: there is none."""
        return self.dialect.header_row

    @property
    def delimiter(self) -> str:
        """What is between the cells of its records."""
        return self.dialect.delimiter

    @property
    def line_end(self) -> str:
        """What most of its records end in."""
        return self.dialect.line_end

    def parse(self, block: CsvBlock, most_rejects: int = sys.maxsize) -> CsvRows:
        """Return a block's rows, mended where they can be."""
        return table.parse(
            block,
            self.dialect,
            len(self.headers),
            encoding=self.text.encoding,
            most_rejects=most_rejects,
        )

    def copyable(
        self, columns: Sequence[Column], missing: Sequence[str]
    ) -> Callable[[CsvBlock], Records | None]:
        """Return what tells by one expression whether COPY can take a block's records."""
        matcher = Matcher(columns, self.dialect, missing)
        return lambda block: block.as_records() if matcher.matches(block) else None

    def records(self, block: CsvBlock) -> Iterator[list[str]]:
        """Yield the cells of every record, those that cannot be decoded too."""
        if not block.is_torn:
            return self.dialect.records(block.data.decode(errors="backslashreplace"))
        starts, ends = block.starts.tolist(), block.ends.tolist()
        return (
            next(self.dialect.records(block.data[start:end].decode(errors="backslashreplace")), [])
            for start, end in zip(starts, ends, strict=True)
        )

    def findings(self) -> list[str]:
        """Return what was found of the encoding, and what the end of the text has left out."""
        found = list(self.doubts)
        if self.rewriter.comments:
            found.append(f"lines of comment left out: {self.rewriter.comments}")
        if not self.encoding_is_known and self.text.encoding != "utf-8":
            why = ", by the default" if self.text.by_default else ""
            found.append(f"the encoding was found to be {self.text.encoding}{why}")
        if self.text.overruled:
            found.append(
                f"the encoding is {self.text.encoding}, as the file's byte order mark says,"
                f" not {self.text.overruled}"
            )
        if self.unmarked.count:
            found.append(f"byte order marks left out, at the start of lines: {self.unmarked.count}")
        if self.stored.count:
            found.append(f"NUL characters left out: {self.stored.count}")
        if self.whole.found:
            found.append("left out: the Ctrl-Z at the end, which ends a file of DOS")
        return found

    def descriptor(self) -> dict[str, object]:
        """Return what a frictionless Resource says of the format."""
        return {
            "format": "csv",
            "mediatype": "text/csv",
            "encoding": self.text.encoding,
            "dialect": self.dialect.to_descriptor(),
        }


@dataclass(frozen=True)
class _Begun:
    """What is known of a text before its first block is cut."""

    head: bytes
    text: TextStream
    stored: WithoutNuls
    found: Detected
    rewriter: Rewriter
    header_is_known: bool
    settings: Settings


def _blocks(begun: _Begun) -> Iterator[CsvBlock]:
    """Yield the blocks of a text; if it has no row, its header has to be meant as one."""
    cut = blocks.cut(
        Rejoined(begun.head, begun.stored),
        begun.found.dialect,
        first_times=_FIRST_TIMES,
        width=len(begun.found.headers),
        rewriter=begun.rewriter,
    )
    first = next(cut, None)
    if first is None:
        rowless.check(
            rowless.Rowless(
                head=begun.head,
                encoding=begun.text.encoding,
                dialect=begun.found.dialect,
                headers=begun.found.headers,
                named_encoding=begun.settings.encoding is not None,
                named_header=begun.header_is_known,
                declared=begun.settings.declares(begun.found.headers),
                nuls=begun.stored.count > 0,
            )
        )
        return
    other_kinds.refuse_controls(begun.found.headers)
    del begun  # the generator would hold the head, a megabyte, as long as the load lasts
    yield first
    del first
    yield from cut
