"""The authors' numbers, from the table in MODELS.md 8, and which network each recipe can train."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from click_scenes import squares

from backend.errors import UsageError
from backend.segmenters import catalogue, registry
from backend.training.focal_training import FocalSettings, FocalTraining
from backend.training.icl import IclSettings, IclTraining
from backend.training.iterative import IterativeSettings, IterativeTraining
from backend.training.methods import method_of
from backend.training.optimisation import Optimisation
from backend.training.recipes import RECIPES, Recipe, recipe

# name: crop, most points, batch, epochs, epoch length, learning rate, epochs of the cuts, smallest object
TABLE = {
    "ritm_cocolvis": ((320, 480), 24, 32, 230, 30000, 5e-4, (200, 220), 1000),
    "ritm_cocolvis_h18": ((320, 480), 24, 28, 230, 30000, 5e-4, (200, 220), 1000),
    "ritm_sbd": ((320, 480), 24, 28, 220, 8498, 5e-4, (200, 215), 80),
    "simpleclick_cocolvis": ((448, 448), 24, 32, 55, 30000, 5e-5, (50,), 1000),
    "simpleclick_cocolvis_xtiny": ((448, 448), 24, 32, 230, 30000, 5e-5, (200,), 1000),
    "simpleclick_sbd": ((448, 448), 24, 32, 55, 8498, 5e-5, (50,), 80),
    "icl_cocolvis": ((448, 448), 12, 32, 1, 3000, 5e-6, (), 1000),
    "icl_cocolvis_base": ((448, 448), 24, 32, 5, 30000, 5e-6, (), 1000),
    "focalclick_segformer": ((256, 256), 24, 28, 230, 30000, 5e-3, (190, 210), 1000),
    "focalclick_hrnet": ((256, 256), 24, 32, 230, 30000, 5e-4, (190, 210), 1000),
}


def rate(optimisation: Optimisation, parameter: str) -> float:
    """The factor of the longest prefix that fits."""
    fitting = [(len(prefix), factor) for prefix, factor in optimisation.multipliers if parameter.startswith(prefix)]
    return max(fitting)[1] if fitting else 1.0


@pytest.mark.parametrize("name", TABLE)
def test_the_numbers_are_those_of_the_table(name: str) -> None:
    crop, points, batch, epochs, length, lr, cuts, area = TABLE[name]
    one = recipe(name)
    optimisation, method = one.optimisation, one.method
    if isinstance(method, FocalSettings):
        assert (method.crop.size, method.crop.size) == crop and method.sampler.max_points == points
    else:
        assert isinstance(method, IterativeSettings | IclSettings)
        assert method.scene.crop == crop and method.scene.sampler.max_points == points
    assert (optimisation.optimiser, optimisation.lr, optimisation.batch, one.min_area) == ("adam", lr, batch, area)
    assert (optimisation.betas, optimisation.eps, optimisation.weight_decay, optimisation.clip) == ((0.9, 0.999), 1e-8, 0.0, 0.0)
    assert optimisation.steps == epochs * (length // batch)
    assert optimisation.schedule == "step" and optimisation.warmup == 0 and optimisation.ema == 0
    assert [round(share * epochs) for share in optimisation.milestones] == list(cuts)


def test_steps_are_what_the_authors_ran() -> None:
    assert recipe("ritm_cocolvis").optimisation.steps == 215_510
    assert recipe("simpleclick_cocolvis").optimisation.steps == 51_535
    assert recipe("icl_cocolvis").optimisation.steps == 93


def test_parts_of_a_network_learn_at_the_authors_rates() -> None:
    ritm = {name for name, _ in registry.build("ritm", "tiny").named_parameters()}
    optimisation = recipe("ritm_cocolvis").optimisation
    for prefix, factor in {
        "feature_extractor.stage2": 0.1,
        "feature_extractor.aux_head": 0.1,
        "feature_extractor.cls_head": 0.1,
        "feature_extractor.conv3x3_ocr": 1.0,
        "feature_extractor.ocr_distri_head": 1.0,
        "maps_transform": 1.0,
    }.items():
        found = [name for name in ritm if name.startswith(prefix)]
        assert found and {rate(optimisation, name) for name in found} == {factor}
    focal = {name for name, _ in registry.build("focalclick", "tiny").named_parameters()}
    rates = {name: rate(recipe("focalclick_segformer").optimisation, name) for name in focal}
    assert {factor for name, factor in rates.items() if name.startswith("feature_extractor.backbone.")} == {0.1}
    assert {factor for name, factor in rates.items() if not name.startswith("feature_extractor.backbone.")} == {1.0}
    assert rate(recipe("focalclick_hrnet").optimisation, "feature_extractor.cls_head.weight") == 2.0


def test_what_the_methods_differ_in() -> None:
    ritm, simple, icl = (recipe(name).method for name in ("ritm_cocolvis", "simpleclick_cocolvis", "icl_cocolvis"))
    assert isinstance(ritm, IterativeSettings) and isinstance(simple, IterativeSettings) and isinstance(icl, IclSettings)
    assert (ritm.auxiliary_weight, simple.auxiliary_weight, ritm.most_clicks) == (0.4, 0.0, 3)
    assert icl.weights == (1, 2, 3) and icl.scene.suem is not None and icl.scene.sampler.order == "shuffled"
    sampler, augmentation = ritm.scene.sampler, ritm.scene.augmentation
    assert (sampler.gamma, sampler.merge_prob, sampler.max_merged, sampler.centred) == (0.8, 0.15, 2, False)
    assert (augmentation.scale, augmentation.mirrors, augmentation.quarter_turns) == ((0.75, 1.4), "horizontal", False)
    sbd = recipe("ritm_sbd").method
    assert isinstance(sbd, IterativeSettings)
    turned = sbd.scene.augmentation
    assert (turned.scale, turned.mirrors, turned.quarter_turns, turned.shift, turned.tilt) == ((0.75, 1.25), "any", True, 0.03, 3.0)
    focal, hrnet, combined = (recipe(f"focalclick_{name}").method for name in ("segformer", "hrnet", "hrnet_combined"))
    assert isinstance(focal, FocalSettings) and isinstance(hrnet, FocalSettings) and isinstance(combined, FocalSettings)
    assert (focal.auxiliary_weight, hrnet.auxiliary_weight, focal.doubt_share, focal.sampler.centred) == (0.0, 0.4, 0.5, True)
    assert (focal.crop.mean, focal.crop.limits, combined.crop.mean, combined.crop.limits) == (0.8, (0.3, 1.3), 1.0, (0.5, 1.3))


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_written_on_a_card(name: str) -> None:
    assert json.loads(json.dumps(asdict(recipe(name))))["name"] == name


@pytest.mark.parametrize(
    ("name", "model", "method", "size"),
    [
        ("ritm_cocolvis", "ritm_tiny", IterativeTraining, (320, 480)),
        ("simpleclick_cocolvis", "simpleclick_tiny", IterativeTraining, (112, 112)),
        ("icl_cocolvis", "simpleclick_tiny", IclTraining, (112, 112)),
        ("focalclick_segformer", "focalclick_tiny", FocalTraining, (128, 128)),
    ],
)
def test_a_method_draws_samples_of_the_networks_size(name: str, model: str, method: type, size: tuple[int, int]) -> None:
    found = method_of(recipe(name), catalogue.entry(model))
    assert type(found) is method
    rng, pool = np.random.default_rng(0), squares()
    sample = next(sample for sample in (found.draw(pool, rng) for _ in range(50)) if sample is not None)
    assert (sample.coarse if method is FocalTraining else sample).image.shape[:2] == size


@pytest.mark.parametrize(
    ("name", "model", "message"),
    [
        ("ritm_cocolvis", "simpleclick_tiny", "auxiliary"),
        ("focalclick_hrnet", "focalclick_tiny", "auxiliary"),
        ("focalclick_segformer", "ritm_tiny", "focalclick"),
        ("simpleclick_cocolvis", "focalclick_tiny", "family focalclick"),
        ("aerial", "sam_tiny", "family sam"),
    ],
)
def test_a_network_that_a_recipe_cannot_train_is_refused(name: str, model: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        method_of(recipe(name), catalogue.entry(model))


def test_an_unknown_recipe_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"simpleclick_sbd"):
        recipe("simpleclik")


def test_recipes_are_values() -> None:
    assert all(isinstance(one, Recipe) and one.name == name for name, one in RECIPES.items())
    assert len({hash(one) for one in RECIPES.values()}) == len(RECIPES)


@pytest.mark.parametrize(
    ("name", "model"), [("ritm_cocolvis", "ritm_tiny"), ("icl_cocolvis", "simpleclick_tiny"), ("focalclick_segformer", "focalclick_tiny")]
)
def test_a_step_in_bf16_has_finite_gradients_and_a_float32_loss(name: str, model: str) -> None:
    entry = catalogue.entry(model)
    method, net = method_of(recipe(name), entry), registry.build(entry.family, entry.architecture).train()
    rng, pool = np.random.default_rng(1), squares()
    batch = [sample for sample in (method.draw(pool, rng) for _ in range(12)) if sample is not None][:2]
    with torch.autocast("cpu", torch.bfloat16):
        step = method.loss(net, batch, rng, "cpu")
    assert step.loss.dtype == torch.float32 and bool(step.loss.isfinite())
    step.loss.backward()
    gradients = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
    assert gradients and all(bool(one.isfinite().all()) for one in gradients)
    assert net.training and all(np.isfinite(value) for value in step.scalars.values())
