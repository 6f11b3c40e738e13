"""The losses against the originals' recorded values and against cases done by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from backend.training.losses import cross_entropy, cross_entropy_over_all, normalized_focal_loss, soft_iou_loss, weighted_focal_loss


def test_normalized_focal_loss_and_its_gradient_equal_the_recorded_ones(shared: Path) -> None:
    recorded = np.load(shared / "reference/fixtures/protocol_ritm.npz")
    logits = torch.from_numpy(recorded["loss_logits"]).requires_grad_()
    loss = normalized_focal_loss(logits, torch.from_numpy(recorded["loss_labels"]))
    loss.mean().backward()
    assert logits.grad is not None
    np.testing.assert_allclose(loss.detach().numpy(), recorded["loss_nfl_a05_g2"], rtol=1e-5)
    np.testing.assert_allclose(logits.grad.numpy(), recorded["loss_nfl_a05_g2_grad_of_mean"], rtol=1e-5, atol=1e-9)


def test_equal_pixels_weigh_one_each_so_the_loss_is_half_a_cross_entropy() -> None:
    # Every pixel has p = 1/2 for its true class, so the normalised focal weights are all 1 and alpha = 1/2 is left.
    logits = torch.zeros(1, 1, 2, 2)
    labels = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])
    assert math.isclose(float(normalized_focal_loss(logits, labels)), 0.5 * math.log(2), rel_tol=1e-6)


def test_ignored_pixels_change_nothing() -> None:
    logits = torch.tensor([[[[3.0, -2.0, 0.5]]]])
    labels = torch.tensor([[[[1.0, 0.0, -1.0]]]])
    other = logits.clone()
    other[..., 2] = -7.0
    assert torch.equal(normalized_focal_loss(logits, labels), normalized_focal_loss(other, labels))
    assert torch.equal(soft_iou_loss(logits, labels), soft_iou_loss(other, labels))


def test_soft_iou_by_hand() -> None:
    # Probabilities 1/2 and 1/2 on truth 1 and 0: both = 1/2, either = 1 + 1/2.
    loss = soft_iou_loss(torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, 0.0]]]]))
    assert math.isclose(float(loss), 1 - 0.5 / 1.5, rel_tol=1e-5)


def test_cross_entropy_by_hand() -> None:
    labels = torch.tensor([[[[1.0, 0.0, -1.0]]]])
    loss = cross_entropy(torch.tensor([[[[math.log(3), 0.0, 9.0]]]]), labels)  # p = 3/4 on truth 1, 1/2 on truth 0
    assert math.isclose(float(loss), (math.log(4 / 3) + math.log(2)) / 2, rel_tol=1e-6)


def test_the_published_cross_entropy_divides_by_all_pixels() -> None:
    labels = torch.tensor([[[[1.0, 0.0, -1.0]]]])
    loss = cross_entropy_over_all(torch.tensor([[[[math.log(3), 0.0, 9.0]]]]), labels)
    assert math.isclose(float(loss), (math.log(4 / 3) + math.log(2)) / 3, rel_tol=1e-6)


def test_weighted_focal_loss_without_weights_is_the_normalized_one_over_the_batch() -> None:
    generator = torch.Generator().manual_seed(2)
    logits, doubtful = torch.randn(3, 1, 5, 7, generator=generator), torch.rand(3, 1, 5, 7, generator=generator)
    labels = (torch.rand(3, 1, 5, 7, generator=generator) > 0.6).float()
    torch.testing.assert_close(weighted_focal_loss(logits, labels, doubtful, share=0.0), normalized_focal_loss(logits, labels).mean())


def test_weighted_focal_loss_looks_where_it_is_told_to() -> None:
    # Both pixels have the same loss before weighting, log(2) / 2; an error outside the doubtful part weighs nothing with share 1.
    labels, doubtful = torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[1.0, 0.0]]]])
    logits = torch.zeros(1, 1, 1, 2, requires_grad=True)
    loss = weighted_focal_loss(logits, labels, doubtful, share=1.0)
    loss.backward()
    assert math.isclose(float(loss.detach()), 0.5 * math.log(2), rel_tol=1e-6)
    assert logits.grad is not None
    assert float(logits.grad[..., 0]) < 0
    assert float(logits.grad[..., 1]) == 0
