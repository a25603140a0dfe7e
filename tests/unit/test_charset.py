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
