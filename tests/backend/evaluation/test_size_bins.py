"""Bins of object size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.evaluation.noc import ObjectResult
from backend.evaluation.size_bins import STUDY, SizeBins, by_bins, plain_class


def objects(areas: list[int], gsd: float | None = None, class_name: str = "building") -> list[ObjectResult]:
    return [
        ObjectResult("m", "m@1", "a", (0, 0, 9, 9), index, class_name, area, (), (0.5,), (), gsd=gsd) for index, area in enumerate(areas)
    ]


@pytest.mark.parametrize(
    ("area_m2", "name"),
    [
        (0.075, "(0.075 m2, 9.03 m2]"),
        (9.03, "(0.075 m2, 9.03 m2]"),
        (9.031, "(9.03 m2, 36.36 m2]"),
        (881.90, "(256.83 m2, 881.90 m2]"),
        (900.0, "above 881.90 m2"),
        (0.07, "below 0.075 m2"),
    ],
)
def test_buildings_fall_into_the_bins_of_table_6(area_m2: float, name: str) -> None:
    bins = STUDY["building"]
    assert bins.names()[bins.place(np.array([area_m2]))[0]] == name


def test_the_smallest_object_of_the_protocol_opens_the_studys_first_bin() -> None:
    assert list(by_bins(objects([30], gsd=0.05), "Buildings")) == ["(0.075 m2, 9.03 m2]"]
    assert list(by_bins(objects([30], gsd=0.05), "tree")) == ["(0.075 m2, 1.96 m2]"]


def test_other_classes_and_unknown_sizes_have_the_quintiles_of_the_data() -> None:
    cars = by_bins(objects(list(range(40, 290, 10)), gsd=0.5), "car")  # 25 of them
    assert list(cars) == [
        "(10.00 m2, 20.00 m2]",
        "(20.00 m2, 32.50 m2]",
        "(32.50 m2, 45.00 m2]",
        "(45.00 m2, 57.50 m2]",
        "(57.50 m2, 70.00 m2]",
    ]
    assert [len(group) for group in cars.values()] == [5, 5, 5, 5, 5]
    assert list(by_bins(objects([30, 40]), "building")) == ["(30 px, 40 px]"]
    assert list(by_bins(objects([30, 30, 30]))) == ["30 px"]


def test_few_objects_are_not_split_into_bins_of_one() -> None:
    assert [len(group) for group in by_bins(objects(list(range(1, 12)))).values()] == [6, 5]
    assert [len(group) for group in by_bins(objects(list(range(1, 10)))).values()] == [9]


def test_one_object_of_unknown_size_puts_all_into_pixels() -> None:
    mixed = objects([100, 200], gsd=0.1) + objects([300])
    assert all(name.endswith("px]") for name in by_bins(mixed))


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60), st.sampled_from([None, 0.05, 0.3]))
def test_every_object_is_in_one_bin_and_its_size_between_the_edges(areas: list[int], gsd: float | None) -> None:
    results = objects(areas, gsd)
    groups = by_bins(results, "car")
    assert sorted(result.index for group in groups.values() for result in group) == list(range(len(areas)))
    largest = [max(result.area for result in group) for group in groups.values()]
    smallest = [min(result.area for result in group) for group in groups.values()]
    assert all(low > high for low, high in zip(smallest[1:], largest, strict=False)), "bins are in order and do not overlap"


def test_edges_that_would_look_alike_are_written_with_more_digits() -> None:
    names = SizeBins("m2", (10.001, 10.004, 10.009)).names()
    assert names[1:-1] == ["(10.001 m2, 10.004 m2]", "(10.004 m2, 10.009 m2]"]


@pytest.mark.parametrize("name", ["Low_Vegetation", "low vegetation", "low-vegetation"])
def test_class_names_are_compared_in_plain_spelling(name: str) -> None:
    assert plain_class(name) == "low vegetation"
    assert plain_class("Impervious surfaces") == "impervious surface"
    assert plain_class("Trees") == "tree"
