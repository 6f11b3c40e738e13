"""What is held out: by name, whole, and with what was cut from the same larger picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.training.objects import load_pools
from backend.training.sources import Source
from backend.training.validation_split import FEWEST_PICTURES, Part, Split, is_held_out, larger_picture, split
from converters.frames import Size
from converters.labelled import open_labelled
from converters.labelled_folder import Classes, RasterLabelled
from converters.labelled_objects import LabelledObject
from converters.labelled_pixels import Picture


def named(name: str) -> RasterLabelled:
    return RasterLabelled(Picture(Path("images") / name), Path("labels") / name, Classes({"roof": (1, 1, 1)}, ()))


@pytest.mark.parametrize(
    ("name", "picture"),
    [
        ("tile1_image_part_003.jpg", "tile1"),
        ("berlin patch 7.png", "berlin"),
        ("survey_r000512_c001024_512x512.tif", "survey"),
        ("survey_r000512_c001024_512x512-2.tif", "survey"),
        ("survey_x512_y1024.png", "survey"),
        ("area_1of2.tif", "area"),
        ("OAM-1238424-1046544-21.png", "309606-261636-19"),
        ("OAM-1238427-1046547-21.png", "309606-261636-19"),
        ("OAM-1238428-1046547-21.png", "309607-261636-19"),
    ],
)
def test_a_name_tells_which_picture_a_part_was_cut_from(name: str, picture: str) -> None:
    assert larger_picture(named(name)) == picture


@pytest.mark.parametrize("name", ["tile_07.png", "002.jpg", "DJI_0005.JPG", "potsdam_2_10.tif", "image_part.png", "parted_12.png"])
def test_a_name_that_says_nothing_of_a_larger_picture_is_a_picture_of_its_own(name: str) -> None:
    assert larger_picture(named(name)) == name


def parts(pictures: int, images: int, patches: int = 1) -> list[Part]:
    return [
        Part(f"p{picture}", f"p{picture} i{image}", f"p{picture} i{image} {patch}")
        for picture in range(pictures)
        for image in range(images)
        for patch in range(patches)
    ]


def sides(found: Split, every: list[Part], level: str) -> tuple[set[str], set[str]]:
    return tuple(  # type: ignore[return-value]
        {getattr(part, level) for part, held in zip(every, found.held_out, strict=True) if held is side} for side in (True, False)
    )


def test_parts_of_one_picture_are_never_on_both_sides() -> None:
    every = parts(40, 3, 2)
    found = split(every, "set")
    held, kept = sides(found, every, "picture")
    assert not held & kept and found.note is None
    assert held == {f"p{number}" for number in range(40) if is_held_out(f"p{number}")}


def test_a_set_of_few_pictures_is_split_by_image_and_says_so() -> None:
    every = parts(FEWEST_PICTURES - 1, 10, 2)
    found = split(every, "drone")
    held, kept = sides(found, every, "image")
    assert held and kept and not held & kept
    assert found.note is not None and found.note.startswith("drone has parts of only 5 larger pictures")


def test_a_set_of_few_large_images_is_split_by_patch_and_says_so() -> None:
    every = parts(2, 1, 30)
    found = split(every, "ortho")
    held, kept = sides(found, every, "patch")
    assert held and kept
    assert found.note == "ortho has only 2 images: validation is on patches of those that training sees other patches of"


@pytest.mark.parametrize("count", range(2, 40))
def test_every_set_of_two_images_or_more_is_validated_on_and_trained_on(count: int) -> None:
    for every in (parts(count, 1), parts(1, count)):
        held = split(every, "set").held_out
        assert any(held) and not all(held)


def test_a_single_image_is_trained_on_whole() -> None:
    found = split(parts(1, 1), "set")
    assert found.held_out == (False,)
    assert found.note == "set is one single image: nothing of it is held out for validation"


def test_more_images_move_none_to_the_other_side() -> None:
    """Where names decide, not the smallest hash: from some dozen pictures on."""
    few, many = parts(30, 1), parts(90, 1)
    before, after = (dict(zip(every, split(every, "set").held_out, strict=True)) for every in (few, many))
    assert all(after[part] is held for part, held in before.items())


def chips_of_eight_rasters(folder: Path) -> Path:
    """A Label Studio export: 24 chips of 8 rasters, a square region each."""
    rng = np.random.default_rng(0)
    tasks = []
    corners = [(20.0, 20.0), (70.0, 20.0), (70.0, 70.0), (20.0, 70.0)]
    for raster in range(8):
        path = folder / f"flight{raster}.png"
        Image.fromarray(rng.integers(0, 255, (60, 180, 3), dtype=np.uint8)).save(path)
        for chip in range(3):
            data = {
                "image": f"chips/{raster}_{chip}.png", "raster": path.name, "window": [60 * chip, 0, 60, 60], "transform": None,
                "crs": None, "bands": "RGB", "scale": 1.0, "gsd": None, "native_size": [180, 60], "stretch": None, "nodata": None,
            }  # fmt: skip
            value = {"points": [list(corner) for corner in corners], "polygonlabels": ["roof"]}
            region = {
                "id": "a", "type": "polygonlabels", "from_name": "label", "to_name": "image",
                "original_width": 60, "original_height": 60, "image_rotation": 0, "value": value,
            }  # fmt: skip
            tasks.append({"id": 3 * raster + chip, "data": data, "annotations": [{"id": 1, "result": [region], "was_cancelled": False}]})
    (folder / "export.json").write_text(json.dumps(tasks))
    return folder / "export.json"


def test_chips_of_one_raster_of_an_export_stay_together(tmp_path: Path) -> None:
    export = chips_of_eight_rasters(tmp_path)
    images = open_labelled(export).images
    assert len({larger_picture(image) for image in images}) == 8
    training, validation = load_pools([Source(export)], min_area=30)
    assert len(training.objects) + len(validation.objects) == 24
    assert len(validation.objects) % 3 == 0 and 0 < len(validation.objects) < 24
    names = [image.name for image in images]  # the pool's images are the set's, in its order
    rasters = [{names[item.image].split("_")[0] for item in pool.objects} for pool in (training, validation)]
    assert not rasters[0] & rasters[1]


def test_the_parts_of_a_dubai_tile_stay_together(shared: Path) -> None:
    found = open_labelled(shared / "data/dubai_mbrsc")
    every = [Part(larger_picture(image), image.name, image.name) for image in found.images]
    outcome = split(every, "dubai")
    held, kept = sides(outcome, every, "picture")
    assert outcome.note is None and not held & kept
    assert {part.picture for part in every} == {f"tile{number}" for number in (1, 2, 4, 5, 6, 7)}


def test_blocks_of_web_tiles_stay_together(shared: Path) -> None:
    found = open_labelled(shared / "data/fair_oam")
    every = [Part(larger_picture(image), image.name, image.name) for image in found.images]
    outcome = split(every, "oam")
    held, kept = sides(outcome, every, "picture")
    assert outcome.note is None and held and kept and not held & kept
    assert len(held | kept) < len(every) / 5


class InAFolder:
    """An image of a COCO file whose names have folders."""

    name = "Tile 3/images/image_part_002.jpg"
    size = Size(4, 4)
    bands = None
    gsd = None
    files = (Path("image_part_002.jpg"),)

    def read(self, window: object = None) -> np.ndarray:
        raise NotImplementedError

    def objects(self, min_area: int, window: object = None) -> list[LabelledObject]:
        raise NotImplementedError


def test_a_part_without_a_name_of_its_own_belongs_to_its_folder() -> None:
    assert larger_picture(InAFolder()) == "Tile 3/images"
