"""Which annotations of an export count, and their regions, read lazily task by task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon

from converters import palette
from converters.chips import Chip
from converters.errors import ExportError, RSISegError
from converters.exporting.account import Account, RegionName
from converters.exporting.place import place_of
from converters.exporting.region_shape import native_mask, native_parts, wrong_picture
from converters.label_studio import chip_from_task_data, has_chip
from converters.label_studio_export import AnnotatedTask, Annotation, NoRegion, Region, regions

WHICH = ("latest", "all", "ground-truth")
NO_CHIP = "the task was not made by `rsiseg import`: its data has no 'raster' and 'window', so its place is unknown; import the raster"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which annotations and regions an export takes.

    which: "latest" takes each task's latest annotation that was not cancelled, "ground-truth" its marked ones, "all" every one that was
    not cancelled. annotators: only annotations of these (e-mail, or the user's number as text); empty: everybody's.
    min_area_m2: smaller objects are left out; for formats of single regions, smaller regions.
    Raises ExportError for an unknown `which`.
    """

    which: str = "latest"
    annotators: frozenset[str] = frozenset()
    min_area_m2: float = 0.0

    def __post_init__(self) -> None:
        if self.which not in WHICH:
            raise ExportError(f"{self.which!r} is no choice of annotations; expected one of {', '.join(WHICH)}")


@dataclass(frozen=True, slots=True)
class ChosenRegion:
    """A region of a chosen annotation. order: its position in the export (a later one was drawn over an earlier one, if they overlap)."""

    task: int | str | None
    annotation: int | str | None
    annotator: int | str | None
    region: Region
    class_name: str
    colour: str
    chip: Chip
    order: int

    @property
    def name(self) -> RegionName:
        """What the account calls it."""
        return RegionName(self.order, self.task, self.annotation, self.annotator, self.region.id, self.region.type)

    def mask(self) -> NDArray[np.bool_]:
        """HxW of the chip's window, see `region_shape.native_mask`; decoded at each call. Raises TaskError or ExportError."""
        return native_mask(self.region, self.chip)

    def parts(self) -> list[Polygon]:
        """Polygons in native px of the window, see `region_shape.native_parts`; traced at each call. Raises TaskError or ExportError."""
        return native_parts(self.region, self.chip)[0]

    def area_m2(self) -> float | None:
        """Square metres on the ground; None without a georeference or ground sampling distance. Raises as `parts`."""
        return place_of(self.chip, pixels=self.chip.crs is None or self.chip.transform is None).area(self.parts())[0]


@dataclass(frozen=True, slots=True)
class ChosenTask:
    """A task with at least one chosen annotation, which may be empty: an empty one says that there is nothing on the chip.

    position: of the task in the export. id: Label Studio's. annotators: of its chosen annotations.
    """

    position: int
    id: int | str | None
    chip: Chip
    annotators: tuple[int | str | None, ...]
    regions: tuple[ChosenRegion, ...]


def chosen_regions(
    tasks: Iterable[AnnotatedTask], choice: Choice, account: Account, *, colours: Mapping[str, str] | None = None
) -> Iterator[ChosenRegion]:
    """The regions of the chosen annotations, in the order of the export; nothing is decoded that the choice does not need.

    A region counts as exported when it is yielded. Who cannot use it after all (its mask may be damaged or empty) tells the account.
    colours: class -> "#rrggbb"; other classes get `palette.colour`.
    """
    for task in chosen_tasks(tasks, choice, account, colours=colours):
        for region in task.regions:
            area = None
            if choice.min_area_m2 > 0:
                try:
                    area = region.area_m2()
                except RSISegError as error:
                    account.left_out(region.name, str(error))
                    continue
                if area is not None and area < choice.min_area_m2:
                    account.left_out(region.name, too_small(area, choice))
                    continue
            account.exported(region.name, region.class_name, area)
            yield region


def chosen_tasks(
    tasks: Iterable[AnnotatedTask], choice: Choice, account: Account, *, colours: Mapping[str, str] | None = None
) -> Iterator[ChosenTask]:
    """The tasks with a chosen annotation, each with all regions that can be read; the account hears of all others."""
    order = 0
    for position, task in enumerate(tasks):
        account.read(position)
        chip, homeless = _chip(task)
        annotators: list[int | str | None] = []
        chosen: list[ChosenRegion] = []
        for annotation, reason in _judged(task, choice):
            if reason is None and annotation is not None:
                annotators.append(annotation.annotator)
                if chip is None and annotation.results:
                    account.unplaced(position, homeless)
            for name, region in _named(order, task, annotation, reason, account):
                order = name.order + 1
                why = reason or _unusable(region, chip, homeless)
                if why is not None and region is not None:
                    account.left_out(name, why)
                elif isinstance(region, Region) and chip is not None:
                    chosen.append(_chosen(name, region, chip, account, colours or {}))
        if annotators and chip is not None:
            yield ChosenTask(position, task.id, chip, tuple(annotators), tuple(chosen))


def too_small(area: float, choice: Choice) -> str:
    """Why an object of so many square metres is left out."""
    return f"it is smaller ({area:.3g} m2) than --min-area {choice.min_area_m2:g}"


def latest_annotation(task: AnnotatedTask) -> Annotation | None:
    """The annotation that was changed last among those not cancelled; None without one."""
    return _latest(task.annotations)


def _latest(annotations: Iterable[Annotation]) -> Annotation | None:
    return max((one for one in annotations if not one.cancelled), key=_age, default=None)


def _age(annotation: Annotation) -> tuple[float, int]:
    try:
        changed = datetime.fromisoformat(annotation.changed)
    except ValueError:
        seconds = 0.0
    else:
        seconds = (changed if changed.tzinfo else changed.replace(tzinfo=UTC)).timestamp()
    return seconds, annotation.id if isinstance(annotation.id, int) else 0


def _judged(task: AnnotatedTask, choice: Choice) -> Iterator[tuple[Annotation | None, str | None]]:
    """Every annotation of the task, with the reason why it is not chosen, or None; one that is None for a task without any."""
    if not task.annotations:
        beside = f" ({task.drafts} drafts and {task.predictions} predictions are none)" if task.drafts or task.predictions else ""
        yield None, f"the task has no annotation{beside}; submit one in Label Studio"
    theirs = [one for one in task.annotations if not choice.annotators or str(one.annotator) in choice.annotators]
    latest = _latest(theirs)
    for annotation in task.annotations:
        reason = None
        if annotation.cancelled:
            reason = "the annotation was skipped (cancelled) in Label Studio"
        elif not any(annotation is one for one in theirs):
            reason = f"the annotation is by {annotation.annotator or 'nobody known'}, and --annotator names others"
        elif choice.which == "latest" and annotation is not latest:
            reason = f"the task has a later annotation ({latest.id if latest else None}); --annotations all exports both"
        elif choice.which == "ground-truth" and not annotation.ground_truth:
            reason = "the annotation is not marked as ground truth; --annotations latest exports it if it is the latest"
        yield annotation, reason


def _named(
    order: int, task: AnnotatedTask, annotation: Annotation | None, reason: str | None, account: Account
) -> Iterator[tuple[RegionName, Region | NoRegion | None]]:
    """The regions of an annotation with their names, told to the account; one that is None where a reason stands for no region at all."""
    if annotation is None or not annotation.results:
        if reason is not None:
            number, annotator = (None, None) if annotation is None else (annotation.id, annotation.annotator)
            name = RegionName(order, task.id, number, annotator, None, None)
            account.nothing(name, reason)
            yield name, None
        return
    for position, region in enumerate(regions(annotation), start=order):
        name = RegionName(position, task.id, annotation.id, annotation.annotator, region.id, region.type)
        account.seen(name)
        yield name, region


def _unusable(region: Region | NoRegion | None, chip: Chip | None, homeless: str) -> str | None:
    """Why a region of a chosen annotation cannot be used, as far as it can be told without decoding it."""
    if isinstance(region, NoRegion):
        return region.reason
    if chip is None:
        return homeless
    return None if region is None else wrong_picture(region, chip)


def _chip(task: AnnotatedTask) -> tuple[Chip | None, str]:
    if not has_chip(task.data):
        return None, NO_CHIP
    try:
        return chip_from_task_data(task.data), ""
    except RSISegError as error:
        return None, str(error)


def _chosen(name: RegionName, region: Region, chip: Chip, account: Account, colours: Mapping[str, str]) -> ChosenRegion:
    class_name, *others = region.labels
    if others:
        account.note(name, f"the region has the labels {', '.join(region.labels)}; the first is its class")
    return ChosenRegion(
        task=name.task,
        annotation=name.annotation,
        annotator=name.annotator,
        region=region,
        class_name=class_name,
        colour=colours.get(class_name) or palette.colour(class_name),
        chip=chip,
        order=name.order,
    )
