"""The verdict on a fine-tuned model: better only where the objects say so beyond chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from backend.evaluation.noc import ObjectResult
from backend.training.verdict import Verdict, judge


def results(clicks: Sequence[int], per_image: int = 5) -> list[ObjectResult]:
    """Objects that reach 80 and 90 % IoU at once, after so many clicks; 21 stands for never."""
    return [
        ObjectResult(
            model="m",
            version="v",
            image=str(number // per_image),
            window=(0, 0, 64, 64),
            index=number,
            class_name="roof",
            area=100,
            clicks=((True, 1, 1),) * min(count, 20),
            ious=(*[0.5] * (min(count, 21) - 1), 0.95)[:20],
            met=(1,) * min(count, 20),
        )
        for number, count in enumerate(clicks)
    ]


def test_fewer_clicks_on_nearly_every_object_are_better() -> None:
    before = [6, 7, 8, 9, 10, 12] * 10
    verdict = judge(results(before), results([count - 2 for count in before[:-1]] + [before[-1] + 1]))
    assert verdict.better
    assert verdict.before == pytest.approx(52 / 6)
    assert verdict.difference == pytest.approx((-2 * 59 + 1) / 60)
    assert (verdict.unit, verdict.units, verdict.objects, verdict.images) == ("image", 12, 60, 12)


def test_one_lucky_object_is_no_better_model() -> None:
    before = [5] * 40
    verdict = judge(results(before), results([1, *before[1:]]))
    assert verdict.difference == pytest.approx(-0.1)
    assert not verdict.better


def test_a_difference_that_goes_both_ways_is_no_better_model() -> None:
    rng = np.random.default_rng(0)
    before = rng.integers(3, 15, 60)
    verdict = judge(results(before), results(np.clip(before + rng.integers(-3, 4, 60), 1, 20)))
    assert verdict.interval is not None
    assert verdict.interval[0] < 0 < verdict.interval[1]
    assert not verdict.better


def test_too_few_objects_are_never_enough() -> None:
    verdict = judge(results([20, 20, 20]), results([1, 1, 1]))
    assert not verdict.better
    assert "too few objects" in str(verdict)


def test_an_object_that_never_gets_good_counts_twenty_clicks() -> None:
    assert judge(results([21] * 8), results([1] * 8)).before == 20.0


def test_the_sentence_names_objects_clicks_and_interval() -> None:
    sentence = str(Verdict(30, 9, 6.5, 5.25, (-1.8, -0.6), "image", 9))
    assert sentence == "30 held-out objects of 9 images: 6.50 clicks before, 5.25 after, -1.25 (95 % interval -1.80 to -0.60)"
