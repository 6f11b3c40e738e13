"""Which of the study's numbers stand beside which of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.evaluation.bench_results import DataSet, Model
from backend.evaluation.noc import ObjectResult
from backend.evaluation.statistics import summarise
from backend.evaluation.study_match import compare, departures, study_model, study_set

SETTINGS = {"data": "d", "kind": "ISPRS Potsdam, RGB, full labels", "patch": 600, "min_area": 30}


def numbers(class_name: str = "building") -> dict:
    """Ten objects of 25 m2 that take 3 clicks to 80 % and are never at 95 %."""
    return summarise(
        [
            ObjectResult("m", "v", "a", (0, 0, 600, 600), index, class_name, 10000, ((True, 0, 0),), (0.1, 0.2, 0.9), (), gsd=0.05)
            for index in range(10)
        ]
    )


def data(bands: str | None, *names: str, **settings: object) -> DataSet:
    models = tuple(Model(name, name, "v", numbers()) for name in names)
    return DataSet("t", bands, SETTINGS | settings, models, (Path("r.json"),))


@pytest.mark.parametrize(
    ("kind", "bands", "found"),
    [
        ("ISPRS Potsdam, RGB, full labels", "RGB", "PRGB"),
        ("ISPRS Potsdam, IRRG from RGBIR files, full labels", "IRRG", "PRGIR"),
        ("ISPRS Potsdam, RGBIR, full labels", "RGIR", "PRGIR"),
        ("ISPRS Potsdam, RGBIR, full labels", "RGBIR", "PRGBIR"),
        ("ISPRS Vaihingen, IRRG, full labels", "IRRG", "VRGIR"),
        ("ISPRS Vaihingen, IRRG, full labels", "RGB", None),
        ("ISPRS Potsdam, RGBIR, full labels", None, None),
        ("COCO instances", "RGB", None),
        ("COCO instances about Potsdam", "RGB", None),
        (None, "RGB", None),
    ],
)
def test_the_set_follows_from_the_tree_and_the_bands(kind: str | None, bands: str | None, found: str | None) -> None:
    assert study_set(data(bands, kind=kind)) == found


@pytest.mark.parametrize(
    ("plain", "refinement", "row"),
    [
        ("simpleclick_vit_base_cocolvis", "", "SimpleClick"),
        ("simpleclick_vit_huge_sbd", "+acfr4@clicks=all", "SimpleClick-CFR"),
        ("icl_vit_huge_cocolvis", "+cfr4", "ICL-CFR"),
        ("ritm_hrnet32_cocolvis", "", "RITM"),
        ("ritm_hrnet32_cocolvis", "+fbrsb", None),
        ("focalclick_segformer_b3_s2", "", "FocalClick"),
        ("sam_vit_b", "", "SAM"),
        ("default", "", None),  # trained here
        ("ritm_hrnet18s", "", None),  # the study's architecture, not its weights
        ("grabcut", "", None),
        ("simpleclick_of_mine.safetensors", "", None),
    ],
)
def test_only_published_weights_are_the_studys_models(plain: str, refinement: str, row: str | None) -> None:
    assert study_model(plain, refinement) == row


def test_untuned_weights_stand_beside_table_1_with_the_difference() -> None:
    (overall,) = compare(data("RGB", "simpleclick_vit_base_cocolvis+cfr4", "default"), "PRGB", {})
    assert (overall.study_model, overall.what, overall.tuned) == ("SimpleClick-CFR", "overall", False)
    assert overall.difference("80") == pytest.approx(3 - 4.94)
    assert overall.difference("95") == pytest.approx(20 - 14.28)


def test_tuned_weights_stand_beside_the_tables_over_all_by_class_and_by_size() -> None:
    found = list(compare(data("RGB", "mine.safetensors"), "PRGB", {"mine.safetensors": "simpleclick_vit_base_cocolvis"}))
    assert [(one.what, one.published[0].table) for one in found] == [
        ("overall", 2),
        ("building", 4),
        ("building (9.03 m2, 36.36 m2]", 6),
    ]
    assert found[2].difference("95") == pytest.approx(20 - 3.78), "the number that is printed as 1.483.78"
    assert found[2].difference("85") is None, "not in the study"


def test_a_number_that_is_a_slip_gets_no_difference() -> None:
    (overall,) = compare(data("IRRG", "mine.safetensors"), "VRGIR", {"mine.safetensors": "ritm_hrnet32_cocolvis"})
    cell = overall.cell("80")
    assert cell is not None
    assert cell.doubt == "repeats Table 1's PRGIR columns"
    assert overall.difference("80") is None


def test_what_differs_from_the_studys_objects_is_said() -> None:
    assert len(departures(SETTINGS, "PRGB")) == 1, "the test tiles are never known to be the same"
    other = departures(
        SETTINGS | {"patch": None, "min_area": 50, "limit": 9, "kind": "ISPRS Potsdam, labels with ignored boundaries"}, "PRGB"
    )
    assert [any(word in sentence for sentence in other) for word in ("whole images", "50 px", "9 objects", "ignored")] == [True] * 4
