"""From a sample of a text's bytes to the name of its encoding: a guess, with its reasons here.

charset-normalizer tells scripts apart well (Cyrillic from Greek from Japanese), but not the Latin
alphabets of a table with few accents: on `25 EUR` with a Euro sign it says Cyrillic, on a list of
Spanish cities cp1250. There the letters themselves decide: which language's alphabet holds them
all, each in a place where that language would have it. In doubt it is cp1252, what spreadsheets
of Western Europe and the Americas write. Memory: a few copies of the sample.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

_TELLING_BYTES = 8 * 1024  # of lines with a byte past ASCII: more of them say no more
_GOOD_PER_BAD = 10  # UTF-8 with a few bad bytes is UTF-8: the rows that hold them are set aside
_FOREIGN_SCRIPT = 0.5  # share of the bytes past ASCII that stand in runs of 3: 0 to 0.2 in Latin
_POOR = 0.5  # a Latin alphabet that holds fewer of the letters says nothing

_LINE = re.compile(rb"[^\r\n]+")
_RUN = re.compile(rb"[\x80-\xff]{3,}")
_PAST_ASCII = re.compile(r"[^\x00-\x7f]")

_SCRIPTS = [  # as charset-normalizer names them; where one contains another, the larger
    "cp1251",
    "koi8_r",
    "koi8_u",
    "cp866",
    "mac_cyrillic",
    "cp1253",
    "cp1255",
    "cp1256",
    "cp874",
    "cp932",
    "euc_jp",
    "gb18030",
    "big5",
    "cp949",
]

# Each with what it must be better by than cp1252: a wrong guess of a rare one is the worse error.
_WESTERN = {"cp1252": 0.0, "cp850": 0.1, "mac_roman": 0.1}
_CENTRAL = {"cp1250": 0.05, "iso8859_2": 0.06, "cp852": 0.12}
_TURKISH = {"cp1254": 0.05}
_BALTIC = {"cp1257": 0.05}

_ALPHABETS = (
    (_WESTERN, "äöüß"),  # German
    (_WESTERN, "àâæçéèêëîïôœùûüÿ"),  # French
    (_WESTERN, "áéíñóúü"),  # Spanish
    (_WESTERN, "áâãàçéêíóôõúü"),  # Portuguese
    (_WESTERN, "àèéìíîòóùú"),  # Italian
    (_WESTERN, "àçèéíïòóúü"),  # Catalan
    (_WESTERN, "áàâäèéêëïíóöôúûüç"),  # Dutch
    (_WESTERN, "åäöéü"),  # Swedish, Finnish
    (_WESTERN, "æøåéèêóòâôäöü"),  # Danish, Norwegian
    (_WESTERN, "áðéíóúýþæö"),  # Icelandic
    (_WESTERN, "äöõüšž"),  # Estonian
    (_CENTRAL, "ąćęłńóśźż"),  # Polish
    (_CENTRAL, "áčďéěíňóřšťúůýž"),  # Czech
    (_CENTRAL, "áäčďéíĺľňóôŕšťúýž"),  # Slovak
    (_CENTRAL, "áéíóöőúüű"),  # Hungarian
    (_CENTRAL, "ăâîşţ"),  # Romanian
    (_CENTRAL, "čćđšž"),  # Croatian, Slovene
    (_TURKISH, "çğıöşüâîû"),
    (_BALTIC, "ąčęėįšųūž"),  # Lithuanian
    (_BALTIC, "āčēģīķļņšūž"),  # Latvian
)
# Names from everywhere, all in cp1252: no language holds them all, these letters do.
_MIXED, _MIXED_WEIGHT = "àáâãäåæçèéêëíîïñóôõöøúûüß", 0.9

_JOINERS = "’‘·–—…\xa0\xad"  # noqa: RUF001  (may stand between two letters)
_NO_LETTERS = "ªºµ"  # though Unicode says so


def guess(sample: bytes, *, cut: bool) -> str | None:
    """Guess the encoding of a text that is not all ASCII.

    Args:
        sample: From the start of a line on, with bytes past ASCII in it.
        cut: Whether the text goes on after the sample.

    Returns:
        A codec's name, or None if nothing fits.
    """
    if _is_utf8(sample, cut=cut):
        return "utf-8"
    lines = _telling_lines(sample, cut=cut)
    past_ascii = len(lines) - len(lines.translate(None, bytes(range(128, 256))))
    in_runs = sum(len(run) for run in _RUN.findall(lines))
    foreign = in_runs >= _FOREIGN_SCRIPT * past_ascii and not _only_symbols(lines)
    return (_script(lines) if foreign else None) or _latin(lines) or _script(lines)


def _is_utf8(sample: bytes, *, cut: bool) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, not cut)
    except UnicodeDecodeError:
        text = sample.decode("utf-8", "replace")
        bad = text.count("\ufffd")
        return len(_PAST_ASCII.findall(text)) - bad >= _GOOD_PER_BAD * bad
    return True


def _telling_lines(sample: bytes, *, cut: bool) -> bytes:
    """Return the first lines with a byte past ASCII; not the last of a sample that is cut."""
    if cut:
        sample = sample[: max(sample.rfind(b"\n"), sample.rfind(b"\r")) + 1] or sample
    lines: list[bytes] = []
    size = 0
    for match in _LINE.finditer(sample):
        if match[0].isascii():
            continue
        lines.append(match[0])
        size += len(match[0])
        if size >= _TELLING_BYTES:
            break
    return b"\n".join(lines)


def _only_symbols(lines: bytes) -> bool:
    text = _decoded(lines, "cp1252")
    return text is not None and not any(
        _is_letter(character) for character in _PAST_ASCII.findall(text)
    )


def _script(lines: bytes) -> str | None:
    from charset_normalizer import from_bytes  # noqa: PLC0415  (not every load needs it)

    best = from_bytes(lines, cp_isolation=_SCRIPTS).best()
    return None if best is None else best.encoding


def _latin(lines: bytes) -> str | None:
    encodings = {name: lead for names, _ in _ALPHABETS for name, lead in names.items()}
    best, best_score = None, _POOR
    for name, lead in encodings.items():
        text = _decoded(lines, name)
        if text is None:
            continue
        letters = _Letters.of(text)
        score = max(letters.share(alphabet) for names, alphabet in _ALPHABETS if name in names)
        if name in _WESTERN:
            score = max(score, _MIXED_WEIGHT * letters.share(_MIXED))
        if score - lead > best_score:
            best, best_score = name, score - lead
    if best is None and _decoded(lines, "cp1252") is not None:
        return "cp1252"
    return best


def _decoded(lines: bytes, encoding: str) -> str | None:
    try:
        return lines.decode(encoding)
    except UnicodeDecodeError:
        return None


def _is_letter(character: str) -> bool:
    return character.isalpha() and character not in _NO_LETTERS


@dataclass(frozen=True)
class _Letters:
    """What a text has past ASCII: its letters, and how many things in impossible places."""

    counts: Counter[str]
    misplaced: int

    @classmethod
    def of(cls, text: str) -> _Letters:
        padded = f" {text} "
        misplaced = Counter(_misplaced(padded))[True]
        letters = (character.lower() for character in _PAST_ASCII.findall(text))
        return cls(Counter(letter for letter in letters if _is_letter(letter)), misplaced)

    def share(self, alphabet: str) -> float:
        total = self.counts.total() + self.misplaced
        return sum(self.counts[letter] for letter in alphabet) / total if total else 1.0


def _misplaced(padded: str) -> Iterator[bool]:
    """Tell for each character past ASCII whether no one would have written it there."""
    for match in _PAST_ASCII.finditer(padded):
        before, here, after = padded[match.start() - 1], match[0], padded[match.end()]
        if _is_letter(here):
            yield here.isupper() and before.islower()
        elif "\u2500" <= here <= "\u259f" or "\x80" <= here <= "\x9f":  # boxes, controls
            yield True
        else:
            yield before.isalpha() and after.isalpha() and here not in _JOINERS
