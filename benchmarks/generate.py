"""Make the benchmark's CSV files: any number of rows, the same bytes on every machine.

In: a kind, a number of rows, a path. Out: a CSV file with a header. Memory: one chunk of
10,000 rows, however large the file.

    python -m benchmarks.generate taxi 1500000 taxi.csv

``taxi`` is shaped like New York's yellow taxi trips (mostly numbers), ``311`` like New York's
311 service requests (mostly text). Every chunk has its own seed, so the first rows of a large
file are exactly a smaller file.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

CHUNK_ROWS = 10_000
_SEED = 20150818

Ints = npt.NDArray[np.int64]
Strings = list[str]


@dataclass(frozen=True)
class Kind:
    """One kind of file: its columns and how a chunk of it is made."""

    name: str
    columns: tuple[tuple[str, str], ...]  # name and Postgres type, in the file's order
    chunk: Callable[[Draws], Sequence[Strings]]

    @property
    def header(self) -> str:
        """Return the file's first line, without its end."""
        return ",".join(name for name, _ in self.columns)


class Draws:
    """Whole numbers at random for one chunk.

    Only PCG64's raw stream is used: numpy promises it never changes, unlike ``Generator``'s
    methods, and whole numbers come out alike on every processor.
    """

    def __init__(self, kind: str, chunk: int) -> None:
        self.first_row = chunk * CHUNK_ROWS
        self._bits = np.random.PCG64([_SEED, *kind.encode(), chunk])

    def below(self, limit: int) -> Ints:
        """Return one number from 0 up to, not including, ``limit`` for each row."""
        raw = self._bits.random_raw(CHUNK_ROWS)
        return (raw % np.uint64(limit)).astype(np.int64)

    def skewed(self, limit: int) -> Ints:
        """Return numbers below ``limit``, the small ones far more often."""
        below = self.below(limit)
        for _ in range(2):
            below = below * self.below(limit) // limit
        return below

    def pick(self, words: Sequence[str]) -> Strings:
        """Return one of ``words`` for each row; a word named twice comes twice as often."""
        return look_up(words, self.below(len(words)))


def look_up(table: Sequence[str], index: Ints) -> Strings:
    """Return ``table``'s entry for every index."""
    return list(map(table.__getitem__, index.tolist()))


# Looking a cell up is about four times faster than formatting it.
_AMOUNTS = [f"{cents // 100}.{cents % 100:02d}" for cents in range(60_000)]
_CLOCK = [f" {s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(86_400)]
_DAYS = np.datetime_as_string(np.datetime64("2015-01-01") + np.arange(800), unit="D").tolist()


def timestamps(seconds: Ints) -> Strings:
    """Return seconds since the first day as ``YYYY-MM-DD HH:MM:SS``."""
    days = look_up(_DAYS, seconds // 86_400)
    return list(map(str.__add__, days, look_up(_CLOCK, seconds % 86_400)))


def some_empty(cells: Strings, empty: npt.NDArray[np.bool_]) -> Strings:
    """Return the cells, those marked ``empty`` without a value."""
    for row in np.flatnonzero(empty).tolist():
        cells[row] = ""
    return cells


TAXI_COLUMNS = (
    ("vendor_id", "bigint"),
    ("tpep_pickup_datetime", "timestamp without time zone"),
    ("tpep_dropoff_datetime", "timestamp without time zone"),
    ("passenger_count", "bigint"),
    ("trip_distance", "numeric"),
    ("ratecode_id", "bigint"),
    ("store_and_fwd_flag", "text"),
    ("pu_location_id", "bigint"),
    ("do_location_id", "bigint"),
    ("payment_type", "bigint"),
    ("fare_amount", "numeric"),
    ("extra", "numeric"),
    ("mta_tax", "numeric"),
    ("tip_amount", "numeric"),
    ("tolls_amount", "numeric"),
    ("improvement_surcharge", "numeric"),
    ("total_amount", "numeric"),
)


def taxi_chunk(draws: Draws) -> Sequence[Strings]:
    """Make one chunk of taxi trips: total is the sum of its parts."""
    pickup = draws.below(365 * 86_400)
    distance = 30 + draws.skewed(3_000)  # hundredths of a mile
    duration = 60 + distance * (2 + draws.below(5))
    fare = 250 + 50 * (distance // 20 + draws.below(10))
    extra = 50 * (draws.below(6) // 2)
    tip = np.where(draws.below(5) < 3, fare * (15 + draws.below(12)) // 100, 0)
    tolls = np.where(draws.below(20) == 0, 554, 0)
    total = fare + extra + tip + tolls + 50 + 30
    places = [str(place) for place in range(1, 266)]
    return (
        draws.pick("122"),
        timestamps(pickup),
        timestamps(pickup + duration),
        some_empty(draws.pick("0111111122233456"), draws.below(50) == 0),
        look_up(_AMOUNTS, distance),
        draws.pick(["1"] * 60 + ["2", "2", "3", "4", "5", "99"]),
        some_empty(draws.pick("N" * 60 + "Y"), draws.below(50) == 0),
        draws.pick(places),
        draws.pick(places),
        draws.pick("11112223"),
        look_up(_AMOUNTS, fare),
        look_up(_AMOUNTS, extra),
        draws.pick(["0.50"] * 80 + ["0.00"]),
        look_up(_AMOUNTS, tip),
        look_up(_AMOUNTS, tolls),
        some_empty(draws.pick(["0.30"] * 80 + ["0.00"]), draws.below(100) == 0),
        look_up(_AMOUNTS, total),
    )


REQUEST_COLUMNS = (
    ("unique_key", "bigint"),
    ("created_date", "timestamp without time zone"),
    ("closed_date", "timestamp without time zone"),
    ("agency", "text"),
    ("complaint_type", "text"),
    ("descriptor", "text"),
    ("location_type", "text"),
    ("incident_zip", "bigint"),
    ("incident_address", "text"),
    ("city", "text"),
    ("status", "text"),
    ("resolution_description", "text"),
)

# Agency, complaint, descriptors, location: they belong together, as in the real file.
_COMPLAINTS = (
    (
        "NYPD",
        "Noise - Residential",
        "Loud Music/Party|Banging/Pounding|Loud Talking|Loud Television",
        "Residential Building/House",
    ),
    (
        "NYPD",
        "Noise - Street/Sidewalk",
        "Loud Music/Party|Loud Talking|Engine Idling|Car/Truck Horn",
        "Street/Sidewalk",
    ),
    (
        "NYPD",
        "Illegal Parking",
        "Blocked Hydrant|Posted Parking Sign Violation|Double Parked Blocking Traffic|"
        "Commercial Overnight Parking",
        "Street/Sidewalk",
    ),
    ("NYPD", "Blocked Driveway", "No Access|Partial Access", "Street/Sidewalk"),
    ("NYPD", "Derelict Vehicle", "With License Plate|Without License Plate", "Street/Sidewalk"),
    (
        "HPD",
        "HEAT/HOT WATER",
        "ENTIRE BUILDING|APARTMENT ONLY|RADIATOR BROKEN, NO HEAT",
        "RESIDENTIAL BUILDING",
    ),
    (
        "HPD",
        "UNSANITARY CONDITION",
        "MOLD|PESTS|GARBAGE/RECYCLING STORAGE|SEWAGE",
        "RESIDENTIAL BUILDING",
    ),
    (
        "HPD",
        "PAINT/PLASTER",
        "CEILING|WALL|LEAD PAINT HAZARD, CHILD UNDER SIX",
        "RESIDENTIAL BUILDING",
    ),
    (
        "HPD",
        "PLUMBING",
        "WATER SUPPLY|BASIN/SINK|TOILET|STEAM PIPE/RISER|BATHTUB/SHOWER",
        "RESIDENTIAL BUILDING",
    ),
    (
        "DOT",
        "Street Light Condition",
        "Street Light Out|Lamppost Knocked Down|Fixture Hanging Off Arm",
        "Street",
    ),
    (
        "DOT",
        "Street Condition",
        "Pothole|Cave-in|Rough, Pitted or Cracked Roads|Plate Condition - Noisy",
        "Street",
    ),
    (
        "DEP",
        "Water System",
        "Hydrant Running Full|Leak (Use Comments)|No Water|Possible Water Main Break",
        "",
    ),
    (
        "DEP",
        "Sewer",
        "Sewer Backup|Catch Basin Clogged/Flooding|Street Flooding|Manhole Cover Missing",
        "",
    ),
    (
        "DSNY",
        "Missed Collection",
        "Recycling - Paper|Recycling - Metal, Glass, Plastic|Organics|Bulk Items",
        "Sidewalk",
    ),
    (
        "DSNY",
        "Graffiti",
        "Private Property|Public Property|Mailbox, Bridge or Overpass",
        "Commercial Building",
    ),
    (
        "DPR",
        "Damaged Tree",
        "Branch Cracked and Will Fall|Entire Tree Has Fallen Down|Trunk Split|"
        "Roots Lifting Sidewalk",
        "Street",
    ),
    (
        "DOB",
        "General Construction/Plumbing",
        "Working Contrary To Stop Work Order|Building - Vacant, Open And Unguarded|"
        "Illegal Conversion",
        "Building (Non-Residential)",
    ),
    (
        "DOHMH",
        "Rodent",
        "Rat Sighting|Mouse Sighting|Condition Attracting Rodents|Signs of Rodents",
        "3+ Family Apt. Building",
    ),
    (
        "DOHMH",
        "Food Establishment",
        "Rodents/Insects/Garbage|Food Spoiled|Bare Hands in Contact with Food|No Permit or License",
        "Restaurant/Bar/Deli/Bakery",
    ),
    (
        "TLC",
        "Taxi Complaint",
        "Driver Complaint|Vehicle Complaint|Insurance Information Requested",
        "Taxi",
    ),
)

_NAMES = (
    "ALBEMARLE AMSTERDAM ARTHUR ASTORIA ATLANTIC BAINBRIDGE BARUCH BEDFORD BERGEN BOSTON BROOK "
    "BUSHWICK CARROLL CASTLE CATON CENTRAL CLARENDON CLASSON CLINTON COLUMBUS CONCOURSE "
    "CORTELYOU CRESCENT CYPRESS DECATUR DEKALB DELANCEY DITMAS DRIGGS DYCKMAN EASTCHESTER "
    "ELDERT FARRAGUT FLATBUSH FLUSHING FOREST FRANKLIN FULTON GATES GERARD GLENWOOD GRAHAM "
    "GREENE GUNTHER HALSEY HANCOCK HART HEMPSTEAD HERKIMER HILLSIDE HOOPER HOWARD HUGHES HYLAN "
    "IRVING JAMAICA JEFFERSON JEROME JUNCTION KINGS KINGSTON KNICKERBOCKER LAFAYETTE LEFFERTS "
    "LENOX LEXINGTON LIBERTY LINDEN LORIMER MACON MADISON MANHATTAN MARCY MARION MELROSE "
    "METROPOLITAN MONROE MORRIS MYRTLE NEPTUNE NEWKIRK NOSTRAND OCEAN ORCHARD PARK PARSONS "
    "PITKIN PROSPECT PUTNAM QUINCY RALPH RICHMOND RIDGEWOOD RIVERSIDE ROCKAWAY ROEBLING SANFORD "
    "SCHENECTADY SEDGWICK SENECA SHERIDAN STERLING STEINWAY STUYVESANT SUMPTER SUTPHIN THROOP "
    "TINTON TREMONT TROUTMAN UNION UTICA VALENTINE VANDERBILT VERNON VICTORY WADSWORTH WALTON "
    "WASHINGTON WEBSTER WILLOUGHBY WOODSIDE WYCKOFF WYTHE"
)
_STREET_KINDS = ("STREET", "AVENUE", "BOULEVARD", "PLACE", "ROAD", "PARKWAY", "COURT", "TERRACE")
_SIDES = ("EAST", "WEST", "NORTH", "SOUTH", "BEACH", "BAY")
_STREETS = [f"{name} {kind}" for name in _NAMES.split() for kind in _STREET_KINDS] + [
    f"{side} {number} {kind}"
    for side in _SIDES
    for number in range(1, 200)
    for kind in _STREET_KINDS[:2]
]
_ZIP_RANGES = ((10001, 10041), (10301, 10315), (10451, 10476), (11201, 11257), (11354, 11436))
_ZIPS = [str(code) for first, last in _ZIP_RANGES for code in range(first, last)]
_CITY_LIST = (
    "BROOKLYN|BROOKLYN|BROOKLYN|NEW YORK|NEW YORK|NEW YORK|BRONX|BRONX|STATEN ISLAND|JAMAICA|"
    "FLUSHING|ASTORIA|RIDGEWOOD|CORONA|WOODSIDE|OZONE PARK|FAR ROCKAWAY|ELMHURST|FOREST HILLS|"
    "EAST ELMHURST|LONG ISLAND CITY|SOUTH RICHMOND HILL|QUEENS VILLAGE|SPRINGFIELD GARDENS|"
)
_WHO = (
    "The Police Department",
    "The Department of Housing Preservation and Development",
    "The Department of Sanitation",
    "The Department of Transportation",
    "The Department of Environmental Protection",
    "The Department of Buildings",
    "The Department of Parks and Recreation",
    "The Department of Health and Mental Hygiene",
    "An inspector of the precinct",
    "A field crew of the borough office",
)
_DID = (
    " responded to the complaint, found no evidence of the violation at that time",
    " issued a summons, number {n}, in response to the complaint",
    " inspected the condition, opened work order {n}",
    " reviewed this request, sent notice {n} to the owner",
    ' visited the address, was told "nobody home" and left card {n}',
    " took action to fix the condition, crew {n}",
    " could not gain access to the premises, report {n}",
    " determined that an inspection, docket {n}, is warranted",
    ' closed it as "duplicate of request {n}", already under investigation',
    " conducted a test, sample {n}, with a result within limits",
)
_THEN = (
    ".",
    " and closed the request.",
    ", and will return within seven days if the condition comes back.",
    ". No further action was necessary.",
    ". Please call again with additional detail if the problem persists.",
    ", the tenant was advised by telephone and by mail.",
)
_OPEN = ("Open", "Pending", "Assigned", "In Progress")


def quoted(text: str) -> str:
    """Return a cell as CSV writes it: in quotes where it needs them."""
    if any(mark in text for mark in ',"'):
        return '"' + text.replace('"', '""') + '"'
    return text


_DID_QUOTED = [did.replace('"', '""').replace("{n}", "%d") for did in _DID]
_REQUESTS = [
    (f"{agency},{complaint}", quoted(descriptor), place)
    for agency, complaint, descriptors, place in _COMPLAINTS
    for descriptor in descriptors.split("|")
]
_AGENCY_AND_COMPLAINT, _DESCRIPTORS, _LOCATIONS = map(list, zip(*_REQUESTS, strict=True))


def addresses(draws: Draws) -> Strings:
    """Make one address for each row, every fourth with a hyphen, as Queens numbers its houses."""
    streets = draws.pick(_STREETS)
    first, second = draws.below(260).tolist(), draws.below(1_800).tolist()
    hyphen = (draws.below(4) == 0).tolist()
    return [
        f"{one + 1}-{two % 99 + 1:02d} {street}" if queens else f"{two + 1} {street}"
        for one, two, queens, street in zip(first, second, hyphen, streets, strict=True)
    ]


def resolutions(draws: Draws) -> Strings:
    """Make one long text for each row, quoted: it always holds a comma."""
    middles = draws.pick(_DID_QUOTED)
    numbers = (10_000 + draws.below(60_000)).tolist()
    parts = zip(draws.pick(_WHO), middles, draws.pick(_THEN), numbers, strict=True)
    return [
        f'"{who}{did % number if "%d" in did else did}{then}"' for who, did, then, number in parts
    ]


def request_chunk(draws: Draws) -> Sequence[Strings]:
    """Make one chunk of service requests; the open ones have no closing date."""
    request = draws.below(len(_REQUESTS))
    created = draws.below(365 * 86_400)
    is_open = draws.below(12) == 0
    statuses = ["Closed"] * CHUNK_ROWS
    for row, status in enumerate(draws.pick(_OPEN)):
        if is_open[row]:
            statuses[row] = status
    first_key = 30_000_000 + draws.first_row
    return (
        list(map(str, range(first_key, first_key + CHUNK_ROWS))),
        timestamps(created),
        some_empty(timestamps(created + 600 + draws.skewed(60 * 86_400)), is_open),
        look_up(_AGENCY_AND_COMPLAINT, request),
        look_up(_DESCRIPTORS, request),
        look_up(_LOCATIONS, request),
        some_empty(draws.pick(_ZIPS), draws.below(40) == 0),
        addresses(draws),
        draws.pick(_CITY_LIST.split("|")),
        statuses,
        resolutions(draws),
    )


KINDS = {
    "taxi": Kind("taxi", TAXI_COLUMNS, taxi_chunk),
    "311": Kind("311", REQUEST_COLUMNS, request_chunk),
}


def lines(kind: str, rows: int) -> Iterator[str]:
    """Make the file's text, a chunk at a time.

    Args:
        kind: ``taxi`` or ``311``.
        rows: How many rows follow the header.
    Returns: An iterator of text: the header, then up to 10,000 rows at once, each ended by LF.
    """
    made = KINDS[kind]
    yield made.header + "\n"
    for chunk, first in enumerate(range(0, rows, CHUNK_ROWS)):
        records = map(",".join, zip(*made.chunk(Draws(kind, chunk)), strict=True))
        wanted = min(CHUNK_ROWS, rows - first)
        yield "\n".join(islice(records, wanted)) + "\n"


def write(kind: str, rows: int, path: Path) -> int:
    """Write one file.

    Args:
        kind: ``taxi`` or ``311``.
        rows: How many rows follow the header.
        path: The file; what was there is replaced.
    Returns: The file's size in bytes.
    """
    with path.open("wb") as file:
        return sum(file.write(text.encode("ascii")) for text in lines(kind, rows))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generate", description=__doc__)
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("rows", type=int)
    parser.add_argument("path", type=Path)
    options = parser.parse_args()
    write(options.kind, options.rows, options.path)


if __name__ == "__main__":
    main()
