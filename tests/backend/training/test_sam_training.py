"""SAM's training: views, prompts round by round, the loss of three masks, and steps that learn, on the whole and on kept embeddings."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything.modeling import Sam
from torch import nn

from backend.errors import UsageError
from backend.segmenters import catalogue, registry
from backend.training.losses import sample_loss
from backend.training.methods import method_of
from backend.training.objects import Pool, PooledObject
from backend.training.recipes import recipe
from backend.training.sam_prompts import NO_POINT, Prompts
from backend.training.sam_training import SamSettings, SamTraining, fixed_statistics, overlap, prompt_loss
from backend.training.sam_views import ViewSettings, ViewSource

SIDE = 64
VIEWS = ViewSettings(side=SIDE, smallest=48, largest=80, objects=3)
SETTINGS = SamSettings(views=VIEWS)


def pool(images: int = 2) -> Pool:
    """Bright squares of 20 px in the corners of dark pictures of 100 px."""
    pictures, objects = [], []
    rng = np.random.default_rng(0)
    for number in range(images):
        picture = rng.integers(20, 60, (100, 100, 3), dtype=np.uint8)
        for row, col in ((10, 10), (10, 70), (65, 12), (66, 66)):
            picture[row : row + 20, col : col + 20] += 150
            objects.append(PooledObject(number, "roof", (row, col, row + 20, col + 20), np.ones((20, 20), np.int8)))
        pictures.append(picture)
    return Pool(tuple(pictures), tuple(objects), np.full(len(objects), 1 / len(objects)))


def network() -> Sam:
    torch.manual_seed(0)
    net = registry.build("sam", "tiny_vit_64")
    assert isinstance(net, Sam)
    return net.train()


# --- views


def test_a_view_shows_its_objects_where_they_are() -> None:
    source, rng = ViewSource(VIEWS), np.random.default_rng(1)
    found = [view for view in (source.view(pool(), rng, augment=False) for _ in range(20)) if view is not None]
    assert found
    for view in found:
        assert view.image.shape == (SIDE, SIDE, 3)
        assert 1 <= len(view.targets) <= 3
        for target in view.targets:
            assert view.image[target == 1].mean() > 150
    assert max(len(view.targets) for view in found) > 1
    # everything bright is an object of the first view that shows but one
    assert all(not np.array_equal(a, b) for view in found for a in view.targets[:1] for b in view.targets[1:])


def test_a_view_is_augmented_with_its_targets() -> None:
    source = ViewSource(replace(VIEWS, objects=1))
    for seed in range(10):
        view = source.view(pool(), np.random.default_rng(seed))
        if view is None:
            continue
        bright = view.image.astype(int).sum(axis=2)
        assert bright[view.targets[0] == 1].mean() > bright[view.targets[0] == 0].mean()


def test_an_image_that_is_not_square_is_padded_with_zeros() -> None:
    whole = pool(1)
    wide = Pool((np.full((30, 100, 3), 200, np.uint8),), (replace(whole.objects[0], box=(5, 10, 25, 30)),), np.ones(1))
    view = ViewSource(replace(VIEWS, smallest=100, largest=100)).view(wide, np.random.default_rng(0), augment=False)
    assert view is not None
    assert view.image[: 64 * 30 // 100].all()
    assert not view.image[-40:].any()
    assert not view.targets[:, -40:].any()


# --- prompts


def targets() -> np.ndarray:
    both = np.zeros((2, SIDE, SIDE), np.int8)
    both[0, 10:30, 10:30] = 1
    both[1, 40:50, 20:60] = 1
    return both


def test_the_first_click_lies_in_the_object_and_the_next_in_the_error() -> None:
    rng = np.random.default_rng(0)
    prompts = Prompts.begin(targets(), "click", 0.1, rng)
    assert prompts.ambiguous
    for (x, y, label), target in zip((points[0] for points in prompts.points), targets(), strict=True):
        assert label == 1
        assert target[int(y), int(x)] == 1
    # The first is found but for its right half, the second comes with too much above it.
    answers = [targets()[0].astype(np.float32), targets()[1].astype(np.float32)]
    answers[0][:, 20:] = 0
    answers[1][:20] = 1
    prompts.answered(torch.zeros(2, 1, SIDE, SIDE), answers, rng)
    (x, y, label), (_, above, wrong) = (points[1] for points in prompts.points)
    assert (label, wrong) == (1, 0)
    assert 20 <= x < 30
    assert 10 <= y < 30
    assert above < 20
    assert not prompts.ambiguous


def test_an_object_that_is_right_gets_no_further_point() -> None:
    rng = np.random.default_rng(0)
    prompts = Prompts.begin(targets(), "click", 0.1, rng)
    prompts.answered(torch.zeros(2, 1, SIDE, SIDE), list(targets().astype(np.float32)), rng)
    tensors = prompts.point_tensors("cpu")
    assert tensors is not None
    assert tensors[0].shape == (2, 2, 2)
    assert tensors[1][:, 1].tolist() == [NO_POINT, NO_POINT]


def test_boxes_are_about_right_and_within_the_view() -> None:
    boxes = np.stack(
        [Prompts.begin(targets(), "box", 0.1, np.random.default_rng(seed)).box_tensor("cpu")[0].numpy() for seed in range(200)]
    )  # type: ignore[index]
    off = boxes - np.array([10, 10, 29, 29])
    assert np.abs(off).max() <= 0.2 * 20 + 1e-3
    assert 0.05 * 20 < off.std() < 0.12 * 20
    exact = Prompts.begin(targets(), "box", 0.0, np.random.default_rng(0))
    assert exact.boxes is not None
    assert exact.boxes.tolist() == [[10, 10, 29, 29], [20, 40, 59, 49]]
    assert exact.point_tensors("cpu") is None
    assert not exact.ambiguous


# --- the loss


def test_only_the_best_of_three_masks_learns_its_shape_and_all_learn_how_good_they_are() -> None:
    labels = torch.from_numpy(targets().astype(np.float32))[:, None]
    right = (labels * 2 - 1) * 4
    logits = torch.cat([-right, right, torch.full_like(right, -1.0)], dim=1).requires_grad_()
    quality = torch.tensor([[0.9, 0.1, 0.2], [0.0, 0.5, 0.3]], requires_grad=True)
    loss, chosen = prompt_loss(logits, quality, labels, 2.0)
    reached = torch.tensor([[0.0, 1.0, 0.0]] * 2)
    expected = sample_loss(right, labels).mean() + 2.0 * (quality - reached).square().mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert chosen.tolist() == [0, 1]
    loss.backward()
    assert logits.grad is not None
    assert quality.grad is not None
    assert logits.grad[:, 1].abs().sum() > 0
    assert not logits.grad[:, [0, 2]].any()
    assert (quality.grad.sign() == (quality.detach() - reached).sign()).all()


def test_overlap_leaves_ignored_pixels_out() -> None:
    labels = torch.tensor([1.0, 1.0, 0.0, -1.0]).view(1, 1, 2, 2)
    assert overlap(torch.tensor([1.0, -1.0, 1.0, 1.0]).view(1, 1, 2, 2), labels).item() == pytest.approx(1 / 3)


# --- the method


def run(method: SamTraining, net: Sam, steps: int, rate: float = 2e-3) -> list[float]:
    """The IoU of the masks of each step."""
    data, rng = pool(), np.random.default_rng(0)
    optimiser = torch.optim.Adam(net.parameters(), lr=rate)
    history = []
    for _ in range(steps):
        views = [view for view in (method.draw(data, rng) for _ in range(3)) if view is not None]
        result = method.loss(net, views, rng, "cpu")
        optimiser.zero_grad(set_to_none=True)
        result.loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        history.append(result.scalars["iou"])
    return history


def trained_parts(before: dict[str, torch.Tensor], net: Sam) -> set[str]:
    changed = {name for name, tensor in net.state_dict().items() if not torch.equal(tensor, before[name])}
    parts = {"mask_decoder": "decoder", "prompt_encoder": "prompts", "image_encoder.neck": "neck", "image_encoder.stages.3": "last"}
    return {next((part for prefix, part in parts.items() if name.startswith(prefix)), "first") for name in changed}


@pytest.mark.parametrize(
    ("trained", "parts"),
    [
        ("all", {"decoder", "prompts", "neck", "last", "first"}),
        ("last", {"decoder", "prompts", "neck", "last"}),
        ("decoder", {"decoder", "prompts"}),
    ],
)
def test_steps_change_what_is_trained_and_nothing_else(tmp_path: Path, trained, parts) -> None:
    net = network()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    run(SamTraining(replace(SETTINGS, trained=trained, kept=4, embeddings=str(tmp_path))), net, 2)
    assert trained_parts(before, net) == parts
    statistics = [name for name in before if "running_" in name or "num_batches" in name]
    assert all(torch.equal(net.state_dict()[name], before[name]) for name in statistics)
    assert net.training


def test_the_decoder_learns_to_find_what_was_clicked(tmp_path: Path) -> None:
    """From random weights: nothing for most of the steps, then quickly. Embeddings of two views are computed once."""
    views = replace(VIEWS, objects=2)
    settings = replace(SETTINGS, trained="decoder", kept=2, rounds=(1.0,), box_share=0.0, views=views, embeddings=str(tmp_path))
    ious = run(SamTraining(settings), network(), 110, rate=3e-3)
    assert np.mean(ious[:10]) < 0.2
    assert np.mean(ious[-10:]) > 0.5


def test_embeddings_are_computed_once_for_each_view_that_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = network()
    method = SamTraining(replace(SETTINGS, trained="decoder", kept=3, embeddings=str(tmp_path)))
    calls: list[int] = []
    encode = net.image_encoder.forward
    monkeypatch.setattr(net.image_encoder, "forward", lambda x: (calls.append(len(x)), encode(x))[1])
    data, rng = pool(), np.random.default_rng(0)
    drawn = [view for view in (method.draw(data, rng) for _ in range(30)) if view is not None]
    different = {view.image.tobytes() for view in drawn}
    assert 1 < len(different) <= 3
    first = method.loss(net, drawn, np.random.default_rng(5), "cpu")
    assert sum(calls) == len(different)
    again = SamTraining(method.settings).loss(net, drawn, np.random.default_rng(5), "cpu")
    assert sum(calls) == len(different)  # read from the files
    assert again.loss.item() == pytest.approx(first.loss.item(), rel=1e-6)
    assert {np.load(file).dtype for file in tmp_path.rglob("*.npy")} == {np.dtype(np.float16)}
    assert not list(tmp_path.rglob("*.part"))
    # Another encoder has other embeddings.
    with torch.no_grad():
        net.image_encoder.neck[0].weight.mul_(1.1)  # type: ignore[index, union-attr, operator]
    SamTraining(method.settings).loss(net, drawn[:1], np.random.default_rng(5), "cpu")
    assert sum(calls) == len(different) + 1


def test_a_step_is_repeatable() -> None:
    view = SamTraining(SETTINGS).draw(pool(), np.random.default_rng(2))
    assert view is not None
    losses = {SamTraining(SETTINGS).loss(network(), [view], np.random.default_rng(3), "cpu").loss.item() for _ in range(2)}
    assert len(losses) == 1
    method = SamTraining(SETTINGS)
    back = method.unpacked(method.packed(view))
    assert np.array_equal(back.image, view.image)
    assert np.array_equal(back.targets, view.targets)


def test_other_networks_are_refused(tmp_path: Path) -> None:
    method = SamTraining(SETTINGS)
    view = method.draw(pool(), np.random.default_rng(2))
    assert view is not None
    with pytest.raises(UsageError, match="SAM family, not Linear"):
        method.loss(nn.Linear(1, 1), [view], np.random.default_rng(0), "cpu")
    published = registry.build("sam", "tiny")
    with pytest.raises(UsageError, match="of a TinyViT only"):
        SamTraining(replace(SETTINGS, trained="last", embeddings=str(tmp_path))).loss(published, [view], np.random.default_rng(0), "cpu")


def test_statistics_are_fixed_for_a_while_only() -> None:
    net = nn.Sequential(nn.BatchNorm2d(2), nn.Dropout())
    with fixed_statistics(net):
        net(torch.rand(2, 2, 3, 3))
        assert net[1].training
    assert net[0].training
    assert not net[0].running_mean.any()


# --- recipes


@pytest.mark.parametrize(("name", "trained"), [("sam", "all"), ("sam_last", "last"), ("sam_decoder", "decoder")])
def test_recipes_show_views_of_the_networks_size_and_can_be_written_on_a_card(name: str, trained: str) -> None:
    method = method_of(recipe(name), catalogue.entry("sam_tiny_vit_tiny"))
    assert isinstance(method, SamTraining)
    assert (method.settings.trained, method.settings.views.side) == (trained, 64)
    assert json.loads(json.dumps(asdict(recipe(name))))["method"]["trained"] == trained
    with pytest.raises(UsageError, match="trains networks of sam, and ritm_tiny is of the family ritm"):
        method_of(recipe(name), catalogue.entry("ritm_tiny"))
