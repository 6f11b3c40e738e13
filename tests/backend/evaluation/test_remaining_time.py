"""The remaining time of a benchmark: each model at its own measured speed."""

from __future__ import annotations

from backend.evaluation.noc import ObjectResult
from backend.evaluation.remaining_time import RemainingTime


def result(model: str, seconds: float) -> ObjectResult:
    return ObjectResult(model, "v", "a.png", (0, 0, 9, 9), 0, "roof", 50, (), (), (), seconds={"step": seconds} if seconds else {})


def test_models_are_weighed_by_their_own_speed() -> None:
    remaining = RemainingTime.of({"fast": 11, "slow": 6})
    remaining.add([result("fast", 1.0)])
    remaining.add([result("slow", 60.0)])
    assert remaining.estimate(61.0).seconds == 10 * 1.0 + 5 * 60.0
    assert str(remaining.estimate(61.0)) == "5:10"


def test_several_processes_and_waiting_count_as_they_are() -> None:
    remaining = RemainingTime.of({"m": 14})
    remaining.add([result("m", 8.0), result("m", 8.0), result("m", 8.0), result("m", 8.0)])
    assert remaining.estimate(16.0).seconds == 40.0  # 10 objects x 8 s, two at a time
    assert remaining.estimate(64.0).seconds == 160.0  # half the time lost


def test_a_model_that_was_not_measured_makes_the_estimate_a_lower_bound() -> None:
    remaining = RemainingTime.of({"m": 3, "other": 5, "third": 5})
    assert str(remaining.estimate(0.0)) == "?"
    remaining.add([result("m", 10.0)])
    assert str(remaining.estimate(10.0)) == ">= 0:20 (2 models not measured yet)"


def test_an_earlier_run_s_times_are_used_and_rows_without_times_say_nothing() -> None:
    remaining = RemainingTime.of({"m": 400, "n": 0}, [result("m", 30.0), result("m", 10.0), result("n", 0.0)])
    assert str(remaining.estimate(0.0)) == "2:13:20"


def test_nothing_left_is_no_time() -> None:
    remaining = RemainingTime.of({"m": 1})
    remaining.add([result("m", 2.0)])
    assert str(remaining.estimate(2.0)) == "0:00"
