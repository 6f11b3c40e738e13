"""The things of a procedural aerial scene: roofs, trees, cars and what lies flat, each painted with class, height and object id.

Places are in px of the canvas, lengths in metres, angles in radians against the image's x axis, colours R, G, B, IR in 0..255.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.scene_canvas import BUILDING, CAR, CLUTTER, LOW_VEGETATION, TREE, Canvas, Floats, Patch, noise, spectrum

Colour = tuple[float, float, float, float]

TILES: tuple[Colour, ...] = (
    (186, 104, 76, 190), (168, 84, 66, 175), (198, 128, 96, 200), (128, 78, 66, 138),
    (112, 96, 88, 110), (98, 100, 106, 100), (128, 130, 134, 128), (150, 92, 70, 158),
)  # fmt: skip
FLAT_ROOFS: tuple[Colour, ...] = ((172, 168, 160, 160), (138, 138, 136, 132), (196, 194, 188, 182), (118, 116, 116, 108))
CARS: tuple[Colour, ...] = (
    (226, 228, 230, 215), (40, 42, 46, 40), (150, 154, 160, 140), (88, 92, 98, 80),
    (150, 34, 32, 148), (40, 62, 118, 70), (206, 206, 200, 190), (60, 84, 66, 90),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wing:
    """A rectangle of a roof: centre along and across the house, length of the ridge's direction, width, whether it lies crosswise."""

    u: float
    v: float
    length: float
    width: float
    crosswise: bool = False


def rectangle(patch: Patch, length: float, width: float, *, u: float = 0.0, v: float = 0.0) -> NDArray[np.bool_]:
    """The pixels of a patch inside a rectangle around (u, v) of it."""
    return (np.abs(patch.u - u) <= length / 2) & (np.abs(patch.v - v) <= width / 2)


def flat(
    canvas: Canvas, x: float, y: float, angle: float, length: float, width: float, colour: Colour, kind: int, rough: float = 4.0
) -> None:
    """Something without height: a drive, a yard, a bed; `rough` is the strength of its texture."""
    patch = canvas.patch(x, y, angle, math.hypot(length, width) / 2)
    if patch is None:
        return
    grain = noise(np.random.default_rng(round(abs(x * 131 + y * 17))), patch.u.shape, 1.2, 4) * rough
    canvas.paint(patch.area, rectangle(patch, length, width), spectrum(*colour) + grain[..., None], kind=kind)


def pitched_roof(
    canvas: Canvas,
    rng: np.random.Generator,
    x: float,
    y: float,
    angle: float,
    wings: tuple[Wing, ...],
    *,
    eave: float,
    pitch: float,
    hipped: bool,
) -> None:
    """A house with a tiled roof: gabled or hipped, of one or more wings that meet in valleys; with ridge, chimney, windows or panels.

    eave: height of its lower edge. pitch: rise per metre.
    """
    reach = max(math.hypot(abs(wing.u) + wing.length / 2, abs(wing.v) + wing.length / 2) for wing in wings)
    patch = canvas.patch(x, y, angle, reach)
    if patch is None:
        return
    height = np.full(patch.u.shape, -1.0, dtype=np.float32)
    along = np.zeros((*patch.u.shape, 2), dtype=np.float32)  # rise per metre along u and v
    course = np.zeros_like(height)  # metres down from the ridge, for the rows of tiles
    for wing in wings:
        _raise_wing(patch, wing, height, along, course, eave, pitch, hipped)
    mask = height >= 0
    cos, sin = math.cos(angle), math.sin(angle)
    slope = np.stack([along[..., 0] * cos - along[..., 1] * sin, along[..., 0] * sin + along[..., 1] * cos], axis=-1)
    colour = spectrum(*TILES[rng.integers(len(TILES))])
    rows = 0.045 * np.sin(course * (2 * math.pi / 0.34)) + 0.07 * noise(rng, mask.shape, 2.5, 4)
    ridge = np.where(mask & (course < 0.12), 1.12, 1.0)
    thing = canvas.new_object()
    canvas.paint(
        patch.area,
        mask,
        (colour * ((1.0 + rows) * ridge)[..., None]).astype(np.float32),
        kind=BUILDING,
        height=height,
        slope=slope,
        thing=thing,
    )
    _roof_furniture(canvas, rng, patch, wings[0], height, slope, thing)


def _raise_wing(
    patch: Patch,
    wing: Wing,
    height: Floats,
    along: Floats,
    course: Floats,
    eave: float,
    pitch: float,
    hipped: bool,
) -> None:
    """Adds a wing to the heights of a roof where it is higher than what stands there."""
    u, v = patch.u - wing.u, patch.v - wing.v
    ridge, across = (v, u) if wing.crosswise else (u, v)
    to_side, to_end = wing.width / 2 - np.abs(across), wing.length / 2 - np.abs(ridge)
    inside = (to_side >= 0) & (to_end >= 0)
    end_face = (to_end < to_side) if hipped else np.zeros_like(inside)
    rise = eave + pitch * np.where(end_face, to_end, to_side)
    higher = inside & (rise > height)
    height[higher] = rise[higher]
    course[higher] = (wing.width / 2 - np.where(end_face, to_end, to_side))[higher]
    down = -pitch * np.sign(np.where(end_face, ridge, across))
    along_u = end_face != wing.crosswise
    along[higher] = np.stack([np.where(along_u, down, 0.0), np.where(along_u, 0.0, down)], axis=-1)[higher]


def _roof_furniture(canvas: Canvas, rng: np.random.Generator, patch: Patch, wing: Wing, height: Floats, slope: Floats, thing: int) -> None:
    """A chimney by the ridge; on one side of the first wing windows or panels."""
    side = rng.choice([-1.0, 1.0])
    middle = wing.v + side * wing.width * 0.25
    kind = rng.random()
    if kind < 0.3 and not wing.crosswise:
        panels = rectangle(patch, wing.length * 0.6, wing.width * 0.32, u=wing.u, v=middle) & (height > 0)
        lines = (np.mod(patch.u, 1.0) < 0.06) | (np.mod(patch.v, 1.65) < 0.06)
        blue = np.where(lines[..., None], spectrum(150, 152, 158, 140), spectrum(38, 46, 72, 52))
        canvas.paint(patch.area, panels, blue, kind=BUILDING, height=height + 0.1, slope=slope, thing=thing)
    elif kind < 0.7:
        for share in rng.uniform(-0.35, 0.35, rng.integers(1, 4)):
            window = rectangle(patch, 0.8, 1.2, u=wing.u + share * wing.length, v=middle) & (height > 0)
            canvas.paint(patch.area, window, spectrum(62, 74, 88, 58), kind=BUILDING, height=height, slope=slope, thing=thing)
    chimney = rectangle(patch, 0.9, 0.6, u=wing.u + rng.uniform(-0.35, 0.35) * wing.length, v=wing.v + side * 0.7) & (height > 0)
    canvas.paint(patch.area, chimney, spectrum(120, 92, 82, 110), kind=BUILDING, height=height + 1.3, thing=thing)


def flat_roof(
    canvas: Canvas, rng: np.random.Generator, x: float, y: float, angle: float, length: float, width: float, *, height: float
) -> None:
    """A building with a flat roof: a raised edge, gravel or felt, boxes of machinery on large ones."""
    patch = canvas.patch(x, y, angle, math.hypot(length, width) / 2)
    if patch is None:
        return
    mask, inner = rectangle(patch, length, width), rectangle(patch, length - 0.7, width - 0.7)
    thing = canvas.new_object()
    colour = spectrum(*FLAT_ROOFS[rng.integers(len(FLAT_ROOFS))])
    texture = 1.0 + 0.05 * noise(rng, mask.shape, 3.0, 5)
    seams = np.where(np.mod(patch.u + 50, 4.0) < 0.08, 0.93, 1.0)
    canvas.paint(patch.area, mask, np.minimum(colour * 1.22, 235), kind=BUILDING, height=height + 0.5, thing=thing)
    canvas.paint(patch.area, inner, (colour * (texture * seams)[..., None]), kind=BUILDING, height=height, thing=thing)
    for _ in range(int(length * width / 60)):
        u, v = rng.uniform(-0.4, 0.4) * length, rng.uniform(-0.35, 0.35) * width
        box = rectangle(patch, rng.uniform(0.8, 2.6), rng.uniform(0.8, 1.8), u=u, v=v) & inner
        grey = spectrum(1, 1, 1, 0.95) * np.float32(rng.uniform(120, 215))
        canvas.paint(patch.area, box, grey, kind=BUILDING, height=height + rng.uniform(0.5, 1.4), thing=thing)


def tree(canvas: Canvas, rng: np.random.Generator, x: float, y: float, radius: float) -> None:
    """A crown: a ragged dome of leaf clumps that shade one another; bright in infrared. Bushes are small ones of low vegetation."""
    patch = canvas.patch(x, y, 0.0, radius * 1.35)
    if patch is None or min(patch.u.shape) < 2:  # a row of pixels at the scene's edge has no slope
        return
    outline, clumps = noise(rng, patch.u.shape, radius * 0.9, 2), noise(rng, patch.u.shape, 1.1, 4)
    leaves = noise(rng, patch.u.shape, 0.28, 3)
    distance = np.hypot(patch.u, patch.v) / (radius * (1.0 + 0.16 * outline + 0.10 * clumps + 0.05 * leaves))
    dome = np.sqrt(np.clip(1.0 - distance**2, 0.0, 1.0))
    crown = (0.55 * radius + radius * 0.8 * dome + 0.34 * clumps + 0.06 * leaves).astype(np.float32)
    mask = (distance <= 1.0) & (crown > canvas.height[patch.area])
    down, right = np.gradient(crown, 0.05)
    slope = np.stack([np.tanh(right * 0.7), np.tanh(down * 0.7)], axis=-1)
    tint = spectrum(rng.uniform(62, 100), rng.uniform(88, 116), rng.uniform(46, 66), rng.uniform(168, 215))
    # Between the clumps one looks into the crown, where it is dark.
    leaves = 0.92 + 0.10 * np.clip(clumps, -1.5, 1.0) + 0.20 * leaves - 0.2 * (distance > 0.92)
    is_tree = radius >= 1.0
    canvas.paint(
        patch.area, mask, (tint * leaves[..., None]), kind=TREE if is_tree else LOW_VEGETATION,
        height=np.maximum(crown, 0.3), slope=slope, thing=canvas.new_object() if is_tree else 0,
    )  # fmt: skip


def hedge(canvas: Canvas, rng: np.random.Generator, x: float, y: float, angle: float, length: float) -> None:
    """A trimmed hedge, 0.9 m wide and 1.4 m high: low vegetation."""
    patch = canvas.patch(x, y, angle, length / 2 + 1)
    if patch is None:
        return
    ragged = noise(rng, patch.u.shape, 0.7, 3)
    mask = (np.abs(patch.u) <= length / 2) & (np.abs(patch.v) <= 0.42 + 0.08 * ragged) & (canvas.height[patch.area] < 1.4)
    colour = spectrum(70, 98, 52, 185) * (1.0 + 0.2 * ragged)[..., None]
    canvas.paint(patch.area, mask, colour, kind=LOW_VEGETATION, height=1.4)


def car(canvas: Canvas, rng: np.random.Generator, x: float, y: float, angle: float) -> None:
    """A car seen from above: rounded body, glass in front of and behind the roof, bonnet and boot."""
    length, width = rng.uniform(3.9, 4.9), rng.uniform(1.75, 1.95)
    patch = canvas.patch(x, y, angle, length / 2 + 0.2)
    if patch is None:
        return
    u, v = np.abs(patch.u), np.abs(patch.v)
    corner = 0.5
    outside = np.hypot(np.maximum(u - length / 2 + corner, 0.0), np.maximum(v - width / 2 + corner, 0.0))
    body = outside <= corner
    paint = spectrum(*CARS[rng.integers(len(CARS))])
    side = body & (v > width / 2 - 0.22) & (patch.u > -length * 0.38) & (patch.u < length * 0.2)
    glass = (
        body
        & (v <= width / 2 - 0.16)
        & (_between(patch.u, length * 0.10, length * 0.26) | _between(patch.u, -length * 0.42, -length * 0.31))
    )
    roof = body & (v <= width / 2 - 0.25) & _between(patch.u, -length * 0.31, length * 0.10)
    thing = canvas.new_object()
    sheen = 1.0 + 0.06 * patch.v / width
    canvas.paint(patch.area, body, (paint * sheen[..., None]), kind=CAR, height=0.9, thing=thing)
    canvas.paint(patch.area, side, paint * np.float32(0.62), kind=CAR, height=1.1, thing=thing)
    canvas.paint(patch.area, roof, np.minimum(paint * np.float32(1.08) + 8, 245), kind=CAR, height=1.45, thing=thing)
    canvas.paint(patch.area, glass, spectrum(34, 40, 48, 36), kind=CAR, height=1.2, thing=thing)


def pool(canvas: Canvas, x: float, y: float, angle: float, length: float, width: float) -> None:
    """A swimming pool with a stone edge: clutter."""
    patch = canvas.patch(x, y, angle, math.hypot(length, width) / 2 + 1)
    if patch is None:
        return
    canvas.paint(patch.area, rectangle(patch, length + 0.8, width + 0.8), spectrum(205, 198, 184, 190), kind=CLUTTER)
    canvas.paint(patch.area, rectangle(patch, length, width), spectrum(96, 176, 192, 22), kind=CLUTTER)


def _between(values: Floats, low: float, high: float) -> NDArray[np.bool_]:
    return (values >= low) & (values <= high)
