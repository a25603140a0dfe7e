"""What a column becomes does not depend on the order of its blocks; the second reading holds."""

import io
import itertools

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_verification import blocks_of, judge

from loader.options import Options
from loader.scan.head import read
from loader.types.column import Column
from loader.types.deciding import Deciding
from loader.types.notation import Habits
from loader.types.verification import Verification

# What a caller says, and the same as options.
SAID = {
    "nothing": (Habits(), {}),
    "a decimal comma": (
        Habits(deciding=Deciding("dmy", "comma")),
        {"dates": "dmy", "decimal": "comma"},
    ),
    "a decimal point": (
        Habits(deciding=Deciding("mdy", "point")),
        {"dates": "mdy", "decimal": "point"},
    ),
    "signs are NULL": (Habits(nulls_signs=True), {"missing": "auto"}),
}


def column_of(cells: list[str], options: dict[str, str]) -> Column:
    """The column as it begins if these are the first cells."""
    text = "a|b\n" + "".join(f"{cell}|x\n" for cell in cells)
    return read(io.BytesIO(text.encode()), Options(delimiter="|", **options).reading).columns[0]


def settled(
    first: list[str], later: list[list[str]], said: str = "nothing"
) -> tuple[Column, int, list[str] | None]:
    """The column in the end, how often all was read, and its values."""
    habits, options = SAID[said]
    column, passes = column_of(first, options), 0
    blocks = [rows for cells in [first, *later] for rows in blocks_of(cells)]
    while True:
        verification = Verification([column], [""], habits=habits)
        values, passes = judge(verification, blocks), passes + 1
        column = verification.columns[0]
        if values is not None:
            return column, passes, values


CELLS = {
    "dates": ["01/02/2020", "31/12/2020", "12/31/2020", "1/2/2020", "N/A", "x", "31/02/2020"],
    "numbers": ["1", "1234", "1,5", "1,234", "1.234,5", "-1,5", "(1,5)", "1.5", "1,5 €", "-", "x"],
    "groups": ["1.234", "1.234.567", "1.5", "12", "1.234,5", "1.2.3"],
    "eight digits": ["20201231", "20201301", "7", "1,5", "x"],
    "currencies": ["1 €", "1.234 €", "1,5 €", "1.234,5 €", "-1 €", "(1 €)", "N/A"],
}


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("kind", CELLS)
def test_the_order_of_blocks_changes_nothing(kind, said):
    cells = CELLS[kind]
    for first in cells:
        for some in itertools.combinations(cells, 2):
            orders = list(itertools.permutations([[cell] for cell in some]))
            found = [settled([first], list(order), said) for order in orders]
            assert len({(column.type, column.read_as) for column, _, _ in found}) == 1, (
                first,
                some,
            )
            # What a caller says may be proven wrong, once more than what nobody says.
            most = 2 if said == "nothing" else 3
            assert max(passes for _, passes, _ in found) <= most, (first, some)


@given(st.sampled_from(sorted(CELLS)), st.data())
@settings(max_examples=500)
def test_what_is_read_is_written_back(kind, data):
    cells = data.draw(st.lists(st.sampled_from(CELLS[kind]), min_size=1, max_size=8))
    column, passes, values = settled(cells[:1], [[cell] for cell in cells[1:]])
    assert passes <= 2
    other, passes, _ = settled(cells[:1], [[cell] for cell in reversed(cells[1:])])
    assert passes <= 2
    assert (other.type, other.read_as) == (column.type, column.read_as)
    if column.notation is None:
        assert values == cells
    else:
        assert [column.notation.write(value) for value in values] == cells
        assert column.check.fits(pa.array(values, pa.string()))
