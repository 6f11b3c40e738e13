"""The base set that anybody has: drawn scenes with their labels, replayed so that a project's few images are not all a model sees.

What the shipped weights learned from cannot be shipped (its terms forbid it). Who has labelled imagery names it with `--replay` instead.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from converters.scene import CLASSES, make_scene
from converters.scene_canvas import BUILDING, CAR, TREE
from converters.whole_file import replacing

SCENES = "scenes"
"""What `--replay` calls them."""
_COUNT, _SIDE, _SEED = 40, 320, 7000
_OBJECTS = (BUILDING, CAR, TREE)


def procedural_set(folder: Path, count: int = _COUNT) -> Path:
    """A labelled set of `count` scenes in `folder`, made once: the same files on every machine. Returns `folder`. Raises OSError."""
    if (folder / "classes.json").is_file():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with replacing(folder) as aside:
        try:
            for name in ("images", "labels"):
                (aside / name).mkdir(parents=True)
            for number in range(count):
                scene = make_scene(_SIDE, _SEED + number)
                Image.fromarray(scene.image[..., :3]).save(aside / "images" / f"scene {number}.png")
                Image.fromarray(scene.classes.astype(np.uint8)).save(aside / "labels" / f"scene {number}.png")
            names = {CLASSES[index][0]: int(index) for index in _OBJECTS}
            background = [int(index) for index in CLASSES if index not in _OBJECTS]
            (aside / "classes.json").write_text(json.dumps({"classes": names, "background": background}), encoding="utf-8")
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
    return folder
