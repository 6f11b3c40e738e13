"""Label Studio's editor as an annotator uses it: a mouse, a few keys, the buttons of the page. Nothing here reaches into its code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import APIResponse, Locator, Page, Response, Route, expect

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Wide enough for a 600 px chip beside the labels: Label Studio fits the picture into what is left of the window's height.
WINDOW = {"width": 1680, "height": 1050}
_PATIENCE = 60_000  # ms; a first click may have to wait for the weights


@dataclass(frozen=True)
class Answer:
    """What one click sent, and the region it brought. context: Label Studio's `params.context` to the backend."""

    context: dict[str, Any]
    regions: list[dict[str, Any]]


class Editor:
    """One browser page, logged in."""

    def __init__(self, page: Page, url: str, screenshots: Path) -> None:
        self._page = page
        self._url = url
        self._screenshots = screenshots
        self._view, self._views = 0, False
        self.errors: list[str] = []
        page.set_default_timeout(_PATIENCE)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def log_in(self, email: str, password: str) -> None:
        self._page.goto(f"{self._url}/user/login/")
        self._page.fill("input[name=email]", email)
        self._page.fill("input[name=password]", password)
        self._page.click("button[type=submit]")
        self._page.get_by_text("Projects").first.wait_for()

    def open_task(self, project: int, task: int) -> None:
        """Waits until the picture is drawn; the canvas of the regions lies over it by then."""
        self._page.goto(f"{self._url}/projects/{project}/data?task={task}")
        self._page.locator("canvas").first.wait_for()
        expect(self._picture()).to_have_js_property("complete", True)
        self._page.wait_for_timeout(1500)  # the picture is fitted to the window in steps

    def new_annotation(self) -> None:
        """Beside the one that the task was opened with, such as another annotator's."""
        self._page.get_by_label("Create an annotation").click()
        self._page.wait_for_timeout(1500)

    def keep_label_selected(self) -> None:
        self._page.get_by_test_id("bottombar-settings-button").click()
        self._page.locator("label.lsf-settings__field", has_text="Keep label selected").click()
        self.screenshot("settings")
        self._page.keyboard.press("Escape")
        self._page.locator("label.lsf-settings__field").first.wait_for(state="hidden")

    def switch_on_auto_annotation(self) -> None:
        toggle = self._page.get_by_test_id("bottombar-auto-annotation-toggle")
        if not toggle.is_checked():
            self._page.locator("label", has=toggle).click()
        expect(toggle).to_be_checked()

    def look_at(self, view: int) -> None:
        """Of an interface with several images: labels and clicks are those of image number `view`, from 0, from now on."""
        self._view, self._views = view, True

    def choose(self, label: str) -> None:
        """The class, then M, in the order that `rsiseg up` prints."""
        self._page.locator(".lsf-label", has_text=label).nth(2 * self._view).click()  # a view has its own for clicks and for shapes
        if self._views:
            self._page.locator(".lsf-tool_smart").nth(self._view).click()  # M takes up the last image's
        else:
            self._page.keyboard.press("m")
        expect(self._page.locator(".lsf-tool_smart.lsf-tool_active").first).to_be_visible()

    def choose_again(self, label: str) -> None:
        """As `choose`, where the class may be chosen still: a second click on it would switch it off."""
        if self._page.locator(".lsf-label_selected", has_text=label).count():
            self._page.keyboard.press("m")
            expect(self._page.locator(".lsf-tool_smart.lsf-tool_active").first).to_be_visible()
        else:
            self.choose(label)

    def click(self, col: float, row: float, *, native: tuple[int, int], alt: bool = False, ctrl: bool = False) -> Answer:
        """A click on a point in native px of a chip of `native` (width, height) px; with Alt it takes away, with Ctrl also on a region."""
        answer = self._response("/interactive-annotating", lambda: self.tap(col, row, native=native, alt=alt, ctrl=ctrl))
        self._page.wait_for_timeout(700)  # the suggestion is drawn
        return _answer(answer)

    def tap(self, col: float, row: float, *, native: tuple[int, int], alt: bool = False, ctrl: bool = False) -> None:
        """The same click, and nothing is waited for: one on a region selects it and sends nothing."""
        box = self._picture().bounding_box()
        assert box is not None
        held = [key for key, down in (("Control", ctrl), ("Alt", alt)) if down]
        for key in held:
            self._page.keyboard.down(key)
        self._page.mouse.click(box["x"] + col / native[0] * box["width"], box["y"] + row / native[1] * box["height"])
        for key in reversed(held):
            self._page.keyboard.up(key)

    def overtaken(self, first: Callable[[], None], second: Callable[[], None]) -> tuple[Answer, Answer]:
        """Two clicks, the second made before the first one's answer comes; the answers arrive in the other order."""
        held: list[tuple[Route, APIResponse]] = []

        def hold(route: Route) -> None:
            held.append((route, route.fetch(timeout=_PATIENCE)))

        self._page.route("**/interactive-annotating*", hold, times=1)
        first()
        for _ in range(600):
            if held:
                break
            self._page.wait_for_timeout(100)
        late = self._response("/interactive-annotating", second)
        self._page.wait_for_timeout(700)
        (route, kept) = held[0]
        early = self._response("/interactive-annotating", lambda: route.fulfill(response=kept))
        self._page.wait_for_timeout(700)
        return _answer(early), _answer(late)

    def undo(self) -> None:
        self._page.keyboard.press("Control+z")
        self._page.wait_for_timeout(700)

    def auto_accept(self) -> None:
        self._page.locator("label", has_text="Auto-Accept").first.click()

    def select_region(self, number: int) -> None:
        """In the list of regions, counted from 0."""
        self._page.locator(".lsf-tree__node:not(.lsf-tree__node_type_footer)").nth(number).click()

    def delete_selected(self) -> None:
        self._page.keyboard.press("Backspace")
        self._page.wait_for_timeout(700)

    def reject(self) -> None:
        button = self._page.get_by_test_id("bottombar-reject-suggestions-button")
        button.click()
        button.wait_for(state="hidden")

    def accept(self) -> None:
        button = self._page.get_by_test_id("bottombar-accept-suggestions-button")
        button.click()
        button.wait_for(state="hidden")

    def submit(self) -> None:
        answer = self._response("/annotations", self._page.get_by_test_id("bottombar-submit-button").click)
        assert answer.status == 201, answer.text()

    def screenshot(self, name: str) -> None:
        self._screenshots.mkdir(parents=True, exist_ok=True)
        self._page.screenshot(path=self._screenshots / f"{name}.png")

    def _picture(self) -> Locator:
        return self._page.locator(".lsf-image img").nth(self._view)

    def _response(self, address: str, action: Callable[[], object]) -> Response:
        wanted = lambda answer: address in answer.url and answer.request.method == "POST"  # noqa: E731
        with self._page.expect_response(wanted) as answer:
            action()
        return answer.value


def _answer(response: Response) -> Answer:
    return Answer(response.request.post_data_json["context"], response.json()["data"]["result"])
