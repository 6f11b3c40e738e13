"""The number of clicks, from IoUs made up for the purpose."""

from __future__ import annotations

import pytest

from backend.evaluation.noc import ObjectResult, clicks_needed

FAST = (0.5, 0.82, 0.91) + (0.96,) * 17


def test_noc_is_the_number_of_the_first_click_that_reaches_the_target_and_all_clicks_when_none_does() -> None:
    assert [clicks_needed(FAST, target) for target in (0.5, 0.8, 0.9, 0.95, 0.99)] == [1, 2, 3, 4, 20]


def test_a_target_once_reached_stays_reached_when_a_later_click_spoils_the_mask() -> None:
    assert clicks_needed((0.3, 0.9, 0.1), 0.9) == 2


def test_square_metres_are_known_where_the_ground_sample_distance_is() -> None:
    plain = ObjectResult("m", "m@1", "a", (0, 0, 9, 9), 0, "car", 30, (), (), ())
    assert plain.area_m2 is None
    assert ObjectResult("m", "m@1", "a", (0, 0, 9, 9), 0, "car", 30, (), (), (), gsd=0.05).area_m2 == pytest.approx(0.075)
