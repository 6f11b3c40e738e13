"""Where the things of a procedural scene stand: streets, lots along them, and on each lot a house with its drive, cars and trees."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from converters import scene_objects as objects
from converters.scene_canvas import BUILDING, CLUTTER, GSD, IMPERVIOUS, LOW_VEGETATION, Canvas, noise, spectrum

# Metres: half of a carriageway, width of a pavement, from one street's middle to the next, depth of a lot.
_ROAD, _PAVEMENT, _BLOCK = 3.4, 2.0, 62.0
_DEPTH = (_BLOCK - 2 * (_ROAD + _PAVEMENT)) / 2


@dataclass(frozen=True, slots=True)
class Town:
    """The scene's own axes: s along the streets, t across them, in metres from the centre, turned by `angle` on the canvas.

    streets: t of each street's middle. crossing: s of the one street across them.
    """

    canvas: Canvas
    angle: float
    streets: tuple[float, ...]
    crossing: float

    @property
    def reach(self) -> float:
        """Metres from the centre to a corner of the canvas."""
        return self.canvas.size * GSD * math.sqrt(0.5)

    def place(self, s: float, t: float) -> tuple[float, float]:
        """The px of the canvas under (s, t)."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        centre = self.canvas.size / 2
        return centre + (s * cos - t * sin) / GSD, centre + (s * sin + t * cos) / GSD


def build(canvas: Canvas, rng: np.random.Generator, angle: float) -> None:
    """Fills the canvas: ground, streets, lots, and what stands in the streets."""
    first = rng.uniform(-0.5, 0.5) * _BLOCK
    count = math.ceil(canvas.size * GSD * 0.75 / _BLOCK) + 1
    streets = tuple(first + index * _BLOCK for index in range(-count, count + 1))
    town = Town(canvas, angle, streets, crossing=rng.uniform(-0.3, 0.3) * canvas.size * GSD)
    _ground(town, rng)
    for street in streets:
        for side in (-1, 1):
            _lots(town, rng, street, side)
    _street_life(town, rng)


def _ground(town: Town, rng: np.random.Generator) -> None:
    """Grass with dry and worn places, pavements, carriageways with their marks; junctions stay free of marks."""
    canvas = town.canvas
    patch = canvas.patch(canvas.size / 2, canvas.size / 2, town.angle, town.reach)
    assert patch is not None, "the centre lies on every canvas"
    shape = patch.u.shape
    dry, fine, worn = noise(rng, shape, 16.0, 4), noise(rng, shape, 0.5, 4), noise(rng, shape, 7.0, 3)
    share = np.clip(0.35 + 0.45 * dry, 0.0, 1.0)
    blades = 1.0 + np.float32(0.15) * fine
    for band, (green, straw, soil) in enumerate(zip((92, 122, 62, 188), (146, 142, 96, 166), (150, 128, 100, 140), strict=True)):
        canvas.reflectance[..., band] = np.where(worn > 1.05, np.float32(soil), green + np.float32(straw - green) * share) * blades
    canvas.classes[...] = LOW_VEGETATION
    first = np.float32(town.streets[0] - _BLOCK / 2)
    across = np.abs(np.mod(patch.v - first, np.float32(_BLOCK)) - np.float32(_BLOCK / 2))
    crossing = np.abs(patch.u - town.crossing)
    nearest = np.minimum(across, crossing)
    stones = np.where((np.mod(patch.u, 0.6) < 0.05) | (np.mod(patch.v, 0.6) < 0.05), np.float32(0.93), np.float32(1.0)) * (
        1.0 + 0.04 * fine
    )
    canvas.paint(patch.area, nearest <= _ROAD + _PAVEMENT, (spectrum(176, 170, 158, 160) * stones[..., None]), kind=IMPERVIOUS)
    kerb = (nearest <= _ROAD + 0.18) & (nearest > _ROAD - 0.02)
    patches = np.where(noise(rng, shape, 9.0, 2) > 0.75, np.float32(0.86), np.float32(1.0)) * (1.0 + 0.05 * noise(rng, shape, 4.0, 5))
    asphalt = spectrum(116, 117, 120, 104) * patches[..., None]
    canvas.paint(patch.area, nearest <= _ROAD, asphalt, kind=IMPERVIOUS)
    canvas.paint(patch.area, kerb, spectrum(198, 196, 190, 184), kind=IMPERVIOUS)
    middle = (across <= 0.07) & (np.mod(patch.u, 6.0) < 3.0) & (crossing > _ROAD + 3)
    middle |= (crossing <= 0.07) & (np.mod(patch.v, 6.0) < 3.0) & (across > _ROAD + 3)
    zebra = (crossing > _ROAD + 0.6) & (crossing < _ROAD + 3.2) & (across < _ROAD - 0.3) & (np.mod(patch.v, 1.0) < 0.5)
    canvas.paint(patch.area, middle | zebra, spectrum(218, 218, 214, 205), kind=IMPERVIOUS)


def _lots(town: Town, rng: np.random.Generator, street: float, side: int) -> None:
    """One side of a street, lot by lot, from the crossing street outwards both ways."""
    front = street + side * (_ROAD + _PAVEMENT)
    for outwards in (-1, 1):
        s = town.crossing + outwards * (_ROAD + _PAVEMENT + rng.uniform(0.5, 3))
        while abs(s) < town.reach + 10:
            works, park = rng.random(2) < (0.08, 0.07)
            width = rng.uniform(38, 46) if works else rng.uniform(15, 20)
            middle = s + outwards * width / 2
            s += outwards * width
            if park:
                _park(town, rng, middle, front, side, width)
            elif works:
                _works(town, rng, middle, front, side, width)
            else:
                _home(town, rng, middle, front, side, width)


def _park(town: Town, rng: np.random.Generator, s: float, front: float, side: int, width: float) -> None:
    """A lot of grass under trees, with a path through it."""
    path = town.place(s, front + side * _DEPTH / 2)
    objects.flat(town.canvas, *path, town.angle + math.pi / 2, _DEPTH, 1.8, (184, 168, 138, 165), IMPERVIOUS, 7.0)
    for _ in range(rng.integers(8, 15)):
        place = town.place(s + rng.uniform(-0.5, 0.5) * width, front + side * rng.uniform(2, _DEPTH - 1))
        objects.tree(town.canvas, rng, *place, rng.uniform(1.6, 4.4))


def _home(town: Town, rng: np.random.Generator, s: float, front: float, side: int, width: float) -> None:
    """A house with a drive on one flank, often a garage and a car, a path, hedges, a garden with trees, a shed or a pool."""
    canvas = town.canvas
    flank = rng.choice([-1, 1])
    setback = rng.uniform(4, 7)
    length, deep = min(rng.uniform(9, 13), width - 6), rng.uniform(8, 10.5)
    house_s, house_t = s - flank * 1.6, front + side * (setback + deep / 2)
    drive_s, drive_length = s + flank * (width / 2 - 2), setback + rng.uniform(2, 9)
    paved = [(168, 160, 150, 152), (150, 128, 116, 140), (134, 134, 134, 126)][rng.integers(3)]
    objects.flat(canvas, *town.place(drive_s, front + side * drive_length / 2), town.angle, 3.1, drive_length, paved, IMPERVIOUS)
    objects.flat(canvas, *town.place(house_s, front + side * setback / 2), town.angle, 1.3, setback, (170, 164, 154, 155), IMPERVIOUS)
    terrace = house_t + side * (deep / 2 + 1.6)
    objects.flat(canvas, *town.place(house_s, terrace), town.angle, rng.uniform(4, 7), 3.2, (178, 158, 136, 160), IMPERVIOUS)
    for edge in (-1, 1):
        if rng.random() < 0.6:
            place = town.place(s + edge * width / 2, front + side * (_DEPTH / 2 + 1))
            objects.hedge(canvas, rng, *place, town.angle + math.pi / 2, _DEPTH - 3)
    _garden(town, rng, s, front, side, width, setback + deep)
    turn = 0.0 if rng.random() < 0.7 else math.pi / 2
    wings = [objects.Wing(0, 0, length, deep)] if turn == 0.0 else [objects.Wing(0, 0, deep + 1, min(length, 9.5))]
    if rng.random() < 0.35 and turn == 0.0:
        wings.append(objects.Wing(rng.uniform(-0.2, 0.2) * length, -side * deep * 0.3, deep * 0.95, rng.uniform(4, 5.5), crosswise=True))
    objects.pitched_roof(
        canvas, rng, *town.place(house_s, house_t), town.angle + turn, tuple(wings),
        eave=rng.uniform(3, 5.5), pitch=rng.uniform(0.5, 0.95), hipped=bool(rng.random() < 0.3),
    )  # fmt: skip
    if rng.random() < 0.5:
        garage = front + side * (drive_length + 2.8)
        objects.flat_roof(canvas, rng, *town.place(drive_s, garage), town.angle + math.pi / 2, 5.8, 3.1, height=2.6)
    if rng.random() < 0.65:
        place = town.place(drive_s + rng.uniform(-0.2, 0.2), front + side * rng.uniform(2.8, max(2.9, drive_length - 2.4)))
        objects.car(canvas, rng, *place, town.angle + rng.choice([-1, 1]) * math.pi / 2 + rng.normal(0, 0.03))
    for _ in range(rng.integers(0, 3)):
        place = town.place(s + rng.uniform(-0.4, 0.4) * width, front + side * rng.uniform(1, setback - 1))
        objects.tree(canvas, rng, *place, rng.uniform(0.4, 1.5))


def _garden(town: Town, rng: np.random.Generator, s: float, front: float, side: int, width: float, begin: float) -> None:
    """What lies behind a house, from `begin` metres behind the lot's front."""
    canvas = town.canvas

    def somewhere(margin: float) -> tuple[float, float]:
        low, high = begin + margin, max(begin + margin + 0.5, _DEPTH - margin)
        return town.place(s + rng.uniform(-1, 1) * (width / 2 - margin), front + side * rng.uniform(low, high))

    if rng.random() < 0.3:
        objects.flat(canvas, *somewhere(3), town.angle, rng.uniform(2, 5), rng.uniform(1.5, 3), (112, 90, 68, 96), LOW_VEGETATION, 12.0)
    has_pool = rng.random() < 0.25
    if has_pool:
        objects.pool(canvas, *somewhere(4), town.angle, rng.uniform(4.5, 7), rng.uniform(2.8, 3.6))
    elif rng.random() < 0.25:
        objects.flat(
            canvas, *somewhere(3), town.angle + rng.normal(0, 0.4), rng.uniform(1, 3), rng.uniform(1, 2), (150, 60, 52, 130), CLUTTER, 14.0
        )
    if not has_pool and rng.random() < 0.55:
        x, y = somewhere(2.5)
        objects.flat_roof(canvas, rng, x, y, town.angle + rng.choice([0, math.pi / 2]), rng.uniform(2.4, 4), rng.uniform(2, 3), height=2.2)
    for _ in range(rng.integers(2, 7)):
        objects.tree(canvas, rng, *somewhere(1.5), rng.uniform(0.5, 0.95) if rng.random() < 0.3 else rng.uniform(1.6, 4.2))


def _works(town: Town, rng: np.random.Generator, s: float, front: float, side: int, width: float) -> None:
    """A larger building with a flat roof behind a car park with marked bays."""
    canvas = town.canvas
    yard = town.place(s, front + side * _DEPTH * 0.48)
    objects.flat(canvas, *yard, town.angle, width - 2, _DEPTH * 0.93, (128, 127, 126, 116), IMPERVIOUS, 5.0)
    deep = rng.uniform(10, 12)
    objects.flat_roof(
        canvas,
        rng,
        *town.place(s, front + side * (_DEPTH - deep / 2 - 2)),
        town.angle,
        width - rng.uniform(6, 12),
        deep,
        height=rng.uniform(5, 9),
    )
    for bay in np.arange(-width / 2 + 3, width / 2 - 2, 2.6).tolist():
        objects.flat(canvas, *town.place(s + bay - 1.3, front + side * 4.5), town.angle, 0.1, 4.8, (214, 214, 210, 200), IMPERVIOUS, 0.0)
        if rng.random() < 0.6:
            place = town.place(s + bay + rng.uniform(-0.12, 0.12), front + side * (4.5 + rng.uniform(-0.3, 0.3)))
            objects.car(canvas, rng, *place, town.angle + rng.choice([-1, 1]) * math.pi / 2 + rng.normal(0, 0.02))


def _street_life(town: Town, rng: np.random.Generator) -> None:
    """Parked and moving cars, and trees on the pavements; none near the junctions."""
    canvas = town.canvas
    for street in town.streets:
        for side in (-1, 1):
            s = -town.reach
            while s < town.reach:
                s += rng.choice([5.6, rng.uniform(7, 24)], p=[0.45, 0.55])
                if abs(s - town.crossing) > 11:
                    lane = 2.35 if rng.random() < 0.85 else 1.2
                    heading = town.angle + (0.0 if side > 0 else math.pi) + rng.normal(0, 0.015)
                    objects.car(canvas, rng, *town.place(s, street + side * lane), heading)
            spacing = rng.uniform(11, 17)
            for s in np.arange(-town.reach + rng.uniform(0, spacing), town.reach, spacing).tolist():
                x, y = town.place(s, street + side * (_ROAD + 1.5))
                if abs(s - town.crossing) > 10 and rng.random() < 0.65 and not _is_building(canvas, x, y):
                    objects.tree(canvas, rng, x, y, rng.uniform(1.5, 3.1))


def _is_building(canvas: Canvas, x: float, y: float) -> bool:
    col, row = int(x), int(y)
    return 0 <= col < canvas.size and 0 <= row < canvas.size and int(canvas.classes[row, col]) == BUILDING
