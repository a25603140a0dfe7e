"""Which encoding a text is found to be in, judged by what it says then."""
# ruff: noqa: RUF001  (letters of other scripts are what this is about)

import io
import random
from itertools import product

import pytest
from places import PLACES, names

from loader.errors import UsageError
from loader.formats.csv.charset import guess
from loader.formats.csv.text import decode
from loader.formats.readable import read_fully


def fits(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def writable(language: str, page: str) -> list[str]:
    return [name for name in names(language) if fits(name, page)]


def read_as(data: bytes, default: str | None = None) -> str:
    text = decode(io.BytesIO(data), None, default)
    return read_fully(text, 1 << 20).decode(errors="replace")


def encoding_of(data: bytes, default: str | None = None) -> str:
    text = decode(io.BytesIO(data), None, default)
    read_fully(text, 1 << 20)
    return text.encoding


# Lists of names.

FORMS = {
    "names": lambda chosen: "name\n" + "\n".join(chosen) + "\n",
    "numbered": lambda chosen: (
        "id;name\r\n" + "".join(f"{n};{one}\r\n" for n, one in enumerate(chosen))
    ),
    "last of five columns": lambda chosen: (
        "id,kind,date,amount,town\n"
        + "".join(
            f"{n},School,2020-01-{n % 28 + 1:02},{n * 7}.50,{one}\n" for n, one in enumerate(chosen)
        )
    ),
}
IN_PAGES = [(language, page) for language, (pages, _) in PLACES.items() for page in pages]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("language", "page"), IN_PAGES)
def test_a_list_of_names_is_read_in_every_code_page_of_its_language(language, page, form):
    text = FORMS[form](writable(language, page))
    assert read_as(text.encode(page)) == text


# size: how many of 100 such lists at least
SHARES = {10: 96, 20: 97, 30: 98}


@pytest.mark.parametrize(("size", "share"), SHARES.items(), ids=str)
def test_short_lists_of_names_are_read(size, share):
    chosen = random.Random(size)
    right = tried = 0
    for (language, page), form in product(IN_PAGES, FORMS):
        known = writable(language, page)
        text = FORMS[form](chosen.sample(known, min(size, len(known))))
        if not text.isascii():
            right += read_as(text.encode(page)) == text
            tried += 1
    assert tried > 300
    assert right >= share / 100 * tried


IN_CAPITALS = [
    (language, page)
    for language, page in IN_PAGES
    if names(language)[0].upper() != names(language)[0] and language != "Greek"
]


@pytest.mark.parametrize(("language", "page"), IN_CAPITALS)
def test_names_in_capitals_are_read(language, page):
    capitals = [one.upper() for one in writable(language, page)]
    text = FORMS["numbered"]([one for one in capitals if fits(one, page)])
    assert read_as(text.encode(page)) == text


# Other texts.

TEXTS = {
    "one accent in a table": ("cp1252", "id,name\n" + "1,plain\n" * 400 + "401,Besançon\n"),
    "one umlaut, of DOS": ("cp850", "id;ort\n" + "1;Berlin\n" * 90 + "2;München\n"),
    "prices": ("cp1252", "item,price\nbook,12 €\npen,€ 1.50\nink,3€\n"),
    "prices, one": ("cp1252", "item;price\nbook;12,50 €\n"),
    "prices in the header": ("cp1252", "item;price (€)\nbook;12,50\n"),
    "pounds": ("cp1252", "item,price\nbook,£12\npen,£1.50\n"),
    "temperatures": ("cp1252", "place,max\nBergen,21 °C\nOslo,23.5°C\n"),
    "areas": ("cp1252", "name,size\npark,300 m²\nlake,2.5 km²\nshed,20 m³\n"),
    "typographic quotes": ("cp1252", "said\n“Well…” – I don’t know\n"),
    "German quotes": ("cp1252", "Titel\n„Die Räuber“\n»Faust« – erster Teil\n"),
    "German prose": (
        "cp1252",
        "nr;text\n1;Die Gemeinde übernimmt die Kosten für die Schülerbeförderung.\n"
        "2;Anträge können ab sofort gestellt werden; Näheres gibt das Amt für Schule bekannt.\n",
    ),
    "German prose of a Mac": (
        "mac_roman",
        "nr;text\n1;Die Gemeinde übernimmt die Kosten für die Schülerbeförderung.\n",
    ),
    "French prose": (
        "cp1252",
        "no;texte\n1;L’été dernier, la forêt a brûlé près de la rivière où l’on pêchait.\n",
    ),
    "French prose with œ": (
        "iso8859_15",
        "no;texte\n1;Le cœur de la cité où les œuvres de sa sœur étaient exposées coûte 5 €.\n",
    ),
    "Catalan with points": ("cp1252", "nom\nCol·legi Sant Lluís\nSant Marcel·lí\nVila-seca\n"),
    "Polish prose": (
        "iso8859_2",
        "nr;opis\n1;Budowa ścieżki rowerowej wzdłuż głównej ulicy będzie możliwa w przyszłości.\n",
    ),
    "Russian prose": ("koi8_r", "n;описание\n1;Ремонт дороги у школы.\n"),
    "English and Russian": ("cp1251", "id,name,city\n1,Lenin street,Омск\n2,Mira,Пермь\n"),
    "English and Greek": ("cp1253", "code,description,town\nA1,Primary school,Βόλος\n"),
    "Chinese with Latin letters": ("gb18030", "编号,名称\nA1,T恤衫\nB2,卡拉OK厅\nC3,X光机\n"),
    "Japanese, half width": ("cp932", "ﾅﾏｴ,ﾊﾞｼｮ\nﾀﾅｶ,ﾄｳｷｮｳ\nｽｽﾞｷ,ｵｵｻｶ\n"),
    "a header of umlauts": ("cp1252", "Straße;Größe;Übergang\nA;1;x\nB;2;y\n"),
    "late": ("cp1250", "id;city\n" + "1;Praha\n" * 50_000 + "2;Kroměříž\n3;Třebíč\n"),
    "one long line": ("cp1251", "город;" * 20_000),
    "one long word": ("gb18030", "北京上海广州" * 20_000),
}


@pytest.mark.parametrize(("encoding", "text"), TEXTS.values(), ids=TEXTS)
def test_a_text_is_read(encoding, text):
    assert read_as(text.encode(encoding)) == text


# UTF-8 with bad bytes.

FRENCH = ["Orléans", "Besançon", "Nîmes", "Sète", "Angoulême", "Béziers", "Mâcon", "Évreux"]


def mixed(good: list[str], bad: list[str], encoding: str = "cp1252") -> bytes:
    rows = [*(one.encode() for one in good), *(one.encode(encoding) for one in bad)]
    return b"city\n" + b"\n".join(rows) + b"\n"


# kind: UTF-8 with bytes of another encoding
BROKEN_UTF8 = {
    "five and one": mixed(FRENCH[:5], FRENCH[5:6]),
    "one and one": mixed(FRENCH[:1], FRENCH[5:6]),
    "half and half": mixed(FRENCH[:4], FRENCH[4:]),
    "seven and one of a Mac": mixed(FRENCH[:7], FRENCH[7:], "mac_roman"),
    "German": mixed(["Köln", "Düren", "Fürth"], ["Jülich"]),
    "Polish": mixed(["Łomża", "Ełk", "Płock", "Piła"], ["Mława"], "cp1250"),
    "Russian": mixed(["Тула", "Омск", "Пермь"], ["Орёл"], "cp1251"),
    "Chinese": mixed(["北京市", "上海市", "广州市"], ["杭州市"], "gb18030"),
    "a character cut in a row": "city,n\nMünchen,1\nKöln,2\nDürenß".encode()[:-1] + b",3\n",
    "the bad row first": "Béziers\n".encode("cp1252") + mixed(FRENCH[:5], []),
}


@pytest.mark.parametrize("data", BROKEN_UTF8.values(), ids=BROKEN_UTF8)
def test_utf8_with_bad_bytes_is_utf8(data):
    assert encoding_of(data) == "utf-8"
    assert encoding_of(data, "cp1252") == "utf-8"


# kind: what has a pair of bytes that would be a character of UTF-8
PAIRS = {
    "a capital and a quote": ("cp1252", "“CAFÉ”\nthé glacé\ncrème brûlée\n"),
    "a capital and an angle": ("cp1252", "«RENÉ»\nAndré\nHervé\nDésiré\n"),
    "a capital and a sign": ("cp1252", "Größe Ä°\nMüller\nJäger\nKöhler\nHübner\n"),
    "Ukrainian": ("cp1251", "Рівне\nВінниця\nЛьвів\nКиїв\n"),
    "Korean": ("cp949", "도시\n군산시\n전주시\n서울\n"),
    "Chinese": ("gb18030", "城市\n北京\n上海\n广州市\n"),
    "Arabic": ("cp1256", "المدينة\nجدة\nتبوك\nحائل\n"),
}


@pytest.mark.parametrize(("encoding", "text"), PAIRS.values(), ids=PAIRS)
def test_a_pair_of_bytes_by_chance_makes_no_utf8(encoding, text):
    assert read_as(text.encode(encoding)) == text


# The default.

# kind: default, encoding, text
DEFAULTS = {
    "one of two alike": ("cp1250", "cp1250", "name\nSčte\nAgde\n"),
    "of the same letters": ("latin-1", "cp1252", "Müller\nJäger\n"),
    "Hebrew, one word": ("cp1255", "cp1255", "id,name\n1,עכו\n"),
    "Hebrew of DOS, one word": ("cp862", "cp862", "id,name\n1,עכו\n"),
    "Greek, one word": ("iso8859_7", "iso8859_7", "Ξάνθη"),
    "Chinese, one word": ("big5", "big5", "金城"),
    "Japanese, one word": ("euc_jp", "euc_jp", "堺市"),
    "Italian of a Mac, one letter": ("mac_roman", "mac_roman", "name\nCefalù\nBari\n"),
    "another word of it": ("windows-1251", "cp1251", "Орёл"),
}


@pytest.mark.parametrize(("default", "encoding", "text"), DEFAULTS.values(), ids=DEFAULTS)
def test_the_default_wins_among_the_doubtful(default, encoding, text):
    assert read_as(text.encode(encoding), default) == text


# kind: default, encoding, text that is not in it
NOT_THE_DEFAULT = {
    "UTF-8": ("cp1252", "utf-8", "Orléans\n"),
    "a byte order mark": ("cp1252", "utf-8-sig", "Orléans\n"),
    "UTF-16": ("cp1252", "utf-16", "Orléans\n"),
    "UTF-16 without a mark": ("cp1252", "utf-16-le", "id,ville\n1,Orléans\n2,Nîmes\n"),
    "ASCII": ("cp1252", "ascii", "Paris\n"),
    "another script": ("cp1251", "cp1252", "München\nKöln\nDüsseldorf\nFürth\n"),
    "signs for letters": ("cp850", "cp1252", "München\nKöln\nDüsseldorf\n"),
    "letters for signs": ("cp1252", "cp850", "München\nKöln\nDüsseldorf\n"),
    "bytes that it does not have": ("ascii", "cp1252", "München\nKöln\n"),
    "no UTF-8": ("utf-8", "cp1252", "München\nKöln\nFürth\n"),
    "one of two bytes": ("gb18030", "cp1251", "Орёл\nТула\nПсков\n"),
    "never found by letters": ("utf-16", "cp1252", "München\nKöln\n"),
}


@pytest.mark.parametrize(
    ("default", "encoding", "text"), NOT_THE_DEFAULT.values(), ids=NOT_THE_DEFAULT
)
def test_what_is_proven_or_far_likelier_wins_over_the_default(default, encoding, text):
    assert read_as(text.encode(encoding), default) == text


@pytest.mark.parametrize("name", ["utf-9", "klingon", "rot13", ""])
def test_an_unknown_default_is_wrong_usage(name):
    with pytest.raises(UsageError, match="unknown encoding") as caught:
        decode(io.BytesIO(b"a"), "utf-8", name)
    assert caught.value.option == "default_encoding"


def test_the_default_is_told_only_where_it_decides():
    greek = "Ξάνθη".encode("iso8859_7")
    assert not guess(greek, cut=False, default="cp1253").by_default
    polish = "Mława\nEłk\nŁomża\nPiła\n".encode("cp1250")
    assert not guess(polish, cut=False, default="iso8859_2").by_default  # the same letters
    one = "Cefalù".encode("mac_roman")
    assert guess(one, cut=False, default="mac_roman").by_default
    assert not guess("Müller\nJäger".encode("cp1252"), cut=False, default="latin-1").by_default


@pytest.mark.parametrize("word", ["Libellé", "Län", "Größe", "Código", "Città"])
@pytest.mark.parametrize("number", ["1\xa0013,5", "12\xa0345", "1\xa0100,50 \u20ac"])
@pytest.mark.parametrize("rows", [3, 30, 1000])
def test_no_break_spaces_in_numbers_tell_nothing(word, number, rows):
    text = f"{word};n\n" + f"a;{number}\n" * rows
    found = guess(text.encode("cp1252"), cut=False)
    assert text.encode("cp1252").decode(found.encoding) == text
