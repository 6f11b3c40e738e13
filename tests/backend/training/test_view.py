"""Views: what a chain of resizing, mirroring, turning and cropping shows."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from backend.training.view import View, moved, scaled, turned

IMAGE = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)


def shown(view: View, image: np.ndarray = IMAGE) -> np.ndarray:
    row0, col0, row1, col1 = view.window(image.shape[:2])
    return view.image(image[row0:row1, col0:col1], (row0, col0))


def test_a_crop_is_the_pixels_themselves() -> None:
    np.testing.assert_array_equal(shown(View((10, 20), moved(7, 5))), IMAGE[5:15, 7:27])


def test_mirrors_and_quarter_turns_are_exact() -> None:
    mirrored = View((40, 60), moved(60, 0) @ scaled(-1, 1))
    np.testing.assert_array_equal(shown(mirrored), IMAGE[:, ::-1])
    # The view's x runs down the image, its y runs right to left.
    quarter = View((60, 40), moved(60, 0) @ turned(90))
    np.testing.assert_array_equal(shown(quarter), np.rot90(IMAGE, 1))


def test_outside_the_image_everything_is_zero_and_its_edge_is_whole() -> None:
    seen = shown(View((50, 70), moved(-4, -6)))
    np.testing.assert_array_equal(seen[6:46, 4:64], IMAGE)
    assert seen.sum() == IMAGE.sum()


@pytest.mark.parametrize("factor", [0.75, 1.4])
def test_resizing_is_opencvs_bilinear_one(factor: float) -> None:
    size = (round(60 * factor), round(40 * factor))
    seen = shown(View(size[::-1], scaled(60 / size[0], 40 / size[1])))
    expected = cv2.resize(IMAGE, size, interpolation=cv2.INTER_LINEAR)
    # warpAffine knows fractions of a pixel to a 32nd.
    assert np.abs(seen.astype(int) - expected).max() <= 255 / 16
    assert np.abs(seen.astype(int) - expected).mean() < 1.5


def test_images_of_more_bands_than_opencv_takes_and_of_one() -> None:
    many = np.random.default_rng(1).integers(0, 255, (20, 20, 5), dtype=np.uint8)
    np.testing.assert_array_equal(shown(View((8, 8), moved(3, 3)), many), many[3:11, 3:11])
    np.testing.assert_array_equal(shown(View((8, 8), moved(3, 3)), many[..., :1]), many[3:11, 3:11, :1])


def test_only_the_window_is_read() -> None:
    view = View((10, 10), moved(20, 8) @ scaled(0.5, 0.5))
    assert view.window((40, 60)) == (6, 18, 15, 27)
    assert View((5, 5), moved(900, 0)).window((40, 60)) == (0, 0, 0, 0)
    np.testing.assert_array_equal(shown(view), view.image(IMAGE, (0, 0)))


def test_labels_keep_their_values_and_lie_where_the_image_is() -> None:
    labels = np.zeros((40, 60), np.uint8)
    labels[10:30, 20:40] = 254
    view = View((30, 30), moved(15, 5) @ turned(3) @ scaled(1.1, 1.1))
    row0, col0, row1, col1 = view.window((40, 60))
    seen = view.labels(labels[row0:row1, col0:col1], (row0, col0))
    assert set(np.unique(seen)) == {0, 254}
    soft = shown(view, np.repeat((labels > 0).astype(np.uint8)[..., None] * 255, 3, axis=2))[..., 0]
    assert ((soft > 140) <= (seen > 0)).all() and ((soft < 115) <= (seen == 0)).all()


def test_a_part_of_a_view_shows_that_part() -> None:
    view = View((20, 20), moved(10, 5))
    np.testing.assert_array_equal(shown(view.seen_from(4, 2, 12, 14, (8, 12))), shown(view)[4:12, 2:14])
