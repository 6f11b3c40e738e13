"""Numbers of the benchmark against cases counted by hand, and what their intervals promise."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from backend.evaluation.bootstrap import Bootstrap, Units
from backend.evaluation.noc import ObjectResult
from backend.evaluation.statistics import HISTOGRAM_EDGES, paired_difference, summarise

SECONDS = {"read": 0.0, "encode": 1.0, "step": 10.0, "robot": 2.0}


def result(
    ious: tuple[float, ...],
    class_name: str = "car",
    *,
    area: int = 100,
    image: str = "a.png",
    index: int = 0,
    window: tuple[int, int, int, int] = (0, 0, 8, 8),
    met: tuple[int, ...] = (),
    gsd: float | None = None,
) -> ObjectResult:
    clicks = tuple((True, 0, number) for number in range(len(ious)))
    return ObjectResult("m", "m@1", image, window, index, class_name, area, clicks, ious, met, gsd=gsd, seconds=SECONDS)


FAST = result((0.5, 0.82, 0.91) + (0.96,) * 17)
SLOW = result((0.1,) * 19 + (0.81,), "building", area=5000, image="b.png")
FAILED = result((0.2,) * 20, "building", area=20000, image="b.png")


def test_means_and_shares_are_over_objects() -> None:
    numbers = summarise([FAST, SLOW, FAILED])
    assert numbers["objects"] == 3
    assert numbers["noc"]["80"] == pytest.approx((2 + 20 + 20) / 3)
    assert numbers["over20"]["80"] == pytest.approx(2 / 3)  # success at click 20 counts, as in the protocol
    assert len(numbers["miou"]) == 20
    assert numbers["miou"][0] == pytest.approx((0.5 + 0.1 + 0.2) / 3)
    assert numbers["miou"][19] == pytest.approx((0.96 + 0.81 + 0.2) / 3)
    assert numbers["seconds_per_click"] == pytest.approx(3 * 13.0 / 60)
    assert numbers["seconds"] == pytest.approx({"read": 0.0, "encode": 0.05, "step": 0.5, "robot": 0.1})
    assert numbers["interval"] is None, "three objects are too few for one"
    json.dumps(numbers)


def test_the_share_of_clicks_met_counts_all_clicks_so_far_after_every_click() -> None:
    both = [result((0.5, 0.6, 0.7), met=(1, 1, 3)), result((0.5,), met=(0,))]
    assert summarise(both)["met"] == pytest.approx((1 + 1 + 3 + 0) / (1 + 2 + 3 + 1))
    assert summarise([FAST])["met"] is None, "measured before it was counted"


def test_groups_hold_every_object_once() -> None:
    numbers = summarise([FAST, SLOW, FAILED])
    assert {name: group["objects"] for name, group in numbers["by_class"].items()} == {"building": 2, "car": 1}
    assert {name: group["objects"] for name, group in numbers["by_image"].items()} == {"a.png": 1, "b.png": 2}
    assert sum(group["objects"] for group in numbers["by_size"].values()) == 3
    assert {name: sum(part["objects"] for part in sizes.values()) for name, sizes in numbers["by_class_and_size"].items()} == {
        "building": 2,
        "car": 1,
    }
    assert numbers["by_class"]["car"]["noc"] == {"80": 2, "85": 3, "90": 3, "95": 4}


def test_an_object_stopped_early_keeps_its_last_iou() -> None:
    assert summarise([result((0.5, 0.96))])["miou"] == [0.5] + [0.96] * 19


def test_the_histogram_of_ious_after_two_and_five_clicks() -> None:
    early = result((0.0, 0.05, 0.1, 0.1, 1.0))  # 0.05 opens the second bin, 1 falls into the last
    numbers = summarise([early, result((0.5, 0.999) + (0.62,) * 18)])
    histogram = numbers["iou_histogram"]
    assert histogram["edges"] == list(HISTOGRAM_EDGES)
    assert len(histogram["2"]) == len(histogram["5"]) == 20
    assert {place: share for place, share in enumerate(histogram["2"]) if share} == {1: 0.5, 19: 0.5}
    assert {place: share for place, share in enumerate(histogram["5"]) if share} == {12: 0.5, 19: 0.5}


def test_every_number_has_an_interval_of_its_shape_that_holds_it() -> None:
    random = np.random.default_rng(1)
    results = [
        result(tuple(np.sort(random.random(20)).tolist()), image=f"{number % 9}.png", index=number, met=(1,) * 20) for number in range(90)
    ]
    numbers = summarise(results)
    interval = numbers["interval"]
    assert (interval["unit"], interval["units"]) == ("image", 9)
    assert set(interval) == {"unit", "units", "noc", "over20", "miou", "met", "iou_histogram"}
    for key in ("noc", "over20"):
        for target, (low, high) in interval[key].items():
            assert low <= numbers[key][target] <= high
    for number, (low, high) in zip(numbers["miou"], interval["miou"], strict=True):
        assert low < number < high
    assert len(interval["iou_histogram"]["2"]) == 20
    assert numbers["seconds_interval"]["all"] == pytest.approx([0.65, 0.65]), "all took the same time"
    assert numbers["by_image"]["0.png"]["interval"]["unit"] == "object"


def test_the_same_objects_have_the_same_intervals_and_another_seed_others() -> None:
    random = np.random.default_rng(2)
    results = [result(tuple(np.sort(random.random(20)).tolist()), index=number) for number in range(50)]
    assert summarise(results) == summarise(results)
    assert summarise(results)["interval"] != summarise(results, bootstrap=Bootstrap(seed=1))["interval"]


@pytest.mark.parametrize(("images", "windows", "unit", "count"), [(8, 1, "image", 8), (7, 2, "patch", 14), (2, 3, "object", 60)])
def test_images_are_drawn_where_there_are_enough_else_patches_else_objects(images: int, windows: int, unit: str, count: int) -> None:
    results = [
        result((0.5,), image=f"{number % images}", window=(number // images % windows, 0, 8, 8), index=number) for number in range(60)
    ]
    units = Units.choose(results)
    assert units is not None
    assert (units.name, units.count) == (unit, count)
    assert Units.choose(results[:4]) is None


def test_sums_by_unit_keep_everything() -> None:
    units = Units("image", np.array([2, 0, 1, 0, 2]), 3)
    assert units.sums(np.array([[1.0], [2.0], [3.0], [4.0], [5.0]])).tolist() == [[6.0], [3.0], [6.0]]


def test_intervals_of_independent_objects_cover_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(3)
    covered = 0
    for trial in range(300):
        sample = random.gamma(2.0, 3.0, (60, 1))  # skewed, as numbers of clicks are; mean 6
        low, high = Bootstrap(seed=trial).intervals(np.concatenate([sample, np.ones((60, 1))], axis=1), [0], [1])[:, 0]
        covered += low <= 6.0 <= high
    assert 0.90 < covered / 300 < 0.98


def test_intervals_of_objects_that_resemble_their_neighbours_need_whole_images() -> None:
    random = np.random.default_rng(4)
    by_image = by_object = 0
    for trial in range(200):
        shift = np.repeat(random.normal(0, 1, 20), 15)  # every image has a level of its own
        columns = np.stack([shift + random.normal(0, 1, 300), np.ones(300)], axis=1)
        of = np.repeat(np.arange(20), 15)
        low, high = Bootstrap(seed=trial).intervals(Units("image", of, 20).sums(columns), [0], [1])[:, 0]
        by_image += low <= 0 <= high
        low, high = Bootstrap(seed=trial).intervals(columns, [0], [1])[:, 0]
        by_object += low <= 0 <= high
    assert by_image / 200 > 0.87
    assert by_object / 200 < 0.6


def test_a_resample_without_any_object_of_a_kind_is_left_out() -> None:
    sums = np.array([[3.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    low, high = Bootstrap().intervals(sums, [0], [1])[:, 0]
    assert (low, high) == (3.0, 3.0)
    assert np.isnan(Bootstrap().intervals(np.zeros((3, 2)), [0], [1])).all()


def test_the_paired_difference_is_over_common_objects_and_far_surer_than_two_means() -> None:
    random = np.random.default_rng(5)
    first, second = [], []
    for number in range(200):
        clicks = int(random.integers(2, 18))
        first.append(result((0.1,) * clicks + (0.97,) * (20 - clicks), index=number))
        more = clicks + int(random.random() < 0.5)
        second.append(result((0.1,) * more + (0.97,) * (20 - more), index=number))
    found = paired_difference(first, [*second[::-1], result((0.5,), index=999)])
    assert found is not None
    assert found["objects"] == 200
    needed = summarise(second)["noc"]["80"] - summarise(first)["noc"]["80"]
    assert found["noc"]["80"] == pytest.approx(needed)
    low, high = found["interval"]["noc"]["80"]
    assert 0.4 < low < needed < high < 0.65
    alone_low, alone_high = summarise(first)["interval"]["noc"]["80"]
    assert alone_high - alone_low > 5 * (high - low)
    assert found["miou"][19] == pytest.approx(0.0)
    assert found["fewer"]["80"] == pytest.approx(-needed / summarise(first)["noc"]["80"])
    assert found["interval"]["fewer"]["80"][0] < found["fewer"]["80"] < found["interval"]["fewer"]["80"][1] < 0
    assert paired_difference(first, [dataclasses.replace(one, image="else.png") for one in first]) is None
