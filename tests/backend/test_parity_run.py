"""Protocol fixtures nobody recorded: other radii, sizes and weights are run as their names say, and no array goes unmentioned."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.inference.click_maps import disk_maps, distance_maps, rounded_disk_maps
from backend.inference.next_click import next_click
from backend.parity_run import check_fixture
from backend.training.losses import cross_entropy_over_all, normalized_focal_loss, soft_iou_loss, weighted_focal_loss

SIZE = (33, 29)
POINTS = np.array(
    [[[10.3, 20.7, 0], [-1, -1, -1], [5.5, 5.5, 1], [0, 28, 2]], [[31.9, 2, 0], [3, -0.4, 1], [-1, -1, -1], [-1, -1, -1]]], np.float32
)


def packed(maps):
    return np.packbits(maps.numpy() > 0)


def recorded_maps():
    points = torch.tensor(POINTS)
    return {
        "dist_points": POINTS,
        "dm_disk_r4": packed(disk_maps(points, SIZE, 4)),
        "dm_disk_r2.5": packed(disk_maps(points, SIZE, 2.5)),
        "dm_cpu_mode_disk_r3": packed(rounded_disk_maps(points, SIZE, 3)),
        "dm_dist_r100": distance_maps(points, SIZE, 100).numpy(),
    }


def recorded_losses():
    generator = torch.Generator().manual_seed(7)
    logits = 4 * torch.randn(4, 1, 9, 11, generator=generator)
    labels = torch.randint(-1, 2, (4, 1, 9, 11), generator=generator).float()
    losses = {
        "nfl_a025_g1": lambda x: normalized_focal_loss(x, labels, alpha=0.25, gamma=1),
        "nfl_a0.75_g0.5": lambda x: normalized_focal_loss(x, labels, alpha=0.75, gamma=0.5),
        "bce": lambda x: cross_entropy_over_all(x, labels),
        "softiou": lambda x: soft_iou_loss(x, labels),
    }
    arrays = {"loss_logits": logits.numpy(), "loss_labels": labels.numpy()}
    for name, loss in losses.items():
        arrays |= recorded(f"loss_{name}", loss, logits, "_grad_of_mean")
    return arrays


def recorded(name, loss, logits, suffix):
    variable = logits.clone().requires_grad_()
    value = loss(variable)
    return {name: value.detach().numpy(), name + suffix: torch.autograd.grad(value.mean(), variable)[0].numpy()}


def recorded_weighted():
    generator = torch.Generator().manual_seed(8)
    logits = 3 * torch.randn(2, 1, 9, 11, generator=generator)
    labels, doubtful = ((torch.rand(2, 1, 9, 11, generator=generator) > 0.6).float() for _ in range(2))
    arrays = {"logits": logits.numpy(), "labels": labels.numpy(), "trimap": doubtful.numpy()}
    for share in ("0.3", "1.0"):
        arrays |= recorded(
            f"wfnl_w{share}", lambda x, share=share: weighted_focal_loss(x, labels, doubtful, share=float(share)), logits, "_grad"
        )
    return arrays


def recorded_clicks():
    rng = np.random.default_rng(3)
    gts = (rng.random((5, 21, 19)) > 0.5).astype(np.int8)
    gts[:, :3] = -1
    preds = rng.random(gts.shape) > 0.5
    clicks = np.zeros((5, 2, 3), np.int64)
    for case in range(5):
        free = np.ones(gts.shape[1:], bool)
        for number in range(2):
            clicks[case, number] = next_click(gts[case], preds[case], free)
            free[tuple(clicks[case, number, 1:])] = False
    return {"gts": gts, "preds": np.packbits(preds), "clicks": clicks}


ARRAYS = {"protocol_ritm": recorded_maps() | recorded_losses() | recorded_clicks(), "protocol_focal_two": recorded_weighted()}
INPUTS = {"dist_points", "loss_logits", "loss_labels", "gts", "preds", "logits", "labels", "trimap"}
COMPARED = [(name, array) for name, arrays in ARRAYS.items() for array in sorted(set(arrays) - INPUTS)]


def write(folder, name, **changes):
    np.savez(folder / f"{name}.npz", **(ARRAYS[name] | changes))


@pytest.mark.parametrize("name", ARRAYS)
def test_every_array_is_compared(tmp_path, name):
    write(tmp_path, name)
    checks = list(check_fixture(tmp_path, name))
    assert [check.as_json() for check in checks if not check.ok] == []
    assert {check.stage for check in checks} == {f"protocol:{array}" for named, array in COMPARED if named == name}


@pytest.mark.parametrize(("name", "array"), COMPARED)
def test_a_change_of_one_element_is_noticed(tmp_path, name, array):
    changed = ARRAYS[name][array].copy()
    if changed.ndim == 0:
        changed = changed * np.float32(1.0001)
    elif changed.dtype == np.float32:
        place = np.unravel_index(np.abs(changed).argmax(), changed.shape)
        changed[place] *= np.float32(1.0001)
    else:
        changed.flat[3] ^= 1
    write(tmp_path, name, **{array: changed})
    assert [check.stage for check in check_fixture(tmp_path, name) if not check.ok] == [f"protocol:{array}"]


def test_what_is_not_known_is_named_in_one_element_and_the_rest_still_runs(tmp_path):
    unknown = {"loss_dice": np.zeros(4, np.float32), "dm_square_r3": np.zeros(3, np.uint8), "gt": np.zeros((2, 2), np.uint8)}
    write(tmp_path, "protocol_ritm", **unknown)
    checks = list(check_fixture(tmp_path, "protocol_ritm"))
    assert {check.ok for check in checks[:-1]} == {True}
    assert checks[-1].as_json() == {
        "fixture": "protocol_ritm",
        "stage": "skipped",
        "reason": "arrays that nothing is compared with yet: dm_square_r3, loss_dice",
        "ok": None,
    }


def test_disks_of_a_size_that_is_not_recorded_are_not_guessed(tmp_path):
    arrays = {name: array for name, array in ARRAYS["protocol_ritm"].items() if name in ("dist_points", "dm_disk_r4")}
    np.savez(tmp_path / "protocol_ritm.npz", **arrays)
    [check] = check_fixture(tmp_path, "protocol_ritm")
    assert check.ok is None
    assert "dm_disk_r4: the size of its maps is not recorded" in (check.reason or "")


def test_an_array_of_another_shape_is_a_difference_or_an_error_of_its_fixture_alone(tmp_path):
    write(tmp_path, "protocol_ritm", loss_bce=np.zeros(3, np.float32))
    assert [check.stage for check in check_fixture(tmp_path, "protocol_ritm") if not check.ok] == ["protocol:loss_bce"]
    write(tmp_path, "protocol_ritm", preds=np.zeros(3, np.uint8))
    assert [check.stage for check in check_fixture(tmp_path, "protocol_ritm") if check.ok is False] == ["error"]


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[: len(raw) // 2], lambda raw: raw[:300] + bytes(200) + raw[500:], lambda raw: b"", lambda raw: b"[]"]
)
def test_a_damaged_file_is_one_failed_stage(tmp_path, damage):
    write(tmp_path, "protocol_ritm")
    path = tmp_path / "protocol_ritm.npz"
    path.write_bytes(damage(path.read_bytes()))
    [check] = check_fixture(tmp_path, "protocol_ritm")
    assert (check.stage, check.ok) == ("error", False)
    assert "cannot be read" in (check.reason or "")


@pytest.mark.parametrize("text", ["[1]", "{", '"x"', "\x00"])
def test_settings_that_are_no_json_object_are_one_failed_stage(tmp_path, text):
    write(tmp_path, "protocol_ritm")
    (tmp_path / "protocol_ritm.json").write_text(text)
    [check] = check_fixture(tmp_path, "protocol_ritm")
    assert (check.stage, check.ok) == ("error", False)
