"""Numbers of the benchmark from IoUs made up for the purpose."""

from __future__ import annotations

import re

import pytest

from backend.evaluation.noc import ObjectResult, clicks_needed, size_bin, summarise
from backend.evaluation.report import markdown


def result(
    ious: tuple[float, ...], class_name: str = "car", area: int = 100, image: str = "a.png", met: tuple[int, ...] = ()
) -> ObjectResult:
    clicks = tuple((True, 0, number) for number in range(len(ious)))
    seconds = {"read": 0.0, "encode": 1.0, "step": 0.5 * len(ious), "robot": 0.0}
    return ObjectResult("m", "m@1", image, (0, 0, 8, 8), 0, class_name, area, clicks, ious, met, seconds=seconds)


FAST = result((0.5, 0.82, 0.91) + (0.96,) * 17)
SLOW = result((0.1,) * 19 + (0.81,), "building", 5000, "b.png")
FAILED = result((0.2,) * 20, "building", 20000, "b.png")


def test_noc_is_the_number_of_the_first_click_that_reaches_the_target_and_all_clicks_when_none_does() -> None:
    assert [clicks_needed(FAST.ious, target) for target in (0.5, 0.8, 0.9, 0.95, 0.99)] == [1, 2, 3, 4, 20]


def test_a_target_once_reached_stays_reached_when_a_later_click_spoils_the_mask() -> None:
    assert clicks_needed((0.3, 0.9, 0.1), 0.9) == 2


def test_means_and_shares_are_over_objects() -> None:
    numbers = summarise([FAST, SLOW, FAILED])
    assert numbers["objects"] == 3
    assert numbers["noc"]["80"] == pytest.approx((2 + 20 + 20) / 3)
    assert numbers["over20"]["80"] == pytest.approx(2 / 3)  # success at click 20 counts, as in the protocol
    assert len(numbers["miou"]) == 20
    assert numbers["miou"][0] == pytest.approx((0.5 + 0.1 + 0.2) / 3)
    assert numbers["miou"][19] == pytest.approx((0.96 + 0.81 + 0.2) / 3)
    assert numbers["seconds_per_click"] == pytest.approx((3 * 1.0 + 60 * 0.5) / 60)


def test_the_share_of_clicks_met_counts_all_clicks_so_far_after_every_click() -> None:
    both = [result((0.5, 0.6, 0.7), met=(1, 1, 3)), result((0.5,), met=(0,))]
    assert summarise(both)["met"] == pytest.approx((1 + 1 + 3 + 0) / (1 + 2 + 3 + 1))
    assert summarise([FAST])["met"] is None, "measured before it was counted"
    assert "71.43%" in markdown({"m": summarise(both)})


def test_groups_hold_every_object_once() -> None:
    numbers = summarise([FAST, SLOW, FAILED])
    assert {name: group["objects"] for name, group in numbers["by_class"].items()} == {"building": 2, "car": 1}
    assert {name: group["objects"] for name, group in numbers["by_image"].items()} == {"a.png": 1, "b.png": 2}
    assert sum(group["objects"] for group in numbers["by_size"].values()) == 3
    assert numbers["by_class"]["car"]["noc"] == {"80": 2, "85": 3, "90": 3, "95": 4}


def test_an_object_stopped_early_keeps_its_last_iou() -> None:
    assert summarise([result((0.5, 0.96))])["miou"] == [0.5] + [0.96] * 19


@pytest.mark.parametrize(("area", "name"), [(1023, "small"), (1024, "medium"), (9215, "medium"), (9216, "large")])
def test_size_bins_begin_where_coco_begins_them(area: int, name: str) -> None:
    assert size_bin(area).startswith(name)


def test_the_tables_show_the_numbers() -> None:
    tables = markdown({"m": summarise([FAST, SLOW, FAILED])})
    header, rule, row = tables.splitlines()[:3]
    assert header.count("|") == rule.count("|") == row.count("|")
    assert [cell.strip() for cell in row.split("|")][1:7] == ["m", "3", "14.00", "14.33", "14.33", "14.67"]
    assert re.search(r"\| building +\| +2 \| 20.00 / 20.00 \|", tables)
    assert tables.index("small") < tables.index("medium") < tables.index("large")
