"""Objects that share forward passes: the same IoU of every click, and groups that never depend on what was done before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from backend.commands.bench import command
from backend.errors import UsageError
from backend.evaluation.data_source import Source
from backend.evaluation.objects_table import read_objects
from backend.evaluation.plan import CHUNK, Protocol, Subject, Target, TargetLists, in_order, plan_visits

pytestmark = pytest.mark.usefixtures("one_thread")

FAMILIES = ("vitclick_tiny", "simpleclick_tiny+acfr2@clicks=all", "ritm_tiny", "focalclick_tiny", "sam_tiny", "grabcut")


def bench(*arguments: object) -> None:
    assert CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False).exit_code == 0


def test_every_family_gets_the_same_iou_after_every_click_at_every_batch_size(data: Path, tmp_path: Path) -> None:
    models = [word for name in FAMILIES for word in ("--model", name)]
    for batch in (1, 2, 8):
        bench("--data", data, *models, "--limit", 5, "--precision", "fp32", "--batch", batch, "--json", tmp_path / f"{batch}.json")
    alone, *together = (read_objects(tmp_path / f"{batch}.objects.parquet") for batch in (1, 2, 8))
    assert len(alone) == 5 * len(FAMILIES)
    for results in together:
        for one, other in zip(alone, results, strict=True):
            assert (one.model, one.image, one.index) == (other.model, other.image, other.index)
            assert np.abs(np.subtract(one.ious, other.ious)).max() <= 1e-3


def test_another_batch_size_is_another_run(data: Path, tmp_path: Path) -> None:
    bench("--data", data, "--model", "ritm_tiny", "--batch", 2, "--json", tmp_path / "out.json")
    with pytest.raises(UsageError, match="batch = 2, this run has 3"):
        bench("--data", data, "--model", "ritm_tiny", "--batch", 3, "--json", tmp_path / "out.json", "--resume")


def targets_of(data: Path) -> list[Target]:
    protocol = Protocol(Source(data))
    return TargetLists(protocol).of(protocol.source.open())


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("batch", [1, 2, 3, 8])
def test_groups_follow_from_targets_and_batch_alone(data: Path, batch: int, workers: int) -> None:
    targets = targets_of(data)
    rng = np.random.default_rng(batch)
    whole = plan_visits(targets, Subject("m"), lambda _: False, batch=batch, workers=1)
    every = {(visit.image, group) for visit in whole for group in visit.groups}
    assert sum(len(group) for _, group in every) == len(targets)
    for _ in range(20):
        done = {target for target in targets if rng.random() < 0.5}
        left = plan_visits(targets, Subject("m"), done.__contains__, batch=batch, workers=workers)
        missing = {(visit.image, group) for visit in left for group in visit.groups}
        assert missing <= every
        by_place = {(target.image, target.index): target for target in targets}
        for image, group in every:
            assert ((image, group) in missing) == any(by_place[image, index] not in done for index in group)


def test_few_patches_are_shared_among_workers_and_many_are_not(data: Path) -> None:
    targets = [Target("a.png", (0, 0, 9, 9), index, "roof", 50) for index in range(3 * CHUNK)]
    assert [len(visit.groups) for visit in plan_visits(targets, Subject("m"), lambda _: False, batch=1, workers=2)] == [CHUNK] * 3
    patches = [Target("a.png", (9 * number, 0, 9, 9), index, "roof", 50) for number in range(8) for index in range(3 * CHUNK)]
    assert len(plan_visits(patches, Subject("m"), lambda _: False, batch=1, workers=2)) == 8


def test_every_model_is_tried_first_where_that_costs_little(data: Path) -> None:
    targets = [Target("a.png", (0, 0, 9, 9), index, "roof", 50) for index in range(3 * CHUNK)]
    planned = [plan_visits(targets, Subject(name), lambda _: False, batch=2, workers=1) for name in ("one", "two")]
    ordered = in_order(planned)
    assert [(visit.subject.model, visit.objects) for visit in ordered] == [("one", 2), ("two", 2), ("one", 22), ("two", 22)]
    assert sorted(group for visit in ordered for group in visit.groups) == sorted(
        group for visits in planned for visit in visits for group in visit.groups
    )
    assert in_order(planned[:1]) == planned[0]
