"""Clicks of accepted objects: every number against a hand count, and every region either counted or named."""

from __future__ import annotations

import random
import statistics
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.click_statistics import ClickStatistics, Tally, clicks_of
from converters.errors import TaskError
from converters.label_studio_export import read_export

RING = [[10, 10], [20, 10], [20, 20]]


def a_region(label: str = "roof", made_by: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    region = {"id": f"r{random.random()}", "type": "polygonlabels", "value": {"points": RING, "closed": True, "polygonlabels": [label]}}
    return {**region, **({"meta": {"rsiseg": made_by}} if made_by is not None else {}), **more}


def made(clicks: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "version": "m@1", "clicks": clicks, "cfr": "off", **more}


def a_task(*results: list[dict[str, Any]], **annotation: Any) -> dict[str, Any]:
    annotations = [{"id": n, "completed_by": n + 1, "result": result, **annotation} for n, result in enumerate(results)]
    return {"id": 1, "data": {}, "annotations": annotations}


def counted(*tasks: dict[str, Any]) -> dict[str, Any]:
    counter = ClickStatistics()
    counter.count(read_export(list(tasks)))
    return counter.report()


def test_means_medians_and_shares_are_of_objects_with_clicks() -> None:
    took = [1, 1, 2, 3, 20, 21]
    report = counted(a_task([a_region(made_by=made(clicks)) for clicks in took] + [a_region(), a_region(made_by=made(0, proposed=True))]))
    numbers = report["all"]
    assert (numbers["objects"], numbers["clicked"], numbers["by_hand"], numbers["proposals"]) == (8, 6, 1, 1)
    assert numbers["clicks"] == sum(took)
    assert numbers["mean"] == statistics.fmean(took)
    assert numbers["median"] == statistics.median(took)
    assert numbers["mean_with_proposals"] == pytest.approx(sum(took) / 7)
    assert numbers["one_click"] == pytest.approx(2 / 6)
    assert numbers["beyond_limit"] == pytest.approx(1 / 6)  # 20 is within the study's limit, 21 is not
    assert report["left_out"] == {}


@given(st.lists(st.integers(1, 40), min_size=1))
@settings(deadline=None)
def test_the_median_is_the_standard_librarys(took: list[int]) -> None:
    tally = Tally()
    tally.clicks.update(took)
    assert tally.numbers()["median"] == statistics.median(took)
    assert tally.numbers()["mean"] == pytest.approx(statistics.fmean(took))


def test_nothing_clicked_has_no_mean() -> None:
    numbers = counted(a_task([a_region()]))["all"]
    assert [numbers[name] for name in ("mean", "median", "mean_with_proposals", "one_click", "beyond_limit")] == [None] * 5


def test_groups_are_classes_models_both_and_annotators() -> None:
    report = counted(
        a_task(
            [a_region("roof", made(1)), a_region("tree", made(4)), a_region("tree", made(2, version="m@2"))],
            [a_region("tree", made(6)), a_region("tree")],
        )
    )
    assert [(one["class"], one["objects"], one["mean"]) for one in report["by_class"]] == [("roof", 1, 1), ("tree", 4, 4)]
    assert [(one["model"], one["objects"], one["mean"]) for one in report["by_model"]] == [
        ("by hand", 1, None), ("m@1", 3, pytest.approx(11 / 3)), ("m@2", 1, 2),
    ]  # fmt: skip
    assert [(one["class"], one["model"], one["objects"]) for one in report["by_class_and_model"]] == [
        ("roof", "m@1", 1), ("tree", "by hand", 1), ("tree", "m@1", 2), ("tree", "m@2", 1),
    ]  # fmt: skip
    assert [(one["annotator"], one["clicks"]) for one in report["by_annotator"]] == [("1", 7), ("2", 6)]


def test_an_annotator_by_e_mail_and_one_that_is_not_said() -> None:
    tasks = [a_task([a_region(made_by=made(1))], completed_by=who) for who in ({"id": 3, "email": "a@example.org"}, None)]
    assert [one["annotator"] for one in counted(*tasks)["by_annotator"]] == ["a@example.org", "unknown"]


def test_clicks_before_a_refinement_count_and_a_box_is_one_click() -> None:
    assert clicks_of(made(2, clicks_before=3, refines="annotation")) == 5
    assert clicks_of(made(0, box=True)) == 1 and clicks_of(made(1, box=True)) == 1
    assert clicks_of({}) == 0
    report = counted(a_task([a_region(made_by=made(2, clicks_before=19, refines="draft"))]))
    assert report["all"]["beyond_limit"] == 1 and report["all"]["clicked"] == 1


@pytest.mark.parametrize("clicks", [None, "3", -1, 1.5, True, [1]])
def test_clicks_that_are_no_number_are_named_and_not_counted(clicks: Any) -> None:
    report = counted(a_task([a_region(made_by=made(clicks)), a_region(made_by=made(1, clicks_before=clicks or "none"))]))
    assert report["all"]["objects"] == 0
    assert report["left_out"] == {"regions whose meta.rsiseg says no number of clicks that can be read": 2}


def test_proposals_untouched_refined_and_changed_by_hand_are_told_apart() -> None:
    numbers = counted(
        a_task(
            [
                a_region(made_by=made(0, proposed=True), origin="prediction"),
                a_region(made_by=made(0, proposed=True), origin="prediction-changed"),
                a_region(made_by=made(2, proposed=True)),
                a_region(made_by=made(1, clicks_before=0, refines="prediction")),
                a_region(origin="prediction"),  # a label that `rsiseg import --labels` brought along
                a_region(origin="manual"),
            ]
        )
    )["all"]
    assert (numbers["proposals"], numbers["changed_by_hand"], numbers["refined_proposals"], numbers["clicked"]) == (2, 1, 2, 0)
    assert numbers["by_hand"] == 1
    assert numbers["mean"] == 1.5 and numbers["mean_with_proposals"] == 0.6


def test_a_mask_that_was_stored_again_as_a_key_point_counts_once() -> None:
    mask = a_region(made_by=made(3), id="same")
    again = {"id": "same", "type": "keypointlabels", "value": {"x": 1, "y": 1, "keypointlabels": ["roof"]}, "meta": mask["meta"]}
    report = counted(a_task([mask, again]))
    assert report["all"]["objects"] == 1 and report["left_out"] == {}


def test_what_is_no_accepted_object_is_left_out_by_name() -> None:
    prompt = {"id": "p", "type": "keypointlabels", "value": {"x": 1, "y": 1, "keypointlabels": ["roof"]}}
    report = counted(
        a_task([prompt, a_region(made_by=made(1))]),
        a_task([a_region(made_by=made(9)), a_region(made_by=made(9))], was_cancelled=True),
        {"id": 3, "data": {}, "annotations": [], "drafts": [{"result": [a_region(made_by=made(5))]}]},
    )
    assert (report["tasks"], report["annotated_tasks"], report["all"]["objects"], report["all"]["clicks"]) == (3, 1, 1, 1)
    assert sorted(report["left_out"].values()) == [1, 1, 2]
    reasons = " / ".join(report["left_out"])
    assert "key point left in the annotation" in reasons and "skipped (cancelled)" in reasons and "without an annotation" in reasons


META = st.fixed_dictionaries(
    {}, optional={"clicks": st.integers(-2, 30) | st.none(), "clicks_before": st.integers(0, 9), "box": st.booleans()}
)


@given(st.lists(st.none() | META, max_size=6), st.booleans())
@settings(deadline=None)
def test_every_region_is_counted_or_left_out(metas: list[dict[str, Any] | None], cancelled: bool) -> None:
    report = counted(a_task([a_region(made_by=meta, id=str(n)) for n, meta in enumerate(metas)], was_cancelled=cancelled))
    numbers = report["all"]
    assert numbers["objects"] + sum(report["left_out"].values()) == len(metas)
    ways = ("clicked", "refined_proposals", "proposals", "changed_by_hand", "by_hand")
    assert sum(numbers[name] for name in ways) == numbers["objects"]
    for groups in (report["by_class"], report["by_model"], report["by_class_and_model"], report["by_annotator"]):
        assert sum(group["objects"] for group in groups) == numbers["objects"]
        assert sum(group["clicks"] for group in groups) == numbers["clicks"]


def test_another_format_is_refused() -> None:
    with pytest.raises(TaskError, match="JSON_MIN"):
        counted({"annotation_id": 1, "data": {}})
