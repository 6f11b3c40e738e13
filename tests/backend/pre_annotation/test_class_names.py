"""Shipped classes in a project's words."""

from __future__ import annotations

import numpy as np
import pytest

from backend.pre_annotation.class_names import in_words_of, meaning

SHIPPED = ("background", "building", "ground", "low vegetation", "road", "tree", "vegetation")


def words(given: dict[str, float], *wanted: str) -> list[float] | None:
    row = np.array([[given.get(name, 0.0) for name in SHIPPED]], np.float32)
    found = in_words_of(SHIPPED, row, wanted)
    return None if found is None else found[0].tolist()


@pytest.mark.parametrize("name", ["Roof", "buildings", "HOUSE", " building "])
def test_spellings_of_one_meaning(name: str) -> None:
    assert meaning(name) == "building"


def test_a_name_without_a_meaning() -> None:
    assert meaning("solar panel") is None
    assert words({"building": 1}, "solar panel") is None
    assert words({"building": 0.7, "background": 0.3}, "solar panel", "roof") == pytest.approx([0, 0.7])


def test_impervious_surface_is_road_and_ground_together() -> None:
    assert words({"road": 0.5, "ground": 0.3, "tree": 0.2}, "impervious surfaces") == pytest.approx([0.8])
    assert words({"road": 0.5, "ground": 0.3, "tree": 0.2}, "road", "building") == pytest.approx([0.5, 0])


def test_vegetation_is_shared_out_as_its_parts_are_probable() -> None:
    assert words({"vegetation": 0.6, "tree": 0.3, "low vegetation": 0.1}, "tree", "low vegetation") == pytest.approx([0.75, 0.25])
    assert words({"vegetation": 0.6, "tree": 0.3, "low vegetation": 0.1}, "vegetation") == pytest.approx([1.0])


def test_two_classes_of_one_meaning_share_it() -> None:
    assert words({"building": 0.8, "background": 0.2}, "house", "roof") == pytest.approx([0.4, 0.4])


def test_things_that_the_project_has_no_class_for_are_ruled_out() -> None:
    shipped = ("background", "building", "ship", "water")
    row = np.array([[0.1, 0.3, 0.4, 0.2]], np.float32)
    found = in_words_of(shipped, row, ["roof"])
    assert found is not None and found[0].tolist() == pytest.approx([0.3 / 0.6])
    both = in_words_of(shipped, row, ["roof", "boats"])
    assert both is not None and both[0].tolist() == pytest.approx([0.3, 0.4])


def test_a_project_of_land_cover_names_everything_there_is() -> None:
    found = words(
        {"building": 0.2, "water": 0.0, "road": 0.2, "tree": 0.1, "background": 0.1, "vegetation": 0.1}, "building", "road", "tree"
    )
    assert found is not None and sum(found) < 0.9
    shipped = ("background", "building", "car", "road", "tree", "water")
    row = np.array([[0.1, 0.2, 0.1, 0.1, 0.1, 0.4]], np.float32)
    four = in_words_of(shipped, row, ["building", "car", "road", "tree"])
    assert four is not None and four[0].tolist() == pytest.approx([0.2 / 0.6, 0.1 / 0.6, 0.1 / 0.6, 0.1 / 0.6])
