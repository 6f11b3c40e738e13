"""The tables at the end of a run."""

from __future__ import annotations

import re

from backend.evaluation.noc import ObjectResult
from backend.evaluation.report import markdown
from backend.evaluation.statistics import summarise


def result(ious: tuple[float, ...], class_name: str, area: int, image: str, met: tuple[int, ...] = ()) -> ObjectResult:
    clicks = tuple((True, 0, number) for number in range(len(ious)))
    return ObjectResult("m", "m@1", image, (0, 0, 8, 8), 0, class_name, area, clicks, ious, met, seconds={"step": 1.0})


FAST = result((0.5, 0.82, 0.91) + (0.96,) * 17, "car", 100, "a.png")
SLOW = result((0.1,) * 19 + (0.81,), "building", 5000, "b.png")
FAILED = result((0.2,) * 20, "building", 20000, "b.png")


def test_the_tables_show_the_numbers() -> None:
    tables = markdown({"m": summarise([FAST, SLOW, FAILED])})
    header, rule, row = tables.splitlines()[:3]
    assert header.count("|") == rule.count("|") == row.count("|")
    assert [cell.strip() for cell in row.split("|")][1:8] == ["m", "3", "14.00", "14.33", "14.33", "-", "14.67"]
    assert re.search(r"\| building +\| +2 \| 20.00 / 20.00 \|", tables)


def test_sizes_stand_in_order() -> None:
    tables = markdown({"m": summarise([FAILED] * 5 + [FAST] * 5 + [SLOW] * 5)})
    assert tables.index("(100 px, 5000 px]") < tables.index("(5000 px, 20000 px]")


def test_the_interval_of_noc90_stands_beside_it_where_there_are_enough_objects() -> None:
    row = markdown({"m": summarise([FAST] * 5 + [SLOW] * 5)}).splitlines()[2]
    assert re.search(r"\| +11.50 \| +\d+\.\d\d to \d+\.\d\d \|", row)


def test_the_share_of_clicks_met_is_shown() -> None:
    met = [result((0.5, 0.6, 0.7), "car", 9, "a", met=(1, 1, 3)), result((0.5,), "car", 9, "a", met=(0,))]
    assert "71.43%" in markdown({"m": summarise(met)})
