"""A picture of a layer over its imagery: every object filled and outlined in its class's colour, with legend and scale."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from shapely import Polygon

from converters.exporting.class_codes import rgb
from converters.frames import Size

# Longest side of the picture; small rasters are enlarged to the second number.
LARGEST, SMALLEST = 1600, 1200
_PANEL, _MARGIN, _LINE, _TEXT = 420, 24, 34, 20
_FILLED = 0.4
# Bits of the fraction of a pixel that OpenCV draws with.
_SHIFT = 6


@dataclass(frozen=True, slots=True)
class Outlined:
    """An object to draw: polygons in px of the raster, edge-based, and area in m2 (None where unknown)."""

    class_name: str
    colour: str
    parts: Sequence[Polygon]
    area_m2: float | None


def shown_size(raster: Size) -> Size:
    """The size at which a raster is shown."""
    longest = max(raster.width, raster.height)
    factor = min(LARGEST, max(SMALLEST, longest)) / longest
    return Size(max(1, round(raster.width * factor)), max(1, round(raster.height * factor)))


def overview(picture: NDArray[np.uint8], raster: Size, objects: Sequence[Outlined], title: str, gsd: float | None) -> Image.Image:
    """The drawing.

    picture: HxWx3 of the whole raster, in any number of px. raster: its size. gsd: metres per px, None where unknown; the scale is then
    in px of the raster.
    """
    size = shown_size(raster)
    enlarged = size.width > picture.shape[1]
    shown = cv2.resize(picture, (size.width, size.height), interpolation=cv2.INTER_NEAREST if enlarged else cv2.INTER_AREA)
    factor = np.array((size.width / raster.width, size.height / raster.height))
    drawn = _draw(np.ascontiguousarray(shown, np.uint8), objects, factor)
    sheet = Image.new("RGB", (size.width + _PANEL, max(size.height, _panel_height(objects))), "white")
    sheet.paste(Image.fromarray(drawn), (0, 0))
    _panel(
        ImageDraw.Draw(sheet),
        size.width + _MARGIN,
        objects,
        title,
        None if gsd is None else gsd / float(factor.mean()),
        float(factor.mean()),
    )
    return sheet


def _draw(picture: NDArray[np.uint8], objects: Sequence[Outlined], factor: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Fillings first, half transparent; then all outlines, dark below light, so that they show on any ground."""
    rings = [([_points(part, factor) for part in one.parts], rgb(one.colour)) for one in objects]
    filled = picture.copy()
    for parts, colour in rings:
        for part in parts:
            cv2.fillPoly(filled, part, colour, cv2.LINE_8, _SHIFT)
    mixed: NDArray[np.uint8] = np.asarray(cv2.addWeighted(picture, 1 - _FILLED, filled, _FILLED, 0), np.uint8)
    for width, dark in ((3, True), (1, False)):
        for parts, colour in rings:
            for part in parts:
                cv2.polylines(mixed, part, True, (0, 0, 0) if dark else colour, width, cv2.LINE_AA, _SHIFT)
    return mixed


def _points(part: Polygon, factor: NDArray[np.float64]) -> list[NDArray[np.int32]]:
    """Outer ring and holes as OpenCV takes them: its whole numbers are the centres of pixels."""
    rings = (np.asarray(ring.coords)[:-1, :2] * factor - 0.5 for ring in (part.exterior, *part.interiors))
    return [np.rint(ring * 2**_SHIFT).astype(np.int32) for ring in rings]


# --- the panel at the right


def _panel_height(objects: Sequence[Outlined]) -> int:
    return 2 * _MARGIN + _LINE * (5 + 2 * len({one.class_name for one in objects}))


def _panel(draw: ImageDraw.ImageDraw, left: int, objects: Sequence[Outlined], title: str, metres: float | None, factor: float) -> None:
    """metres: of one px of the drawing. factor: px of the drawing for each px of the raster."""
    font, top = ImageFont.load_default(_TEXT), _MARGIN
    draw.text((left, top), _fitted(draw, title, font), "black", font)
    top += _LINE
    draw.text((left, top), f"{len(objects)} object{'s' * (len(objects) != 1)}", "black", font)
    top += _LINE + _LINE // 2
    counts = Counter(one.class_name for one in objects)
    colours = {one.class_name: one.colour for one in objects}
    for name in sorted(counts):
        draw.rectangle((left, top + 2, left + 28, top + 22), rgb(colours[name]), "black", 2)
        draw.text((left + 42, top), _fitted(draw, name, font, 42), "black", font)
        areas = [one.area_m2 for one in objects if one.class_name == name and one.area_m2 is not None]
        area = f", {_number(sum(areas))} m2" if areas else ""
        draw.text((left + 42, top + _TEXT + 4), f"{counts[name]}{area}", "dimgray", font)
        top += 2 * _LINE
    length, words = _scale(metres, factor)
    draw.line((left, top + 8, left + length, top + 8), "black", 4)
    for end in (left, left + length):
        draw.line((end, top, end, top + 16), "black", 2)
    draw.text((left, top + 22), words, "black", font)


def _scale(metres: float | None, factor: float) -> tuple[float, str]:
    """(length in px of the drawing, its words): 1, 2 or 5 times a power of ten, as long as the panel has room for it."""
    unit, per_pixel = ("px of the raster", 1 / factor) if metres is None else ("m", metres)
    room = (_PANEL - 2 * _MARGIN) * 0.8 * per_pixel
    power = 10.0 ** math.floor(math.log10(room))
    value = next(step * power for step in (5, 2, 1) if step * power <= room)
    if unit == "m" and value >= 1000:
        return value / per_pixel, f"{value / 1000:g} km"
    return value / per_pixel, f"{value:g} {unit}"


def _number(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if value >= 100 else f"{value:.3g}"


def _fitted(draw: ImageDraw.ImageDraw, text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, indent: int = 0) -> str:
    """The text, cut in its middle until it fits into the panel."""
    whole, kept = text, len(text)
    while draw.textlength(text, font) > _PANEL - 2 * _MARGIN - indent and kept > 2:
        kept -= 1
        text = f"{whole[: (kept + 1) // 2]}…{whole[len(whole) - kept // 2 :]}"
    return text
