"""The format imagefolder: `train/` and `validation/` with `images/`, `masks/` and `metadata.jsonl`, as Hugging Face `datasets` loads it.

`load_dataset("imagefolder", data_dir=...)` gives the columns image, mask (class codes, 255 without a class) and those of the metadata.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from converters.exporting.chip_set import TRAIN, VAL, ChipSet, SetChip
from converters.exporting.class_codes import UNLABELLED, ClassCodes
from converters.exporting.coco import image_record
from converters.exporting.set_pictures import encoded

if TYPE_CHECKING:
    from converters.exporting.formats import Request

FOLDERS = {TRAIN: "train", VAL: "validation"}


def write(request: Request) -> None:
    """Writes the folder."""
    found = ChipSet.of(request)
    request.out.mkdir(parents=True)
    for chip in found.chips():
        part = request.out / FOLDERS[chip.part]
        for folder in ("images", "masks"):
            (part / folder).mkdir(parents=True, exist_ok=True)
        (part / "images" / f"{chip.name}.png").write_bytes(chip.png)
        (part / "masks" / f"{chip.name}.png").write_bytes(encoded(chip.codes()))
        with (part / "metadata.jsonl").open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(_row(chip), ensure_ascii=False, allow_nan=False) + "\n")
    (request.out / "classes.json").write_text(found.classes.classes_json(), encoding="utf-8", newline="\n")
    (request.out / "README.md").write_text(_card(found.classes), encoding="utf-8", newline="\n")
    request.account.fact("largest_deviation_px", 0)


def _row(chip: SetChip) -> dict[str, Any]:
    return {
        "file_name": f"images/{chip.name}.png",
        "mask_file_name": f"masks/{chip.name}.png",
        **image_record(chip),
        "objects": {
            "bbox": [one.box for one in chip.regions],
            "area": [one.area for one in chip.regions],
            "category": [one.code for one in chip.regions],
        },
    }


def _card(classes: ClassCodes) -> str:
    rows = "".join(f"| {code} | {name} |\n" for code, name in enumerate(classes.names))
    return (
        "# Segmentation masks exported by RSISeg\n\n"
        '`load_dataset("imagefolder", data_dir=...)` gives the columns `image` and `mask`; the mask\'s values are\n\n'
        f"| value | class |\n|---|---|\n{rows}| {UNLABELLED} | none |\n"
    )
