"""Label Studio exports as labelled sets: the same pixels as were accepted, files from allowed folders only, nothing lost in silence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from exported import export
from PIL import Image

from converters import geojson
from converters.chips import Chip, PixelWindow
from converters.errors import TaskError
from converters.frames import Size
from converters.label_studio import brush_region, chip_to_task_data, polygon_region
from converters.label_studio_export import read_export
from converters.labelled import LabelledSet, open_labelled
from converters.rasters import raster_stretch

UTM = Affine(0.25, 0, 366_000.0, 0, -0.25, 5_807_000.0)
WINDOW = PixelWindow(30, 20, 48, 36)


def a_raster(path: Path, *, dtype: str = "uint8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(1).integers(0, 250, (4, 80, 100)).astype(dtype) * (1 if dtype == "uint8" else 37)
    with rasterio.open(
        path, "w", driver="GTiff", width=100, height=80, count=4, dtype=dtype, crs="EPSG:32633", transform=UTM, photometric="RGB"
    ) as out:
        out.write(pixels)
    return path


def a_chip(raster: str, *, scale: float = 1.0, **changes: Any) -> Chip:
    fields: dict[str, Any] = {
        "image": "/data/local-files/?d=chips/c.png", "raster": raster, "window": WINDOW,
        "transform": UTM @ Affine.translation(WINDOW.col_off, WINDOW.row_off), "crs": "EPSG:32633", "bands": ("R", "G", "B", "IR"),
        "scale": scale, "gsd": 0.25, "native_size": Size(100, 80), "stretch": None, "nodata": None,
    }  # fmt: skip
    return Chip(**fields | changes)


def a_mask() -> np.ndarray:
    mask = np.zeros((36, 48), bool)
    mask[4:20, 6:30] = True
    mask[8:12, 10:16] = False
    mask[30, 40] = True
    return mask


def brush(mask: np.ndarray, label: str = "building", **more: Any) -> dict[str, Any]:
    return brush_region(mask, id=f"b{label}", label=label, from_name="brush", to_name="img", **more)


RING = [(20.3, 2.2), (40.7, 8.4), (25.6, 30.1)]


def ring(label: str = "tree") -> dict[str, Any]:
    return polygon_region(RING, WINDOW.size, id="p1", label=label, from_name="poly", to_name="img")


def a_task(data: Any, *results: dict[str, Any], number: int = 7, **annotation: Any) -> dict[str, Any]:
    said = {"id": 11, "result": list(results), "was_cancelled": False, "updated_at": "2026-09-30T10:00:00Z"} | annotation
    return {"id": number, "data": chip_to_task_data(data) if isinstance(data, Chip) else data, "annotations": [said]}


def written(folder: Path, *tasks: dict[str, Any], **options: Any) -> LabelledSet:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "export.json").write_text(json.dumps(tasks))
    return open_labelled(folder / "export.json", **options)


def masks(labelled: LabelledSet, window: PixelWindow | None = None) -> list[np.ndarray]:
    return [each.mask == 1 for each in labelled.images[0].objects(1, window)]


def test_accepted_regions_come_back_as_objects_of_the_raster(tmp_path: Path) -> None:
    path = a_raster(tmp_path / "a.tif")
    labelled = written(tmp_path, a_task(a_chip(str(path)), brush(a_mask()), ring()))
    (image,) = labelled.images
    assert (image.name, image.size, image.gsd, labelled.kind) == ("a_r000020_c000030_48x36.tif", Size(48, 36), 0.25, "Label Studio export")
    assert image.bands == ("R", "G", "B", "IR") and image.files == (path.resolve(), tmp_path / "export.json")
    with rasterio.open(path) as file:
        pixels = np.moveaxis(file.read(), 0, -1)[20:56, 30:78]
    assert np.array_equal(image.read(), pixels)
    assert np.array_equal(image.read(PixelWindow(10, 5, 8, 9)), pixels[5:14, 10:18])
    first, second = image.objects(1)
    assert [first.class_name, second.class_name] == ["building", "tree"]
    assert np.array_equal(first.mask == 1, a_mask())  # one object, though its speck lies apart
    assert ((first.mask == 1) & (second.mask == 1)).any()  # overlapping regions stay separate
    window = PixelWindow(0, 0, 20, 36)
    assert np.array_equal(np.logical_or.reduce(masks(labelled, window)[:1]), a_mask()[:, :20])
    assert np.array_equal(open_labelled(tmp_path / "export.json", bands=("IR", "R", "G")).images[0].read(), pixels[..., [3, 0, 1]])


def test_the_map_and_the_export_tell_the_same_pixels(tmp_path: Path) -> None:
    """The polygons that `rsiseg export` writes, laid over the raster again."""
    path = a_raster(tmp_path / "a.tif")
    tasks = [a_task(a_chip(str(path)), brush(a_mask()), ring())]
    by_export = masks(written(tmp_path, *tasks))
    done = export(read_export(json.loads(json.dumps(tasks))))
    (tmp_path / "a.geojson").write_text(geojson.dumps(done.features))
    by_map = open_labelled(tmp_path / "a.geojson").images[0].objects(1, WINDOW)
    assert [each.class_name for each in by_map] == ["building", "tree"]
    for ours, theirs in zip(by_map, by_export, strict=True):
        assert np.array_equal(ours.mask == 1, theirs)


def test_a_brush_on_a_scaled_picture_covers_the_native_pixels_it_showed(tmp_path: Path) -> None:
    path = a_raster(tmp_path / "a.tif")
    large = np.kron(a_mask(), np.ones((2, 2), bool))
    assert np.array_equal(masks(written(tmp_path, a_task(a_chip(str(path), scale=2.0), brush(large))))[0], a_mask())
    middles = np.zeros((36 * 3, 48 * 3), bool)
    middles[1::3, 1::3] = a_mask()  # what a picture of three times the size shows at the native pixels' centres
    assert np.array_equal(masks(written(tmp_path, a_task(a_chip(str(path), scale=3.0), brush(middles))))[0], a_mask())
    other = written(tmp_path, a_task(a_chip(str(path)), brush(large), ring()))
    assert len(other.images[0].objects(1)) == 1
    assert other.notes == ("1 regions drawn on a picture of another size than the task's (96 x 72 px) are left out",)


def test_16_bit_rasters_are_read_through_the_task_s_stretch(tmp_path: Path) -> None:
    path = a_raster(tmp_path / "a.tif", dtype="uint16")
    stretch = raster_stretch(path, bands=("R", "G", "B", "IR"), nodata=None)
    labelled = written(tmp_path, a_task(a_chip(str(path), stretch=stretch), ring()))
    assert labelled.images[0].read().shape == (36, 48, 4) and labelled.images[0].read().std() > 30


def test_the_latest_annotation_counts_and_nothing_is_lost_in_silence(tmp_path: Path) -> None:
    path = a_raster(tmp_path / "a.tif")
    made_by = {"rsiseg": {"model": "default", "version": "1"}}
    box = ring() | {"type": "rectanglelabels", "id": "box", "value": {"rectanglelabels": ["tree"], "x": 1, "y": 1, "width": 2, "height": 2}}
    two = brush(a_mask(), "roof", meta=made_by)
    two["value"]["brushlabels"] = ["roof", "damaged"]
    task = a_task(a_chip(str(path)), ring("old"))
    task["annotations"] += [
        {"id": 12, "result": [two, box, ring()], "was_cancelled": False, "updated_at": "2026-09-30T11:00:00Z"},
        {"id": 13, "result": [ring("skipped")], "was_cancelled": True, "updated_at": "2026-09-30T12:00:00Z"},
    ]
    empty = {"id": 8, "data": chip_to_task_data(a_chip(str(path))), "annotations": []}
    labelled = written(tmp_path, task, empty)
    assert [each.class_name for each in labelled.images[0].objects(1)] == ["roof", "tree"]
    notes = "\n".join(labelled.notes)
    assert "1 results (a box left in the annotation is a prompt, not an object" in notes
    assert "1 tasks without an annotation are left out" in notes
    assert "1 regions have several labels; the first is their class" in notes
    assert "1 of 2 regions were drawn by a model before a person accepted them: default (1)" in notes


def test_tasks_without_a_chip_are_their_pictures(tmp_path: Path) -> None:
    Image.new("RGB", (48, 36), (9, 8, 7)).save(tmp_path / "p.png")
    for data in ({"image": "/data/upload/3/p.png"}, {"photo": "https://example.org/files/p.png?sig=1", "note": "x"}):
        labelled = written(tmp_path, a_task(data, ring()))
        (image,) = labelled.images
        assert (image.name, image.gsd, image.read()[0, 0].tolist()) == ("p.png", None, [9, 8, 7])
        assert len(image.objects(1)) == 1
    turned = Image.new("RGB", (48, 36))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "t.jpg", exif=exif)
    with pytest.raises(TaskError, match=r"t\.jpg is stored turned \(EXIF orientation 6\)"):
        written(tmp_path, a_task({"image": "t.jpg"}, ring()))
    with pytest.raises(TaskError, match="its data names 0 pictures among text"):
        written(tmp_path, a_task({"text": "hello"}, ring()))


@pytest.mark.parametrize("named", ["absolute", "relative", "file address", "local files"])
def test_files_are_found_below_the_roots_given(tmp_path: Path, named: str) -> None:
    path = a_raster(tmp_path / "data" / "deep" / "a.tif")
    uri = {
        "absolute": str(path),
        "relative": "deep/a.tif",
        "file address": path.as_uri(),
        "local files": "/data/local-files/?d=deep/a.tif",
    }[named]
    task = a_task(a_chip(uri), ring())
    assert written(tmp_path / "export", task, roots=[tmp_path / "data"]).images[0].objects(1)
    if named == "local files":
        assert written(tmp_path / "export", task, document_root=tmp_path / "data").images[0].objects(1)
    with pytest.raises(
        TaskError, match=r"has no task to learn from: task 7: .*put the file beside the export, or name its folder as a root"
    ):
        written(tmp_path / "export", task)


@pytest.mark.parametrize("uri", ["../secret/a.tif", "/data/local-files/?d=../secret/a.tif", "deep/../../secret/a.tif", "link/a.tif"])
def test_nothing_outside_the_roots_is_read(tmp_path: Path, uri: str) -> None:
    a_raster(tmp_path / "secret" / "a.tif")
    (tmp_path / "export" / "deep").mkdir(parents=True)
    (tmp_path / "export" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "export" / "a.tif").symlink_to(tmp_path / "secret" / "a.tif")
    with pytest.raises(TaskError, match="has no task to learn from"):
        written(tmp_path / "export", a_task(a_chip(uri), ring()))


def test_an_export_that_was_moved_with_its_rasters_still_opens(tmp_path: Path) -> None:
    a_raster(tmp_path / "images" / "a.tif")
    labelled = written(tmp_path, a_task(a_chip("/gone/since/a.tif"), ring()), a_task(a_chip("/gone/b.tif"), ring(), number=8))
    assert len(labelled.images) == 1
    assert labelled.notes[0].startswith("1 annotated tasks are left out; task 8: /gone/b.tif is not below")


def test_another_raster_of_the_same_name_is_not_taken(tmp_path: Path) -> None:
    path = a_raster(tmp_path / "a.tif")
    with pytest.raises(TaskError, match=r"a\.tif is 100 x 80 px with 4 bands, the task records 100 x 90 px and RGBIR"):
        written(tmp_path, a_task(a_chip(str(path), native_size=Size(100, 90)), ring()))


def test_two_tasks_of_one_window_have_two_names(tmp_path: Path) -> None:
    path = a_raster(tmp_path / "a.tif")
    labelled = written(tmp_path, *(a_task(a_chip(str(path)), ring(), number=number) for number in (1, 2)))
    assert [image.name for image in labelled.images] == ["a_r000020_c000030_48x36-2.tif", "a_r000020_c000030_48x36.tif"]


def test_a_damaged_mask_names_its_region_and_image(tmp_path: Path) -> None:
    path = a_raster(tmp_path / "a.tif")
    broken = brush(a_mask())
    broken["value"]["rle"] = broken["value"]["rle"][:12]
    labelled = written(tmp_path, a_task(a_chip(str(path)), broken))
    with pytest.raises(
        TaskError, match=r"export\.json: region bbuilding of a_r000020_c000030_48x36\.tif: the brush region's RLE is damaged"
    ):
        labelled.images[0].objects(1)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([{"id": 1, "image": "a.png", "annotation_id": 3}], "JSON_MIN"),
        ([], "no task has an annotation"),
        ({"type": "FeatureCollection", "features": []}, r"is GeoJSON; expected its ending to be \.geojson"),
        ({"a": 1}, "neither a COCO instances file nor Label Studio's JSON export"),
        (3, "neither a COCO"),
    ],
)
def test_other_documents_are_one_sentence(tmp_path: Path, document: Sequence[Any], said: str) -> None:
    (tmp_path / "export.json").write_text(json.dumps(document))
    with pytest.raises(TaskError, match=said):
        open_labelled(tmp_path / "export.json")
