"""FocalClick's training: both views of a sample, the clicks in both, and one step on all of its losses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from click_scenes import losses, network, samples, squares
from torch import Tensor, nn

from backend.inference.crop import Crop, Roi
from backend.segmenters.focalclick import FocalLogits, Part
from backend.training.focal_crops import AlignedCrop, RefinerCrop
from backend.training.focal_training import FocalSample, FocalSettings, FocalTraining, in_parts
from backend.training.losses import cross_entropy_over_all, normalized_focal_loss, weighted_focal_loss
from backend.training.points_sampler import PointsSampler
from backend.training.trimap import trimap

SETTINGS = FocalSettings(crop=AlignedCrop(size=128), sampler=PointsSampler(max_points=6, centred=True), fewest=200)


class Recorder(nn.Module):
    """Constant logits, and what was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.tensor(-1.0))
        self.asked: list[tuple[Tensor, Tensor, Part | None, bool]] = []

    def forward(self, x: Tensor, points: Tensor, part: Part | None = None) -> Tensor | FocalLogits:
        self.asked.append((x, points.clone(), part, self.training))
        logits = self.logit.expand(len(x), 1, *x.shape[2:])
        return logits if part is None else FocalLogits(logits, 2 * logits, 3 * logits, 4 * logits)


def clicks_of(seed: int) -> int:
    return int(np.random.default_rng(seed).integers(0, 4))


def test_the_part_is_the_same_piece_of_the_image_at_more_detail() -> None:
    method = FocalTraining(replace(SETTINGS, part=RefinerCrop(whole_prob=0.0, small=0)))
    for sample in samples(method, 8):
        assert sample.image.shape == sample.coarse.image.shape == (128, 128, 3)
        row0, col0, row1, col1 = sample.box
        middles = [(first + (np.arange(128) + 0.5) * (last - first) / 128).astype(int) for first, last in ((row0, row1), (col0, col1))]
        enlarged = sample.coarse.target[np.ix_(*middles)]
        assert (enlarged == sample.target).mean() > 0.95
        bright = sample.image.mean(axis=2) > sample.image.mean()
        assert (bright == (sample.target == 1))[sample.target >= 0].mean() > 0.95  # image and target agree, light or not


def test_a_sample_survives_a_checkpoint() -> None:
    method = FocalTraining(SETTINGS)
    (sample,) = samples(method, 1)
    again: FocalSample = method.unpacked(method.packed(sample))
    assert again.box == sample.box and method.going_on([sample], np.random.default_rng(0)) == []
    np.testing.assert_array_equal(again.image, sample.image)
    np.testing.assert_array_equal(again.coarse.points, sample.coarse.points)


@pytest.mark.parametrize("limit", [{"fewest": 128 * 128}, {"largest": 0.0001}])
def test_objects_too_small_or_too_large_in_the_crop_are_left_out(limit: dict[str, float]) -> None:
    pool, rng = squares(2), np.random.default_rng(0)
    assert any(FocalTraining(SETTINGS).draw(pool, rng) is not None for _ in range(20))
    assert all(FocalTraining(replace(SETTINGS, **limit)).draw(pool, rng) is None for _ in range(20))  # type: ignore[arg-type]


def test_the_last_click_lies_in_the_part_and_both_networks_see_it() -> None:
    method, seed = FocalTraining(SETTINGS), next(seed for seed in range(99) if clicks_of(seed) == 2)
    batch, net = samples(method, 4), Recorder().train()
    method.loss(net, batch, np.random.default_rng(seed), "cpu")
    assert [training for *_, training in net.asked] == [False, False, True]
    assert [part is None for _, _, part, _ in net.asked] == [True, True, False]
    _, points, part, _ = net.asked[-1]
    assert part is not None
    for sample, coarse, fine, row in zip(batch, points, part.points, part.box, strict=True):
        assert coarse[3:6, 2].tolist() == [3, 2, 1]
        row0, col0, row1, col1 = sample.box
        assert row[1:].tolist() == pytest.approx([col0, row0, col1, row1])
        assert row0 <= coarse[3, 0] + 0.5 <= row1 and col0 <= coarse[3, 1] + 0.5 <= col1
        assert ((fine[3, :2] >= -1) & (fine[3, :2] < 128)).all()
        assert sample.coarse.target[int(coarse[3, 0]), int(coarse[3, 1])] == 1
    assert part.box[:, 0].tolist() == [0, 1, 2, 3]


def test_clicks_of_a_part_are_placed_as_in_serving() -> None:
    clicks = [(40.0, 50.0, True), (10.0, 120.0, True), (63.0, 31.0, False)]
    points = torch.tensor([[*((row, col, 0.0) for row, col, _ in clicks), (-1.0, -1.0, -1.0)]])
    served = Crop(Roi(20, 69, 30, 93), (128, 128)).clicks(clicks)
    placed = in_parts(points, [(20.0, 30.0, 70.0, 94.0)], (128, 128))[0]
    np.testing.assert_allclose(placed[:3, :2], [click[:2] for click in served])
    assert placed[3].tolist() == [-1, -1, -1]


def test_the_loss_adds_coarse_refined_and_doubt_and_four_tenths_of_the_auxiliary() -> None:
    method = FocalTraining(replace(SETTINGS, auxiliary_weight=0.4))
    batch, net = samples(method, 3), Recorder().train()
    step = method.loss(net, batch, np.random.default_rng(0), "cpu")
    target, close = (torch.tensor(np.stack(one))[:, None].float() for one in ([s.coarse.target for s in batch], [s.target for s in batch]))
    doubtful = torch.tensor(np.stack([trimap(sample.target == 1) for sample in batch]))[:, None].float()
    logits = torch.full_like(target, -1.0)
    expected = normalized_focal_loss(logits, target).mean() + weighted_focal_loss(3 * logits, close, doubtful)
    expected = expected + cross_entropy_over_all(4 * logits, doubtful).mean() + 0.4 * cross_entropy_over_all(2 * logits, target).mean()
    torch.testing.assert_close(step.loss.detach(), expected)
    assert set(step.scalars) == {"focal", "refined", "doubt", "iou", "iou_refined"}


def test_the_network_answers_a_part_as_it_does_when_it_serves() -> None:
    net = network("focalclick").eval()
    x, points = torch.rand(2, 4, 128, 128), torch.tensor([[[30.0, 40, 0], [-1, -1, -1]], [[60.0, 70, 0], [5, 5, 1]]])
    part = Part(torch.rand(2, 3, 128, 128), points, torch.tensor([[0, 10.0, 20, 80, 90], [1, 0, 0, 128, 64]]))
    with torch.no_grad():
        found = net(x, points, part)
        logits, features = net.coarse(x, points)  # type: ignore[operator]
        torch.testing.assert_close(found.coarse, logits)
        torch.testing.assert_close(found.refined, net.refine(part.image, part.points, features, logits, part.box))  # type: ignore[operator]
        torch.testing.assert_close(net(x, points), logits)


def test_a_few_steps_on_the_same_samples_lower_the_loss_of_both_networks() -> None:
    method = FocalTraining(SETTINGS)
    net = network("focalclick")
    before = {name: value.clone() for name, value in net.state_dict().items() if name.startswith("refiner.refine_pred")}
    history = losses(method, net, 10, 5e-3, batch=4)
    assert np.mean(history[-3:]) < 0.75 * history[0]
    assert all((net.state_dict()[name] != value).any() for name, value in before.items())
