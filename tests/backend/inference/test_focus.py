"""The focus crop, Progressive Merge, and the predictor of two passes: where it looks, what it changes, what it keeps."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from backend.errors import ContractError
from backend.evaluation.parity_focal_stub import StubNetwork
from backend.inference.crop import Roi
from backend.inference.focus_crop import FocusCrop, component_at
from backend.inference.focus_merge import progressive_merge
from backend.inference.focus_predictor import FOCAL_ZOOM, FocalPredictor
from converters.frames import Box, Click

WHOLE = Roi.whole((100, 120))
NOTHING = np.zeros((100, 120), bool)


def rectangle(rows: slice, cols: slice, shape: tuple[int, int] = (100, 120)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[rows, cols] = True
    return mask


def focus(found, before=NOTHING, pixel=(50, 60), within=WHOLE, ratio=1.4):
    return FocusCrop(ratio).roi(found, before, pixel, within)


class TestFocusCrop:
    def test_a_new_object_is_looked_at_as_a_whole_with_context(self):
        # rows 40..59: centre 49.5, side 1.4 * 20 = 28; cols 50..79: centre 64.5, side 42
        assert focus(rectangle(slice(40, 60), slice(50, 80))) == Roi(35, 62, 43, 84)

    def test_a_known_object_is_looked_at_where_the_click_changed_it(self):
        before = rectangle(slice(20, 60), slice(20, 60))
        found = before | rectangle(slice(20, 60), slice(60, 85)) | rectangle(slice(62, 72), slice(20, 40))
        assert focus(found, before, pixel=(30, 70), ratio=1.0) == Roi(19, 58, 59, 83)

    def test_a_small_change_is_looked_at_in_a_square_about_the_click(self):
        before = rectangle(slice(20, 80), slice(20, 80))
        found = before & ~rectangle(slice(48, 53), slice(58, 63))
        # 0.2 * 59 each side of the click: 38.2 .. 61.8, widened by 1.0 * 24.6 / 23.6
        assert focus(found, before, pixel=(50, 60), ratio=1.0) == Roi(37, 61, 47, 71)

    def test_a_handful_of_pixels_is_no_object_to_go_by(self):
        assert focus(rectangle(slice(40, 43), slice(50, 53))) == WHOLE
        assert focus(NOTHING) == WHOLE

    def test_it_stays_within_what_the_coarse_network_saw(self):
        within = Roi(30, 55, 55, 90)
        assert focus(rectangle(slice(40, 60), slice(50, 80)), within=within) == Roi(35, 55, 55, 84)

    def test_where_nothing_of_it_is_left_the_whole_view_is_taken(self):
        before = rectangle(slice(10, 30), slice(10, 30))
        found = before | rectangle(slice(70, 95), slice(80, 110))
        assert focus(found, before, pixel=(80, 90), within=Roi(5, 35, 5, 35)) == Roi(5, 35, 5, 35)

    @settings(max_examples=60, deadline=None)
    @given(
        masks=npst.arrays(bool, (2, 23, 31)),
        pixel=st.tuples(st.integers(0, 22), st.integers(0, 30)),
        rows=st.tuples(st.integers(0, 22), st.integers(0, 22)).map(sorted),
        cols=st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted),
    )
    def test_it_is_never_empty_and_never_outside(self, masks, pixel, rows, cols):
        roi = focus(masks[0], masks[1], pixel, Roi(*rows, *cols))
        assert rows[0] <= roi.row_min <= roi.row_max <= rows[1]
        assert cols[0] <= roi.col_min <= roi.col_max <= cols[1]


class TestProgressiveMerge:
    BEFORE = rectangle(slice(20, 60), slice(20, 60))

    def test_only_the_part_clicked_on_is_added(self):
        found = self.BEFORE | rectangle(slice(20, 60), slice(60, 70)) | rectangle(slice(80, 90), slice(5, 15))
        expected = self.BEFORE | rectangle(slice(20, 60), slice(60, 70))
        assert np.array_equal(progressive_merge(self.BEFORE, found, (30, 65)), expected)

    def test_only_the_part_clicked_on_is_removed(self):
        found = self.BEFORE & ~rectangle(slice(20, 25), slice(20, 60)) & ~rectangle(slice(50, 60), slice(20, 60))
        expected = self.BEFORE & ~rectangle(slice(50, 60), slice(20, 60))
        assert np.array_equal(progressive_merge(self.BEFORE, found, (55, 30)), expected)

    def test_corners_connect(self):
        found = self.BEFORE | rectangle(slice(60, 65), slice(60, 65)) | rectangle(slice(65, 70), slice(65, 70))
        assert np.array_equal(progressive_merge(self.BEFORE, found, (62, 62)), found)

    def test_a_click_that_changes_nothing_leaves_the_mask_alone_except_as_published(self):
        found = self.BEFORE | rectangle(slice(80, 90), slice(5, 15))
        assert np.array_equal(progressive_merge(self.BEFORE, found, (5, 110)), self.BEFORE)
        inside_out = progressive_merge(self.BEFORE, found, (5, 110), merge_unchanged=True)
        assert np.array_equal(inside_out, ~rectangle(slice(80, 90), slice(5, 15)))

    @settings(max_examples=60, deadline=None)
    @given(masks=npst.arrays(bool, (2, 13, 17)), pixel=st.tuples(st.integers(0, 12), st.integers(0, 16)))
    def test_the_clicked_pixel_is_as_predicted_and_all_changes_hang_together(self, masks, pixel):
        before, found = masks
        merged = progressive_merge(before, found, pixel)
        assert merged[pixel] == found[pixel]
        changed = merged ^ before
        assert not (changed & ~(before ^ found)).any()
        assert not changed.any() or np.array_equal(component_at(changed, pixel), changed)


@pytest.fixture
def predictor():
    return FocalPredictor(net=StubNetwork(), name="stub", version="stub")


@pytest.fixture
def image():
    """A red field with two blue ponds and some noise: the stub network likes red."""
    picture = np.random.default_rng(3).integers(90, 110, (120, 160, 3), dtype=np.uint8)
    picture[20:100, 20:130, 0] += 60
    picture[40:60, 40:60, 2] += 80
    picture[70:90, 90:110, 2] += 80
    return picture


CLICKS = [Click(50.5, 100.5, True), Click(50.5, 50.5, False), Click(30.2, 24.9, True), Click(80.5, 100.5, False)]


def states(predictor, image, clicks, mask=None):
    encoding = predictor.encode(image)
    found = [predictor.start(encoding, mask)]
    for count in range(1, len(clicks) + 1):
        found.append(predictor.step(encoding, clicks[:count], found[-1]))
    return found


class TestFocalPredictor:
    def test_a_step_depends_on_its_arguments_alone_and_changes_none_of_them(self, predictor, image):
        found = states(predictor, image, CLICKS)
        before = [state.probability.copy() for state in found]
        encoding = predictor.encode(image)
        again = predictor.step(encoding, CLICKS[:2], found[1])
        assert np.array_equal(again.probability, found[2].probability)
        assert again.memory == found[2].memory
        assert all(np.array_equal(state.probability, copy) for state, copy in zip(found, before, strict=True))
        with pytest.raises(ValueError, match="read-only"):
            found[2].probability[0, 0] = 1

    def test_every_pass_is_made_once_a_click(self, predictor, image):
        calls = []

        class Counting(StubNetwork):
            def coarse(self, x, points):
                calls.append(("coarse", tuple(x.shape)))
                return super().coarse(x, points)

            def refine(self, image, points, features, logits, box):
                calls.append(("refine", tuple(image.shape)))
                return super().refine(image, points, features, logits, box)

        predictor.net = Counting()
        states(predictor, image, CLICKS)
        assert calls == [("coarse", (1, 4, 256, 256)), ("refine", (1, 3, 256, 256))] * len(CLICKS)

    def test_a_click_outside_the_region_of_interest_is_answered_inside_it(self, predictor):
        image = np.full((200, 220, 3), 100, np.uint8)
        image[10:30, 10:30, 0] += 80
        found = states(predictor, image, [Click(20.5, 20.5, True), Click(180.5, 200.5, False)])
        roi = found[-1].memory.zoom.roi
        assert roi.row_max < 180
        assert found[-1].memory.focus == roi
        assert np.array_equal(roi.cut(torch.tensor(found[-1].probability)) > 0, np.ones(roi.size, bool))
        assert not found[-1].probability[roi.row_max + 1 :].any()

    def test_from_the_eleventh_click_on_only_the_focus_changes(self, predictor, image):
        clicks = [Click(30.5 + 5 * number, 30.5 + 8 * number, number % 3 > 0) for number in range(12)]
        found = states(predictor, image, clicks)
        changes = []
        for before, after in pairwise(found[1:]):
            changed = before.probability != after.probability
            roi = after.memory.focus
            assert changed.any()
            changed[roi.row_min : roi.row_max + 1, roi.col_min : roi.col_max + 1] = False
            changes.append(bool(changed.any()))
        assert any(changes[:9]), "clicks 2 to 10"
        assert changes[9:] == [False, False], "clicks 11 and 12"

    def test_a_given_mask_changes_only_where_it_is_clicked_on(self, predictor, image):
        mask = np.zeros(image.shape[:2], bool)
        mask[20:100, 20:130] = True
        found = states(predictor, image, CLICKS[1:2] + CLICKS[3:], mask)
        masks = [state.probability > predictor.threshold for state in found]
        assert np.array_equal(masks[0], mask)
        for click, before, after in zip((CLICKS[1], CLICKS[3]), masks[:-1], masks[1:], strict=True):
            pixel = (int(click.row), int(click.col))
            changed = before ^ after
            assert changed[pixel]
            assert np.array_equal(component_at(changed, pixel), changed)
        assert found[1].nbytes == found[1].probability.nbytes * 2, "the network's own map is kept beside the answer"
        assert np.array_equal(masks[2] & rectangle(slice(45, 55), slice(45, 55), image.shape[:2]), np.zeros_like(mask)), "still removed"

    def test_a_box_is_where_the_first_click_is_looked_at(self, predictor, image):
        encoding = predictor.encode(image)
        start = predictor.start(encoding, box=Box(row_min=30, col_min=30, row_max=70, col_max=70))
        after = predictor.step(encoding, CLICKS[1:2], start)
        assert after.memory.zoom.roi == FOCAL_ZOOM.of_box(Box(row_min=30, col_min=30, row_max=70, col_max=70), encoding.size).roi
        assert not after.probability[:20].any()

    def test_what_cannot_be_answered_is_refused(self, predictor, image):
        encoding = predictor.encode(image)
        with pytest.raises(ContractError, match="without a click"):
            predictor.step(encoding, [], predictor.start(encoding))
        with pytest.raises(ContractError, match="mask to be corrected is"):
            predictor.start(encoding, np.zeros((5, 5), bool))
        with pytest.raises(ContractError, match="takes HxWx3 uint8"):
            predictor.encode(image[..., :2])
