"""Retakes the pictures of docs/annotating.md in the real editor, with a drawn scene: `python tests/e2e/pictures.py`.

Not a test. It needs what the tests beside it need: Debian's chromium and the weights of the default model.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from editor import FLAGS, Editor
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from roofs import Roof, largest_roof
from running import CHECKOUT, RunningStudio

from converters.scene import ScenePaths, write_scene

PICTURES = CHECKOUT / "docs" / "pictures"
# Small, so that the words of the editor can be read in a picture as wide as a page of text.
WINDOW = {"width": 1400, "height": 700}
LARGEST = 80_000  # bytes of one picture
GAP = 8  # px of white between pictures side by side
BEYOND_THE_LIST = 241  # px at the left of the window: Label Studio's list of tasks
TITLES = 90  # px at the top: its titles and tabs
BAR = 50  # px at the bottom


class Camera:
    """Takes what a page shows and keeps it as WebP."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def whole(self) -> Image.Image:
        """The editor without the list of tasks and the titles."""
        return self._taken(BEYOND_THE_LIST, TITLES, WINDOW["width"], WINDOW["height"])

    def bar(self) -> Image.Image:
        """The bar below the picture, without the button at its right end."""
        return self._taken(BEYOND_THE_LIST, WINDOW["height"] - BAR, 880, WINDOW["height"])

    def tools(self) -> Image.Image:
        """Classes, picture and toolbar."""
        return self._taken(BEYOND_THE_LIST, TITLES, 1080, WINDOW["height"] - BAR)

    def regions(self) -> Image.Image:
        """The list at the right, its upper part."""
        return self._taken(1081, 420, WINDOW["width"], 540)

    def chip(self) -> Image.Image:
        """The upper part of the chip alone."""
        box = self._page.locator(".lsf-image img").first.bounding_box()
        assert box is not None
        return self._taken(int(box["x"]), int(box["y"]), int(box["x"] + box["width"]), int(box["y"] + 0.55 * box["height"]))

    def dialog(self) -> Image.Image:
        """The editor's settings, with a red line round the one that matters."""
        field = self._page.locator("label.lsf-settings__field", has_text="Keep label selected")
        field.evaluate("element => { element.style.outline = '3px solid #d00'; element.style.outlineOffset = '4px' }")
        box = field.bounding_box()
        assert box is not None
        return self._taken(int(box["x"]) - 40, int(box["y"]) - 180, int(box["x"] + box["width"]) + 40, int(box["y"] + box["height"]) + 80)

    def _taken(self, left: int, top: int, right: int, bottom: int) -> Image.Image:
        clip = {"x": left, "y": top, "width": right - left, "height": bottom - top}
        return Image.open(BytesIO(self._page.screenshot(clip=clip))).convert("RGB")  # pyright: ignore[reportArgumentType]


def side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    width = sum(picture.width for picture in pictures) + GAP * (len(pictures) - 1)
    joined = Image.new("RGB", (width, max(picture.height for picture in pictures)), "white")
    left = 0
    for picture in pictures:
        joined.paste(picture, (left, 0))
        left += picture.width + GAP
    return joined


def keep(picture: Image.Image, name: str) -> None:
    path = PICTURES / f"annotating_{name}.webp"
    for quality in (85, 70, 55, 40):
        picture.save(path, "WEBP", quality=quality, method=6)
        if path.stat().st_size < LARGEST:
            break
    print(f"{path.relative_to(CHECKOUT)}: {picture.width} x {picture.height} px, {path.stat().st_size} bytes")


def take(page: Page, editor: Editor, roof: Roof) -> None:
    """The way through the page's text, in its order. The roof carries a solar array at its right, trees stand below it."""
    camera, native = Camera(page), roof.native
    array = (roof.col + 30, roof.row + 20)
    trees = ((0.5 * native[0], 0.49 * native[1]), (0.85 * native[0], 0.65 * native[1]))

    editor.open_task(1, roof.task["id"])
    page.get_by_test_id("bottombar-settings-button").click()
    page.locator("label.lsf-settings__field", has_text="Keep label selected").click()
    page.wait_for_timeout(500)
    keep(camera.dialog(), "settings")
    page.keyboard.press("Escape")
    page.locator("label.lsf-settings__field").first.wait_for(state="hidden")
    editor.switch_on_auto_annotation()
    page.wait_for_timeout(500)
    keep(camera.bar(), "bar")
    editor.choose("building")
    page.mouse.move(BEYOND_THE_LIST + 60, 600)  # off the label, which would be drawn as pointed at
    page.wait_for_timeout(500)
    keep(camera.tools(), "class")

    editor.click(roof.col, roof.row, native=native)
    keep(camera.whole(), "suggestion")
    one_click = camera.chip()
    editor.click(*array, native=native, alt=True)
    keep(side_by_side([one_click, camera.chip()]), "alt_click")
    page.get_by_test_id("bottombar-reject-suggestions-button").click()
    page.wait_for_timeout(500)

    editor.click(roof.col, roof.row, native=native)
    editor.accept()
    page.wait_for_timeout(500)
    keep(camera.regions(), "accepted")
    before = camera.chip()
    page.keyboard.down("Control")
    editor.click(*array, native=native, alt=True)
    page.keyboard.up("Control")
    suggested = camera.chip()
    editor.accept()
    page.wait_for_timeout(500)
    keep(side_by_side([before, suggested, camera.chip()]), "correcting")

    page.locator("label", has_text="Auto-Accept").first.click()
    editor.choose("tree")
    for col, row in trees:
        editor.click(col, row, native=native)
        page.wait_for_timeout(1500)
    keep(camera.whole(), "auto_accept")


def largest(studio: RunningStudio, scene: ScenePaths) -> Roof:
    tasks = studio.get("/api/tasks?project=1&page_size=100")["tasks"]
    found = [roof for task in tasks if (roof := largest_roof(task, scene)) is not None]
    return max(found, key=lambda roof: int(roof.mask.sum()))


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no chromium is installed; the pictures are taken with Debian's package chromium")
    with tempfile.TemporaryDirectory() as folder:
        scene = write_scene(Path(folder), size=1000, seed=1)
        studio = RunningStudio(scene.image, Path(folder) / "data", "default")
        try:
            studio.wait(500)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=list(FLAGS))
                page = browser.new_context(viewport=WINDOW).new_page()  # pyright: ignore[reportArgumentType]
                editor = Editor(page, studio.running["url"], Path(folder) / "screenshots")
                editor.log_in(studio.login["email"], studio.login["password"])
                take(page, editor, largest(studio, scene))
                browser.close()
            studio.interrupt()
        finally:
            studio.kill()


if __name__ == "__main__":
    main()
