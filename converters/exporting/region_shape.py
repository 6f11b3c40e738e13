"""The shape of one region in its chip: as exact polygons and as a mask, in native px of the chip's window."""

from __future__ import annotations

import numpy as np
import rasterio.features
import shapely
from numpy.typing import NDArray
from shapely import Polygon

from converters import rle
from converters.chips import Chip
from converters.errors import ExportError
from converters.frames import Size, percent_to_native
from converters.label_studio_export import BrushShape, Region, RingShape
from converters.vectorise import polygons

MENDED = "the outline crosses or touches itself; the area that it encloses was exported"


def is_display_size(shown: Size, chip: Chip) -> bool:
    """Whether a picture of the size `shown` can be the chip's; the importer may round either way."""
    return abs(shown.width - chip.window.width * chip.scale) < 1 and abs(shown.height - chip.window.height * chip.scale) < 1


def wrong_picture(region: Region, chip: Chip) -> str | None:
    """Why the region cannot be the chip's, by the size of the picture that it was drawn on; None when it can."""
    shown = region.shape.size
    if shown is None or is_display_size(shown, chip):
        return None
    return (
        f"it was drawn on a picture of {shown}, but the chip was imported as {chip.window.size} at scale {chip.scale:g}; "
        "expected the same picture; import the raster again and draw on that"
    )


def native_parts(region: Region, chip: Chip) -> tuple[list[Polygon], list[str]]:
    """The region's polygons in native px of the window, edge-based, and notes about what had to be mended.

    A mask of the window's own size gives whole numbers: its exact outline. Raises TaskError or ExportError when there is no polygon.
    """
    if (why := wrong_picture(region, chip)) is not None:
        raise ExportError(why)
    if isinstance(region.shape, RingShape):
        return _ring_parts(region.shape, chip.window.size)
    return _mask_parts(region.shape, chip.window.size), []


def native_mask(region: Region, chip: Chip) -> NDArray[np.bool_]:
    """The region's pixels, HxW of the window: of a brush the stored mask, of an outline the pixels whose centre is inside.

    A brush on a picture of another size than the window gives each native px the display px under its centre.
    Raises TaskError or ExportError for a region that is no shape of this chip; the mask of a thin outline may be empty.
    """
    if (why := wrong_picture(region, chip)) is not None:
        raise ExportError(why)
    window = chip.window.size
    if isinstance(region.shape, RingShape):
        parts, _ = _ring_parts(region.shape, window)
        burnt = rasterio.features.rasterize(parts, (window.height, window.width), dtype=np.uint8)
        return np.asarray(burnt).astype(bool)
    mask = rle.decode(region.shape.rle, region.shape.size)
    if region.shape.size == window:
        return mask
    rows, cols = (
        np.minimum(((np.arange(native) + 0.5) * (display / native)).astype(int), display - 1)
        for native, display in ((window.height, mask.shape[0]), (window.width, mask.shape[1]))
    )
    return mask[np.ix_(rows, cols)]


def _mask_parts(shape: BrushShape, window: Size) -> list[Polygon]:
    box, col, row = rle.decode_box(shape.rle, shape.size)
    found = polygons(box, corner=(col, row))
    if not found:
        raise ExportError("its mask is empty; expected at least one pixel; delete the region or draw it again")
    if shape.size == window:
        return found
    # The picture shows the whole window, whatever its own pixel count: its pixel edges are shares of the window.
    per_pixel = np.array([window.width / shape.size.width, window.height / shape.size.height])
    return [shapely.transform(part, lambda corners: corners * per_pixel) for part in found]


def _ring_parts(shape: RingShape, window: Size) -> tuple[list[Polygon], list[str]]:
    corners = [percent_to_native(point, window) for point in shape.points]
    ring = Polygon([(corner.col, corner.row) for corner in corners])
    if ring.is_valid and ring.area > 0:
        return [ring], []
    mended = shapely.get_parts(shapely.make_valid(ring, method="structure", keep_collapsed=False)).tolist()
    parts = [part for part in mended if isinstance(part, Polygon) and part.area > 0]
    if not parts:
        raise ExportError("its outline encloses no area; expected a polygon; draw it again")
    return parts, [MENDED]
