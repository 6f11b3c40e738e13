"""The study's numbers, compared with its text where that is beside the checkout, and its slips."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from backend.evaluation import published
from backend.evaluation.size_bins import STUDY

NUMBER = re.compile(r"\d+\.\d\d")


def printed(shared: Path, table: int) -> str:
    """The text of one table, from its caption on."""
    text = (shared / "paper" / "rsiseg.txt").read_text(encoding="utf-8")
    start = re.search(rf"^Table {table}\. ", text, re.MULTILINE)
    assert start is not None
    return text[start.start() :]


def numbers_of_row(text: str, model: str, count: int, occurrence: int = 0) -> list[str]:
    """The first `count` numbers after a row's name; line breaks within names and cells are the text's."""
    name = model.replace("-", "-\\s*")
    rows = list(re.finditer(rf"^{name}\s+(?=\d)", text, re.MULTILINE))
    return NUMBER.findall(text[rows[occurrence].end() :])[:count]


@pytest.mark.parametrize("table", [1, 2, 3, 4, 5, 6, 7])
def test_the_tables_of_models_hold_what_the_text_prints_row_by_row(shared: Path, table: int) -> None:
    text = printed(shared, table)
    rows: dict[str, list[str]] = {}
    for cell in published.tables():
        if cell.table == table:
            rows.setdefault(cell.name, []).extend(f"{value:.2f}" for value in cell.noc.values())
    assert len(rows) == (8 if table == 1 else 6)
    for model, numbers in rows.items():
        assert numbers_of_row(text, model, len(numbers)) == numbers, f"Table {table}, {model}"


def test_the_table_of_four_bands_holds_what_the_text_prints(shared: Path) -> None:
    text = printed(shared, 8)
    for name in ("Impervious Surface", "Building", "Low Vegetation", "Tree", "Car", "Overall"):
        class_name = None if name == "Overall" else name
        plain, refined = (
            published.find("PRGBIR", model, tuned=True, class_name=class_name)[0] for model in ("SimpleClick", "SimpleClick-CFR")
        )
        assert numbers_of_row(text, name, 8) == [f"{value:.2f}" for cell in (plain, refined) for value in cell.noc.values()]


def test_every_table_has_all_its_cells() -> None:
    counts: dict[int, int] = {}
    for cell in published.tables():
        counts[cell.table] = counts.get(cell.table, 0) + len(cell.noc)
    assert counts == {1: 64, 2: 48, 3: 48, 4: 60, 5: 60, 6: 60, 7: 60, 8: 48}


def test_more_iou_never_needs_fewer_clicks() -> None:
    for cell in published.tables():
        assert list(cell.noc.values()) == sorted(cell.noc.values()), cell


def test_the_slip_of_table_3_is_there_and_marked() -> None:
    for model in ("SimpleClick", "SimpleClick-CFR", "ICL", "ICL-CFR", "RITM", "RITM-CFR"):
        (after,) = published.find("VRGIR", model, tuned=True)
        (other,) = published.find("PRGIR", model, tuned=False)
        assert (after.table, other.table) == (3, 1)
        assert after.noc == other.noc
        assert after.doubt is not None
        assert other.doubt is None


def test_the_slip_of_table_7_is_there_and_marked() -> None:
    by_size = [cell.noc for cell in published.tables() if cell.table == 7]
    by_class = [cell.noc for cell in published.tables() if cell.table == 5]
    assert by_size == by_class
    assert all((cell.doubt is not None) == (cell.table == 7) for cell in published.tables() if cell.table in (5, 7))


def test_the_slip_of_table_6_is_read_as_two_numbers(shared: Path) -> None:
    assert "1.483.78" in printed(shared, 6)
    (cell,) = published.find("PRGB", "SimpleClick", tuned=True, class_name="Building", size=(9.03, 36.36))
    assert cell.noc == {"80": 1.48, "95": 3.78}


def test_the_improvement_in_the_text_fits_no_printed_pair(shared: Path) -> None:
    assert "33.15%" in printed(shared, 3)
    fits = []
    for before in published.tables():
        if not before.tuned and before.name == "SimpleClick-CFR":
            for after in published.tables():
                if after.tuned and after.class_name is None and after.name == before.name:
                    fits.append(round(100 * (1 - after.noc["80"] / before.noc["80"]), 2))
    assert 33.15 not in fits
    assert round(4.16 * (1 - 0.3315), 2) == 2.78


def test_the_slips_are_printed_for_their_tables() -> None:
    assert [slip.table for slip in published.slips()] == [3, 6, 7]


def test_sizes_are_the_bins_that_results_are_sorted_into() -> None:
    for table, class_name in ((6, "building"), (7, "tree")):
        sizes = list(dict.fromkeys(cell.size for cell in published.tables() if cell.table == table))
        edges = STUDY[class_name].edges
        assert sizes == list(pairwise(edges))
        assert {cell.class_name for cell in published.tables() if cell.table == table} == {class_name}
