"""Later clicks weigh more."""

from __future__ import annotations

import torch

from backend.training.click_weights import weighted_mean

LOSSES = torch.tensor([1.0, 2.0, 4.0, 8.0])


def test_a_loss_weighs_as_its_click_and_the_weights_cancel() -> None:
    found = weighted_mean(LOSSES, [1, 2, 3, 7], (1.0, 2.0, 3.0))
    torch.testing.assert_close(found, torch.tensor((1 * 1 + 2 * 2 + 3 * 4 + 3 * 8) / 9))
    torch.testing.assert_close(weighted_mean(LOSSES, [1, 2, 3, 7], (10.0, 20.0, 30.0)), found)


def test_without_weights_it_is_the_mean() -> None:
    assert weighted_mean(LOSSES, [1, 2, 3, 7], ()) == LOSSES.mean() == weighted_mean(LOSSES, [1, 2, 3, 7], (5.0,))
