"""The format coco: `instances_train.json` and `instances_val.json` with one RLE mask for each region, pictures in `images/`.

An RLE mask is the region's pixels bit for bit, holes and scattered parts included; regions that overlap stay whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from converters.exporting import coco_rle
from converters.exporting.chip_set import ChipSet, MaskedRegion, SetChip

if TYPE_CHECKING:
    from converters.exporting.formats import Request


@dataclass(slots=True)
class _Part:
    """The records of one file, each as JSON text: as objects they would take ten times the memory."""

    images: list[str] = field(default_factory=list)
    annotations: list[str] = field(default_factory=list)

    def lines(self, categories: list[dict[str, Any]]) -> Iterator[str]:
        yield '{"info": {"description": "RSISeg export"},\n'
        yield f'"categories": {_json(categories)},\n"images": [\n'
        yield ",\n".join(self.images)
        yield '\n],\n"annotations": [\n'
        yield ",\n".join(self.annotations)
        yield "\n]}\n"


def write(request: Request) -> None:
    """Writes the folder."""
    found = ChipSet.of(request)
    parts: dict[str, _Part] = {}
    (request.out / "images").mkdir(parents=True)
    for image_id, chip in enumerate(found.chips(), start=1):
        file = f"{chip.name}.png"
        (request.out / "images" / file).write_bytes(chip.png)
        part = parts.setdefault(chip.part, _Part())
        part.images.append(_json({"id": image_id, "file_name": file, **image_record(chip)}))
        part.annotations += [_json(annotation(one, image_id)) for one in chip.regions]
    categories = [{"id": code + 1, "name": name, "supercategory": ""} for code, name in enumerate(found.classes.names)]
    for name, part in parts.items():
        with (request.out / f"instances_{name}.json").open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(part.lines(categories))
    request.account.fact("largest_deviation_px", 0)


def image_record(chip: SetChip) -> dict[str, Any]:
    """Size and place of a chip, so that what a network finds there can be put onto the map."""
    window, transform = chip.chip.window, chip.chip.transform
    return {
        "width": window.width,
        "height": window.height,
        "raster": chip.chip.raster,
        "window": [window.col_off, window.row_off, window.width, window.height],
        "transform": None if transform is None else list(transform)[:6],
        "crs": chip.chip.crs,
        "task": chip.task.id,
    }


def annotation(one: MaskedRegion, image_id: int) -> dict[str, Any]:
    """COCO's record of a region; its id is the region's position in the export, from 1 on."""
    return {
        "id": one.region.order + 1,
        "image_id": image_id,
        "category_id": one.code + 1,
        "segmentation": coco_rle.encode(one.inside, one.size, row=one.row, col=one.col),
        "area": one.area,
        "bbox": one.box,
        "iscrowd": 0,
        "annotation": one.region.annotation,
        "region": one.region.region.id,
    }


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
