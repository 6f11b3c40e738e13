"""Parity of FocalClick: everything recorded is reproduced, a folder never seen is run as it says, and differences are noticed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.evaluation.parity_focal_predictor import FocalRecorder, click_through, predictor
from backend.inference.crop import resize
from backend.parity_run import check_fixture
from backend.segmenters.focalclick import HrnetFocalClick
from backend.segmenters.generated import WeightFormula


@pytest.fixture(scope="module")
def fixtures(shared: Path) -> Path:
    return shared / "reference" / "fixtures"


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("stub_focal", 33),
        ("focalclick_segformerB0_S1", 16),
        ("focalclick_hrnet18s_S1", 17),
        ("focalclick_hrnet18s_S2", 17),
        ("focalclick_segformerB3_S2", 16),
    ],
)
def test_everything_recorded_is_reproduced(fixtures, name, stages):
    checks = list(check_fixture(fixtures, name))
    assert [check.as_json() for check in checks if not check.ok] == []
    assert len(checks) == stages


@pytest.mark.parametrize("name", ["focalclick_segformerB0_S2", "focalclick_hrnet32_S2"])
def test_a_key_list_alone_is_a_stage_of_its_own(fixtures, name):
    [check] = check_fixture(fixtures, name)
    assert (check.stage, check.ok) == ("keys", True)


NAME = "focalclick_new"
CTOR = {"pipeline_version": "s1", "width": 6, "ocr_width": 8, "small": True, "norm_radius": 5, "use_disks": True}
WEIGHTS = {"S": 9, "gain": 1.1, "mult": [["cls_head", 3.0]], "const": {"maps_transform.3.scale": 2.0}}
CLICKS = [[1, 40.25, 60.5], [0, 10, 20], [1, 92, 120]]
SETTINGS = {"infer_size": 96, "focus_crop_r": 1.2, "zoom_in": {"target_size": 400, "expansion_ratio": 1.7}, "with_flip": False}


@pytest.fixture
def own(tmp_path):
    """A fixture nobody recorded: a small network, another seed, odd sizes, a fractional click, settings of its own."""
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (93, 121, 3), dtype=np.uint8)
    previous = rng.integers(0, 256, (93, 121), dtype=np.uint8)
    mask = np.zeros((93, 121), np.uint8)
    mask[20:70, 30:90] = 1
    net = HrnetFocalClick(pipeline="s1", width=6, ocr_width=8, small=True).eval().requires_grad_(False)
    WeightFormula(seed=9, gain=1.1, mult=[("cls_head", 3.0)], const=WEIGHTS["const"]).fill(net)
    arrays = {"image": image, "prev_mask_u8": previous, "init_mask": mask}
    variants = {}
    for name, start in (("zero_mask", None), ("init_mask_pm", mask > 0)):
        recorder = FocalRecorder(net)
        after = click_through(predictor(recorder, SETTINGS), image, CLICKS, start)
        rois = [{**one.crops, "n_mask": int(one.mask.sum())} for one in after]
        variants[name] = {**SETTINGS, "rois": rois, "net_calls": recorder.calls}
        arrays[f"prob_{name}_s3"] = np.round(np.stack([one.probability for one in after])[:, ::3, ::3] * 65535).astype(np.uint16)
    arrays["masks_init_mask_pm"] = np.packbits(np.stack([one.mask for one in after]))
    arrays |= raw_arrays(net, image, previous)
    (tmp_path / f"{NAME}.json").write_text(json.dumps({"ctor": CTOR, "weights": WEIGHTS, "clicks": CLICKS, "variants": variants}))
    (tmp_path / f"{NAME}.keys.json").write_text(json.dumps({name: list(one.shape) for name, one in net.state_dict().items()}))
    np.savez(tmp_path / f"{NAME}.npz", **arrays)
    return tmp_path


def raw_arrays(net, image, previous):
    planes = torch.cat([torch.tensor(image).permute(2, 0, 1), torch.tensor(previous)[None]])[None].float() / 255
    points = torch.tensor([[[20.0, 30.0, 0.0], [-1.0, -1.0, -1.0]]])
    logits, features = net.coarse(resize(planes, (96, 96)), points)
    part, box = resize(planes[:, :3, 10:60, 20:80], (96, 96)), torch.tensor([[0.0, 16, 11, 63, 62]])
    return {
        "raw_points": points.numpy(),
        "raw_logits_96_s2": logits[0, 0, ::2, ::2].numpy(),
        "raw_feature_c3": features[0, 3].numpy(),
        "refine_crop": np.array([10, 60, 20, 80]),
        "refine_points": points.numpy(),
        "refine_roi": box.numpy(),
        "refine_refined_s4": net.refine(part, points, features, logits, box)[0, 0, ::4, ::4].numpy(),
    }


def failures(folder):
    return [check.stage for check in check_fixture(folder, NAME) if not check.ok]


def test_a_folder_never_seen_is_run_as_its_files_say(own):
    checks = list(check_fixture(own, NAME))
    assert [check.as_json() for check in checks if not check.ok] == []
    assert [check.stage for check in checks] == [
        "keys",
        "raw:raw_logits_96_s2",
        "raw:raw_feature_c3",
        "raw:refine_refined_s4",
        *(f"zero_mask:{what}" for what in ("trace", "roi", "n_mask", "prob_zero_mask_s3")),
        *(f"init_mask_pm:{what}" for what in ("trace", "roi", "n_mask", "prob_init_mask_pm_s3", "masks_init_mask_pm")),
    ]


def change_meta(folder, change):
    path = folder / f"{NAME}.json"
    meta = json.loads(path.read_text())
    change(meta)
    path.write_text(json.dumps(meta))


@pytest.mark.parametrize("crop", ["global_roi", "focus_roi"])
def test_a_different_crop_is_noticed(own, crop):
    def move(meta):
        meta["variants"]["zero_mask"]["rois"][1][crop][0] += 1

    change_meta(own, move)
    assert failures(own) == ["zero_mask:roi"]


def test_a_different_merge_is_noticed(own):
    with np.load(own / f"{NAME}.npz") as file:
        arrays = {name: file[name] for name in file.files}
    arrays["masks_init_mask_pm"][700:702] ^= 255  # 16 pixels
    np.savez(own / f"{NAME}.npz", **arrays)
    assert failures(own) == ["init_mask_pm:masks_init_mask_pm"]


def test_a_different_pipeline_is_noticed(own):
    change_meta(own, lambda meta: meta["ctor"].update(pipeline_version="s2"))
    assert "raw:raw_logits_96_s2" in failures(own)


def test_after_an_error_of_the_originals_only_the_clicks_before_it_are_compared(own):
    def stop_at_the_second(meta):
        recorded = meta["variants"]["zero_mask"]
        recorded["error"] = "the reference raised here"
        recorded["rois"] = recorded["rois"][:1]

    change_meta(own, stop_at_the_second)
    assert failures(own) == ["zero_mask:prob_zero_mask_s3"], "three maps were recorded, one is compared"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda meta: meta["ctor"].update(use_rgb_conv=True), "use_rgb_conv"),
        (lambda meta: meta["ctor"].update(binary_prev_mask=True), "binary_prev_mask"),
        (lambda meta: meta["variants"]["zero_mask"].update(with_flip=True), "with_flip"),
    ],
    ids=["ctor", "previous mask", "flip"],
)
def test_what_is_not_built_is_skipped_by_name(own, change, named):
    change_meta(own, change)
    skipped = [check.reason or "" for check in check_fixture(own, NAME) if check.ok is None]
    assert any(named in reason for reason in skipped)
    assert [check for check in check_fixture(own, NAME) if check.ok is False] == []
