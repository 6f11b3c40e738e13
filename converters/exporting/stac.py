"""The format stac: a static catalogue, for each raster an item of the imagery and an item of its labels with everything in its folder.

STAC 1.1.0 with the label extension: the labels are GeoJSON, as the extension asks; the class raster and the overview lie beside them.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from converters import geojson
from converters.chips import PixelWindow
from converters.errors import ExportError, RSISegError
from converters.exporting.class_codes import ClassCodes
from converters.exporting.class_raster import write_class_raster
from converters.exporting.overviews import write_overview
from converters.exporting.raster_layers import RasterLayer, class_codes, raster_layers
from converters.exporting.set_pictures import SetPictures
from converters.map_place import MapPlace

if TYPE_CHECKING:
    from converters.exporting.formats import Request

VERSION = "1.1.0"
LABEL = "https://stac-extensions.github.io/label/v1.0.1/schema.json"
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
# Nobody flew earlier; the end of the imagery's interval is its first annotation.
_EARLIEST = "1900-01-01T00:00:00Z"
_JSON, _GEOJSON, _PNG = "application/json", "application/geo+json", "image/png"


def write(request: Request) -> None:
    """Writes `catalog.json` and a folder for each raster that has objects."""
    classes, times, pictures = class_codes(request, request.colours), _times(request), SetPictures.of(request.options)
    request.out.mkdir(parents=True)
    links: list[dict[str, str]] = []
    for layer in raster_layers(request, pixels=False):
        interval = _interval(times.get(layer.frame.raster, []), layer.frame.raster)
        folder = request.out / layer.stem
        folder.mkdir()
        for item in _Writer(request, classes, pictures, folder, layer).items(interval):
            _write(folder / f"{item['id']}.json", item)
            links.append({"rel": "item", "href": f"./{layer.stem}/{item['id']}.json", "type": _GEOJSON, "title": item["id"]})
    catalogue = {
        "type": "Catalog",
        "stac_version": VERSION,
        "id": "rsiseg-export",
        "title": "Annotations exported by RSISeg",
        "description": "For each raster, the imagery and the labels that were drawn on it in Label Studio.",
        "links": [{"rel": "root", "href": "./catalog.json", "type": _JSON}, *links],
    }
    _write(request.out / "catalog.json", catalogue)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the files of one raster and describes them."""

    request: Request
    classes: ClassCodes
    pictures: SetPictures
    folder: Path
    layer: RasterLayer

    def items(self, times: tuple[str, str]) -> Iterator[dict[str, Any]]:
        """The item of the imagery, then that of the labels. times: of the first and last annotation."""
        frame, stem = self.layer.frame, self.layer.stem
        imagery = f"{stem}-imagery"
        properties = {
            "title": f"Imagery {stem}",
            "description": "When it was taken is not known: some time before its first annotation.",
            "datetime": None,
            "start_datetime": _EARLIEST,
            "end_datetime": times[0],
        }
        if frame.gsd is not None:
            properties["gsd"] = frame.gsd
        yield self._item(imagery, properties, {"image": {"href": self._raster(), "roles": ["data"]}}, [])
        source = {"rel": "source", "href": f"./{imagery}.json", "type": _GEOJSON, "label:assets": ["image"]}
        yield self._item(f"{stem}-labels", self._label_properties(times), self._assets(), [source]) | {"stac_extensions": [LABEL]}

    def _raster(self) -> str:
        """The raster as seen from the item, so that both can be moved together; its address in the task where it is not to be found."""
        try:
            return Path(os.path.relpath(self.pictures.raster(self.layer.frame), self.folder)).as_posix()
        except (RSISegError, ValueError):  # a relative path between two drives of Windows does not exist
            return self.layer.frame.raster

    def _item(self, name: str, properties: dict[str, Any], assets: dict[str, Any], links: list[dict[str, Any]]) -> dict[str, Any]:
        outline = _outline(self.layer)
        catalogue = {"href": "../catalog.json", "type": _JSON}
        return {
            "type": "Feature",
            "stac_version": VERSION,
            "stac_extensions": [],
            "id": name,
            "geometry": outline,
            "bbox": _bbox(outline),
            "properties": properties,
            "links": [{"rel": "root", **catalogue}, {"rel": "parent", **catalogue}, *links],
            "assets": assets,
        }

    def _label_properties(self, times: tuple[str, str]) -> dict[str, Any]:
        counts = Counter(one.class_name for one in self.layer.objects)
        drawn = {"automated" if one.attributes.get("model") else "manual" for one in self.layer.objects}
        return {
            "title": f"Labels of {self.layer.stem}",
            "datetime": None,
            "start_datetime": times[0],
            "end_datetime": times[1],
            "label:type": "vector",
            "label:description": "Objects outlined in Label Studio, by hand or by clicks on a model, and accepted by a person.",
            "label:properties": ["class"],
            "label:classes": [{"name": "class", "classes": list(self.classes.names)}],
            "label:tasks": ["segmentation"],
            "label:methods": sorted(drawn),
            "label:overviews": [{"property_key": "class", "counts": [{"name": name, "count": counts[name]} for name in sorted(counts)]}],
        }

    def _assets(self) -> dict[str, Any]:
        with (self.folder / "labels.geojson").open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(geojson.lines(self._features()))
        write_class_raster(self.folder / "classes.tif", self.layer.grid, self.layer.painter(self.classes), self.classes)
        write_overview(self.folder / "overview.png", self.layer, self.pictures)
        return {
            "labels": {"href": "./labels.geojson", "type": _GEOJSON, "roles": ["labels"], "title": "Objects"},
            "class_raster": {"href": "./classes.tif", "type": COG, "roles": ["labels-raster"], "title": "Class codes, 255 without a class"},
            "overview": {"href": "./overview.png", "type": _PNG, "roles": ["overview"], "title": "The objects over the imagery"},
        }

    def _features(self) -> Iterator[dict[str, Any]]:
        for one in self.layer.objects:
            try:
                shape = geojson.geometry(one.lonlat())
            except RSISegError as error:
                for name in one.sources:
                    self.request.account.left_out(name, str(error))
                continue
            yield geojson.feature(shape, one.attributes)


def _outline(layer: RasterLayer) -> dict[str, Any]:
    """The raster's footprint as GeoJSON."""
    size, grid = layer.frame.native_size, layer.grid
    whole = replace(layer.frame, window=PixelWindow(0, 0, size.width, size.height), transform=grid.transform)
    corners = np.array([(0, 0), (size.width, 0), (size.width, size.height), (0, size.height)], np.float64)
    return geojson.geometry([[MapPlace.of(whole).coordinates(corners)]])


def _bbox(geometry: dict[str, Any]) -> list[float]:
    """[west, south, east, north]; west is the larger number where the raster lies across the antimeridian (RFC 7946, section 5.2)."""
    parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    points = np.concatenate([np.array(ring) for rings in parts for ring in rings])
    longitudes = points[:, 0]
    if np.ptp(longitudes) > 180:
        west, east = longitudes[longitudes > 0].min(), longitudes[longitudes < 0].max()
    else:
        west, east = longitudes.min(), longitudes.max()
    return [float(west), float(points[:, 1].min()), float(east), float(points[:, 1].max())]


def _times(request: Request) -> dict[str, list[datetime]]:
    """When the annotations of each raster were changed last."""
    found: dict[str, list[datetime]] = {}
    for task in request.tasks():
        changed = (_time(one.changed) for one in task.annotations if not one.cancelled)
        found.setdefault(str(task.data.get("raster")), []).extend(time for time in changed if time is not None)
    return found


def _interval(times: list[datetime], raster: str) -> tuple[str, str]:
    """The first and the last of them: RFC 3339, UTC. ExportError without one."""
    if not times:
        raise ExportError(
            f"no annotation of {raster} says when it was made; expected created_at or updated_at, which STAC needs; export again as JSON"
        )
    return _text(min(times)), _text(max(times))


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _text(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8", newline="\n")
