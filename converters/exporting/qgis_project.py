"""The format qgis: a folder with the GeoPackage and a project that shows its layers over their rasters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from pyproj import CRS

from converters import bands as band_letters
from converters.chips import Chip
from converters.errors import RSISegError
from converters.exporting import geopackage
from converters.exporting.account import Account
from converters.exporting.chosen import chosen_tasks
from converters.exporting.layer_crs import same
from converters.exporting.qgis_style import renderer
from converters.exporting.set_pictures import SetPictures

if TYPE_CHECKING:
    from converters.exporting.formats import Request

LAYERS = "layers.gpkg"
PROJECT = "project.qgs"
_BANDS = ("red", "green", "blue")


@dataclass(frozen=True, slots=True)
class MapLayer:
    """A layer of a project. source: as QGIS names it, relative to the project or absolute. crs: None for px.

    style: the renderer of vectors, the pipe of a raster.
    """

    name: str
    kind: str
    provider: str
    source: str
    crs: str | None
    style: Element


def write(request: Request) -> None:
    """Writes `request.out`; rasters that are not found are named in the account, and the project goes without them."""
    request.out.mkdir(parents=True)
    layers = geopackage.write_layers(replace(request, out=request.out / LAYERS))
    vectors = [MapLayer(one.name, "vector", "ogr", f"./{LAYERS}|layername={one.name}", one.crs, renderer(one.colour)) for one in layers]
    rasters, lost = _rasters(request)
    request.account.fact("rasters_without_imagery", lost)
    text = project([*vectors, *rasters])
    (request.out / PROJECT).write_text(text, encoding="utf-8", newline="\n")


def project(layers: Iterable[MapLayer]) -> str:
    """The text of a project. layers: from above to below; the first one that has a CRS gives the project its own."""
    layers = list(layers)
    root = Element("qgis", version="3.22.0", projectname="")
    crs = next((layer.crs for layer in layers if layer.crs is not None), None)
    if crs is not None:
        _crs(SubElement(root, "projectCrs"), crs)
        # Without this number QGIS does not look at the project's CRS.
        SubElement(SubElement(SubElement(root, "properties"), "SpatialRefSys"), "ProjectionsEnabled", type="int").text = "1"
    tree = SubElement(root, "layer-tree-group")
    found = SubElement(root, "projectlayers")
    for number, layer in enumerate(layers):
        id = f"{layer.kind}_layer_{number:08d}"  # QGIS takes no short ones
        shown = {"id": id, "name": layer.name, "source": layer.source, "providerKey": layer.provider, "checked": "Qt::Checked"}
        SubElement(tree, "layer-tree-layer", shown)
        one = SubElement(found, "maplayer", type=layer.kind, autoRefreshEnabled="0")
        for name, text in (("id", id), ("datasource", layer.source), ("layername", layer.name)):
            SubElement(one, name).text = text
        if layer.crs is not None:
            _crs(SubElement(one, "srs"), layer.crs)
        SubElement(one, "provider", encoding="UTF-8").text = layer.provider
        one.append(layer.style)
    ElementTree.indent(root)
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + ElementTree.tostring(root, encoding="unicode") + "\n"


def _crs(parent: Element, text: str) -> None:
    crs = CRS.from_user_input(text)
    system = SubElement(parent, "spatialrefsys")
    SubElement(system, "wkt").text = crs.to_wkt()
    SubElement(system, "authid").text = ":".join(crs.to_authority() or ())


def _rasters(request: Request) -> tuple[list[MapLayer], list[str]]:
    """The rasters of the chosen chips, each once, in the order of the export, and why others are missing."""
    if request.pixels:
        return [], []  # layers in px of their rasters lie over none of them
    frames: dict[str, Chip] = {}
    for task in chosen_tasks(request.tasks(), request.choice, Account()):
        frames.setdefault(task.chip.raster, task.chip)
    pictures, layers, lost = SetPictures.of(request.options), [], []
    for chip in frames.values():
        try:
            file, pipe = pictures.raster(chip), _pipe(chip)
        except RSISegError as error:
            lost.append(str(error))
            continue
        crs = None if chip.crs is None else same(chip.crs)
        layers.append(MapLayer(file.stem, "raster", "gdal", str(file), crs, pipe))
    return layers, lost


def _pipe(chip: Chip) -> Element:
    """What the annotators saw: the same three bands, with the stretch that was taken once for the whole raster."""
    pipe = Element("pipe")
    shown = dict(zip(_BANDS, band_letters.display(chip.bands), strict=True))
    numbers: Mapping[str, str] = {f"{colour}Band": str(index) for colour, index in shown.items()}
    bands = SubElement(pipe, "rasterrenderer", {"type": "multibandcolor", "opacity": "1", "alphaBand": "-1", **numbers})
    if chip.stretch is not None:
        for colour, index in shown.items():
            low, high = chip.stretch[index - 1]
            enhancement = SubElement(bands, f"{colour}ContrastEnhancement")
            for name, value in (("minValue", repr(low)), ("maxValue", repr(high)), ("algorithm", "StretchToMinimumMaximum")):
                SubElement(enhancement, name).text = value
    return pipe
