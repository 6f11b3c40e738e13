"""An import of one small picture, and a classifier kept where a survey looks for it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

LABELS = """<View><Image name="img" value="$image"/>
<BrushLabels name="mask" toName="img"><Label value="building"/><Label value="tree"/></BrushLabels></View>"""


def task_file(folder: Path, count: int = 5) -> Path:
    """tasks.json of `count` pictures in `folder`, of which the last is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(count):
        name = folder / f"chip{number}.png"
        if number < count - 1:
            pixels = np.random.default_rng(number).integers(0, 255, (96, 96, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(name)
        lines.append(json.dumps({"data": {"image": str(name), "chip_id": f"chip-{number}"}}))
    path = folder / "tasks.json"
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    (folder / "labels.xml").write_text(LABELS)
    return path
