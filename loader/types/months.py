"""The names of months, as seven languages write them, in full and shortened.

In: a word. Out: the spellings that have it. A column is written in one spelling: one language, one
case, and either with a full stop behind shortened names or without. Holds the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

# Each line is a language, whether its names are in full, and those of the twelve months.
_TABLES = """
en full  January February March April May June July August September October November December
en short Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec
en short Jan Feb Mar Apr May June July Aug Sept Oct Nov Dec
de full  Januar Februar März April Mai Juni Juli August September Oktober November Dezember
de full  Jänner Februar März April Mai Juni Juli August September Oktober November Dezember
de short Jan Feb Mär Apr Mai Jun Jul Aug Sep Okt Nov Dez
de short Jan Feb Mrz Apr Mai Jun Jul Aug Sep Okt Nov Dez
de short Jan Feb März Apr Mai Juni Juli Aug Sept Okt Nov Dez
fr full  janvier février mars avril mai juin juillet août septembre octobre novembre décembre
fr full  janvier fevrier mars avril mai juin juillet aout septembre octobre novembre decembre
fr short janv févr mars avr mai juin juil août sept oct nov déc
fr short janv fevr mars avr mai juin juil aout sept oct nov dec
fr short jan fév mar avr mai jun jul aoû sep oct nov déc
es full  enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
es full  enero febrero marzo abril mayo junio julio agosto setiembre octubre noviembre diciembre
es short ene feb mar abr may jun jul ago sep oct nov dic
es short ene feb mar abr may jun jul ago sept oct nov dic
it full  gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre
it short gen feb mar apr mag giu lug ago set ott nov dic
pt full  janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro
pt full  janeiro fevereiro marco abril maio junho julho agosto setembro outubro novembro dezembro
pt short jan fev mar abr mai jun jul ago set out nov dez
nl full  januari februari maart april mei juni juli augustus september oktober november december
nl short jan feb mrt apr mei jun jul aug sep okt nov dec
nl short jan feb mrt apr mei juni juli aug sept okt nov dec
"""  # noqa: E501  (a table)

_CASES: dict[str, Callable[[str], str]] = {
    "": str,
    " title": str.title,
    " lower": str.lower,
    " upper": str.upper,
}


@dataclass(frozen=True)
class Spelling:
    """The names of the twelve months in one spelling.

    Attributes:
        words: From January on.
        directive: That of strftime, ``%B`` for names in full and ``%b`` for shortened ones.
        tag: Tells it from the others with that directive; '' for the one of strftime itself.
    """

    words: tuple[str, ...]
    directive: str
    tag: str


@cache
def spellings() -> tuple[Spelling, ...]:
    """Return all spellings; the more usual ones come first."""
    found: dict[tuple[str, ...], Spelling] = {}
    tags: set[tuple[str, str]] = set()
    for language, directive, words in _with_stops():
        for case, to_case in _CASES.items():
            cased = tuple(map(to_case, words))
            if cased in found:
                continue
            # The first of a directive is English, as strftime writes it.
            is_first = all(known != directive for known, _ in tags)
            tag, number = "" if is_first else language + case, 1
            while (directive, tag) in tags:
                number += 1
                tag = f"{language}{case} {number}"
            tags.add((directive, tag))
            found[cased] = Spelling(cased, directive, tag)
    return tuple(found.values())


def _with_stops() -> Iterator[tuple[str, str, list[str]]]:
    """Yield language, directive and names; shortened ones without a full stop and with one."""
    lines = [line.split() for line in _TABLES.strip().splitlines()]
    full = {language: words for language, kind, *words in reversed(lines) if kind == "full"}
    for language, kind, *words in lines:
        if kind == "full":
            yield language, "%B", words
            continue
        yield language, "%b", words
        yield language, "%b", [f"{word}." for word in words]
        # "31. Mai 2020" beside "31. Dez. 2020": what is not shortened has no full stop.
        whole = {word.casefold() for word in full[language]}
        yield language, "%b", [w if w.casefold() in whole else f"{w}." for w in words]


@cache
def _by_word() -> dict[str, frozenset[int]]:
    places: dict[str, set[int]] = {}
    for place, spelling in enumerate(spellings()):
        for word in spelling.words:
            places.setdefault(word, set()).add(place)
    return {word: frozenset(found) for word, found in places.items()}


def spellings_of(word: str) -> frozenset[int]:
    """Return the places in ``spellings`` of those that have a word; it is the same month in all."""
    return _by_word().get(word, frozenset())


def spelling_named(directive: str, tag: str) -> int | None:
    """Return the place in ``spellings`` of the one with a directive and a tag; None: no such."""
    named = enumerate(spellings())
    return next((i for i, one in named if (one.directive, one.tag) == (directive, tag)), None)
