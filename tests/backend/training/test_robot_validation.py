"""What weights are worth: the robot's clicks on held-out objects, the sample it clicks on, the page it leaves."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scene_pools import scene_pool

from backend.evaluation.noc import ObjectResult
from backend.evaluation.robot import annotate
from backend.segmenters import catalogue, registry
from backend.training.objects import Pool, PooledObject
from backend.training.validation import SIDE, RobotValidation, chosen_objects, held_out, noc, scores, segmenter_of


@pytest.fixture(scope="module")
def pool() -> Pool:
    return scene_pool([0], 512, 60)


def result(*ious: float) -> ObjectResult:
    return ObjectResult("m", "m@1", "0", (0, 0, 9, 9), 0, "roof", 30, ((True, 1, 1),) * len(ious), ious, (1,) * len(ious))


def test_scores_count_clicks_and_keep_the_last_iou_of_objects_that_were_good_early() -> None:
    found = scores([result(0.5, 0.85, 0.92), result(*[0.3] * 20)])
    assert found["noc80"] == (2 + 20) / 2 and found["noc90"] == (3 + 20) / 2
    assert found["miou@1"] == pytest.approx(0.4) and found["miou@5"] == pytest.approx((0.92 + 0.3) / 2)


def test_the_sample_is_fixed_holds_nothing_twice_and_never_what_is_not_drawn() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    items = tuple(PooledObject(0, "roof", (row, 0, row + 4, 4), np.ones((4, 4), np.int8)) for row in range(20))
    pool = Pool((image,), items, np.array([0.0] * 5 + [1 / 15] * 15))
    sample = chosen_objects(pool, 8, seed=3)
    assert sample == chosen_objects(pool, 8, seed=3) == sorted(set(sample)) and len(sample) == 8
    assert chosen_objects(pool, 100, seed=3) == list(range(5, 20))
    assert sample != chosen_objects(pool, 8, seed=4)


def test_an_object_is_seen_in_a_window_of_a_large_image() -> None:
    image = np.zeros((3000, 1400, 3), np.uint8)
    image[2000:2100, 30:70] = 9
    mask = np.ones((100, 40), np.int8)
    mask[0] = -1
    pool = Pool((image,), (PooledObject(0, "roof", (2000, 30, 2100, 70), mask),), np.ones(1))
    one = held_out(pool, 0)
    col, row, width, height = one.window
    assert (width, height) == (SIDE, SIDE) and col == 0 and row <= 2000 and row + height >= 2100
    np.testing.assert_array_equal(one.gt != 0, one.pixels[..., 0] == 9)
    assert (one.gt == -1).sum() == 40


def test_the_robot_does_what_it_does_in_bench(pool: Pool) -> None:
    segmenter = registry.load("vitclick_tiny")
    objects = chosen_objects(pool, 3, seed=0)
    found = noc(segmenter, pool, objects, name="tiny", max_clicks=4, stop_at=None)
    assert [one.index for one in found] == objects and {one.model for one in found} == {"tiny"}
    item = pool.objects[objects[0]]
    gt = np.zeros((512, 512), np.int8)
    gt[item.box[0] : item.box[2], item.box[1] : item.box[3]] = item.mask
    path = annotate(segmenter, segmenter.encode(pool.images[0]), gt, max_clicks=4)
    assert (found[0].clicks, found[0].ious) == (path.clicks, path.ious)
    assert found[0].area == (gt == 1).sum() and found[0].class_name == item.class_name


def test_weights_in_training_answer_as_the_file_they_become(pool: Pool, tmp_path: Path) -> None:
    """Rounded to float16, in the inference form, with the entry's way of predicting; and the network in training stays what it is."""
    entry = catalogue.entry("vitclick_tiny")
    torch.manual_seed(1)
    net = registry.build("vitclick", "tiny")
    torch.nn.init.constant_(net.predict.bias, 0.1)  # type: ignore[arg-type, union-attr] - the layer has a bias
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.random.get_rng_state()
    validation = RobotValidation(entry, pool, chosen_objects(pool, 2, seed=0), tmp_path)
    judged = validation.judge(net.state_dict(), 7)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert judged.cost == pytest.approx(judged.scores["noc80"] + judged.scores["noc90"])
    assert validation.judge(net.state_dict(), 8).scores == judged.scores
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    validation.write(tmp_path / "best.safetensors", net.state_dict())
    live, stored = segmenter_of(entry, net.state_dict()), registry.load(str(tmp_path / "best.safetensors"))
    one, other = (noc(each, pool, validation.objects, name="tiny", max_clicks=3) for each in (live, stored))
    assert [(each.clicks, each.ious) for each in one] == [(each.clicks, each.ious) for each in other]


def test_every_validation_leaves_a_page_of_examples(pool: Pool, tmp_path: Path) -> None:
    entry = catalogue.entry("vitclick_tiny")
    weights = registry.build("vitclick", "tiny").state_dict()
    validation = RobotValidation(entry, pool, chosen_objects(pool, 3, seed=0), tmp_path)
    for step in (5, 12000):
        validation.judge(weights, step)
    pages = sorted((tmp_path / "examples").glob("*.png"))
    assert [page.name for page in pages] == ["step_00005.png", "step_12000.png"]
    picture = cv2.imread(str(pages[0]))
    assert picture is not None and picture.shape[1] > 5 * 224 and picture.shape[0] > 3 * 224
    truth = picture[26 : 26 + 224, 236:460].astype(int)  # second column of the first row
    assert (truth[..., 0] < truth[..., 2] - 40).any()  # the object is tinted yellow
    index = (tmp_path / "examples" / "index.html").read_text()
    assert index.index("step_12000.png") < index.index("step_00005.png") and "noc90" in index
    assert json.loads((tmp_path / "examples" / "step_00005.json").read_text()).keys() >= {"noc80"}
    assert not list((tmp_path / "examples").glob(".*"))
