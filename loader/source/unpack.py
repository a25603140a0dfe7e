"""From a source to its content: gzip, bz2, xz, zstd, or a zip with one file in it, two levels deep.

In: a `Stored`. Out: a stream of the bytes that were packed, or of the source's own if they are
not. What it is, its first bytes tell; a name can lie. Some servers pack what is packed already, so
that what comes out may be packed once more. Memory at each of the two levels, whatever was packed:
two buffers of 1 MiB and the decompressor's own state, at most 128 MiB with xz and zstd. A zip that
cannot be read in place (its table of contents is at its end) is spooled to a temporary file without
a name; everything else is streamed.
"""

from __future__ import annotations

import bz2
import io
import lzma
import re
import shutil
import struct
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from loader.errors import CompressionError, NotATable, SourceError, UsageError
from loader.source.stored import Stored

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER_BYTES = 1024 * 1024
_PIECE_BYTES = 64 * 1024
_XZ_MEMORY_BYTES = 130 * 1024 * 1024  # xz -9 takes 65 MiB; libzstd's own limit is 128 MiB
_MOST_LEVELS = 2
_ZIP_PIECE_BYTES = 1024  # unpacked at once: 1 KiB of bz2 can become 20 MB
_ZIP_CONTENTS_BYTES = 4 * 1024 * 1024  # 50 bytes a file; zipfile holds ten times that
_MAGIC_BYTES = 10
# Behind packed data: NULs of tapes, a line end that a transfer has added, the Ctrl-Z of XMODEM.
_PADDING = b"\0\r\n\x1a"
_NAMED = 3  # of the files in a zip that should have had one
_GZIP_MAGIC = b"\x1f\x8b\x08"
_XZ_MAGIC = b"\xfd7zXZ\x00"
_BZ2_MAGIC = b"BZh"  # a column may be named so: what follows must fit too
_BZ2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")  # the first block, or the end of an empty file
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")  # how pzstd begins a file
_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_ZIP_MARKER = b"PK00"  # before one that was to be split, and fitted into one part
_ZIP_END_BYTES = 22 + 65535  # of its last record, which ends in a comment
_OLD_WORKBOOK_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = 0x1  # of a zip member's flags
_OFFICE_FILES = (
    ({"[Content_Types].xml", "xl/workbook.xml"}, "an Excel workbook"),
    ({"[Content_Types].xml", "xl/workbook.bin"}, "an Excel workbook"),
    ({"[Content_Types].xml"}, "an Office document"),
    ({"mimetype", "content.xml"}, "an OpenDocument file"),
)

# What the decompressors raise for damaged data. OSError: bz2's own; IndexError,
# NotImplementedError, OverflowError, struct.error and ValueError: a zip whose table of contents is
# damaged (an empty name, a version 25.5).
_DAMAGE: tuple[type[Exception], ...] = (
    EOFError,
    IndexError,
    NotImplementedError,
    OSError,
    OverflowError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def unpack(source: Stored) -> BinaryIO:
    """Return the source's content, unpacked if it is packed.

    Args:
        source: Open, at its first byte. Closing the result closes it.

    Returns:
        A buffered stream. Reading it may raise what reading the source may, CompressionError
        where the packed data is cut off or damaged, and SourceTooLarge.

    Raises:
        CompressionError: A zip that is damaged, encrypted, or does not hold one file; packed data
            whose beginning is damaged, or that is packed a third time.
        SourceTooLarge: A zip whose file has more bytes than the source's limits allow.
        NotATable: A workbook, which is a zip too.
        UsageError: zstd, and the package for it is missing.
    """
    level = _Level(source, io.BufferedReader(source, _BUFFER_BYTES))
    for _ in range(_MOST_LEVELS):
        inner = _unpacked(level)
        if inner is None:
            return level.content
        level = inner
    if _unpacked(level) is not None:
        level.content.close()
        raise CompressionError(
            f"{source.uri} is packed more than {_MOST_LEVELS} times over",
            hint="pack one CSV file alone, once",
        )
    return level.content


class _Level:
    """What was unpacked so far.

    Args:
        source: What it comes from.
        content: Of this level, at its first byte.
        packed_bytes: How many of the source's were taken so far; of the source itself, its place.
        dense: Whether one of the levels is packed in a dense format.
    """

    def __init__(
        self,
        source: Stored,
        content: BinaryIO,
        packed_bytes: Callable[[], int] | None = None,
        *,
        dense: bool = False,
    ) -> None:
        self.source = source
        self.content = content
        self.dense = dense
        # What was read ahead was not unpacked yet.
        self.packed_bytes = packed_bytes or content.tell


def _unpacked(level: _Level) -> _Level | None:
    """Return the level within one; None if it is not packed.

    Raises:
        CompressionError, SourceTooLarge, NotATable, UsageError: As ``unpack``.
    """
    magic = cast("io.BufferedReader", level.content).peek(_MAGIC_BYTES)[:_MAGIC_BYTES]
    if magic.startswith(_ZIP_MAGICS):
        return _open_zip(level)
    if magic.startswith(_OLD_WORKBOOK_MAGIC):
        raise _no_table(level.source.uri, "an Excel workbook")
    if magic.startswith(_GZIP_MAGIC):
        return _stream(level, _GzipDecompressor, dense=False)
    if magic.startswith(_BZ2_MAGIC) and magic[4:10] in _BZ2_BLOCKS:
        return _stream(level, bz2.BZ2Decompressor)
    if magic.startswith(_XZ_MAGIC):
        return _stream(level, _xz_decompressor)
    if magic.startswith(_ZSTD_MAGIC) or _ZSTD_SKIPPABLE.match(magic):
        return _open_zstd(level)
    return None


def _stream(
    level: _Level,
    new: Callable[[], _Decompressor],
    damage: tuple[type[Exception], ...] = _DAMAGE,
    *,
    dense: bool = True,
) -> _Level:
    packed, dense = level.content, dense or level.dense
    streams = _Streams(packed, new)
    parts = _Parts(streams, level.source, packed.close, level.packed_bytes, damage, dense)
    content = io.BufferedReader(_Unpacked(parts), _BUFFER_BYTES)
    return _Level(level.source, content, level.packed_bytes, dense=dense)


class _Readable(Protocol):
    def readinto(self, buffer: WriteableBuffer, /) -> int: ...


@dataclass(frozen=True)
class _Parts:
    """A decompressor, and what goes with it."""

    content: _Readable
    source: Stored
    release: Callable[[], None]
    packed_bytes: Callable[[], int]  # how many of the source's it has taken so far
    damage: tuple[type[Exception], ...]
    dense: bool


class _Unpacked(io.RawIOBase):
    """What a decompressor gives, counted, and its many errors turned into one."""

    def __init__(self, parts: _Parts) -> None:
        super().__init__()
        self._parts = parts
        self._bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        source = self._parts.source
        with _ours(source.uri, self._parts.damage):
            count = self._parts.content.readinto(buffer)
        if count == 0 and memoryview(buffer).nbytes:
            # A zip is not read to its end, where the source itself would have looked.
            source.check_unchanged()
        self._bytes += count
        source.limits.check_bytes(source.uri, self._bytes)
        packed = self._parts.packed_bytes()
        source.limits.check_ratio(source.uri, packed, self._bytes, dense=self._parts.dense)
        return count

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._parts.release()


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Streams(io.RawIOBase):
    """What was packed in one stream or several, as ``cat`` or pbzip2 put them together.

    The readers of Python's own modules end at the first stream that they cannot read, damaged ones
    too: what follows would be lost without a word. What pads streams, ``_PADDING``, is passed over
    between them and behind the last one; anything else there is damage.

    Args:
        packed: The file.
        new: Makes a decompressor of one stream.
    """

    def __init__(self, packed: BinaryIO, new: Callable[[], _Decompressor]) -> None:
        super().__init__()
        self._packed = packed
        self._new = new
        self._decompressor = new()
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        while not self._ended:
            data = self._next(len(view))
            if data:
                view[: len(data)] = data
                return len(data)
        return 0

    def _next(self, size: int) -> bytes:
        if self._decompressor.eof:
            begin = self._behind_padding(self._decompressor.unused_data)
            if not begin:
                self._ended = True
                return b""
            self._decompressor = self._new()
            return self._decompressor.decompress(begin, size)
        rest = self._packed.read(_PIECE_BYTES) if self._decompressor.needs_input else b""
        if not rest and self._decompressor.needs_input:
            raise EOFError
        return self._decompressor.decompress(rest, size)

    def _behind_padding(self, rest: bytes) -> bytes:
        """Return the begin of the next stream, or nothing at the end of the file."""
        while not (begin := rest.lstrip(_PADDING)):
            rest = self._packed.read(_PIECE_BYTES)
            if not rest:
                break
        return begin


class _GzipDecompressor:
    """One member of a gzip file, with what the decompressors of the other forms can do."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        self._has_more = False

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not (self._has_more or self._zlib.unconsumed_tail)

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        text = self._zlib.decompress(self._zlib.unconsumed_tail + data, max(0, max_length))
        self._has_more = len(text) == max_length  # zlib does not tell
        return text


def _xz_decompressor() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=_XZ_MEMORY_BYTES)


@contextmanager
def _ours(uri: str, damage: tuple[type[Exception], ...]) -> Iterator[None]:
    try:
        yield
    except EOFError:
        raise CompressionError(
            f"{uri} is cut off: its packed data has no end", hint="download or pack it again"
        ) from None
    except damage as error:
        # Both say no more than this, whether it is damaged or asks for gigabytes.
        may_ask = type(error).__name__ in ("LZMAError", "ZstdError")
        asks = ", or needs more than 128 MiB of memory" if may_ask else ""
        raise CompressionError(
            f"{uri} is damaged{asks}: it cannot be unpacked ({type(error).__name__})",
            hint="download or pack it again" + (", in the usual way" if may_ask else ""),
        ) from error


def _open_zstd(level: _Level) -> _Level:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd  # noqa: PLC0415  (it may be missing)
        else:
            from backports import zstd  # noqa: PLC0415  (as above)
    except ImportError:
        raise UsageError(
            f"{level.source.uri} is packed with zstd, which needs a package",
            hint="pip install backports.zstd",
            of_machine=True,
        ) from None
    return _stream(level, zstd.ZstdDecompressor, (*_DAMAGE, zstd.ZstdError))


def _open_zip(level: _Level) -> _Level:
    source, packed = level.source, level.content
    with ExitStack() as resources:
        resources.callback(packed.close)
        place = packed if packed.seekable() else resources.enter_context(_spool(packed, source.uri))
        with _ours(source.uri, _DAMAGE):
            contents = _Contents(place, source.uri)
            archive = resources.enter_context(zipfile.ZipFile(cast("BinaryIO", contents)))
            _check_whole(place, archive, source.uri)
            member = _only_file(archive, source.uri)
            _check_memory(place, member)
            content = resources.enter_context(_open_member(archive, member, source.uri))
        source.limits.check_bytes(source.uri, member.file_size, announced=True)
        dense = member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        readable: _Readable = _Pieces(content) if dense else content
        # One within another format was unpacked whole into its temporary copy.
        is_outermost = isinstance(packed, io.BufferedReader) and packed.raw is source
        packed_bytes = (lambda: contents.bytes_read) if is_outermost else level.packed_bytes
        dense = dense or level.dense
        release = resources.pop_all().close
        parts = _Parts(readable, source, release, packed_bytes, _DAMAGE, dense)
        unpacked = io.BufferedReader(_Unpacked(parts), _BUFFER_BYTES)
        return _Level(source, unpacked, packed_bytes, dense=dense)


class _Contents:
    """A zip as zipfile reads it: counted, and its table of contents, read at once, is small."""

    def __init__(self, place: BinaryIO, uri: str) -> None:
        self.bytes_read = 0
        self._uri = uri
        self._place = place
        self.seek, self.tell, self.seekable = place.seek, place.tell, place.seekable

    def read(self, size: int = _ZIP_CONTENTS_BYTES) -> bytes:
        if size > _ZIP_CONTENTS_BYTES:
            raise CompressionError(
                f"{self._uri} is a zip with too long a table of contents ({size:,} bytes)",
                hint="pack one CSV file alone",
            )
        data = self._place.read(size)
        self.bytes_read += len(data)
        return data


class _Pieces:
    """A file of a zip whose decompressor gives out at once all that it was given becomes."""

    def __init__(self, content: zipfile.ZipExtFile) -> None:
        content.MIN_READ_SIZE = _ZIP_PIECE_BYTES
        self._content = content

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self._content.read1(min(len(view), _ZIP_PIECE_BYTES))
        view[: len(data)] = data
        return len(data)


def _check_memory(place: BinaryIO, member: zipfile.ZipInfo) -> None:
    """Raise LZMAError for a file of a zip that asks for too much memory, as xz does."""
    if member.compress_type != zipfile.ZIP_LZMA:
        return
    place.seek(member.header_offset + 26)
    name_bytes, extra_bytes = struct.unpack("<HH", place.read(4))
    place.seek(name_bytes + extra_bytes, io.SEEK_CUR)
    *_, dictionary_bytes = struct.unpack("<BBHBI", place.read(9))
    if dictionary_bytes > _XZ_MEMORY_BYTES:
        raise lzma.LZMAError


def _spool(packed: BinaryIO, uri: str) -> BinaryIO:
    try:
        spool = tempfile.TemporaryFile()  # noqa: SIM115  (the caller's stack closes it)
    except OSError as error:
        raise _no_room(uri, error) from error
    try:
        shutil.copyfileobj(packed, spool, _BUFFER_BYTES)
        spool.flush()
    except (OSError, SourceError) as error:
        with suppress(OSError):  # of a full disk, which is reported below
            spool.close()
        # One of the file written; those of the source are no OSErrors any more.
        if isinstance(error, OSError):
            raise _no_room(uri, error) from error
        raise
    return spool


def _no_room(uri: str, error: OSError) -> SourceError:
    return SourceError(
        f"{uri} is a zip, and there is no room for a temporary copy of it ({error.strerror})",
        hint="set TMPDIR to a folder that can be written and has more room, or pack it with gzip",
        of_machine=True,
    )


def _only_file(archive: zipfile.ZipFile, uri: str) -> zipfile.ZipInfo:
    names = set(archive.namelist())
    for marks, kind in _OFFICE_FILES:
        if marks <= names:
            raise _no_table(uri, kind)
    files = [member for member in archive.infolist() if not _is_of_the_system(member)]
    if len(files) != 1:
        shown = ", ".join(member.filename for member in files[:_NAMED])
        more = ", ..." if len(files) > _NAMED else ""
        raise CompressionError(
            f"{uri} holds {len(files)} files ({shown}{more}), not one"
            if files
            else f"{uri} is a zip without a file in it",
            hint="pack one CSV file alone",
        )
    return files[0]


def _check_whole(place: BinaryIO, archive: zipfile.ZipFile, uri: str) -> None:
    """Refuse a zip with something before or behind it: of two, zipfile reads the last alone.

    ``_PADDING`` behind it is no such thing.
    """
    place.seek(0)
    begin = len(_ZIP_MARKER) if place.read(len(_ZIP_MARKER)) in (_ZIP_MAGICS[2], _ZIP_MARKER) else 0
    size = place.seek(0, io.SEEK_END)
    place.seek(max(0, size - _ZIP_END_BYTES))
    tail = place.read(_ZIP_END_BYTES)
    end = tail.rfind(_ZIP_MAGICS[1]) + 20
    behind = tail[end + 2 + int.from_bytes(tail[end : end + 2], "little") :]
    first = min((member.header_offset for member in archive.infolist()), default=begin)
    if first != begin or behind.strip(_PADDING):
        raise CompressionError(
            f"{uri} is a zip with something {'before' if first != begin else 'behind'} it,"
            " such as another zip",
            hint="pack one CSV file alone",
        )


def _is_of_the_system(member: zipfile.ZipInfo) -> bool:
    """Tell whether this is a folder, or a file that macOS or Windows adds to every archive."""
    folder, _, name = member.filename.rpartition("/")
    return (
        member.is_dir()
        or folder.partition("/")[0] == "__MACOSX"
        or name.startswith("._")
        or name in (".DS_Store", "Thumbs.db", "desktop.ini")
    )


def _open_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, uri: str) -> zipfile.ZipExtFile:
    if member.flag_bits & _ENCRYPTED:
        raise CompressionError(f"{uri} is encrypted", hint="pack it without a password")
    try:
        return cast("zipfile.ZipExtFile", archive.open(member))
    except NotImplementedError:
        raise CompressionError(
            f"{uri} is packed with a method that is not supported ({member.compress_type})",
            hint="pack it with Deflate, or with gzip",
        ) from None


def _no_table(uri: str, kind: str) -> NotATable:
    return NotATable(f"{uri} is {kind}, not a CSV table", hint="export the sheet as CSV")
