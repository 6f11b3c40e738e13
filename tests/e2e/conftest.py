"""One Label Studio, one backend and one browser for all tests in here; the scene they show has ground truth."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from editor import FLAGS, WINDOW, Editor
from playwright.sync_api import Browser, sync_playwright
from roofs import Roof, largest_roof
from running import CHECKOUT, STAND_IN, RunningStudio

from backend.errors import ModelError
from backend.segmenters.catalogue import shipped
from converters.scene import ScenePaths, write_scene

SCREENSHOTS = CHECKOUT / "artifacts"


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
        return shipped().checked("default")
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


@pytest.fixture(scope="session")
def roofs(studio: RunningStudio, scene: ScenePaths) -> list[Roof]:
    """The largest whole roof of each chip, largest first."""
    found = [roof for task in studio.get("/api/tasks?project=1&page_size=100")["tasks"] if (roof := largest_roof(task, scene)) is not None]
    return sorted(found, key=lambda roof: -int(roof.mask.sum()))
