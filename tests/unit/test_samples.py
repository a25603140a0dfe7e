"""The shipped sample is what its script writes."""

import csv
import subprocess
import sys
from pathlib import Path

SAMPLES = Path(__file__).parents[2] / "samples"
SHIPPED = SAMPLES / "street-trees.csv"


def test_the_script_writes_the_shipped_file_byte_for_byte(tmp_path: Path) -> None:
    made = tmp_path / "made.csv"
    subprocess.run([sys.executable, SAMPLES / "make_sample.py", made], check=True)
    assert made.read_bytes() == SHIPPED.read_bytes()


def test_the_sample_has_what_makes_loading_hard() -> None:
    with SHIPPED.open(encoding="utf-8", newline="") as file:
        trees = list(csv.DictReader(file))
    assert len(trees) == 22_000
    assert all(len(tree["tree_no"]) == 6 for tree in trees)
    assert trees[0]["tree_no"].startswith("0")
    assert any(tree["height_m"].endswith(".0") for tree in trees)
    assert all(not tree["house_no"] or tree["house_no"].isdecimal() for tree in trees[:20_000])
    assert any(tree["house_no"].endswith("a") for tree in trees[20_000:])
    text = SHIPPED.read_text(encoding="utf-8")
    for hard in ('""', ", Nordseite", "damage:\n", "Łódź", ",,"):
        assert hard in text
