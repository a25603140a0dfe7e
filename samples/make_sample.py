"""Write the sample that AirCan ships: 22,000 street trees of a city that does not exist.

Every run writes the same bytes, on every Python. The data looks like what a city publishes, with
what makes loading it hard: numbers with leading zeros (``tree_no``, ``postcode``), decimals whose
last zero counts, commas, quotes and line ends inside cells, accents, empty cells, and a column
(``house_no``) that is a number for the first 20,000 rows and then is not.

    python samples/make_sample.py [PATH]
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TypeVar

PATH = Path(__file__).with_name("street-trees.csv")
ROWS = 22_000
ROWS_WITH_PLAIN_HOUSE_NUMBERS = 20_000

HEADER = (
    "tree_no",
    "species",
    "name",
    "street",
    "house_no",
    "postcode",
    "planted",
    "height_m",
    "girth_cm",
    "protected",
    "inspected_at",
    "lat",
    "lon",
    "remark",
)

# species, common name, how many of a hundred trees, height in decimetres when grown
SPECIES = (
    ("Tilia cordata", "Winterlinde", 24, 220),
    ("Acer platanoides", "Spitzahorn", 17, 190),
    ("Quercus robur", "Stieleiche", 13, 260),
    ("Platanus × hispanica", "Ahornblättrige Platane", 10, 280),
    ("Aesculus hippocastanum", "Gewöhnliche Rosskastanie", 9, 210),
    ("Betula pendula", "Hänge-Birke", 8, 180),
    ("Robinia pseudoacacia", "Gewöhnliche Robinie", 7, 200),
    ("Sorbus intermedia", "Schwedische Mehlbeere", 6, 110),
    ("Prunus avium 'Plena'", "Gefüllte Vogelkirsche", 4, 100),
    ("Ginkgo biloba", "Ginkgo", 2, 160),
)

STREETS = (
    ("Königsbrücker Straße", "01099"),
    ("Am Weißen Hirsch", "01324"),
    ("Allée François-Villon", "01187"),
    ("Görlitzer Straße", "01099"),
    ("Großenhainer Platz", "01097"),
    ("Lindenallee", "01067"),
    ("Straße des 8. Mai, Nordseite", "01067"),
    ('Platz "Alter Schlachthof"', "01127"),
    ("Łódź-Ring", "01219"),
    ("Schäfergasse", "01159"),
    ("Zum Heiderand", "01328"),
    ("Rue de Besançon", "01187"),
)

REMARKS = (
    "crown thinned",
    "dead wood removed, next check in 12 months",
    'called "the crooked one" by residents',
    "storm damage:\nmain branch broken",
    "honey fungus suspected",
    "bench fixed to the trunk, to be removed",
    "nest box no. 7",
    "roots lift the pavement",
)

Choice = TypeVar("Choice")


class Draws:
    """Draws that stay the same: only ``random()`` is promised to, from one Python to the next."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed).random

    def below(self, limit: int) -> int:
        """Return one of 0, 1, ... limit - 1."""
        return int(self._random() * limit)

    def one_of(self, choices: Sequence[Choice]) -> Choice:
        """Return one of these."""
        return choices[self.below(len(choices))]


def rows() -> Iterator[tuple[str, ...]]:
    """Yield the header and the trees."""
    draws = Draws(2024)
    by_share = [kind for kind in SPECIES for _ in range(kind[2])]
    yield HEADER
    for number in range(1, ROWS + 1):
        yield tree(number, draws, draws.one_of(by_share))


def tree(number: int, draws: Draws, kind: tuple[str, str, int, int]) -> tuple[str, ...]:
    """Return one row."""
    species, name, _, grown_dm = kind
    street, postcode = draws.one_of(STREETS)
    age_days = 300 + draws.below(120) * draws.below(365)
    planted = date(2024, 3, 1) - timedelta(days=age_days)
    height_dm = 25 + (grown_dm - 25) * min(age_days, 20_000) // 20_000 + draws.below(15)
    girth_cm = 12 + height_dm * (8 + draws.below(5)) // 10
    inspected = datetime(2024, 3, 1, 8) + timedelta(minutes=draws.below(300 * 24 * 60))  # noqa: DTZ001
    house_no = str(1 + draws.below(140))
    if number > ROWS_WITH_PLAIN_HOUSE_NUMBERS and draws.below(20) == 0:
        house_no += draws.one_of("abc")
    return (
        f"{number * 7:06}",
        species,
        name,
        street,
        house_no if draws.below(15) else "",
        postcode,
        planted.isoformat() if draws.below(12) else "",
        f"{height_dm // 10}.{height_dm % 10}",
        str(girth_cm),
        "true" if girth_cm > 120 else "false",
        inspected.isoformat(),
        f"51.{1_000 + 3 * draws.below(3000):05}",
        f"13.{70_000 + 11 * draws.below(1700)}",
        draws.one_of(REMARKS) if draws.below(12) == 0 else "",
    )


def write(path: Path) -> None:
    """Write the sample."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows())


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else PATH)
