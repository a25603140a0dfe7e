"""The text's encoding, found or given, and its bytes as UTF-8."""
# ruff: noqa: RUF001  (letters of other scripts are what this is about)

import codecs
import io
from contextlib import suppress
from encodings.aliases import aliases

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from loader.errors import EncodingError, NotATable, UsageError
from loader.formats.csv.filters import WithoutDosEnd, WithoutMarks
from loader.formats.csv.text import decode
from loader.formats.readable import read_fully

GERMAN = "Name;Ort;Straße\nMüller;Köln;Hauptstraße 5\nJäger;Würzburg;Am Bächle 7\n"
POLISH = (
    "miasto;województwo\nŁódź;łódzkie\nKraków;małopolskie\nGdańsk;pomorskie\n"
    "Poznań;wielkopolskie\nBiałystok;podlaskie\nWrocław;dolnośląskie\n"
)
RUSSIAN = (
    "город;область\nМосква;Московская область\nСанкт-Петербург;Ленинградская область\n"
    "Новосибирск;Новосибирская область\nЕкатеринбург;Свердловская область\n"
)
ENCODINGS = [
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "utf-7",
    "latin-1",
    "windows-1252",
    "cp1250",
    "cp1251",
    "koi8-r",
    "shift_jis",
    "euc_jp",
    "iso2022_jp",
    "gb18030",
    "big5",
    "euc_kr",
]


MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


class Trickle(io.RawIOBase):
    """A stream that gives at most `most` bytes at a time."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__()
        self._data, self._most = io.BytesIO(data), most

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, self._most))


def text_of(data: bytes, encoding: str | None = None, size: int = 1 << 20):
    text = decode(io.BytesIO(data), encoding)
    return b"".join(iter(lambda: text.read(size), b"")).decode(), text.encoding


# What goes in comes out.


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(ENCODINGS),
    st.integers(1, 50),
    st.integers(1, 50),
)
@example("\U0001f600é", "utf-16", 1, 1)
@example("日本語", "iso2022_jp", 1, 3)
def test_any_text_in_any_given_encoding_comes_out_in_any_pieces(text, encoding, size, most):
    packed = text.encode(encoding, "ignore")
    assume(encoding.startswith("utf") or not packed.startswith(tuple(MARKS.values())))
    expected = packed.decode(encoding).removeprefix("\ufeff")
    stream = decode(Trickle(packed, most), encoding)
    pieces = list(iter(lambda: stream.read(size), b""))
    assert b"".join(pieces).decode() == expected
    assert all(len(piece) <= size for piece in pieces)


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), min_size=1),
    st.integers(1, 50),
)
def test_any_utf8_is_found_and_passes_through(text, size):
    stream = decode(Trickle(text.encode(), size))
    assert b"".join(iter(lambda: stream.read(size), b"")).decode() == text
    assert stream.encoding == "utf-8"


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff")),
    st.sampled_from(["utf-8-sig", "utf-16", "utf-32"]),
    st.integers(1, 50),
)
def test_any_text_with_a_byte_order_mark_is_found(text, encoding, size):
    assert text_of(text.encode(encoding), size=size)[0] == text


@pytest.mark.parametrize("mark", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_both_byte_orders_are_told_by_their_mark(mark):
    assert text_of(("\ufeff" + GERMAN).encode(mark)) == (GERMAN, mark)


@pytest.mark.parametrize("named", sorted({*ENCODINGS, "ascii", "cp037", "utf-32-be", "utf-16-be"}))
@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("most", [1, 7, 1 << 20])
def test_the_byte_order_mark_wins_over_an_encoding_that_it_contradicts(named, mark, most):
    text = decode(Trickle(MARKS[mark] + GERMAN.encode(mark), most), named)
    assert read_fully(text, 10_000).decode() == GERMAN
    assert text.encoding == mark
    name = codecs.lookup(named).name.removesuffix("-sig")
    agrees = name == mark or (name in {"utf-16", "utf-32"} and mark.startswith(name))
    assert text.overruled == (None if agrees else name)


def test_what_is_not_in_the_encoding_of_its_mark_says_whose_word_it_was():
    with pytest.raises(EncodingError, match="byte 6 of the text is not utf-16-le") as caught:
        text_of(codecs.BOM_UTF16_LE + "aé\nb".encode("utf-16-le")[:5], "latin-1")
    assert "its byte order mark says so: if it is iso8859-1" in str(caught.value.hint)


NULS = {
    "one that has strayed": b"a,b\n1,\0x\n2,3\n",
    "the same, CR": b"a,b\r1,\0x\r2,3\r",
    "as line ends": b"id,name\x001,x\x002,y\x00",
    "as line ends, on the other side": b"id,nam\x0012,x\x0022,y\x00",
    "of strings": b"a\0b\0",
    "before line ends": b"id,nam\0\n1,xy\0\n",
    "before line ends, umlauts": "id,naüm\0\n1,xyö\0\n".encode(),
    "as line ends of 5 KB": b"id,name\x00" + b"1,x\x00" * 1200,
    "as line ends, few": b"id,name of it\x00",
    "a short binary file": b"Rar!\x1a\x07\x00\xcf",
    "two of them": b"id,name\n1,\0x\n2,y\0\n",
    "two, on one side": b"na\0me,b\0\n",
    "two, umlauts": "Ort,\0ä\nKöln,\0\n".encode("cp1252"),
    "one, umlauts": "Köln,\0Ä\n".encode("cp850"),
    "two, Cyrillic": "Уфа\0,Омск\0\n".encode("cp1251"),
    "before line ends, on both sides": "info °,b\0\nfar,5 m²\0\n8,no.\0\n".encode("cp1252") * 9,
}


@pytest.mark.parametrize("data", NULS.values(), ids=NULS)
def test_nuls_alone_make_no_utf16(data):
    text = decode(io.BytesIO(data))
    with suppress(NotATable):
        read_fully(text, 10_000)
    assert not text.encoding.startswith("utf-16")


@given(
    st.lists(st.text("abcxyz0189,;|ü ", min_size=1, max_size=9), min_size=1, max_size=60),
    st.sampled_from(["\0", "\0\n", "\n\0", "\0\0", "\0\r\n"]),
)
@example(["000b"], "\0\n")  # two kana and a line end
def test_records_that_end_in_nuls_are_no_utf16(records, end):
    assume(any(len(record) > 1 for record in records))  # a, NUL, LF, NUL are "a" and a line end
    text = decode(io.BytesIO("".join(record + end for record in records).encode()))
    with suppress(NotATable):
        read_fully(text, 10_000)
    # With more NULs than other characters nobody could tell.
    plain = sum(len(record) for record in records) > 3 * len(records)
    assert not (text.encoding.startswith("utf-16") and plain)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "text",
    [
        GERMAN,
        RUSSIAN,
        "id,name\n1,一丁\n2,北京市\n3,上海市\n",
        "なまえ,ばしょ\nたなか,とうきょう\n",
        "id;имя\r\n1;Анна\r\n2;Борис\r\n",
        "α,β\nγ,δ\n",
        ",".join(f"spalte {n}" for n in range(500)) + "\n" + "1," * 499 + "2\n",
        "番号,氏名\r\n" + "1,山田　太郎\r\n" * 300,
        "番号,氏　名\r",
        "なまえ,ばしょ\n" + f"たなか{'　' * 9},とうきょう{'　' * 9}\n" * 9,
        "番号,氏名\r\n" + f"1,山田{'　' * 60}\r\n" * 90,
        "编号;名称\n1;第一中学一年级一班\n2;一一一一一一\n",
        "번호\t이름\n1\t가가가 가나다\n",
    ],
    ids=[
        *("de", "ru", "zh", "ja", "ru, CRLF", "el", "a header of 5,000 characters"),
        *("ja, spaces", "ja, a header alone", "kana, padded", "ja, padded more"),
        *("zh, ones", "ko, many of one syllable"),
    ],
)
def test_utf16_without_a_mark_is_told_by_its_nuls(encoding, text):
    assert text_of(text.encode(encoding)) == (text, encoding)
    assert text_of(text.encode(encoding), "utf-16") == (text, encoding)


@given(
    st.lists(st.text("山田　一가最ab1 ", max_size=12), min_size=1, max_size=40),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-16-le", "utf-16-be"]),
)
def test_nuls_on_both_sides_are_utf16_if_all_is_text(cells, delimiter, end, encoding):
    rows = "".join(f"{n}{delimiter}{cell}{end}" for n, cell in enumerate(cells))
    text = f"番号{delimiter}氏名{end}{rows}"
    assert text_of(text.encode(encoding)) == (text, encoding)


def test_an_empty_text_is_empty():
    assert text_of(b"") == ("", "utf-8")
    assert text_of(codecs.BOM_UTF8) == ("", "utf-8")


# Ctrl-Z at the end, as DOS writes it.

# kind: text, what is left of it
DOS_ENDS = {
    "on a line": ("a\n1\n\x1a", "a\n1\n"),
    "on a line, CRLF": ("a\r\n1\r\n\x1a", "a\r\n1\r\n"),
    "on a line, CR": ("a\r1\r\x1a", "a\r1\r"),
    "behind the last cell": ("a\n1\x1a", "a\n1"),
    "before a line end": ("a\n1\n\x1a\r\n", "a\n1\n"),
    "before line ends and another": ("a\n1\n\x1a\n\x1a\n", "a\n1\n"),
    "padded": ("a\n1\n" + "\x1a" * 1023, "a\n1\n"),
    "padded with NULs": ("a\n1\n\x1a" + "\0" * 127, "a\n1\n"),
    "behind a cell that is one": ("a\n1,\x1a\n\x1a", "a\n1,\x1a\n"),
    "nothing else": ("\x1a", ""),
    "a cell": ("a\n1,\x1a\n", None),
    "a cell and blank lines": ("a\n1,\x1a\r\n\n", None),
    "in quotes": ('a\n"\x1a"\n', None),
    "in the middle": ("a\n\x1a\n1\n", None),
    "at the begin of a line": ("a\n\x1a1\n", None),
    "NULs alone": ("a\n1\n\0\0", None),
    "more than pads a file": ("a\n" + "\x1a" * 10_000, None),
    "more, and one": ("a\n" + "\x1a" * 10_000 + "b\n\x1a", "a\n" + "\x1a" * 10_000 + "b\n"),
    "none": ("a\n1\n", None),
}


@pytest.mark.parametrize(("text", "left"), DOS_ENDS.values(), ids=DOS_ENDS)
@pytest.mark.parametrize(("size", "most"), [(1, 1), (3, 2), (5000, 300), (1 << 20, 1 << 20)])
def test_the_end_of_a_file_of_dos_is_no_text(text, left, size, most):
    stream = WithoutDosEnd(Trickle(text.encode(), most))
    pieces = list(iter(lambda: stream.read(size), b""))
    assert b"".join(pieces).decode() == (text if left is None else left)
    assert max(map(len, pieces), default=0) <= size
    assert stream.found == (left is not None)
    assert stream.read(size) == b""


@given(
    st.text("a,\n\r\x1a\0", max_size=30),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_it_is_the_same_whatever_is_read_at_a_time(text, size, most):
    whole, stream = (
        WithoutDosEnd(io.BytesIO(text.encode())),
        WithoutDosEnd(Trickle(text.encode(), most)),
    )
    left = b"".join(iter(lambda: stream.read(size), b""))
    assert left == read_fully(whole, 100)
    assert stream.found == whole.found == (left.decode() != text)
    assert text.startswith(left.decode())
    assert set(text[len(left) :]) <= set("\x1a\r\n\0")


# Marks of files that were put together.

MARK = "\ufeff"
# kind: text, what is left of it, marks
MARKED = {
    "a second one": (f"{MARK}a,b\n", "a,b\n", 1),
    "three more": (f"{MARK * 3}a,b\n", "a,b\n", 3),
    "of a second file": (f"a\n1\n{MARK}a\n2\n", "a\n1\na\n2\n", 1),
    "the same, CRLF": (f"a\r\n{MARK}a\r\n", "a\r\na\r\n", 1),
    "the same, CR": (f"a\r{MARK}a\r", "a\ra\r", 1),
    "of an empty file": (f"a\n{MARK}{MARK}b\n{MARK}", "a\nb\n", 3),
    "within a line": (f"a{MARK}b\n", f"a{MARK}b\n", 0),
    "in a cell": (f"1,{MARK}b\n", f"1,{MARK}b\n", 0),
    "none": ("ａ,\ufebf\n", "ａ,\ufebf\n", 0),
    "nothing else": (MARK, "", 1),
}


@pytest.mark.parametrize(("text", "left", "count"), MARKED.values(), ids=MARKED)
@pytest.mark.parametrize(("size", "most"), [(1, 1), (2, 2), (3, 2), (5000, 4), (5000, 5000)])
def test_a_mark_where_a_line_begins_is_no_text(text, left, count, size, most):
    stream = WithoutMarks(Trickle(text.encode(), most))
    pieces = list(iter(lambda: stream.read(size), b""))
    assert b"".join(pieces).decode() == left
    assert max(map(len, pieces), default=0) <= size
    assert stream.count == count
    assert stream.read(size) == b""


@given(st.binary(max_size=30), st.integers(1, 9), st.integers(1, 9))
@example(b"\xef", 1, 1)
@example(b"\xef\xbb\n\xef\xbb", 3, 3)
def test_a_part_of_a_mark_stays(data, size, most):
    stream = WithoutMarks(Trickle(data, most))
    left = b"".join(iter(lambda: stream.read(size), b""))
    assert left == data or codecs.BOM_UTF8 in data


# Guessing.

GUESSED = {
    "German": ("cp1252", GERMAN),
    "German, 18 letters": ("cp1252", "Müller;Köln;Straße"),
    "German, one letter": ("cp1252", "id,name\n1,Müller\n2,Schmidt\n"),
    "German in capitals": ("cp1252", "STRASSE;GRÖSSE\nÜBER;ÄRGER\n"),
    "French, one word": ("cp1252", "Québec"),
    "French": ("cp1252", "ville;région\nOrléans;Centre\nNîmes;Occitanie\nBesançon;Comté\n"),
    "a Euro sign": ("cp1252", "25 €"),
    "degrees": ("cp1252", "temp\n25°C\n30°C\n"),
    "units": ("cp1252", "unit\nµg/m³\nm²\n"),
    "quotes and dashes": ("cp1252", "comment\nIt’s “good” – really…\n"),
    "Spanish": ("cp1252", "ciudad,año\nMálaga,2020\nLogroño,2021\nCádiz,2022\n"),
    "Portuguese": ("cp1252", "município,população\nSão Paulo,1\nBrasília,2\nGoiânia,3\n"),
    "Danish": ("cp1252", "by;gade\nKøbenhavn;Østergade\nÅrhus;Nørregade\nRødovre;Æblevej\n"),
    "Swedish": ("cp1252", "ort\nMalmö\nGöteborg\nÅre\nJönköping\nVäxjö\n"),
    "names of the world": (
        "cp1252",
        "São Paulo\nZürich\nMalmö\nA Coruña\nÅlborg\nBesançon\nGenève\nKøbenhavn\nÉvora\nForlì\n",
    ),
    "Polish": ("cp1250", POLISH),
    "Polish, ISO": ("iso8859_2", POLISH),
    "Czech": (
        "cp1250",
        "město;kraj\nČeské Budějovice;Jihočeský\nPlzeň;Plzeňský\nÚstí nad Labem;Ústecký\n",
    ),
    "Hungarian": ("cp1250", "város\nGyőr\nNyíregyháza\nKőszeg\nGyöngyös\nSümeg\nTűzkő\n"),
    "Turkish": ("cp1254", "şehir;ilçe\nİstanbul;Kadıköy\nİzmir;Karşıyaka\nMuğla;Bodrum\n"),
    "Lithuanian": ("cp1257", "miestas\nŠiauliai\nPanevėžys\nKlaipėda\nTelšiai\nMažeikiai\n"),
    "French of old Macs": ("mac_roman", "ville\nMontréal\nQuébec\nTrois-Rivières\n"),
    "German of DOS": ("cp850", "ort\nMünchen\nKöln\nDüsseldorf\n"),
    "Russian": ("cp1251", RUSSIAN),
    "Russian, KOI8": ("koi8_r", RUSSIAN),
    "Greek": (
        "cp1253",
        "πόλη;περιφέρεια\nΑθήνα;Αττική\nΘεσσαλονίκη;Κεντρική Μακεδονία\nΠάτρα;Δυτική Ελλάδα\n",
    ),
    "Hebrew": ("cp1255", "עיר;מחוז\nתל אביב;תל אביב\nירושלים;ירושלים\nחיפה;חיפה\n"),
    "Arabic": ("cp1256", "المدينة;المنطقة\nالرياض;منطقة الرياض\nجدة;مكة المكرمة\n"),
    "Japanese": (
        "cp932",
        "都道府県,市区町村,人口\n東京都,新宿区,346235\n大阪府,大阪市,2752412\n"
        "北海道,札幌市,1973395\nひらがなとカタカナのテキスト\n",
    ),
    "Chinese": (
        "gb18030",
        "城市,省份,人口\n北京市,北京,21893095\n上海市,上海,24870895\n"
        "广州市,广东省,18676605\n中华人民共和国国家统计局数据\n",
    ),
    "Korean": ("cp949", "도시,인구\n서울특별시,9411260\n부산광역시,3324335\n대한민국 통계청\n"),
}


@pytest.mark.parametrize(("encoding", "text"), GUESSED.values(), ids=GUESSED.keys())
def test_the_encoding_is_guessed(encoding, text):
    assert text_of(text.encode(encoding))[0] == text


@pytest.mark.parametrize(("encoding", "text"), GUESSED.values(), ids=GUESSED.keys())
@pytest.mark.parametrize("size", [1000, 1 << 20])
def test_it_is_guessed_after_a_megabyte_of_ascii_too(encoding, text, size):
    early = "id,name\n" + "1,plain\n" * 131_072
    assert text_of((early + text * 3).encode(encoding), size=size)[0] == early + text * 3


def test_only_ascii_counts_as_utf8_until_there_is_more():
    text = decode(io.BytesIO(b"plain\n" * 1000 + "é\n".encode("cp1252")))
    assert text.read(6000) == b"plain\n" * 1000
    assert text.encoding == "utf-8"
    assert text.read(100) == "é\n".encode()
    assert text.encoding == "cp1252"


@pytest.mark.parametrize("before", range(5))
def test_a_character_cut_by_the_edge_of_a_read_is_no_reason_to_doubt_utf8(before):
    text = "a" * before + "€uro"
    assert text_of(text.encode(), size=3) == (text, "utf-8")


def test_a_few_bad_bytes_leave_utf8_what_it_is():
    # The rows that hold them are set aside further on; read as cp1252, all others were garbled.
    data = "Łódź;Kraków;Gdańsk\n".encode() * 20 + b"M\xfcller\n" + "Łódź\n".encode() * 20
    text = decode(io.BytesIO(data))
    assert text.read(1 << 20) == data
    assert text.encoding == "utf-8"


def test_bad_bytes_late_in_utf8_pass_through_untouched():
    data = "é\n".encode() * 500_000 + b"\xff\xfe\x80\n"
    text = decode(io.BytesIO(data))
    assert b"".join(iter(lambda: text.read(65536), b"")) == data


@pytest.mark.parametrize("size", [1, 3, 10_000])
def test_a_byte_that_a_single_byte_encoding_has_not_passes_through(size):
    # The row that holds it is set aside further on.
    good = GERMAN * 1000
    text = decode(io.BytesIO(good.encode("cp1252") + b"ab\x81c\n" + good.encode("cp1252")))
    read = b"".join(iter(lambda: text.read(size), b""))
    assert text.encoding == "cp1252"
    assert read == good.encode() + b"ab\x81c\n" + good.encode()


def has_every_byte(encoding: str) -> bool:
    try:
        bytes(range(256)).decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


WITH_GAPS = ["cp1252", "cp1253", "cp1255", "cp1257", "cp874", "iso8859_7", "iso8859_8", "cp857"]


@pytest.mark.parametrize("encoding", WITH_GAPS)
@given(st.binary(max_size=8))
@example(bytes(range(128, 256)))
def test_what_passes_through_never_makes_a_character_with_its_neighbours(encoding, data):
    assert not has_every_byte(encoding)
    out = decode(io.BytesIO(b"a" + data), encoding).read(1000)
    # Each odd byte is one that UTF-8 cannot read, all others are what they should be.
    expected = (b"a" + data).decode(encoding, "replace")
    assert out.decode(errors="replace") == expected


# What cannot be read says so.


@pytest.mark.parametrize("name", ["utf-9", "rot13", "hex", "", "a\0b", "klingon"])
def test_an_unknown_encoding_is_wrong_usage(name):
    with pytest.raises(UsageError, match="unknown encoding") as caught:
        decode(io.BytesIO(b"a"), name)
    assert "utf-8" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("encoding", "data", "offset"),
    {
        "past ASCII": ("ascii", b"ab\xe9", 2),
        "half a character at the end": ("shift_jis", "日".encode("shift_jis")[:1], 0),
        "a lone surrogate": ("utf-16-le", "ab".encode("utf-16-le") + b"\x00\xd8a\0", 4),
        "an odd byte at the end": ("utf-16-le", "ab".encode("utf-16-le") + b"c", 4),
        "a wrong trail byte": ("gb18030", b"1234\x81\x20", 4),
        "a wrong trail byte in Korean": ("euc_kr", b"12345678\xb0\x20", 8),
    }.values(),
    ids=str,
)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_bytes_that_the_encoding_has_not_are_named_with_their_place(encoding, data, offset, size):
    with pytest.raises(EncodingError, match=f"byte {offset} of the text is not ") as caught:
        text_of(data, encoding, size)
    assert caught.value.option == "encoding"


def test_the_place_of_a_bad_byte_counts_from_the_first_byte_of_the_file():
    good = "x" * 300_000 + "\n" + "日本\n" * 10_000
    packed = good.encode("shift_jis")
    with pytest.raises(EncodingError, match=f"byte {len(packed)} of the text is not shift_jis"):
        text_of(packed + b"\x81\x20", "shift_jis", size=10_000)


@pytest.mark.parametrize(
    "encoding", sorted({*aliases.values(), "cp424", "cp875"} - {"mbcs", "oem"})
)
@pytest.mark.parametrize("size", [1, 1000])
def test_whatever_the_bytes_no_encoding_ends_in_an_error_of_python(encoding, size):
    for data in (*(b"a" + bytes([n]) for n in range(256)), bytes(range(256))):
        with suppress(EncodingError, UsageError):
            stream = decode(io.BytesIO(data), encoding)
            while stream.read(size):
                pass


def test_a_surrogate_smuggled_in_by_an_odd_encoding_is_refused():
    with pytest.raises(EncodingError):
        text_of("\ud800".encode("utf-7", "surrogatepass"), "utf-7")


def test_a_marked_utf16_file_with_an_odd_byte_is_refused():
    with pytest.raises(EncodingError, match="byte 12 of the text is not utf-16-le"):
        text_of("hello".encode("utf-16") + b"x")


def test_a_binary_file_is_not_a_table():
    with pytest.raises(NotATable) as refused:
        text_of(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0\0\0\1\0\x08\x06" + bytes(range(256)) * 20)
    assert refused.value.option == "encoding"
