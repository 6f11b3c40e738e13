"""A folder nobody recorded: other networks, sizes, seeds, clicks, settings and names. It runs, and every change in it is noticed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from backend.commands.parity import command
from backend.evaluation.parity_fbrs import RECORDED_THREADS
from backend.evaluation.parity_focal_predictor import FocalRecorder, click_through
from backend.evaluation.parity_focal_predictor import predictor as focal_predictor
from backend.evaluation.parity_focal_stub import StubNetwork, iou
from backend.evaluation.parity_predictor import Recorder, as_clicks, predictor, roi_of, states_after_clicks
from backend.evaluation.parity_stub import stub_network
from backend.inference.crop import resize
from backend.inference.fbrs import FbrsSegmenter
from backend.parity_run import check_fixture
from backend.segmenters.feature_splits import split_network
from backend.segmenters.focalclick import SegFormerFocalClick
from backend.segmenters.generated import WeightFormula
from backend.segmenters.ritm import RitmNet
from backend.segmenters.simpleclick import SimpleClickNet

SIMPLECLICK = {"patch": 16, "embed_dim": 24, "depth": 4, "heads": 2, "out_dims": [8, 12, 16, 24], "head_channels": 8, "upsample": "x2"}
CLICKS = [[1, 30.25, 41.5], [0, 3, 77], [1, 50, 20], [0, 55, 2.75]]
RNG = np.random.default_rng(12)
IMAGE = RNG.integers(0, 256, (61, 83, 3), dtype=np.uint8)
PREVIOUS = RNG.integers(0, 256, (61, 83), dtype=np.uint8)


def formula(seed, mult, const=None):
    return {"S": seed, "gain": 1.05, "mult": mult, "const": const or {}}


def filled(net, weights):
    WeightFormula(seed=weights["S"], gain=weights["gain"], mult=weights["mult"], const=weights["const"]).fill(net)
    return net.eval().requires_grad_(False)


def stored(maps, step):
    return np.round(np.stack(maps)[:, ::step, ::step] * 65535).astype(np.uint16)


def shapes(net):
    return {name: list(one.shape) for name, one in net.state_dict().items()}


def clicked(net, variant, clicks=CLICKS):
    """(the variant as a fixture records it, its maps)."""
    recorder = Recorder(net)
    states = states_after_clicks(predictor(recorder, variant), IMAGE, as_clicks(clicks))
    recorded = {**variant, "object_roi_after_click": [roi_of(state) for state in states], "net_calls": recorder.calls}
    return recorded, [state.probability for state in states]


def simpleclick():
    """Stored for 224 px, asked at 448 x 224: position embeddings are resized, windows are not square in number; cascades beside it."""
    weights = formula(77, [["^patch_embed_coords", 6.0], ["conv_seg\\.weight$", 5.0]])
    net = filled(SimpleClickNet(**SIMPLECLICK, grid=14), weights)
    zoom = {"skip_clicks": -1, "target_size": [448, 224], "min_crop_size": 31}
    variants = {
        "oblong_flip": {"zoom_in": zoom, "with_flip": True, "predictor_params": {}},
        "cascade_two": {
            "zoom_in": {**zoom, "target_size": [224, 224]},
            "with_flip": False,
            "predictor_params": {"cascade_step": 3, "cascade_adaptive": True, "cascade_clicks": 2},
        },
    }
    arrays, recorded = {"image": IMAGE, "prev_mask_u8": PREVIOUS}, {}
    for name, variant in variants.items():
        recorded[name], maps = clicked(net, variant)
        arrays[f"prob_{name}_s3"] = stored(maps, 3)
    points = torch.tensor([[[100.0, 80.5, 0.0], [-1.0, -1.0, -1.0]]])
    planes = torch.cat([torch.tensor(IMAGE).permute(2, 0, 1), torch.tensor(PREVIOUS)[None]])[None].float() / 255
    levels = net.levels(resize(planes, (224, 224)), points)
    head = net.head(levels)
    arrays |= {"raw_input_points": points.numpy(), "raw_logits_head": head[0, 0].numpy()}
    arrays["raw_logits_224_s3"] = resize(head, (224, 224))[0, 0, ::3, ::3].numpy()
    arrays["neck2_stats"] = np.array(
        [float(one) for one in (levels[2].mean(), levels[2].std(), levels[2].flatten()[0], levels[2].flatten()[-1])]
    )
    return {"ctor": SIMPLECLICK, "weights": weights, "clicks": CLICKS, "variants": recorded}, shapes(net), arrays


def fbrs():
    """Both places, with flip, a zoom of its own, and clicks beyond the first two that act through the objective alone."""
    weights = formula(5, [["cls_head", 0.5]])
    ctor = {"width": 8, "ocr_width": 8, "small": True}
    net = filled(RitmNet(**ctor), weights)
    clicks = [[1, 30, 41], [0, 3, 57], [1, 50, 20], [0, 55, 2]]
    zoom_in = {"target_size": 41, "min_crop_size": 30, "skip_clicks": -1}
    settings = {"zoom_in": zoom_in, "with_flip": True, "predictor_params": {"net_clicks_limit": 2}}
    variants, arrays = {}, {"image": IMAGE}
    threads = torch.get_num_threads()
    torch.set_num_threads(RECORDED_THREADS)
    for place in ("B", "C"):
        plain = predictor(net, settings)
        segmenter = FbrsSegmenter(plain, split_network(net, place.lower()), place.lower(), clicks_limit=2)
        states = states_after_clicks(segmenter, IMAGE, as_clicks(clicks))
        maps = [state.probability for state in states]
        at = [[float(one[int(row), int(col)]) for _, row, col in clicks[:count]] for count, one in enumerate(maps, 1)]
        variants[f"own_{place}"] = {**settings, "mode": f"f-BRS-{place}", "prob_at_clicks": at}
        arrays[f"prob_own_{place}"] = stored(maps, 1)
    torch.set_num_threads(threads)
    meta = {"model": "ritm_small", "strategy": "f-BRS-B", "ctor": ctor, "weights": weights, "clicks": clicks, "variants": variants}
    return meta, None, arrays


def focalclick():
    """A SegFormer of the second pipeline at another working size, with options that change nothing spelt out."""
    weights = formula(31, [["patch_embed_side1\\.proj\\.weight$", 6.0], ["linear_pred", 10.0], ["refine_pred\\.weight$", 6.0]])
    net = filled(SegFormerFocalClick(pipeline="s2", channels=(32, 64, 160, 256), depths=(2, 2, 2, 2), width=256), weights)
    settings = {"infer_size": 96, "focus_crop_r": 1.1, "zoom_in": {"target_size": 400, "expansion_ratio": 1.8, "min_crop_size": 25}}
    recorder = FocalRecorder(net)
    after = click_through(focal_predictor(recorder, settings), IMAGE, CLICKS, None)
    rois = [{**one.crops, "n_mask": int(one.mask.sum())} for one in after]
    variants = {"from_nothing": {**settings, "with_flip": False, "rois": rois, "net_calls": recorder.calls}}
    arrays = {"image": IMAGE, "prob_from_nothing_s2": stored([one.probability for one in after], 2)}
    ctor = {"pipeline_version": "s2", "model_version": "b0", "norm_radius": 5, "cpu_dist_maps": False, "feature_stride": 4}
    return {"ctor": ctor, "weights": weights, "clicks": CLICKS, "variants": variants}, shapes(net), arrays


def stub_ritm():
    variant = {
        "zoom_in": {"skip_clicks": 0, "target_size": 90, "min_crop_size": 15},
        "with_flip": True,
        "predictor_params": {"max_size": 70},
    }
    recorded, maps = clicked(stub_network, variant)
    arrays = {"image": IMAGE, "prob_small_s2": stored(maps, 2)}
    return {"clicks": CLICKS, "variants": {"small": recorded}}, None, arrays


def stub_focal():
    gt, mask = (PREVIOUS > 200).astype(np.uint8), np.zeros((61, 83), np.uint8)
    mask[20:50, 10:60] = 1
    settings = {"infer_size": 128, "focus_crop_r": 1.3, "expansion_ratio": 1.5, "init_mask": True}
    recorder = FocalRecorder(StubNetwork())
    clicks = CLICKS[:2]
    after = click_through(focal_predictor(recorder, settings), IMAGE, clicks, mask > 0)
    given = {
        "error": None,
        "clicks": clicks,
        "rois": [{**one.crops, "n_mask": int(one.mask.sum())} for one in after],
        "ious": [iou(one.mask, gt.astype(np.int8)) for one in after],
        "net_calls": recorder.calls,
    }
    arrays = {"image": IMAGE, "gt": gt, "init_mask": mask, "prob_mended_s2": stored([one.probability for one in after], 2)}
    return {"variants": {"mended": {**settings, "given": given}}}, None, arrays


MAKERS = {
    "simpleclick_vit_own224": simpleclick,
    "fbrs_own": fbrs,
    "focalclick_own_S2": focalclick,
    "stub_ritm_own": stub_ritm,
    "stub_focal_own": stub_focal,
}


@pytest.fixture(scope="module")
def made():
    with torch.no_grad():
        return {name: make() for name, make in MAKERS.items()}


def write(folder, name, made, **changed):
    meta, keys, arrays = made[name]
    (folder / f"{name}.json").write_text(json.dumps(meta))
    if keys is not None:
        (folder / f"{name}.keys.json").write_text(json.dumps(keys))
    np.savez(folder / f"{name}.npz", **(arrays | changed))


def test_the_whole_folder_agrees_and_leaves_nothing_out(made, tmp_path):
    for name in made:
        write(tmp_path, name, made)
    result = CliRunner().invoke(command, [str(tmp_path), "--json"])
    elements = json.loads(result.stdout)
    assert [element for element in elements if not element["ok"]] == []
    assert result.exit_code == 0
    assert {element["fixture"] for element in elements} == set(made)
    assert {element["fixture"] for element in elements if element["stage"] == "keys"} == {"simpleclick_vit_own224", "focalclick_own_S2"}


COMPARED = [
    ("simpleclick_vit_own224", "prob_oblong_flip_s3"),
    ("simpleclick_vit_own224", "prob_cascade_two_s3"),
    ("simpleclick_vit_own224", "raw_logits_head"),
    ("simpleclick_vit_own224", "raw_logits_224_s3"),
    ("simpleclick_vit_own224", "neck2_stats"),
    ("fbrs_own", "prob_own_B"),
    ("fbrs_own", "prob_own_C"),
    ("focalclick_own_S2", "prob_from_nothing_s2"),
    ("stub_ritm_own", "prob_small_s2"),
    ("stub_focal_own", "prob_mended_s2"),
]


@pytest.mark.parametrize(("name", "array"), COMPARED)
def test_a_change_of_one_value_is_noticed_and_only_that(made, tmp_path, name, array):
    changed = made[name][2][array].copy()
    changed.flat[1] += changed.dtype.type(100) if changed.dtype == np.uint16 else changed.dtype.type(0.01)
    write(tmp_path, name, made, **{array: changed})
    failed = [check.stage for check in check_fixture(tmp_path, name) if not check.ok]
    assert len(failed) == 1
    assert failed[0].endswith(array)


def test_an_array_of_a_variant_that_is_not_described_is_named(made, tmp_path):
    write(tmp_path, "stub_ritm_own", made, prob_unknown_s2=np.zeros((4, 31, 42), np.uint16))
    last = list(check_fixture(tmp_path, "stub_ritm_own"))[-1]
    assert (last.stage, last.ok) == ("skipped", None)
    assert "prob_unknown_s2" in (last.reason or "")


def test_only_runs_one_and_says_which_there_are(made, tmp_path):
    write(tmp_path, "stub_ritm_own", made)
    write(tmp_path, "stub_focal_own", made, prob_mended_s2=np.zeros((2, 31, 42), np.uint16))
    good = CliRunner().invoke(command, [str(tmp_path), "--json", "--only", "stub_ritm_own"])
    assert good.exit_code == 0
    assert {element["fixture"] for element in json.loads(good.stdout)} == {"stub_ritm_own"}
    assert CliRunner().invoke(command, [str(tmp_path), "--json"]).exit_code == 1


def test_a_broken_fixture_does_not_keep_the_others_from_running(made, tmp_path):
    write(tmp_path, "stub_ritm_own", made)
    (tmp_path / "ritm_nothing.npz").write_bytes(b"")
    (tmp_path / "ritm_strange.keys.json").write_text('{"a": [1]}')
    (tmp_path / "simpleclick_vit_own.keys.json").write_text('{"a": [1]}')
    meta, _, arrays = made["stub_ritm_own"]
    np.savez(tmp_path / "stub_ritm_worse.npz", **arrays)
    (tmp_path / "stub_ritm_worse.json").write_text(json.dumps({**meta, "variants": 3}))
    elements = json.loads(CliRunner().invoke(command, [str(tmp_path), "--json"]).stdout)
    verdicts = {}
    for element in elements:
        verdicts.setdefault(element["fixture"], set()).add((element["stage"] if not element["ok"] else "fine", element["ok"]))
    assert verdicts == {
        "ritm_nothing": {("error", False)},
        "ritm_strange": {("skipped", None)},
        "simpleclick_vit_own": {("skipped", None)},
        "stub_ritm_own": {("fine", True)},
        "stub_ritm_worse": {("error", False)},
    }


def test_key_lists_of_other_kinds_are_compared_or_said_to_be_none(tmp_path):
    with torch.device("meta"):
        (tmp_path / "fbrs_hrnet18.keys.json").write_text(json.dumps(shapes(RitmNet(width=18, ocr_width=64))))
    (tmp_path / "stub_ritm_two.keys.json").write_text("{}")
    (tmp_path / "fbrs_strange.keys.json").write_text("{}")
    found = {
        name: [(one.stage, one.ok) for one in check_fixture(tmp_path, name)] for name in ("fbrs_hrnet18", "stub_ritm_two", "fbrs_strange")
    }
    assert found == {"fbrs_hrnet18": [("keys", True)], "stub_ritm_two": [("skipped", None)], "fbrs_strange": [("skipped", None)]}


@pytest.mark.parametrize("name", ["simpleclick_vit_large448_upsample_x4", "simpleclick_vit_xtiny448_upsample_x2", "cfr_icl_vit_large448"])
def test_key_lists_of_published_variants_are_known_by_name(tmp_path, name):
    from backend.segmenters.simpleclick import ARCHITECTURES

    kind = next(one for one in ARCHITECTURES if f"_{one}" in name and "upsample" not in one)
    options = dict(ARCHITECTURES[kind])
    if "upsample" in name:
        steps = int(name[-1])
        options |= {"upsample": f"x{steps}", "head_channels": options["head_channels"] // steps}
    with torch.device("meta"):
        (tmp_path / f"{name}.keys.json").write_text(json.dumps(shapes(SimpleClickNet(**options))))
    [check] = check_fixture(tmp_path, name)
    assert (check.stage, check.ok) == ("keys", True)
