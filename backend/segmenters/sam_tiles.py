"""SAM at native scale: overlapping tiles of a window are encoded when a click first falls on them, and kept.

A network that sees 256 px shows a chip of 1024 px at a quarter of its detail. Here it sees a tile near the click instead, of a size that
fits the object: the first click starts with a tile at native scale, looks once more at a larger or smaller one when what it found asks for
that, and every later click on the tile is decoded in milliseconds. Tiles lie on a grid, so that clicks on neighbouring objects share them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from backend.inference.encoding import encode_pixels, initial_map, placed, read_only
from backend.inference.segmenter import State
from backend.segmenters.sam_segmenter import SamEncoding, SamMemory, SamSegmenter
from converters.frames import Box, Click

Span = tuple[int, int]  # first, one past the last


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of the window, in px: rows and columns."""

    rows: Span
    cols: Span

    def holds(self, click: Click) -> bool:
        """Whether the click is on the tile."""
        return self.rows[0] <= click.row <= self.rows[1] and self.cols[0] <= click.col <= self.cols[1]

    def moved(self, click: Click) -> Click:
        """The click in px of the tile."""
        return Click(click.row - self.rows[0], click.col - self.cols[0], positive=click.positive)

    @property
    def of_window(self) -> tuple[slice, slice]:
        """For indexing an array of the window."""
        return slice(*self.rows), slice(*self.cols)


@dataclass(frozen=True, slots=True)
class TileGrid:
    """How a window is cut.

    side: px of a tile at native scale, the network's input. finest, coarsest: steps by factors of two from there, -1 for tiles of half the
    size that are enlarged, 2 for four times the size. looks: tiles that a first click may be shown. small, large: extents of what was
    found, as shares of the tile's side, below and above which the first click looks at a finer or coarser tile.
    """

    side: int
    finest: int = -1
    coarsest: int = 3
    looks: int = 2
    small: float = 0.2
    large: float = 0.75

    def about(self, row: float, col: float, level: int, size: tuple[int, int]) -> Tile:
        """The tile of the grid whose middle is nearest. size: (height, width) of the window. Neighbours overlap by half."""
        side = round(self.side * 2.0**level)
        rows, cols = (_span(place, side, limit) for place, limit in ((row, size[0]), (col, size[1])))
        return Tile(rows, cols)

    def around(self, box: Box, size: tuple[int, int]) -> Tile:
        """The finest tile that holds the box with an eighth of it to spare on each side, or the coarsest there is."""
        row, col = (box.row_min + box.row_max) / 2, (box.col_min + box.col_max) / 2
        down, across = box.row_max - box.row_min, box.col_max - box.col_min
        corners = [
            Click(float(np.clip(middle_row, 0, size[0])), float(np.clip(middle_col, 0, size[1])), positive=True)
            for middle_row, middle_col in ((row - 0.625 * down, col - 0.625 * across), (row + 0.625 * down, col + 0.625 * across))
        ]
        return next(tile for tile in self._finest_first(row, col, size) if all(map(tile.holds, corners)) or self._last(tile, size))

    def again(self, tile: Tile, found: NDArray[np.bool_], click: Click, size: tuple[int, int]) -> Tile | None:
        """The tile on which a first click should be looked at once more; None where this one fits. found: mask of the window."""
        part = found[tile.of_window]
        if not part.any():
            return None
        rows, cols = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
        extent = max(rows[-1] - rows[0], cols[-1] - cols[0]) + 1
        side = max(part.shape)
        level = round(np.log2(max(tile.rows[1] - tile.rows[0], tile.cols[1] - tile.cols[0]) / self.side))
        step = 1 if extent > self.large * side else -1 if extent < self.small * side else 0
        if not step or not self.finest <= level + step <= self.coarsest:
            return None
        other = self.about(click.row, click.col, level + step, size)
        return None if other == tile else other

    def _finest_first(self, row: float, col: float, size: tuple[int, int]) -> list[Tile]:
        return [self.about(row, col, level, size) for level in range(self.finest, self.coarsest + 1)]

    def _last(self, tile: Tile, size: tuple[int, int]) -> bool:
        side = round(self.side * 2.0**self.coarsest)
        return tile.rows[1] - tile.rows[0] >= min(side, size[0]) and tile.cols[1] - tile.cols[0] >= min(side, size[1])


def _span(place: float, side: int, limit: int) -> Span:
    if side >= limit:
        return 0, limit
    step = side / 2
    start = int(np.clip(round((place - side / 2) / step) * step, 0, limit - side))
    return start, start + side


@dataclass(frozen=True, slots=True, eq=False)
class TiledEncoding:
    """A window and the embeddings of those of its tiles that were used last.

    image: uint8 HxWxbands. most: embeddings that are kept; each_nbytes: of one. The embeddings are a cache: what is answered does not
    depend on which are here.
    """

    image: NDArray[np.uint8]
    most: int
    each_nbytes: int
    tiles: OrderedDict[Tile, SamEncoding] = field(default_factory=OrderedDict)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes of memory that keeping it costs, once all embeddings are there."""
        return self.image.nbytes + self.most * self.each_nbytes


@dataclass(frozen=True, slots=True)
class TiledMemory:
    """What a prompt leaves for the next. tile: that it was answered on, and sam: what the network is told there; None before the first.

    box: drawn at the start. given: float32 HxW, a mask to be corrected, until the first prompt.
    """

    tile: Tile | None = None
    sam: SamMemory = field(default_factory=SamMemory)
    box: Box | None = None
    given: NDArray[np.float32] | None = field(default=None, compare=False)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that keeping it costs."""
        return self.sam.nbytes + (0 if self.given is None else int(self.given.nbytes))


@dataclass(kw_only=True, eq=False)
class TiledSamSegmenter:
    """A `Segmenter` (see inference/segmenter.py): a SAM that is shown tiles of the window. most: embeddings kept of a window."""

    inner: SamSegmenter
    grid: TileGrid
    most: int = 12
    takes_boxes: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        self.name, self.version, self.recipes, self.threshold = (
            getattr(self.inner, name) for name in ("name", "version", "recipes", "threshold")
        )

    def encode(self, image: NDArray[np.uint8]) -> TiledEncoding:
        """The window; tiles are encoded when they are clicked on. Raises ContractError for what is no HxWxbands uint8 image."""
        encode_pixels(image, name=self.name, bands=len(self.recipes[0]), device="cpu")
        prompts = self.inner.net.prompt_encoder
        return TiledEncoding(image.copy(), self.most, 4 * prompts.embed_dim * int(np.prod(prompts.image_embedding_size)))

    def start(self, encoding: TiledEncoding, initial_mask: NDArray[np.bool_] | None = None, box: Box | None = None) -> State:
        """As `SamSegmenter.start`; a box is answered on the finest tile that holds it."""
        probability = initial_map(encoding.size, initial_mask)
        given = None if initial_mask is None else probability
        if box is None:
            return State(probability, TiledMemory(given=given))
        tile = self.grid.around(box, encoding.size)
        on_tile = self._tile(encoding, tile)
        inside = _box_on(box, tile)
        part = None if initial_mask is None else initial_mask[tile.of_window]
        return self._placed(self.inner.start(on_tile, part, box=inside), tile, box, encoding.size)

    def step(self, encoding: TiledEncoding, clicks: Sequence[Click], state: State) -> State:
        """The state after the last click: one pass of the decoder on the tile of the last state while all clicks lie on it."""
        placed(clicks, encoding.size)  # refuses none
        memory: TiledMemory = state.memory or TiledMemory()
        if memory.tile is None and memory.given is None and len(clicks) == 1:
            return self._first(encoding, clicks)
        tile = memory.tile
        if tile is not None and tile.holds(clicks[-1]):
            return self._answered(encoding, tile, clicks, State(state.probability, memory.sam), memory.box)
        tile = self.grid.around(_extent(state.probability > self.threshold, clicks, memory.box), encoding.size)
        return self._answered(encoding, tile, clicks, self._shown(encoding, tile, state, memory.box), memory.box)

    def _first(self, encoding: TiledEncoding, clicks: Sequence[Click]) -> State:
        """A click of which nothing is known: at native scale first."""
        (click,) = clicks
        tile = self.grid.about(click.row, click.col, 0, encoding.size)
        nothing = State(initial_map(encoding.size, None), SamMemory())
        found = self._answered(encoding, tile, clicks, nothing, None)
        seen = {tile}
        for _ in range(self.grid.looks - 1):
            other = self.grid.again(tile, found.probability > self.threshold, click, encoding.size)
            if other is None or other in seen:
                break
            seen.add(other)
            tile = other
            found = self._answered(encoding, tile, clicks, nothing, None)
        return found

    def _answered(self, encoding: TiledEncoding, tile: Tile, clicks: Sequence[Click], state: State, box: Box | None) -> State:
        inside = [tile.moved(click) for click in clicks if tile.holds(click)]
        return self._placed(self.inner.step(self._tile(encoding, tile), inside, state), tile, box, encoding.size)

    def _shown(self, encoding: TiledEncoding, tile: Tile, state: State, box: Box | None) -> State:
        """The last answer, or the mask to be corrected, as the last mask on another tile; the box with it."""
        mask = state.probability[tile.of_window] > self.threshold
        shown = self.inner.start(self._tile(encoding, tile), mask) if mask.any() else State(state.probability, SamMemory())
        return shown if box is None else State(shown.probability, replace(shown.memory, box=_box_on(box, tile)))

    def _placed(self, on_tile: State, tile: Tile, box: Box | None, size: tuple[int, int]) -> State:
        """The answer on a tile as one of the window, zero outside it."""
        probability = np.zeros(size, np.float32)
        probability[tile.of_window] = on_tile.probability
        return State(read_only(probability), TiledMemory(tile, on_tile.memory, box))

    def _tile(self, encoding: TiledEncoding, tile: Tile) -> SamEncoding:
        """The embedding of a tile, computed where it is not kept."""
        if tile not in encoding.tiles:
            encoding.tiles[tile] = self.inner.encode(np.ascontiguousarray(encoding.image[tile.of_window]))
        encoding.tiles.move_to_end(tile)
        while len(encoding.tiles) > encoding.most:
            encoding.tiles.popitem(last=False)
        return encoding.tiles[tile]


def _box_on(box: Box, tile: Tile) -> Box:
    """A box of the window in px of a tile."""
    top, left = tile.rows[0], tile.cols[0]
    return Box(row_min=box.row_min - top, row_max=box.row_max - top, col_min=box.col_min - left, col_max=box.col_max - left)


def _extent(mask: NDArray[np.bool_], clicks: Sequence[Click], box: Box | None) -> Box:
    """The box round a mask of the window, all clicks, and a box."""
    rows, cols = [click.row for click in clicks], [click.col for click in clicks]
    if mask.any():
        rows += np.flatnonzero(mask.any(axis=1))[[0, -1]].tolist()
        cols += np.flatnonzero(mask.any(axis=0))[[0, -1]].tolist()
    if box is not None:
        rows, cols = [*rows, box.row_min, box.row_max], [*cols, box.col_min, box.col_max]
    return Box(row_min=min(rows), row_max=max(rows), col_min=min(cols), col_max=max(cols))
