"""Which files have too many bad rows to be loaded without them."""

import pytest

from loader.errors import TooManyBadRows
from loader.formats.rows import Reject
from loader.scan.rejects import Rejects


def refusal(
    bad: int, rows: int, reasons=("4 cells, 3 columns",), **limits
) -> TooManyBadRows | None:
    rejects = Rejects(None, limits.get("limit", 1000), limits.get("share", 0.05))
    try:
        for n in range(bad):
            rejects.add(n, [Reject(n + 2, reasons[n % len(reasons)], "x")])
        rejects.check(rows, rows - bad)
    except TooManyBadRows as error:
        return error
    return None


# bad rows, all rows, limits
LOADED = {
    "none": (0, 100, {}),
    "one of two": (1, 2, {}),
    "ten of eleven": (10, 11, {}),
    "eleven of 220": (11, 220, {}),
    "a thousand of many": (1000, 20_000, {}),
    "half, where all may be": (500, 1000, {"share": 1.0}),
    "more than a thousand, where they may": (5000, 200_000, {"limit": 10_000}),
}
REFUSED = {
    "the only one": (1, 1, {}, "no row can be placed"),
    "all of ten": (10, 10, {}, "no row can be placed"),
    "all, where all may be": (20, 20, {"share": 1.0}, "no row can be placed"),
    "eleven of 219": (11, 219, {}, r"11 of 219 rows cannot be placed \(5.0%\)"),
    "half": (50, 100, {}, r"50 of 100 rows cannot be placed \(50.0%\)"),
    "eleven, where none may be": (11, 10_000, {"share": 0}, "11 of 10,000 rows"),
    "more than a thousand": (1001, 1_000_000, {}, "more than 1000 rows cannot be placed"),
    "more than allowed": (4, 100, {"limit": 3}, "more than 3 rows cannot be placed"),
}


@pytest.mark.parametrize(("bad", "rows", "limits"), LOADED.values(), ids=LOADED)
def test_a_few_bad_rows_of_a_file_are_left_out(bad, rows, limits):
    assert refusal(bad, rows, **limits) is None


@pytest.mark.parametrize(("bad", "rows", "limits", "said"), REFUSED.values(), ids=REFUSED)
def test_a_file_of_bad_rows_is_refused(bad, rows, limits, said):
    error = refusal(bad, rows, **limits)
    assert error is not None
    with pytest.raises(TooManyBadRows, match=said):
        raise error
    assert error.row == 2
    assert error.hint
    assert error.option in {"delimiter", "max_bad_share", "max_bad_rows"}


def test_the_error_names_the_first_rows_and_what_they_have_in_common():
    alike = refusal(50, 100)
    assert "; all: 4 cells, 3 columns (rows 2, 3, 4, ...)" in str(alike)
    mixed = refusal(50, 100, reasons=("4 cells, 3 columns", "a carriage return outside quotes"))
    assert "; the first: 4 cells, 3 columns (rows 2, 3, 4, ...)" in str(mixed)
    assert "; the first: 4 cells, 3 columns" in str(refusal(1, 1))
    assert "(rows" not in str(refusal(1, 1))
    assert "; all: 4 cells, 3 columns (rows 2, 3)" in str(refusal(2, 2))


def test_bytes_in_another_encoding_ask_for_the_encoding():
    rejects = Rejects(None, 1000, 0.05)
    for n in range(50):
        rejects.add(n, [Reject(n + 2, "byte 3 of the row is not UTF-8", "x", undecodable=True)])
    with pytest.raises(TooManyBadRows) as refused:
        rejects.check(100, 50)
    assert refused.value.option == "encoding"
    assert "name the right encoding" in (refused.value.hint or "")
