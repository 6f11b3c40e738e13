"""The registry: every entry answers or says why not, and a weight file is taken whole and right or not at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from backend.errors import ModelError
from backend.segmenters import catalogue, registry
from backend.segmenters.weight_files import write_weights
from backend.segmenters.weight_headers import file_sha256, read_metadata
from converters.frames import Click

TINY = [one.name for one in catalogue.entries() if one.file is None]


@pytest.fixture
def weights(tmp_path):
    """A half-precision file of the tiny RITM network."""
    net = registry.build("ritm", "tiny")
    catalogue.entry("ritm_tiny").formula.fill(net)
    path = tmp_path / "mine.safetensors"
    write_weights(path, net.state_dict(), family="ritm", architecture="tiny", threshold=0.5, seed=7)
    return path


def answer(segmenter, image):
    encoding = segmenter.encode(image)
    return segmenter.step(encoding, [Click(40, 50, True)], segmenter.start(encoding)).probability


def test_every_family_has_a_tiny_entry_without_a_file():
    assert {catalogue.entry(name).family for name in TINY} == {one.family for one in catalogue.entries()}


@pytest.mark.parametrize("one", catalogue.entries(), ids=lambda one: one.name)
def test_every_entry_names_an_architecture_that_its_family_builds(one):
    assert one.architecture in registry.family(one.family).architectures


@pytest.mark.parametrize("name", TINY)
def test_a_tiny_entry_answers_clicks_with_a_map_that_depends_on_them(name):
    segmenter = registry.load(name)
    image = np.random.default_rng(0).integers(0, 256, (120, 150, len(segmenter.recipes[0])), dtype=np.uint8)
    encoding = segmenter.encode(image)
    start = segmenter.start(encoding)
    here = segmenter.step(encoding, [Click(40, 50, True)], start).probability
    there = segmenter.step(encoding, [Click(90, 110, True)], start).probability
    assert here.shape == (120, 150)
    assert np.abs(here - there).max() > 0.05
    assert segmenter.version == catalogue.shipped().version(name)


def test_an_unknown_family_or_architecture_is_refused_with_the_known_ones():
    with pytest.raises(ModelError, match="no model family 'nope'"):
        registry.family("nope")
    with pytest.raises(ModelError, match="no architecture 'hrnet99'; known are hrnet18s"):
        registry.build("ritm", "hrnet99")


def test_a_module_of_this_package_that_is_no_family_is_not_one():
    with pytest.raises(ModelError, match="no model family"):
        registry.family("weight_files")


def test_absent_weights_are_listed_as_unavailable_and_refused(tmp_path):
    one = replace(catalogue.entry("ritm_hrnet18s"), file=tmp_path / "absent.safetensors")
    assert not one.available
    with pytest.raises(ModelError, match=r"ritm_hrnet18s are not on this machine, expected at .*absent\.safetensors"):
        registry.load_entry(one)


def test_a_weight_file_is_a_model_name(weights):
    segmenter = registry.load(str(weights))
    assert segmenter.name == "mine"
    assert segmenter.threshold == 0.5  # of the file's metadata
    assert segmenter.recipes == catalogue.entry("ritm_tiny").recipes  # of the first entry of that architecture
    assert segmenter.version == catalogue.shipped().version(str(weights))
    assert read_metadata(weights)["seed"] == 7
    image = np.random.default_rng(0).integers(0, 256, (80, 90, 3), dtype=np.uint8)
    assert np.abs(answer(segmenter, image) - answer(registry.load("ritm_tiny"), image)).max() < 0.05  # half precision


def test_a_truncated_file_is_refused(weights):
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        registry.load(str(weights))


def test_a_file_that_is_no_safetensors_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_text("hello")
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        registry.load(str(path))


def test_a_file_that_does_not_name_its_network_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="does not say which network"):
        registry.load(str(path))


def test_weights_of_another_network_are_refused_with_the_first_difference(weights):
    one = replace(catalogue.entry("simpleclick_tiny"), file=weights)
    with pytest.raises(ModelError, match=r"another network: it lacks patch_embed_coords\.proj\.weight"):
        registry.load_entry(one)
    wider = replace(catalogue.entry("ritm_hrnet18s"), file=weights)
    with pytest.raises(ModelError, match=r"has the shape \(8, 256, 3, 3\), expected \(18, 256, 3, 3\)"):
        registry.load_entry(wider)


def test_a_changed_file_is_refused_where_the_registry_knows_its_hash(weights):
    one = replace(catalogue.entry(str(weights)), sha256="0" * 64)
    with pytest.raises(ModelError, match="the registry expects 000000000000"):
        registry.load_entry(one)
    assert registry.load_entry(replace(one, sha256=file_sha256(weights)))


def test_weights_that_are_not_finite_are_refused(weights):
    net = registry.build("ritm", "tiny")
    tensors = net.state_dict()
    tensors["maps_transform.0.bias"] = torch.full((16,), float("nan"))
    write_weights(weights, tensors, family="ritm", architecture="tiny")
    with pytest.raises(ModelError, match=r"not finite in maps_transform\.0\.bias"):
        registry.load(str(weights))


def test_an_unusable_device_is_named():
    with pytest.raises(ModelError, match="the device 'abacus' cannot be used"):
        registry.load("ritm_tiny", device="abacus")


def test_an_interrupted_write_leaves_the_old_file(weights, monkeypatch):
    before = weights.read_bytes()

    def broken(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr("backend.segmenters.weight_files.save_file", broken)
    with pytest.raises(ModelError, match=r"mine.safetensors cannot be written \(disk full\)"):
        write_weights(weights, {}, family="ritm", architecture="tiny")
    assert weights.read_bytes() == before
    assert list(weights.parent.iterdir()) == [weights]
