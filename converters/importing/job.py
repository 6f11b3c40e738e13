"""The work on one raster: its chips, their files, their tasks."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine

from converters import bands as band_letters
from converters.chips import Chip, PixelWindow
from converters.importing import fingerprint
from converters.importing.area import Area, inside
from converters.importing.chip_writer import Cut
from converters.importing.grid import chip_rows
from converters.importing.label_plan import LabelPlan
from converters.importing.prelabels import RasterLabels
from converters.importing.staging import EMPTY, LABELS, read_labels
from converters.importing.task_file import as_line
from converters.importing.views import View
from converters.label_studio import imported_task, prediction
from converters.raster_profile import RasterProfile
from converters.remote_raster import RasterLocation
from converters.task_addresses import TaskAddresses, chip_name

# Raised when chips of the same input would come out otherwise.
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Cutting:
    """How an import cuts all its rasters. chip, overlap: native px. views: at least one. The rest as in `survey.import_rasters`."""

    chip: int
    overlap: int
    views: tuple[View, ...]
    skip_empty: bool
    area: Area | None
    labels: LabelPlan | None


@dataclass(slots=True)
class Counts:
    """What became of a raster's chips. left_out: objects of the labels that became no region, by reason."""

    chips: int = 0
    empty: int = 0
    regions: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, eq=False)
class RasterJob:
    """One raster that is to be cut; made by `job_for`.

    name: of its folder of chips. raster: as its tasks name it. made: stands for everything its chips and tasks are made from.
    area: the area of interest in native px, None for all of the raster.
    """

    location: RasterLocation
    profile: RasterProfile
    cutting: Cutting
    addresses: TaskAddresses
    raster: str
    made: str
    shown: tuple[tuple[str, tuple[int, int, int]], ...]
    area: shapely.Geometry | None
    labels: RasterLabels | None

    @property
    def name(self) -> str:
        """Of the folder of its chips."""
        return self.addresses.folder(self.raster).name

    @property
    def home(self) -> Path:
        """The folder of its chips."""
        return self.addresses.out / self.addresses.folder(self.raster)

    def rows(self) -> Iterator[tuple[PixelWindow, ...]]:
        """Its windows inside the area, row by row; rows may be empty."""
        for row in chip_rows(self.profile.info.size, self.cutting.chip, self.cutting.overlap):
            yield inside(row, self.area)

    def cut(self, stage: Path) -> Cut:
        """What the workers must know."""
        profile = self.profile
        return Cut(
            raster=self.location,
            stage=stage,
            views=self.shown,
            stretch=profile.stretch,
            nodata=profile.info.nodata,
            alpha=band_letters.alpha(profile.bands),
            pixel_bytes=np.dtype(profile.info.dtype).itemsize,
            skip_empty=self.cutting.skip_empty,
            labels=self.labels,
        )

    def lines(self, stage: Path, counts: Counts) -> Iterator[str]:
        """The tasks of the chips in a stage, each as its line of JSON; `counts` is told what became of every chip."""
        for row in self.rows():
            for window in row:
                name = chip_name(window)
                if (stage / f"{name}{EMPTY}").is_file():
                    counts.empty += 1
                    continue
                labels: dict[str, Any] = read_labels(stage / f"{name}{LABELS}")
                counts.chips += 1
                counts.regions += len(labels.get("result", ()))
                counts.left_out.update(labels.get("left_out", {}))
                yield as_line(self.task(window, labels.get("result", [])))

    def task(self, window: PixelWindow, regions: list[dict[str, Any]]) -> dict[str, Any]:
        """The task of one chip; `meta` keeps whether band letters and CRS are the file's word or an assumption, for exports to tell."""
        profile = self.profile
        meta: dict[str, Any] = {"bands_source": profile.bands_source, "crs_source": profile.crs_source, "made": self.made}
        if self.cutting.overlap:
            meta["overlap"] = self.cutting.overlap
        views = {view: self._address(window, view) for view, _ in self.shown[1:]}
        predictions = [prediction(regions, self.labels.version)] if regions and self.labels is not None else []
        chip_id = fingerprint.chip_id(self.raster, window)
        return imported_task(self._chip(window), id=chip_id, views=views, meta=meta, predictions=predictions)

    def files(self, window: PixelWindow) -> list[Path]:
        """The pictures of a chip."""
        return [self.home / chip_name(window, view) for view, _ in self.shown]

    def _address(self, window: PixelWindow, view: str = "") -> str:
        return self.addresses.image(self.addresses.chip(self.raster, window, view))

    def _chip(self, window: PixelWindow) -> Chip:
        profile = self.profile
        transform = profile.info.transform
        return Chip(
            image=self._address(window),
            raster=self.raster,
            window=window,
            transform=None if transform is None else transform @ Affine.translation(window.col_off, window.row_off),
            crs=profile.crs,
            bands=profile.bands,
            scale=1.0,
            gsd=profile.gsd,
            native_size=profile.info.size,
            stretch=profile.stretch,
            nodata=profile.info.nodata,
        )


def job_for(location: RasterLocation, profile: RasterProfile, cutting: Cutting, addresses: TaskAddresses) -> RasterJob:
    """Settles what is made of a raster. Raises RasterError, SourceError and TaskError for what does not fit it."""
    raster = addresses.raster(location)
    shown = tuple(
        ("" if number == 0 else view.name, view.numbers(profile.bands, location.name)) for number, view in enumerate(cutting.views)
    )
    labels = None if cutting.labels is None else cutting.labels.on(profile)
    made = fingerprint.digest(
        {
            "version": _VERSION,
            "raster": [raster, fingerprint.file_state(location)],
            "profile": [str(value) for value in _settled(profile)],
            "cutting": [cutting.chip, cutting.overlap, shown, cutting.skip_empty],
            "area": None if cutting.area is None else cutting.area.state,
            "labels": None if labels is None else [labels.state, labels.version],
            "address": addresses.image(addresses.folder(raster)),
        }
    )
    return RasterJob(
        location=location,
        profile=profile,
        cutting=cutting,
        addresses=addresses,
        raster=raster,
        made=made,
        shown=shown,
        area=None if cutting.area is None else cutting.area.on(profile),
        labels=labels,
    )


def _settled(profile: RasterProfile) -> list[Any]:
    """Everything of a profile that its chips or tasks depend on."""
    info = dataclasses.replace(profile.info, warnings=())
    return [info, profile.bands, profile.bands_source, profile.crs, profile.crs_source, profile.gsd, profile.stretch]
