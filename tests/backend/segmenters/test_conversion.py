"""Checkpoints in the authors' formats become weight files that predict the same bits, or are refused with the first differing keys."""

from __future__ import annotations

import json
import shutil
from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch
from authors_files import config, forget, loss_object

from backend.errors import ModelError
from backend.segmenters import catalogue, registry
from backend.segmenters.checkpoint_files import Checkpoint
from backend.segmenters.conversion import convert, published_entry
from backend.segmenters.recognition import Recognised, recognise, shapes_of
from backend.segmenters.weight_headers import read_metadata
from converters.frames import Click

IMAGE = np.random.default_rng(0).integers(0, 256, (120, 150, 3), dtype=np.uint8)
CLICKS = [Click(40, 50, True), Click(90, 110, True), Click(60, 70, False)]
TINY = [one for one in catalogue.entries() if one.name.endswith("_tiny")]


def weights(one) -> OrderedDict:
    net = registry.build(one.family, one.architecture)
    one.formula.fill(net)
    return OrderedDict(net.state_dict())


def maps(segmenter):
    encoding = segmenter.encode(IMAGE)
    state, found = segmenter.start(encoding), []
    for count in range(1, len(CLICKS) + 1):
        state = segmenter.step(encoding, CLICKS[:count], state)
        found.append(state.probability)
    return np.stack(found)


@pytest.mark.parametrize("one", TINY, ids=lambda one: one.name)
def test_a_converted_checkpoint_predicts_the_same_bits(one, tmp_path, monkeypatch):
    """As the network with the original tensors: a file of full precision, and the settings of the tiny entry."""
    path, out = tmp_path / "authors.pth", tmp_path / "new" / "mine.safetensors"
    stated = {
        "focalclick": {"pipeline_version": "s1"},
        "simpleclick": {"head_params": {"loss_decode": loss_object(monkeypatch), "upsample": "x1"}, "backbone_params": {"num_heads": 2}},
    }
    torch.save(weights(one) if one.family == "sam" else {"state_dict": weights(one), "config": config(**stated.get(one.family, {}))}, path)
    forget(monkeypatch)
    done = convert(path, out)
    assert done.recognised == Recognised(one.family, one.architecture)
    entry = catalogue.entry(str(out))
    same_use = replace(entry, threshold=one.threshold, zoom_in=one.zoom_in, flip=one.flip, input_size=one.input_size)
    assert np.array_equal(maps(registry.load_entry(same_use)), maps(registry.load(one.name)))


def test_the_numbers_are_kept_bit_for_bit_and_the_file_says_where_they_are_from(tmp_path):
    path, out = tmp_path / "mine.pth", tmp_path / "mine.safetensors"
    tensors = weights(catalogue.entry("ritm_tiny"))
    torch.save(tensors, path)
    convert(path, out)
    net = registry.build("ritm", "tiny")
    from backend.segmenters.weight_files import load_weights

    load_weights(net, out)
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in net.state_dict().items())
    about = read_metadata(out)
    assert about["checkpoint"] == "mine.pth"
    assert len(about["checkpoint_sha256"]) == 64
    assert about["licence"] == "unknown"


ARCHITECTURES = {
    "ritm_hrnet18s": ("ritm", "hrnet18s"),
    "ritm_hrnet18": ("ritm", "hrnet18"),
    "ritm_hrnet32": ("ritm", "hrnet32"),
    "simpleclick_vit_xtiny448": ("simpleclick", "vit_xtiny448"),
    "simpleclick_vit_base448": ("simpleclick", "vit_base448"),
    "simpleclick_vit_base448_upsample_x2": ("simpleclick", "vit_base448_upsample_x2"),
    "simpleclick_vit_base448_upsample_x4": ("simpleclick", "vit_base448_upsample_x4"),
    "simpleclick_vit_large448": ("simpleclick", "vit_large448"),
    "simpleclick_vit_huge448": ("simpleclick", "vit_huge448"),
    "cfr_icl_vit_xtiny448": ("simpleclick", "vit_xtiny448"),
    "cfr_icl_vit_base448": ("simpleclick", "vit_base448"),
    "cfr_icl_vit_huge448": ("simpleclick", "vit_huge448"),
    "focalclick_segformerB0_S1": ("focalclick", "segformer_b0_s1"),
    "focalclick_segformerB0_S2": ("focalclick", "segformer_b0_s2"),
    "focalclick_segformerB3_S2": ("focalclick", "segformer_b3_s2"),
    "focalclick_hrnet18s_S1": ("focalclick", "hrnet18s_s1"),
    "focalclick_hrnet18s_S2": ("focalclick", "hrnet18s_s2"),
    "focalclick_hrnet32_S2": ("focalclick", "hrnet32_s2"),
    "sam_vit_b": ("sam", "vit_b"),
    "sam_vit_l": ("sam", "vit_l"),
    "sam_vit_h": ("sam", "vit_h"),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_published_architecture_is_recognised_by_its_keys(shared, name):
    """With the config that is recorded for it, where one is: FocalClick's S1 and S2 differ in nothing else."""
    family, architecture = ARCHITECTURES[name]
    folder = shared / "reference" / "fixtures"
    keys = json.loads((folder / f"{name}.keys.json").read_text())
    recorded = folder / f"{name}.config.json"
    stated = json.loads(recorded.read_text()) if recorded.is_file() else None
    checkpoint = Checkpoint({key: torch.empty(shape, device="meta") for key, shape in keys.items()}, stated)
    assert recognise(checkpoint) == Recognised(family, architecture)


def test_no_recorded_key_list_is_left_out(shared):
    recorded = {path.name.removesuffix(".keys.json") for path in (shared / "reference" / "fixtures").glob("*.keys.json")}
    assert recorded == set(ARCHITECTURES)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_key_list_that_lacks_one_key_has_one_too_many_or_one_of_another_shape_is_refused_by_name(shared, name):
    keys = json.loads((shared / "reference" / "fixtures" / f"{name}.keys.json").read_text())
    place = list(keys)[len(keys) // 2]
    lacking = {key: shape for key, shape in keys.items() if key != place}
    for altered, said in (
        (lacking, f"it lacks {place}"),
        ({**keys, place: [*keys[place], 2]}, f"{place} has the shape"),
        ({**keys, "one.more": [3]}, "it also has one.more"),
    ):
        with pytest.raises(ModelError) as caught:
            recognise(Checkpoint({key: torch.empty(shape, device="meta") for key, shape in altered.items()}, None))
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)


def with_keys(family, architecture, params=None, *, without=(), **changed):
    shapes = {name: shape for name, shape in shapes_of(family, architecture).items() if name not in without} | changed
    return Checkpoint({name: torch.empty(shape, device="meta") for name, shape in shapes.items()}, config(**(params or {})))


def test_missing_keys_are_named():
    with pytest.raises(ModelError, match=r"nearest is hrnet18s, but it lacks maps_transform\.0\.weight; it is damaged"):
        recognise(with_keys("ritm", "hrnet18s", without=["maps_transform.0.weight"]))


def test_keys_of_another_shape_and_superfluous_ones_are_named():
    changed = {"maps_transform.0.weight": (16, 4, 1, 1), "more": (1,), "and_more": (2,)}
    with pytest.raises(ModelError, match=r"0\.weight has the shape 16x4x1x1 for 16x3x1x1, it also has more, and_more; it is"):
        recognise(with_keys("ritm", "hrnet18s", **changed))


def test_many_differences_are_counted():
    missing = [name for name in shapes_of("ritm", "tiny") if name.startswith("feature_extractor.stage4.")]
    with pytest.raises(ModelError, match=rf"it lacks \S+, \S+, \S+ \(and {len(missing) - 3} more\)"):
        recognise(with_keys("ritm", "tiny", without=missing))


def test_weights_of_no_known_family_are_refused():
    checkpoint = Checkpoint({"layer1.0.conv1.weight": torch.zeros(1)}, None)
    with pytest.raises(ModelError, match=r"key layer1\.0\.conv1\.weight, which no known network has"):
        recognise(checkpoint)


def test_focalclick_is_told_from_ritm_though_their_class_path_is_the_same():
    checkpoint = with_keys("focalclick", "hrnet18s_s1", {"pipeline_version": "s1"})
    assert recognise(checkpoint) == Recognised("focalclick", "hrnet18s_s1")
    assert recognise(with_keys("ritm", "hrnet18s")) == Recognised("ritm", "hrnet18s")


def test_what_only_the_config_tells_must_be_told():
    checkpoint = with_keys("focalclick", "hrnet18s_s1")
    with pytest.raises(ModelError, match=r"fits hrnet18s_s1 and hrnet18s_s2 of focalclick alike.*--architecture"):
        recognise(checkpoint)
    assert recognise(checkpoint, architecture="hrnet18s_s2") == Recognised("focalclick", "hrnet18s_s2")
    with pytest.raises(ModelError, match="no architecture 'hrnet99'"):
        recognise(checkpoint, architecture="hrnet99")


@pytest.mark.parametrize(
    ("family", "params", "said"),
    [
        ("ritm", {"norm_radius": 260, "use_disks": False}, "use_disks = False"),
        ("ritm", {"norm_radius": 3}, "norm_radius = 3; our ritm tiny has 5"),
        ("ritm", {"use_leaky_relu": False}, "use_leaky_relu = False"),
        ("ritm", {"clicks_groups": [1, 2]}, "clicks_groups"),
        ("ritm", {"norm_mean_std": ([0.5] * 3, [0.5] * 3)}, "norm_mean_std"),
        ("simpleclick", {"random_split": True}, "random_split"),
        ("simpleclick", {"backbone_params": {"num_heads": 16}}, "num_heads = 16; our simpleclick tiny has 2"),
    ],
)
def test_options_that_leave_no_trace_in_the_keys_are_compared(family, params, said):
    with pytest.raises(ModelError, match=said):
        recognise(with_keys(family, "tiny", params))


def test_the_options_of_the_published_files_pass():
    params = {"norm_radius": 5, "use_disks": True, "norm_mean_std": [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], "use_leaky_relu": False}
    assert recognise(with_keys("simpleclick", "tiny", {**params, "backbone_params": {"num_heads": 2}})).architecture == "tiny"


def test_the_authors_own_settings_and_licence_go_with_their_file():
    huge = Recognised("simpleclick", "vit_huge448")
    assert published_entry(huge, "cocolvis_icl_vit_huge.pth") == catalogue.entry("icl_vit_huge_cocolvis")
    assert published_entry(huge, "renamed.pth") == catalogue.entry("simpleclick_vit_huge_cocolvis")
    assert published_entry(Recognised("ritm", "tiny"), "x.pth") is None


def test_a_converted_file_is_used_as_its_authors_use_it(tmp_path):
    path, out = tmp_path / "coco_lvis_h18s_itermask.pth", tmp_path / "h18s.safetensors"
    net = registry.build("ritm", "hrnet18s")
    torch.save({"state_dict": net.state_dict(), "config": config(norm_radius=5)}, path)
    convert(path, out)
    mine, theirs = catalogue.entry(str(out)), catalogue.entry("ritm_hrnet18s_cocolvis")
    assert (mine.zoom_in, mine.flip, mine.threshold, mine.recipes) == (theirs.zoom_in, True, 0.49, theirs.recipes)
    assert (mine.licence, mine.source) == ("MIT", theirs.source)


def test_a_file_of_several_networks_is_converted_one_by_one(tmp_path):
    path, out = tmp_path / "list.pth", tmp_path / "x.safetensors"
    parts = [{"state_dict": weights(catalogue.entry("ritm_tiny")), "config": config()} for _ in range(2)]
    parts[1]["state_dict"]["maps_transform.3.scale"] = torch.tensor([9.0])
    torch.save(parts, path)
    with pytest.raises(ModelError, match=r"holds 2 networks, one for each click.*--part"):
        convert(path, out)
    with pytest.raises(ModelError, match="there is no part 3; give a number from 1 to 2"):
        convert(path, out, part=3)
    convert(path, out, part=2)
    assert float(registry.load(str(out)).net.state_dict()["maps_transform.3.scale"]) == 9.0
    torch.save(parts[:1], path)
    convert(path, out)


def test_another_models_file_is_not_taken_for_the_one_that_was_asked_for(tmp_path):
    path = tmp_path / "x.pth"
    torch.save(weights(catalogue.entry("ritm_tiny")), path)
    with pytest.raises(ModelError, match="is ritm tiny, but simpleclick_tiny is simpleclick tiny"):
        convert(path, tmp_path / "x.safetensors", entry=catalogue.entry("simpleclick_tiny"))


def test_numbers_that_are_not_finite_are_refused_and_nothing_is_written(tmp_path):
    path, out = tmp_path / "x.pth", tmp_path / "x.safetensors"
    tensors = weights(catalogue.entry("ritm_tiny"))
    tensors["feature_extractor.bn1.bias"][3] = float("nan")
    torch.save(tensors, path)
    with pytest.raises(ModelError, match=r"not finite in feature_extractor\.bn1\.bias"):
        convert(path, out)
    assert not out.exists()
    shutil.rmtree(tmp_path)
