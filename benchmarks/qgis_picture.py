"""QGIS opens an exported GeoPackage, and the project beside it, and draws the layers over their raster: docs/pictures/qgis_layers.png.

    python benchmarks/qgis_picture.py --out docs/pictures/qgis_layers.png

A procedural town (converters/scene.py) is cut into overlapping chips, its roofs, trees and cars become brush regions as people would draw
them chip by chip, and `rsiseg export --format qgis` makes GeoPackage and project: seams joined, styles in both. QGIS is Debian's (qgis,
python3-qgis), which has a Python of its own (--qgis-python); it runs without a screen. The exit code is 2 where it is not installed, 1
where QGIS finds a layer that is not valid, not styled as exported, or not drawn.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from PIL import Image

from converters.exporting.qgis_project import LAYERS, PROJECT
from converters.importing.survey import import_rasters
from converters.label_studio import brush_region
from converters.scene import CLASSES, write_scene
from converters.scene_canvas import BUILDING, CAR, TREE
from converters.task_addresses import TaskAddresses

COLOURS = {"building": "#ff3355", "tree": "#22dd44", "car": "#ffdd00"}
SMALLEST = 12  # px

# What runs in QGIS's own Python: the GeoPackage, the project, the picture, and its side in px.
IN_QGIS = r"""
import sqlite3, sys
from qgis.core import (QgsApplication, QgsMapRendererParallelJob, QgsMapSettings, QgsProject, QgsRasterLayer, QgsVectorLayer)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor
geopackage, written, picture, side = sys.argv[1:5]
application = QgsApplication([], False)
application.initQgis()
found = sqlite3.connect(geopackage).execute("SELECT table_name FROM gpkg_contents WHERE data_type = 'features' ORDER BY 1")
project = QgsProject.instance()
alone = [QgsVectorLayer(geopackage + "|layername=" + name, name, "ogr") for (name,) in found]
assert project.read(written), project.error()
layers = [node.layer() for node in project.layerTreeRoot().findLayers()]  # from above to below
assert sorted(layer.name() for layer in layers[:-1]) == [layer.name() for layer in alone]
assert isinstance(layers[-1], QgsRasterLayer)
for layer in [*alone, *layers]:
    assert layer.isValid(), layer.name()
    assert layer.crs().isValid() and layer.crs() == project.crs(), layer.name()
    if isinstance(layer, QgsVectorLayer):
        first = next(layer.getFeatures())
        colour = layer.renderer().symbol().color().name()
        assert colour == first["colour"], (layer.name(), colour, first["colour"])
        print(layer.name(), layer.featureCount(), "features,", colour, layer.crs().authid(), flush=True)
settings = QgsMapSettings()
settings.setLayers(layers)
settings.setDestinationCrs(project.crs())
settings.setExtent([layer for layer in layers if isinstance(layer, QgsRasterLayer)][0].extent())
settings.setOutputSize(QSize(int(side), int(side)))
settings.setBackgroundColor(QColor("white"))
job = QgsMapRendererParallelJob(settings)
job.start()
job.waitForFinished()
assert not job.errors(), [error.message for error in job.errors()]
assert job.renderedImage().save(picture)
del job, layer, layers, alone  # before QGIS goes
project.clear()
application.exitQgis()
"""


def annotated(folder: Path, size: int, seed: int) -> Path:
    """A JSON export with its objects drawn on overlapping chips."""
    paths = write_scene(folder, size=size, seed=seed, angle=0.2)
    import_rasters([str(paths.image)], TaskAddresses(out=folder / "chips", document_root=folder), chip=size * 3 // 5, overlap=size // 10)
    tasks = json.loads((folder / "chips" / "tasks.json").read_text(encoding="utf-8"))
    with rasterio.open(paths.objects) as numbered, rasterio.open(paths.classes) as classes:
        objects, kinds = numbered.read(1), classes.read(1)
    for task in tasks:
        col, row, width, height = task["data"]["window"]
        here, results = objects[row : row + height, col : col + width], []
        for number in np.unique(here[here > 0]).tolist():
            mask = here == number
            kind = int(np.bincount(kinds[objects == number]).argmax())
            if kind in (BUILDING, TREE, CAR) and mask.sum() >= SMALLEST:
                results.append(brush_region(mask, id=f"o{number}", label=CLASSES[kind][0], from_name="brush", to_name="image"))
        task["annotations"] = [{"id": len(results), "completed_by": 1, "result": results}]
    export = folder / "export.json"
    export.write_text(json.dumps([{"id": number, **task} for number, task in enumerate(tasks, start=1)]), encoding="utf-8")
    return export


def picture(asked: argparse.Namespace, folder: Path) -> int:
    """Makes the picture; the exit code."""
    export = annotated(folder, asked.size, asked.seed)
    config, out = folder / "config.xml", folder / "town"
    labels = "".join(f'<Label value="{name}" background="{colour}"/>' for name, colour in COLOURS.items())
    config.write_text(f'<View><Image name="image" value="$image"/><BrushLabels name="brush" toName="image">{labels}</BrushLabels></View>')
    command: list[Any] = [sys.executable, "-m", "backend.cli", "export", export, "--format", "qgis", "--label-config", config]
    subprocess.run([*command, "--out", out], check=True)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    partial = asked.out.with_name(f".{asked.out.stem}.partial.png")
    environ = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "XDG_RUNTIME_DIR": str(folder)}
    environ.pop("PYTHONPATH", None)
    arguments = [asked.qgis_python, "-c", IN_QGIS, out / LAYERS, out / PROJECT, partial, str(asked.pixels)]
    done = subprocess.run(arguments, env=environ, check=False)
    if done.returncode != 0:
        partial.unlink(missing_ok=True)
        return 1
    with Image.open(partial) as drawn:
        small = drawn.convert("RGB").quantize(256)
    small.save(partial, optimize=True)
    partial.replace(asked.out)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=1000, help="px of the scene")
    parser.add_argument("--pixels", type=int, default=600, help="px of the picture")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--qgis-python", default="/usr/bin/python3", help="the Python that has QGIS's modules")
    asked = parser.parse_args()
    if subprocess.run([asked.qgis_python, "-c", "import qgis.core"], capture_output=True, check=False).returncode != 0:
        print(f"{asked.qgis_python} has no QGIS; expected Debian's packages qgis and python3-qgis; install them", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        return picture(asked, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
