"""A page of examples for the eye: what the weights of a step make of some held-out objects after one, three and five clicks."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.evaluation.robot import annotate
from backend.inference.segmenter import Segmenter, State
from converters.frames import Box, Click
from converters.whole_file import write_whole

SHOWN_AFTER = (1, 3, 5)  # clicks
CELL = 224  # px, side of a picture
_GAP = 6
_CAPTION = 20
_POSITIVE, _NEGATIVE, _TRUTH, _MASK = (80, 220, 60), (235, 50, 40), (255, 210, 0), (0, 200, 255)  # RGB


class Example(Protocol):
    """A held-out object; see `validation.HeldOut`."""

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """uint8 HxWxbands."""
        ...

    @property
    def gt(self) -> NDArray[np.int8]:
        """int8 HxW, 1 object, 0 not, -1 ignored."""
        ...


def write_page(folder: Path, step: int, segmenter: Segmenter, examples: Sequence[Example], scores: Mapping[str, float]) -> Path:
    """`step_NNNNN.png` (a row an object: clicks, ground truth, masks) and `index.html`, which shows every page of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"step_{step:05d}.png"
    encoded, image = cv2.imencode(".png", cv2.cvtColor(draw_page(segmenter, examples), cv2.COLOR_RGB2BGR))
    assert encoded  # in memory; only the format could be unknown
    write_whole(page, image.tobytes())
    write_whole(page.with_suffix(".json"), json.dumps(dict(scores)).encode())
    write_whole(folder / "index.html", _index(folder).encode())
    return page


def draw_page(segmenter: Segmenter, examples: Sequence[Example]) -> NDArray[np.uint8]:
    """uint8 HxWx3, RGB."""
    titles = ["clicks", "ground truth", *(f"after {number} click{'s' * (number > 1)}" for number in SHOWN_AFTER)]
    width = len(titles) * (CELL + _GAP) + _GAP
    heading = np.full((_CAPTION + _GAP, width, 3), 255, np.uint8)
    for place, title in enumerate(titles):
        _text(heading, title, (_GAP + place * (CELL + _GAP), _CAPTION - 4))
    return np.concatenate([heading, *(_row(segmenter, example, width) for example in examples)])


class _Watched:
    """A segmenter that remembers its answers."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self.name, self.version, self.recipes = segmenter.name, segmenter.version, segmenter.recipes
        self.threshold, self.takes_boxes = segmenter.threshold, segmenter.takes_boxes
        self.masks: list[NDArray[np.bool_]] = []

    def encode(self, image: NDArray[np.uint8]) -> Any:
        return self._segmenter.encode(image)

    def start(self, encoding: Any, initial_mask: NDArray[np.bool_] | None = None, box: Box | None = None) -> State:
        return self._segmenter.start(encoding, initial_mask, box)

    def step(self, encoding: Any, clicks: Sequence[Click], state: State) -> State:
        state = self._segmenter.step(encoding, clicks, state)
        self.masks.append(state.probability > self.threshold)
        return state


def _row(segmenter: Segmenter, example: Example, width: int) -> NDArray[np.uint8]:
    watched = _Watched(segmenter)
    path = annotate(watched, watched.encode(example.pixels), example.gt, max_clicks=max(SHOWN_AFTER))
    window = _neighbourhood(example.gt == 1)
    picture = _cell(_visible(example.pixels), window)
    scale = CELL / (window[0].stop - window[0].start)
    clicked, truth = picture.copy(), picture.copy()
    for number, (positive, row, col) in enumerate(path.clicks, start=1):
        at = (round((col + 0.5 - window[1].start) * scale), round((row + 0.5 - window[0].start) * scale))
        cv2.circle(clicked, at, 5, (0, 0, 0), -1, cv2.LINE_AA)
        cv2.circle(clicked, at, 4, _POSITIVE if positive else _NEGATIVE, -1, cv2.LINE_AA)
        _text(clicked, str(number), (at[0] + 6, at[1] + 4), (255, 255, 255), 3)
        _text(clicked, str(number), (at[0] + 6, at[1] + 4))
    _overlay(truth, _cell(example.gt == 1, window), _TRUTH)
    cells, captions = [clicked, truth], ["", ""]
    for number in SHOWN_AFTER:
        shown = picture.copy()
        _overlay(shown, _cell(watched.masks[number - 1], window), _MASK)
        cells.append(shown)
        captions.append(f"IoU {path.ious[number - 1]:.2f}")
    row = np.full((CELL + _CAPTION + _GAP, width, 3), 255, np.uint8)
    for place, (cell, caption) in enumerate(zip(cells, captions, strict=True)):
        left = _GAP + place * (CELL + _GAP)
        row[:CELL, left : left + CELL] = cell
        _text(row, caption, (left, CELL + _CAPTION - 4))
    return row


def _neighbourhood(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """A square about the object's box, twice as large, 64 px at least; inside the window where it is large enough for that."""
    boxes = [np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)]
    extent = max(int(found[-1] - found[0]) + 1 for found in boxes)
    side = max(extent, min(max(2 * extent, 64), *mask.shape))
    starts: list[int] = []
    for found, limit in zip(boxes, mask.shape, strict=True):
        start = int(found[0] + found[-1] + 1 - side) // 2
        starts.append(min(max(start, 0), limit - side) if side <= limit else (limit - side) // 2)
    return slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)


def _cell(pixels: NDArray[Any], window: tuple[slice, slice]) -> NDArray[np.uint8]:
    """The square at the size of a cell; black outside of the image."""
    rows, cols = window
    side = rows.stop - rows.start
    square = np.zeros((side, side, *pixels.shape[2:]), np.uint8)
    top, left, bottom, right = max(rows.start, 0), max(cols.start, 0), min(rows.stop, pixels.shape[0]), min(cols.stop, pixels.shape[1])
    square[top - rows.start : bottom - rows.start, left - cols.start : right - cols.start] = pixels[top:bottom, left:right]
    shrinks = side > CELL and pixels.ndim == 3
    return cv2.resize(square, (CELL, CELL), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST).astype(np.uint8, copy=False)


def _visible(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The first three bands, or the first as grey."""
    return pixels[..., :3] if pixels.shape[2] >= 3 else np.repeat(pixels[..., :1], 3, axis=2)


def _overlay(picture: NDArray[np.uint8], mask: NDArray[np.uint8], colour: tuple[int, int, int]) -> None:
    """Tints the mask and draws its edge, in place."""
    inside = mask > 0
    picture[inside] = (0.65 * picture[inside] + 0.35 * np.array(colour)).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, colour, 1)


def _text(picture: NDArray[np.uint8], text: str, at: tuple[int, int], colour: tuple[int, int, int] = (0, 0, 0), thickness: int = 1) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, thickness, cv2.LINE_AA)


def _index(folder: Path) -> str:
    """Newest first."""
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Example predictions</title>',
        "<style>body{font-family:sans-serif;margin:2em}img{max-width:100%}</style>",
        "<h1>Held-out objects while training</h1><p>Clicks are the robot's: green on the object, red off it.</p>",
    ]
    for page in sorted(folder.glob("step_*.png"), key=lambda page: int(page.stem.partition("_")[2]), reverse=True):
        about = page.with_suffix(".json")
        found = json.loads(about.read_text()) if about.is_file() else {}
        line = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
        number = int(page.stem.partition("_")[2])
        parts.append(f'<h2>Step {number}</h2><p>{html.escape(line)}</p><img src="{page.name}" alt="Masks after step {number}">')
    return "\n".join(parts) + "\n"
