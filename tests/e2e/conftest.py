"""One Label Studio, one backend and one browser for all tests in here; the scene they show has ground truth."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pytest
import rasterio
from editor import FLAGS, WINDOW, Editor
from numpy.typing import NDArray
from playwright.sync_api import Browser, sync_playwright
from rasterio.windows import Window
from running import CHECKOUT, RunningStudio

from backend.errors import ModelError
from backend.model_names import ModelNames
from converters.scene import ScenePaths, write_scene
from converters.scene_canvas import BUILDING

SCREENSHOTS = CHECKOUT / "artifacts"
# Without the shipped weights: random ones, whose masks are arbitrary, but no less to be carried to the map bit for bit.
STAND_IN = "vitclick_tiny"


@pytest.fixture(scope="session")
def chromium() -> str:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"none of {', '.join(names)} is installed; .ci/run installs Debian's chromium")
        pytest.skip(f"none of {', '.join(names)} is installed")
    return found


@pytest.fixture(scope="session")
def model() -> str:
    try:
        return ModelNames().checked("default")
    except ModelError:
        return STAND_IN


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> ScenePaths:
    """1000 x 1000 px: four chips, three of them smaller than 600 px, two of them not square."""
    return write_scene(tmp_path_factory.mktemp("scene"), size=1000, seed=1)


@pytest.fixture(scope="session")
def studio(chromium: str, scene: ScenePaths, model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStudio]:
    running = RunningStudio(scene.image, tmp_path_factory.mktemp("up") / "data", model)
    try:
        running.wait(500)
        yield running
        running.interrupt()
    finally:
        running.kill()


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, headless=True, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture
def editor(browser: Browser, studio: RunningStudio, request: pytest.FixtureRequest) -> Iterator[Editor]:
    page = browser.new_context(viewport=WINDOW).new_page()
    driven = Editor(page, studio.running["url"], SCREENSHOTS / request.node.name)
    driven.log_in(studio.login["email"], studio.login["password"])
    yield driven
    driven.screenshot("end")
    page.context.close()
    assert driven.errors == []


@dataclass(frozen=True)
class Roof:
    """A roof that lies within one chip. mask: its pixels in the chip. col, row: native px of the point farthest from its edge."""

    task: dict[str, Any]
    mask: NDArray[np.bool_]
    col: float
    row: float

    @property
    def native(self) -> tuple[int, int]:
        return self.mask.shape[1], self.mask.shape[0]


@pytest.fixture(scope="session")
def roofs(studio: RunningStudio, scene: ScenePaths) -> list[Roof]:
    """The largest whole roof of each chip, largest first."""
    found = [roof for task in studio.get("/api/tasks?project=1&page_size=100")["tasks"] if (roof := _largest_roof(task, scene)) is not None]
    return sorted(found, key=lambda roof: -int(roof.mask.sum()))


def _largest_roof(task: dict[str, Any], scene: ScenePaths) -> Roof | None:
    window = Window(*task["data"]["window"])
    with rasterio.open(scene.objects) as objects, rasterio.open(scene.classes) as classes:
        numbers = np.where(classes.read(1, window=window) == BUILDING, objects.read(1, window=window), 0)
    edge = np.concatenate([numbers[0], numbers[-1], numbers[:, 0], numbers[:, -1]])
    whole = [number for number in np.unique(numbers) if number and number not in edge]
    if not whole:
        return None
    mask = numbers == max(whole, key=lambda number: (numbers == number).sum())
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    row, col = np.unravel_index(int(depth.argmax()), depth.shape)
    return Roof(task, mask, float(col) + 0.5, float(row) + 0.5)
