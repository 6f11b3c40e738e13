"""Networks of every family read one band, three or four; three are the published network; a widened one answers as before."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from backend.errors import ContractError, ModelError
from backend.inference.click_maps import points_tensor
from backend.segmenters import catalogue, registry
from backend.segmenters.normalisation import MEAN, STD, for_bands, normalised
from backend.segmenters.weight_files import write_weights
from backend.segmenters.widening import widened
from converters.frames import Click

TINY = [one for one in catalogue.entries() if one.name.endswith("_tiny")]
POINTS = points_tensor([[(30.0, 40.0, True), (10.5, 80.0, False)]])
CLICKS = [Click(40, 50, True), Click(90, 110, True), Click(60, 70, False)]
RGBIR = (("R", "G", "B", "IR"),)


def filled(one, bands=3):
    net = registry.build(one.family, one.architecture, bands)
    one.formula.fill(net)
    return net.eval().requires_grad_(False)


def image(bands, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (120, 150, bands), dtype=np.uint8)


def maps(segmenter, pixels):
    encoding = segmenter.encode(pixels)
    state, found = segmenter.start(encoding), []
    for count in range(1, len(CLICKS) + 1):
        state = segmenter.step(encoding, CLICKS[:count], state)
        found.append(state.probability)
    return np.stack(found)


@pytest.mark.parametrize("one", TINY, ids=lambda one: one.family)
@pytest.mark.parametrize("bands", [1, 3, 4, 5])
def test_only_layers_that_read_the_image_grow_with_its_bands(one, bands):
    plain, other = (registry.build(one.family, one.architecture, count).state_dict() for count in (3, bands))
    assert list(plain) == list(other)
    changed = {name: (plain[name].shape, other[name].shape) for name in plain if plain[name].shape != other[name].shape}
    assert all(before[1] + bands - 3 == after[1] for before, after in changed.values())
    assert len(changed) == (0 if bands == 3 else {"vitclick": 2, "focalclick": 2}.get(one.family, 1))


@pytest.mark.parametrize("one", TINY, ids=lambda one: one.family)
def test_a_widened_network_answers_as_before_whatever_the_new_band_shows(one, tmp_path):
    """The whole segmenter, from a weight file that says its bands. Zero columns may change the order of a sum, and so its last bit, which
    grows where later clicks read the map of earlier ones."""
    tensors = widened(filled(one).state_dict(), family=one.family, architecture=one.architecture, bands=4)
    path = tmp_path / "wide.safetensors"
    write_weights(path, tensors, family=one.family, architecture=one.architecture, half=False, recipes=RGBIR)
    wide, pixels = registry.load(str(path)), image(4)
    assert wide.recipes == RGBIR
    before = maps(registry.load(one.name), np.ascontiguousarray(pixels[:, :, :3]))
    for _ in range(2):
        after = maps(wide, pixels)
        assert np.abs(after[0] - before[0]).max() <= 1e-6
        assert np.abs(after - before).max() <= 1e-5
        pixels[:, :, 3] = 255 - pixels[:, :, 3]


@pytest.mark.parametrize("one", TINY, ids=lambda one: one.family)
def test_a_new_band_counts_as_soon_as_its_weights_do(one):
    from dataclasses import replace

    four = registry.load_entry(replace(one, recipes=RGBIR))
    pixels = image(4)
    before = maps(four, pixels)
    pixels[:, :, 3] = 255 - pixels[:, :, 3]
    assert np.abs(maps(four, pixels) - before).max() > 1e-3
    with pytest.raises(ContractError, match="it takes HxWx4 uint8"):
        four.encode(image(3))


def test_what_cannot_be_widened_is_refused():
    one = catalogue.entry("ritm_tiny")
    tensors = filled(one).state_dict()
    about = {"family": "ritm", "architecture": "tiny"}
    with pytest.raises(ModelError, match="cannot be widened to 3; expected more than 3"):
        widened(tensors, **about, bands=3)
    with pytest.raises(ModelError, match=r"not those of ritm hrnet18s for 3 bands: \S+ is \(8, "):
        widened(tensors, family="ritm", architecture="hrnet18s", bands=4)
    with pytest.raises(ModelError, match=r"maps_transform\.0\.weight is missing"):
        widened({}, **about, bands=4)
    with pytest.raises(ModelError, match=r"for 3 bands: feature_extractor\.conv1\.weight is \(64, 4, 3, 3\)"):
        widened(widened(tensors, **about, bands=4), **about, bands=5)
    assert widened(widened(tensors, **about, bands=4), **about, bands=5, had=4)["feature_extractor.conv1.weight"].shape[1] == 5


def test_infrared_is_normalised_as_red_and_a_single_band_as_the_mean():
    assert for_bands(MEAN, 3) == MEAN
    assert for_bands(MEAN, 4) == (*MEAN, MEAN[0])
    assert for_bands(STD, 1) == pytest.approx((0.226,), abs=1e-9)
    pixels = torch.rand(2, 4, 5, 6)
    assert torch.equal(normalised(pixels)[:, :3], normalised(pixels[:, :3]))
    assert torch.equal(normalised(pixels)[:, 3], normalised(pixels[:, [3, 1, 2]])[:, 0])


def test_sam_shrinks_every_band_as_pillow_shrinks_a_picture():
    """Four bands are no RGBA: where the fourth is zero, Pillow would blacken the others."""
    three = registry.load("sam_tiny")
    pixels = image(3)
    direct = np.asarray(Image.fromarray(pixels).resize((128, 102), Image.Resampling.BILINEAR))
    expected = three.net.preprocess(torch.tensor(direct).permute(2, 0, 1)[None])
    assert torch.equal(three.preprocessed(pixels), expected)
    four = registry.load("sam_tiny_rgbir")
    dark = np.dstack([pixels, np.zeros(pixels.shape[:2], np.uint8)])
    assert torch.equal(four.preprocessed(dark)[:, :3], expected)
    assert torch.allclose(four.preprocessed(dark)[:, 3, :102], torch.tensor(-MEAN[0] / STD[0]))
