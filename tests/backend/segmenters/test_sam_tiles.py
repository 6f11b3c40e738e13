"""SAM on tiles: few encodings, answers where the click was, coarser tiles for large objects, nothing depends on the cache."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.errors import ContractError
from backend.segmenters import registry
from backend.segmenters.sam_tiles import Tile, TiledSamSegmenter, TileGrid
from converters.frames import Box, Click

IMAGE = np.random.default_rng(0).integers(0, 256, (200, 260, 3), dtype=np.uint8)
GRID = TileGrid(64)
SIZE = (200, 260)


@pytest.fixture(scope="module")
def tiled() -> TiledSamSegmenter:
    segmenter = registry.load("sam_tiny_vit_tiny")
    assert isinstance(segmenter, TiledSamSegmenter)
    return segmenter


def disc(row: float, col: float, radius: float) -> np.ndarray:
    rows, cols = np.mgrid[: SIZE[0], : SIZE[1]]
    return (rows - row) ** 2 + (cols - col) ** 2 < radius**2


# --- the grid


@pytest.mark.parametrize("place", [(0, 0), (200, 260), (100, 130), (63, 66), (17, 250)])
@pytest.mark.parametrize("level", [-1, 0, 1])
def test_a_click_lies_on_its_tile_and_away_from_its_edges_unless_they_are_the_windows(place, level) -> None:
    tile, side = GRID.about(*place, level, SIZE), 64 * 2**level
    assert tile.holds(Click(*place, positive=True))
    for at, (first, last), limit in zip(place, (tile.rows, tile.cols), SIZE, strict=True):
        assert last - first == min(side, limit)
        assert first == 0 or at - first >= side / 4 - 1
        assert last == limit or last - at >= side / 4 - 1


def test_neighbouring_clicks_share_a_tile() -> None:
    tiles = {GRID.about(row, col, 0, SIZE) for row in range(0, 200, 4) for col in range(0, 260, 4)}
    assert len(tiles) <= 7 * 9


def test_a_box_gets_the_finest_tile_that_holds_it_with_room() -> None:
    assert GRID.around(Box(100, 110, 100, 110), SIZE).rows[1] - GRID.around(Box(100, 110, 100, 110), SIZE).rows[0] == 32
    large = GRID.around(Box(20, 150, 30, 200), SIZE)
    assert (large.rows, large.cols) == ((0, 200), (0, 256))
    assert GRID.around(Box(0, 200, 0, 260), SIZE) == Tile((0, 200), (0, 260))


@pytest.mark.parametrize(("radius", "side"), [(40, 128), (4, 32)])
def test_what_fills_a_tile_is_looked_at_from_farther_and_a_speck_from_nearer(radius, side) -> None:
    click = Click(100, 130, positive=True)
    tile = GRID.about(click.row, click.col, 0, SIZE)
    again = GRID.again(tile, disc(100, 130, radius), click, SIZE)
    assert again is not None
    assert again.rows[1] - again.rows[0] == side


def test_what_fits_is_not_looked_at_again() -> None:
    click = Click(100, 130, positive=True)
    tile = GRID.about(click.row, click.col, 0, SIZE)
    assert GRID.again(tile, disc(100, 130, 15), click, SIZE) is None
    assert GRID.again(tile, np.zeros(SIZE, bool), click, SIZE) is None
    whole = GRID.about(100, 130, 3, SIZE)
    assert GRID.again(whole, np.ones(SIZE, bool), click, SIZE) is None


# --- the segmenter


def encoded(tiled: TiledSamSegmenter, monkeypatch) -> list[tuple[int, ...]]:
    shapes: list[tuple[int, ...]] = []
    encode = tiled.inner.encode
    monkeypatch.setattr(tiled.inner, "encode", lambda image: (shapes.append(image.shape), encode(image))[1])
    return shapes


def test_encoding_waits_for_the_click_and_a_tile_is_encoded_once(tiled, monkeypatch) -> None:
    shapes = encoded(tiled, monkeypatch)
    encoding = tiled.encode(IMAGE)
    assert shapes == []
    first = tiled.step(encoding, [Click(100, 130, True)], tiled.start(encoding))
    looks = len(shapes)
    assert 1 <= looks <= tiled.grid.looks
    tile = first.memory.tile
    on_it = Click((tile.rows[0] + tile.rows[1]) / 2 + 3, (tile.cols[0] + tile.cols[1]) / 2 + 5, False)
    tiled.step(encoding, [Click(100, 130, True), on_it], first)
    tiled.step(encoding, [Click(101, 129, True)], tiled.start(encoding))
    assert len(shapes) == looks


def test_the_answer_lies_on_the_tile_and_is_what_sam_says_of_it(tiled) -> None:
    alone = TiledSamSegmenter(inner=tiled.inner, grid=replace(GRID, looks=1))
    encoding = alone.encode(IMAGE)
    state = alone.step(encoding, [Click(100, 130, True)], alone.start(encoding))
    tile = state.memory.tile
    part = np.ascontiguousarray(IMAGE[tile.of_window])
    inner = tiled.inner.encode(part)
    expected = tiled.inner.step(inner, [Click(100 - tile.rows[0], 130 - tile.cols[0], True)], tiled.inner.start(inner))
    assert np.array_equal(state.probability[tile.of_window], expected.probability)
    outside = state.probability.copy()
    outside[tile.of_window] = 0
    assert not outside.any()


def test_a_click_off_the_tile_moves_to_one_that_holds_everything(tiled) -> None:
    encoding = tiled.encode(IMAGE)
    first = tiled.step(encoding, [Click(30, 30, True)], tiled.start(encoding))
    both = [Click(30, 30, True), Click(170, 200, True)]
    after = tiled.step(encoding, both, first)
    assert all(after.memory.tile.holds(click) for click in both)
    assert after.memory.sam.logits is not None


def test_a_window_no_larger_than_a_tile_is_seen_whole(tiled) -> None:
    plain = TiledSamSegmenter(inner=tiled.inner, grid=TileGrid(64, finest=0))
    small = np.ascontiguousarray(IMAGE[:50, :64])
    encoding, inner = plain.encode(small), tiled.inner.encode(small)
    clicks = [Click(20, 30, True), Click(40, 50, False)]
    ours, expected = plain.start(encoding), tiled.inner.start(inner)
    for count in (1, 2):
        ours, expected = plain.step(encoding, clicks[:count], ours), tiled.inner.step(inner, clicks[:count], expected)
        assert np.array_equal(ours.probability, expected.probability)


def test_answers_do_not_depend_on_what_is_kept(tiled) -> None:
    forgetful = TiledSamSegmenter(inner=tiled.inner, grid=GRID, most=1)
    clicks = [Click(30, 30, True), Click(170, 200, True), Click(35, 32, False)]

    def last(segmenter):
        encoding = segmenter.encode(IMAGE)
        state = segmenter.start(encoding)
        for count in range(1, 4):
            state = segmenter.step(encoding, clicks[:count], state)
        assert len(encoding.tiles) <= segmenter.most
        assert encoding.nbytes >= IMAGE.nbytes + sum(one.nbytes for one in encoding.tiles.values())
        return state.probability

    assert np.array_equal(last(tiled), last(forgetful))


def test_a_mask_to_be_corrected_and_a_box_are_kept_on_their_tiles(tiled) -> None:
    encoding = tiled.encode(IMAGE)
    mask = disc(100, 130, 30)
    start = tiled.start(encoding, mask)
    assert np.array_equal(start.probability, mask.astype(np.float32))
    after = tiled.step(encoding, [Click(100, 165, True)], start)
    assert after.memory.tile.holds(Click(70, 100, True))
    boxed = tiled.start(encoding, box=Box(80, 120, 110, 150))
    assert boxed.probability.any()
    assert boxed.memory.sam.box is not None
    far = tiled.step(encoding, [Click(10, 10, False)], boxed)
    assert far.memory.tile.holds(Click(120, 150, True))
    assert far.memory.sam.box.row_min + far.memory.tile.rows[0] == pytest.approx(80)


def test_what_cannot_be_answered_is_refused(tiled) -> None:
    encoding = tiled.encode(IMAGE)
    with pytest.raises(ContractError, match="without a click"):
        tiled.step(encoding, [], tiled.start(encoding))
    with pytest.raises(ContractError, match="was given an image of shape"):
        tiled.encode(IMAGE[..., :1])
