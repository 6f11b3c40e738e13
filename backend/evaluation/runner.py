"""A benchmark run: every model over every object, one process or several, with the same results either way."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from backend.errors import UsageError
from backend.evaluation.ledger import ObjectKey
from backend.evaluation.models import load_model
from backend.evaluation.noc import ObjectResult
from backend.evaluation.patches import Patch, patches, read_patch
from backend.evaluation.robot import MAX_CLICKS, annotate
from backend.freed_memory import keep_freed_memory
from backend.inference.segmenter import Segmenter
from backend.segmenters.precision import AUTO
from converters.bands import format_bands, select
from converters.labelled import LabelledImage, open_labelled

CHUNK = 8
"""Objects a worker takes at a time: few enough to share two images among many workers, enough to pay for encoding again."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """What every object's result depends on, beside the model.

    data: the labelled set. bands: meaning of its images' channels, None for what the files say. patch: side in px, None for whole
    images. min_area: px. stop_at: IoU at which the robot lets an object be, None to always make all clicks.
    device, precision: for networks.
    """

    data: Path
    bands: tuple[str, ...] | None = None
    patch: int | None = None
    min_area: int = 30
    max_clicks: int = MAX_CLICKS
    stop_at: float | None = None
    device: str = "cpu"
    precision: str = AUTO


@dataclass(frozen=True, slots=True)
class Target:
    """One object to be clicked on: the index-th of the patch at `window` of an image."""

    image: str
    window: tuple[int, int, int, int]
    index: int
    class_name: str
    area: int

    def key(self, model: str, version: str) -> ObjectKey:
        """What its result is kept under."""
        return (model, version, self.image, self.window, self.index, self.class_name, self.area)


@dataclass(frozen=True, slots=True)
class Visit:
    """Some objects of one patch under one model."""

    model: str
    image: str
    window: tuple[int, int, int, int]
    indices: tuple[int, ...]


def list_targets(protocol: Protocol, names: frozenset[str] | None, limit: int | None, seed: int) -> list[Target]:
    """All objects of the set in order, or `limit` of them drawn with `seed`, still in order.

    names: only these images (file names, with or without their endings). UsageError for a name the set lacks and for no objects.
    """
    images = open_labelled(protocol.data).images
    chosen = images if names is None else tuple(image for image in images if names & {image.name, Path(image.name).stem})
    unknown = (names or frozenset()) - {spelling for image in chosen for spelling in (image.name, Path(image.name).stem)}
    if unknown:
        raise UsageError(
            f"the split names {min(unknown)}, which {protocol.data} has no labels for; expected names such as {images[0].name}"
        )
    targets = [
        Target(image.name, _tuple(patch), index, each.class_name, each.area)
        for image in chosen
        for patch in patches(image, protocol.patch, protocol.min_area)
        for index, each in enumerate(patch.objects)
    ]
    if not targets:
        raise UsageError(f"{protocol.data} has no object of at least {protocol.min_area} px; lower --min-area, or check the labels")
    if limit is not None and limit < len(targets):
        targets = [targets[number] for number in sorted(random.Random(seed).sample(range(len(targets)), limit))]
    return targets


def plan_visits(targets: Sequence[Target], model: str, done: Callable[[Target], bool], *, chunk: int | None) -> list[Visit]:
    """Visits for the targets not done yet, patch by patch, at most `chunk` objects each (None: a patch each)."""
    grouped: dict[tuple[str, tuple[int, int, int, int]], list[int]] = {}
    for target in targets:
        if not done(target):
            grouped.setdefault((target.image, target.window), []).append(target.index)
    visits: list[Visit] = []
    for (image, window), indices in grouped.items():
        size = chunk or len(indices)
        visits += [Visit(model, image, window, tuple(indices[start : start + size])) for start in range(0, len(indices), size)]
    return visits


class Bench:
    """Carries out visits in this process; keeps one model and one image's objects at hand between them."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self._images = {image.name: image for image in open_labelled(protocol.data).images}
        self._patches: tuple[str, dict[tuple[int, int, int, int], Patch]] = ("", {})
        self._model: tuple[str, Segmenter] | None = None

    def segmenter(self, name: str) -> Segmenter:
        """The model of that name; the one before is let go."""
        if self._model is None or self._model[0] != name:
            self._model = (name, load_model(name, self.protocol.device, self.protocol.precision))
        return self._model[1]

    def carry_out(self, visit: Visit) -> Iterator[ObjectResult]:
        """The results of a visit, one by one as they come."""
        segmenter = self.segmenter(visit.model)
        image = self._images[visit.image]
        started = perf_counter()
        if self._patches[0] != visit.image:
            cut = patches(image, self.protocol.patch, self.protocol.min_area)
            self._patches = (visit.image, {_tuple(patch): patch for patch in cut})
        patch = self._patches[1][visit.window]
        pixels = self._pixels(image, patch, segmenter)
        read = perf_counter()
        encoding = segmenter.encode(pixels)
        seconds = {"read": read - started, "encode": perf_counter() - read}
        for index in visit.indices:
            each = patch.objects[index]
            path = annotate(segmenter, encoding, each.mask, max_clicks=self.protocol.max_clicks, stop_at=self.protocol.stop_at)
            yield ObjectResult(
                model=visit.model,
                version=segmenter.version,
                image=visit.image,
                window=visit.window,
                index=index,
                class_name=each.class_name,
                area=each.area,
                clicks=path.clicks,
                ious=path.ious,
                met=path.met,
                seconds=seconds | {"step": path.step_seconds, "robot": path.robot_seconds},
            )
            seconds = {}

    def _pixels(self, image: LabelledImage, patch: Patch, segmenter: Segmenter) -> NDArray[np.uint8]:
        pixels = read_patch(image, patch.window)
        bands = self.protocol.bands or image.bands
        if bands is None:
            return pixels
        if len(bands) != pixels.shape[2]:
            raise UsageError(
                f"{image.name} is read as {pixels.shape[2]} channels, --bands {format_bands(bands)} names {len(bands)}; name each once"
            )
        return np.ascontiguousarray(pixels[:, :, [band - 1 for band in select(bands, segmenter.recipes)]])


def run_visits(protocol: Protocol, visits: Sequence[Visit], workers: int) -> Iterator[ObjectResult]:
    """The results of all visits: in order from one process, as they come from several."""
    if workers == 1 or len(visits) < 2:
        bench = Bench(protocol)
        for visit in visits:
            yield from bench.carry_out(visit)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker, initargs=(protocol, workers)) as pool:
        futures = [pool.submit(_carry_out, visit) for visit in visits]
        try:
            for future in as_completed(futures):
                yield from future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_bench: Bench | None = None


def _begin_worker(protocol: Protocol, workers: int) -> None:
    """Opens the data in a worker process, and keeps the workers from fighting over the cores."""
    global _bench  # noqa: PLW0603 - a worker process has one bench for its whole life
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    threads = max(1, (os.cpu_count() or 1) // workers)
    torch.set_num_threads(threads)
    keep_freed_memory()
    cv2.setNumThreads(threads)
    _bench = Bench(protocol)


def _carry_out(visit: Visit) -> list[ObjectResult]:
    if _bench is None:
        raise RuntimeError("a worker process begins with _begin_worker")
    return list(_bench.carry_out(visit))


def _tuple(patch: Patch) -> tuple[int, int, int, int]:
    window = patch.window
    return (window.col_off, window.row_off, window.width, window.height)
