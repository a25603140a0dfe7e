"""The page on dialects says what is found: each file in it becomes the table that follows it."""

import io
import json
import re
from pathlib import Path

import pytest
from csv_files import opened, rows_of

PAGE = Path(__file__).parents[2] / "docs" / "dialects.md"
EXAMPLES = re.findall(
    r"^```csv\n(.*?)^```\n\n```json\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
)


def test_every_file_has_its_table():
    assert len(EXAMPLES) == PAGE.read_text("utf-8").count("```csv") > 10


@pytest.mark.parametrize(("file", "table"), EXAMPLES)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_file_becomes_the_table_that_the_docs_say(file, table, line_end):
    expected = json.loads(table)
    found = opened(io.BytesIO(file.replace("\n", line_end).encode()))
    rows, rejects = rows_of(found)
    assert list(found.headers) == expected["columns"]
    assert rows == expected["rows"]
    assert [reject.row for reject in rejects] == expected.get("set_aside", [])
