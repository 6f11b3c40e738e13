"""Bands of a training: read by recipe, remembered with the weights, widened when there are more, refused when they are others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from test_pixel_cache import pixels_of, write_set

from backend.commands.train import command
from backend.errors import ContractError, ModelError, UsageError
from backend.inference.click_maps import points_tensor
from backend.segmenters import catalogue, registry
from backend.segmenters.catalogue_entry import Entry
from backend.segmenters.generated import WeightFormula
from backend.segmenters.vitclick import VitClick
from backend.segmenters.weight_files import write_weights
from backend.training.bands import channels_for, starting_weights, training_recipes
from backend.training.objects import load_pools
from backend.training.pixel_cache import PixelCache
from backend.training.sources import Source
from backend.training.start import starting_network
from converters.bands import DISPLAY_RECIPES
from converters.errors import TaskError
from converters.labelled import open_labelled

RGB, IRRG, RGBIR = ("R", "G", "B"), ("IR", "R", "G"), ("R", "G", "B", "IR")
TINY = [one for one in catalogue.entries() if one.name.endswith("_tiny")]


def weights_of(one: Entry, folder: Path, recipes: tuple[tuple[str, ...], ...] = (RGB, IRRG)) -> Path:
    """A weight file of that architecture with numbers that are not all alike."""
    net = registry.build(one.family, one.architecture, len(recipes[0]))
    (one.formula or WeightFormula()).fill(net)
    path = folder / f"{one.family}.safetensors"
    write_weights(path, net.state_dict(), family=one.family, architecture=one.architecture, half=False, recipes=recipes)
    return path


def test_an_image_is_read_in_the_first_recipe_whose_bands_it_has(tmp_path: Path) -> None:
    four = write_set(tmp_path / "four", bands=4)
    (image, *_) = open_labelled(four).images
    assert image.bands == RGBIR
    assert channels_for(image, DISPLAY_RECIPES) == ((0, 1, 2), RGB)
    assert channels_for(image, (IRRG, RGB)) == ((3, 0, 1), IRRG)
    assert channels_for(image, (RGBIR,)) == ((0, 1, 2, 3), RGBIR)
    (three, *_) = open_labelled(write_set(tmp_path / "three")).images
    assert channels_for(three, (IRRG, RGB)) == ((0, 1, 2), RGB)
    with pytest.raises(UsageError, match=r"n0\.png has the bands RGB; expected RGBIR; leave its set out, or choose the bands"):
        channels_for(three, (RGBIR,))


@pytest.mark.parametrize("cached", [False, True])
def test_a_pool_holds_the_bands_of_the_model_and_says_which_they_are(tmp_path: Path, cached: bool) -> None:
    sets = [Source(write_set(tmp_path / "four", images=5, bands=4)), Source(write_set(tmp_path / "three", images=5))]
    cache = PixelCache(tmp_path / "cache") if cached else None
    training, _ = load_pools(sets, min_area=20, recipes=(IRRG, RGB), cache=cache)
    assert training.bands == IRRG
    found = {item.bands for item in training.objects}
    assert found == {IRRG, RGB}
    for item in training.objects:
        name = f"n{item.image % 5}"
        if item.bands == RGB:
            np.testing.assert_array_equal(training.images[item.image], pixels_of(tmp_path / "three", f"{name}.png"))
        else:
            with rasterio.open(tmp_path / "four/images" / f"{name}.tif") as file:
                np.testing.assert_array_equal(training.images[item.image], np.moveaxis(file.read([4, 1, 2]), 0, -1))


def test_four_bands_come_as_four_channels_and_named_ones_as_named(tmp_path: Path) -> None:
    four = write_set(tmp_path / "four", images=4, bands=4)
    training, _ = load_pools([Source(four)], min_area=20, recipes=(RGBIR,))
    assert training.images[0].shape == (70, 80, 4) and training.bands == RGBIR
    as_named, _ = load_pools([Source(four, bands=IRRG)], min_area=20, recipes=(IRRG,))
    np.testing.assert_array_equal(as_named.images[0], training.images[0][..., [3, 0, 1]])


def test_recipes_asked_for_come_before_the_files_and_the_registrys(tmp_path: Path) -> None:
    one = catalogue.entry("vitclick_tiny")
    assert training_recipes(one, (), None) == one.recipes
    path = weights_of(one, tmp_path, (RGBIR,))
    assert training_recipes(one, (), path) == (RGBIR,)
    assert training_recipes(one, (IRRG, RGB, IRRG), path) == (IRRG, RGB)
    with pytest.raises(UsageError, match="the bands RGB and RGBIR are not of one number"):
        training_recipes(one, (RGB, RGBIR), None)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("one", TINY, ids=lambda one: one.family)
def test_weights_of_three_bands_start_four_as_the_same_function(one: Entry, training: bool, tmp_path: Path) -> None:
    """But for the order of one sum, in train mode and in eval mode, whatever the new band shows."""
    path = weights_of(one, tmp_path)
    three, four = (registry.build(one.family, one.architecture, bands).train(training) for bands in (3, 4))
    three.load_state_dict(starting_weights(path, one, (RGB, IRRG)))
    four.load_state_dict(starting_weights(path, one, (RGBIR,)))
    image = torch.rand(2, 4, 128, 128)
    other = torch.cat([image[:, :3], 1 - image[:, 3:]], dim=1)
    before = answer(three, image[:, :3])
    assert torch.isfinite(before).all() and float(before.std()) > 1e-3
    for pixels in (image, other):
        torch.testing.assert_close(answer(four, pixels), before, rtol=1e-5, atol=1e-5 * max(1.0, float(before.abs().max())))


def answer(net: torch.nn.Module, image: torch.Tensor) -> torch.Tensor:
    """Logits of a network; SAM's encoding, since there nothing else reads the image."""
    torch.manual_seed(0)  # of dropped paths
    with torch.no_grad():
        if hasattr(net, "image_encoder"):
            return net.image_encoder(net.preprocess(255 * image))  # type: ignore[operator]
        size = (56, 56) if isinstance(net, VitClick) else (128, 128)
        previous = torch.linspace(0, 1, size[0] * size[1]).reshape(1, 1, *size).expand(len(image), 1, *size)
        points = points_tensor([[(30.0, 40.0, True), (10.5, 50.0, False)], [(20.0, 20.0, True)]])
        return _first(net(torch.cat([image[..., : size[0], : size[1]], previous], dim=1), points))


def _first(found: object) -> torch.Tensor:
    """The mask logits of whatever a family's forward pass gives."""
    if isinstance(found, torch.Tensor):
        return found
    if isinstance(found, dict):
        return _first(next(iter(found.values())))
    if isinstance(found, list | tuple):
        return _first(found[0])
    return next(_first(getattr(found, name)) for name in ("logits", "instances") if hasattr(found, name))


def test_what_cannot_be_started_from_is_refused(tmp_path: Path) -> None:
    one = catalogue.entry("vitclick_tiny")
    three = weights_of(one, tmp_path)
    with pytest.raises(ModelError, match=r"trained on RGB or IRRG and cannot start a model of GBRIR; .* such as RGBIR"):
        starting_weights(three, one, (("G", "B", "R", "IR"),))
    assert starting_weights(three, one, (("IR", "R", "G", "B"),))  # the first three are one of its recipes
    four = weights_of(one, tmp_path, (RGBIR,))
    with pytest.raises(ModelError, match="trained on RGBIR and cannot start a model of RGB"):
        starting_weights(four, one, (RGB,))
    with pytest.raises(ModelError, match=r"holds a vitclick tiny, ritm_tiny is a ritm tiny; name the model that the file was trained as"):
        starting_weights(four, catalogue.entry("ritm_tiny"), (RGB,))
    with pytest.raises(ModelError, match=r"is no weight file; expected a name that ends in \.safetensors"):
        starting_weights(tmp_path / "x.pth", one, (RGB,))


def test_as_many_other_bands_take_the_places_of_the_files(tmp_path: Path) -> None:
    """Naming them is the mapping: infrared, red, green go where red, green, blue went."""
    one = catalogue.entry("vitclick_tiny")
    path = weights_of(one, tmp_path, (RGB,))
    state = starting_weights(path, one, (IRRG,))
    for name, tensor in starting_weights(path, one, (RGB,)).items():
        assert torch.equal(tensor, state[name])


def test_a_model_remembers_its_bands_and_refuses_others(tmp_path: Path) -> None:
    """Its file names them; the catalogue gives them to whoever reads pixels; pixels of another number are refused by the network."""
    one = catalogue.entry("vitclick_tiny")
    path = weights_of(one, tmp_path, (RGBIR,))
    assert catalogue.entry(str(path)).recipes == (RGBIR,)
    segmenter = registry.load(str(path))
    assert segmenter.recipes == (RGBIR,)
    with pytest.raises(ContractError, match="it takes HxWx4 uint8"):
        segmenter.encode(np.zeros((40, 40, 3), np.uint8))
    (three, *_) = open_labelled(write_set(tmp_path / "three")).images
    with pytest.raises(UsageError, match="expected RGBIR"):
        channels_for(three, segmenter.recipes)
    assert replace(one, recipes=(RGBIR,)).bands == 4


def test_the_command_widens_a_model_and_its_file_names_the_new_bands(tmp_path: Path) -> None:
    """From a file for three bands to one for four, on images of four; decoded into the run's folder."""
    start = weights_of(catalogue.entry("vitclick_tiny"), tmp_path)
    four, out = write_set(tmp_path / "four", images=6, bands=4), tmp_path / "wide.safetensors"
    words = [
        "--model",
        "vitclick_tiny",
        "--recipe",
        "scratch",
        "--steps",
        "2",
        "--batch",
        "2",
        "--out",
        str(out),
        "--from",
        str(start),
        "--force",
    ]
    result = CliRunner().invoke(command, ["--data", str(four), "--bands", "RGBIR", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert catalogue.entry(str(out)).recipes == (RGBIR,)
    assert registry.load(str(out)).recipes == (RGBIR,)
    cached = list((tmp_path / "wide.run/cache").glob("*.npy"))
    assert len(cached) == 6 and np.load(cached[0]).shape == (70, 80, 4)
    with pytest.raises(TaskError, match="has the bands RGB; expected RGBIR"):
        CliRunner().invoke(command, ["--data", str(write_set(tmp_path / "three")), "--bands", "RGBIR", *words], catch_exceptions=False)


def test_a_pretrained_part_for_three_bands_is_widened_too(tmp_path: Path) -> None:
    entry = catalogue.entry("vitclick_tiny")
    whole = registry.build(entry.family, entry.architecture).state_dict()
    part = {name: tensor for name, tensor in whole.items() if name.startswith("patch_embed")}
    save_file(part, tmp_path / "body.safetensors")
    net, pretrained = starting_network("vitclick_tiny", start_from=None, init=tmp_path / "body.safetensors", seed=0, recipes=(RGBIR,))
    weight = net.state_dict()["patch_embed.weight"]
    assert pretrained == frozenset(part) and weight.shape[1] == 4
    assert torch.equal(weight[:, :3], part["patch_embed.weight"]) and not weight[:, 3].any()
    with pytest.raises(ModelError, match="cannot be widened to 1"):
        starting_network("vitclick_tiny", start_from=None, init=tmp_path / "body.safetensors", seed=0, recipes=(("L",),))
