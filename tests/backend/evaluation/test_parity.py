"""Parity: our networks and strategies compute what the originals computed, and the comparison notices when they do not."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from backend.commands.parity import command
from backend.errors import UsageError
from backend.evaluation.parity import close, fixture_names
from backend.evaluation.parity_predictor import Recorder, as_clicks, predictor, roi_of
from backend.parity_run import check_fixture
from backend.segmenters.generated import WeightFormula
from backend.segmenters.ritm import RitmNet

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def fixtures(shared: Path) -> Path:
    return shared / "reference" / "fixtures"


STAGES = {
    "stub_ritm": 88,
    "stub_cfr": 56,
    "protocol_ritm": 12,
    "protocol_focal": 4,
    "ritm_hrnet18s": 17,
    "simpleclick_vit_xtiny448": 16,
    "cfr_icl_vit_xtiny448": 16,
    "fbrs_hrnet18s": 9,
}


@pytest.mark.parametrize("name", STAGES)
def test_everything_recorded_is_reproduced(fixtures, name):
    checks = list(check_fixture(fixtures, name))
    assert [check.as_json() for check in checks if check.ok is False] == []
    arrays = {check.stage for check in checks if check.ok}
    assert len(arrays) == STAGES[name]


# Keys and raw outputs; the whole fixtures, a minute on two cores, are `rsiseg parity`'s.
@pytest.mark.parametrize(("name", "stages"), [("ritm_hrnet32", 5), ("simpleclick_vit_base448", 7), ("cfr_icl_vit_base448", 7)])
def test_large_networks_compute_what_was_recorded(fixtures, name, stages):
    checks = list(islice(check_fixture(fixtures, name), stages))
    assert all(check.stage == "keys" or check.stage.startswith("raw:") for check in checks)
    assert [check.as_json() for check in checks if not check.ok] == []


@pytest.mark.parametrize(
    "name",
    [
        "ritm_hrnet18",
        "simpleclick_vit_base448_upsample_x2",
        "simpleclick_vit_base448_upsample_x4",
        "simpleclick_vit_large448",
        "simpleclick_vit_huge448",
        "sam_vit_l",
        "sam_vit_h",
        "cfr_icl_vit_huge448",
    ],
)
def test_a_key_list_alone_is_a_stage_of_its_own(fixtures, name):
    [check] = check_fixture(fixtures, name)
    assert (check.stage, check.ok) == ("keys", True)


def test_sam_computes_what_was_recorded_embedding_clicks_and_box(fixtures):
    checks = list(check_fixture(fixtures, "sam_vit_b"))
    assert [check.as_json() for check in checks if not check.ok] == []
    assert len(checks) == 16


def test_what_is_not_supported_is_said_in_one_element(tmp_path):
    [check] = check_fixture(tmp_path, "novelty_vit_b")
    element = check.as_json()
    assert set(element) == {"fixture", "stage", "reason", "ok"}
    assert (element["stage"], element["ok"]) == ("skipped", None)


KEPT = ("nozoom", "zoom400")


@pytest.fixture
def copied(fixtures, tmp_path):
    """A folder with two variants of the stub fixture, to be spoiled."""
    meta = json.loads((fixtures / "stub_ritm.json").read_text())
    meta["variants"] = {name: meta["variants"][name] for name in KEPT}
    (tmp_path / "stub_ritm.json").write_text(json.dumps(meta))
    kept = {"image", "gt", *(f"{stem}_{name}_s2" for stem in ("prob", "simfinal") for name in KEPT)}
    with np.load(fixtures / "stub_ritm.npz") as file:
        np.savez(tmp_path / "stub_ritm.npz", **{name: file[name] for name in kept})
    return tmp_path


def failures(folder, name="stub_ritm"):
    return [check.stage for check in check_fixture(folder, name) if check.ok is False]


def spoil(folder, change):
    path = folder / "stub_ritm.json"
    meta = json.loads(path.read_text())
    change(meta["variants"]["zoom400"])
    path.write_text(json.dumps(meta))


def test_a_different_roi_is_noticed(copied):
    spoil(copied, lambda variant: variant["object_roi_after_click"][1].__setitem__(0, 1))
    assert failures(copied) == ["zoom400:roi"]


def test_a_different_point_is_noticed(copied):
    spoil(copied, lambda variant: variant["net_calls"][1]["pts"][0][0].__setitem__(0, 116.0))
    assert failures(copied) == ["zoom400:trace"]


def test_a_call_too_few_is_noticed(copied):
    spoil(copied, lambda variant: variant["net_calls"].pop())
    assert failures(copied) == ["zoom400:trace"]


def test_a_different_setting_is_noticed(copied):
    spoil(copied, lambda variant: variant["zoom_in"].__setitem__("target_size", 396))
    assert "zoom400:trace" in failures(copied)


def test_a_different_map_is_noticed(copied):
    path = copied / "stub_ritm.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["prob_nozoom_s2"][2, 40, 50] ^= 16  # 2.4e-4
    np.savez(path, **arrays)
    assert failures(copied) == ["nozoom:prob_nozoom_s2"]


def test_an_array_nothing_is_compared_with_is_named(copied):
    path = copied / "stub_ritm.npz"
    with np.load(path) as file:
        np.savez(path, **{name: file[name] for name in file.files}, novelty=np.zeros(3))
    assert [check.reason for check in check_fixture(copied, "stub_ritm") if check.ok is None] == [
        "arrays that nothing is compared with yet: novelty"
    ]


def test_a_setting_that_is_not_supported_is_skipped_and_the_rest_still_runs(copied):
    spoil(copied, lambda variant: variant["predictor_params"].__setitem__("optimize_after_n_clicks", 3))
    checks = list(check_fixture(copied, "stub_ritm"))
    assert not [check for check in checks if check.ok is False]
    assert any("optimize_after_n_clicks" in (check.reason or "") for check in checks)
    assert sum(check.ok is True for check in checks) == 8


def test_a_damaged_fixture_fails_and_says_so(copied):
    (copied / "stub_ritm.npz").write_bytes(b"PK no zip")
    [check] = check_fixture(copied, "stub_ritm")
    assert (check.stage, check.ok) == ("error", False)
    assert "cannot be read" in (check.reason or "")


def test_the_command_prints_one_array_and_exits_by_it(copied):
    good = RUNNER.invoke(command, [str(copied), "--json"])
    assert good.exit_code == 0
    elements = json.loads(good.stdout)
    assert all(set(element) == {"fixture", "stage", "max_abs", "tolerance", "ok"} for element in elements)
    spoil(copied, lambda variant: variant["object_roi_after_click"][1].__setitem__(0, 1))
    bad = RUNNER.invoke(command, [str(copied), "--json"])
    assert bad.exit_code == 1
    assert [element["max_abs"] for element in json.loads(bad.stdout) if not element["ok"]] == [1.0]


def test_the_command_refuses_a_name_and_a_folder_that_are_not_there(copied, tmp_path):
    assert isinstance(RUNNER.invoke(command, [str(copied), "--only", "nope"]).exception, UsageError)
    with pytest.raises(UsageError, match="there is no folder"):
        fixture_names(tmp_path / "nope")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match="holds no fixture"):
        fixture_names(empty)


@pytest.mark.parametrize(("ours", "ok"), [([1.0, 2.0], True), ([1.0, 2.1], False), ([1.0, float("nan")], False), ([1.0], False)])
def test_closeness_of_arrays(ours, ok):
    check = close("f", "s", ours, [1.0, 2.0], 0.01)
    assert check.ok is ok
    json.dumps(check.as_json(), allow_nan=False)


@pytest.fixture
def own(tmp_path):
    """A fixture nobody recorded: a small RITM network, another seed, odd sizes, fractional clicks, settings of its own."""
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (93, 121, 3), dtype=np.uint8)
    zoom_in = {"skip_clicks": -1, "target_size": [75, 62], "min_crop_size": 30, "expansion_ratio": 1.3}
    variant = {"zoom_in": zoom_in, "with_flip": True, "predictor_params": {"net_clicks_limit": 2}}
    net = RitmNet(width=6, ocr_width=10, small=True).eval().requires_grad_(False)
    WeightFormula(seed=9, gain=1.1, mult=[("cls_head", 3.0)], const={"maps_transform.3.scale": 2.0}).fill(net)
    clicks = [[1, 40.25, 60.5], [0, 0, 0], [1, 92, 120]]
    recorder = Recorder(net)
    segmenter = predictor(recorder, variant)
    encoding = segmenter.encode(image)
    states = [segmenter.start(encoding)]
    for count in range(1, len(clicks) + 1):
        states.append(segmenter.step(encoding, as_clicks(clicks[:count]), states[-1]))
    maps = np.stack([state.probability for state in states[1:]])
    meta = {
        "ctor": {"width": 6, "ocr_width": 10, "small": True},
        "weights": {"S": 9, "gain": 1.1, "mult": [["cls_head", 3.0]], "const": {"maps_transform.3.scale": 2.0}},
        "clicks": clicks,
        "variants": {
            "odd": {**variant, "object_roi_after_click": [roi_of(state) for state in states[1:]], "net_calls": recorder.calls},
        },
    }
    (tmp_path / "ritm_new.json").write_text(json.dumps(meta))
    (tmp_path / "ritm_new.keys.json").write_text(json.dumps({name: list(one.shape) for name, one in net.state_dict().items()}))
    np.savez(
        tmp_path / "ritm_new.npz",
        image=image,
        prev_mask_u8=rng.integers(0, 256, (93, 121), dtype=np.uint8),
        prob_odd_s3=np.round(maps[:, ::3, ::3] * 65535).astype(np.uint16),
    )
    return tmp_path


def test_a_folder_never_seen_is_run_as_its_files_say(own):
    checks = list(check_fixture(own, "ritm_new"))
    assert [(check.stage, check.ok) for check in checks] == [
        ("keys", True),
        ("odd:trace", True),
        ("odd:roi", True),
        ("odd:prob_odd_s3", True),
    ]


def test_the_seed_of_the_weights_is_read_from_the_folder(own):
    meta = json.loads((own / "ritm_new.json").read_text())
    meta["weights"]["S"] = 10
    (own / "ritm_new.json").write_text(json.dumps(meta))
    assert "odd:prob_odd_s3" in failures(own, "ritm_new")


def test_a_key_of_another_shape_is_counted(own):
    keys = json.loads((own / "ritm_new.keys.json").read_text())
    keys["feature_extractor.cls_head.weight"] = [2, 20, 1, 1]
    keys["novelty"] = [3]
    (own / "ritm_new.keys.json").write_text(json.dumps(keys))
    check = next(check_fixture(own, "ritm_new"))
    assert (check.stage, check.max_abs, check.ok) == ("keys", 2.0, False)


def test_network_options_that_are_not_built_are_skipped(own):
    meta = json.loads((own / "ritm_new.json").read_text())
    meta["ctor"]["use_rgb_conv"] = True
    (own / "ritm_new.json").write_text(json.dumps(meta))
    checks = list(check_fixture(own, "ritm_new"))
    assert {check.ok for check in checks} == {None}
    assert "use_rgb_conv" in (checks[0].reason or "")
