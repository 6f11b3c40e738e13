"""Carrying out visits: the robot at work on the objects of one patch under one model. What every process and cluster worker runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.errors import UsageError
from backend.evaluation.data_source import Bands, channels
from backend.evaluation.models import load_model
from backend.evaluation.noc import ObjectResult
from backend.evaluation.patches import PatchWindow, read_patch
from backend.evaluation.plan import Protocol, Subject, Visit
from backend.evaluation.robot import annotate_many
from backend.inference.segmenter import Segmenter
from converters.chips import PixelWindow
from converters.labelled import LabelledImage, LabelledObject


@dataclass(frozen=True, slots=True)
class _OpenSet:
    """The images of the set in one choice of bands, by name. chosen: see `data_source.channels`."""

    images: dict[str, LabelledImage]
    chosen: bool


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A patch ready for one subject: its objects, and what the segmenter made of its pixels."""

    subject: Subject
    image: str
    window: PatchWindow
    objects: tuple[LabelledObject, ...]
    encoding: Any


class Bench:
    """Carries out visits in this process; keeps one model and one encoded patch at hand between them."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self._sets: dict[Bands, _OpenSet] = {}
        self._model: tuple[str, Segmenter] | None = None
        self._encoded: _Encoded | None = None

    def segmenter(self, name: str) -> Segmenter:
        """The model of that name; the one before is let go."""
        if self._model is None or self._model[0] != name:
            self._model = self._encoded = None  # before the next is loaded: two may not fit
            self._model = (name, load_model(name, self.protocol.device, self.protocol.precision))
        return self._model[1]

    def check_bands(self, subject: Subject) -> None:
        """Nothing where every image can be given to the subject's model; RasterError, TaskError or UsageError for the first that cannot."""
        recipes = self.segmenter(subject.model).recipes
        opened = self._set(subject.bands)
        for image in opened.images.values():
            channels(image, recipes, chosen=opened.chosen)
            image.read(PixelWindow(0, 0, 1, 1))

    def carry_out(self, visit: Visit) -> Iterator[tuple[ObjectResult, ...]]:
        """The results of a visit, group by group as they come."""
        segmenter = self.segmenter(visit.subject.model)
        encoded, seconds = self._encode(visit, segmenter)
        image = self._image(visit)
        for group in visit.groups:
            yield self._measured(visit, group, encoded, image, segmenter, seconds)
            seconds = {}

    def _measured(
        self, visit: Visit, group: tuple[int, ...], encoded: _Encoded, image: LabelledImage, segmenter: Segmenter, seconds: dict[str, float]
    ) -> tuple[ObjectResult, ...]:
        """The results of one group; the first carries the seconds spent on the patch."""
        started = perf_counter()
        objects = [encoded.objects[index] for index in group]
        gts = [each.mask for each in objects]
        drawn = (perf_counter() - started) / len(group)
        paths = annotate_many(segmenter, encoded.encoding, gts, max_clicks=self.protocol.max_clicks, stop_at=self.protocol.stop_at)
        results: list[ObjectResult] = []
        for index, each, path in zip(group, objects, paths, strict=True):
            own = {"step": path.step_seconds, "robot": path.robot_seconds + drawn}
            results.append(
                ObjectResult(
                    model=visit.subject.name,
                    version=segmenter.version,
                    image=visit.image,
                    window=visit.window,
                    index=index,
                    class_name=each.class_name,
                    area=each.area,
                    clicks=path.clicks,
                    ious=path.ious,
                    met=path.met,
                    gsd=image.gsd,
                    seconds=own if results else seconds | own,
                )
            )
        return tuple(results)

    def _encode(self, visit: Visit, segmenter: Segmenter) -> tuple[_Encoded, dict[str, float]]:
        """The patch of a visit, and the seconds that it took; none where the visit before was to the same."""
        kept = self._encoded
        if kept is not None and (kept.subject, kept.image, kept.window) == (visit.subject, visit.image, visit.window):
            return kept, {}
        self._encoded = None
        started = perf_counter()
        image, window = self._image(visit), PixelWindow(*visit.window)
        objects = tuple(image.objects(self.protocol.min_area, window))
        if max(max(group) for group in visit.groups) >= len(objects):
            raise UsageError(f"the labels of {visit.image} have changed since the run began; expected them to stay; start it again")
        pixels = self._pixels(image, window, segmenter, visit.subject.bands)
        read = perf_counter()
        self._encoded = _Encoded(visit.subject, visit.image, visit.window, objects, segmenter.encode(pixels))
        return self._encoded, {"read": read - started, "encode": perf_counter() - read}

    def _pixels(self, image: LabelledImage, window: PixelWindow, segmenter: Segmenter, bands: Bands) -> NDArray[np.uint8]:
        order = channels(image, segmenter.recipes, chosen=self._set(bands).chosen)
        pixels = read_patch(image, window)
        return pixels if order is None else np.ascontiguousarray(pixels[:, :, list(order)])

    def _image(self, visit: Visit) -> LabelledImage:
        return self._set(visit.subject.bands).images[visit.image]

    def _set(self, bands: Bands) -> _OpenSet:
        if bands not in self._sets:
            source = self.protocol.source
            self._sets[bands] = _OpenSet({image.name: image for image in source.open(bands).images}, source.chooses(bands))
        return self._sets[bands]
