"""The models that clicks of this project ask for: there, loadable, and able to read the tasks' bands."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from backend.model_pool import ModelPool
from backend.segmenters.catalogue import Catalogue, shipped
from backend.studio.checks.finding import Verdict, fail, failure, ok, warn
from backend.studio.checks.interface import Prompts, TagSettings
from backend.studio.checks.notes import Notes
from backend.studio.checks.pictures import Found, Reading, Sampled
from backend.studio.checks.server import Models
from backend.tag_settings import PredictionSettings
from converters.bands import format_bands
from converters.errors import RSISegError


@dataclass(frozen=True, slots=True)
class Wanted:
    """settings: of clicks with each tag, by the tag's name. models: the checked name of the model that answers them, likewise."""

    settings: Mapping[str, PredictionSettings]
    models: Mapping[str, str]


def weights(notes: Notes) -> Verdict:
    """The models of server, project and tags are on the backend, and load on this machine where their weights are here too."""
    settings, there = notes.question.settings, notes.need(Models)
    prompts, by_tag = notes.need(Prompts), notes.need(TagSettings).by_tag
    catalogue = shipped(settings.precision)
    try:
        own = catalogue.checked(settings.model, path_allowed=True)
        # A switch that names no model adds to the clicks of another tag, whose model is looked at there.
        models = {tag.name: catalogue.checked(name) if (name := by_tag[tag.name].model) else own for tag in prompts.tags}
    except RSISegError as error:
        return failure(error)
    if lost := sorted({name for name in models.values() if name in there.unavailable}):
        return fail(f"the backend has no weights of {', '.join(lost)}", f"on its machine, {there.unavailable[lost[0]]}")
    notes.learn(Wanted(by_tag, models))
    return _loaded(notes, catalogue, there, sorted({own, *models.values()}))


def _loaded(notes: Notes, catalogue: Catalogue, there: Models, names: list[str]) -> Verdict:
    pool = ModelPool(catalogue, device=notes.question.settings.device)
    times: list[str] = []
    for name in names:
        started = time.perf_counter()
        try:
            pool.get(name)
        except RSISegError as error:
            return failure(error)
        times.append(f"{name} loads in {time.perf_counter() - started:.1f} s")
    found = ", ".join(times)
    # A version is "<model>@<weights>-<settings>" with the suffix of a refinement; refined or not, the weights are the same.
    strangers = [name for name in names if not any(version.startswith(pool.version(name)) for version in there.versions)]
    if strangers:
        return warn(
            f"{found}; the backend has other weights of {', '.join(strangers)}, or none",
            "run the doctor on the backend's machine, in the environment of `rsiseg serve`",
        )
    return ok(found)


def band_recipes(notes: Notes) -> Verdict:
    """Every sampled raster has the bands that each model of the interface may be given, and they can be read."""
    wanted, found = notes.need(Wanted), notes.need(Found)
    sampled, imagery = notes.need(Sampled), notes.need(Reading).imagery
    catalogue = shipped(notes.question.settings.precision)
    kinds: set[str] = set()
    slowest = 0.0
    for task in sampled.tasks:
        image = found.images.get(task["id"])
        if image is None:
            continue
        for tag, settings in wanted.settings.items():
            try:
                recipes = settings.recipes(catalogue.entry(wanted.models[tag]).recipes)
                begin = time.perf_counter()
                pixels = imagery.pixel_key(image, recipes)
                imagery.pixels(image, pixels)
            except RSISegError as error:
                verdict = failure(error)
                return fail(f"task {task['id']}, {wanted.models[tag]}: {verdict.found}", verdict.todo)
            slowest = max(slowest, time.perf_counter() - begin)
            kinds.add(f"{format_bands(tuple(image.chip.bands[number - 1] for number in pixels.bands))} of {format_bands(image.chip.bands)}")
    return ok(f"{', '.join(sorted(kinds))}; a window is read in {slowest * 1000:.0f} ms")
