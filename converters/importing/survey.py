"""Rasters become display chips and Label Studio tasks.

The chips of a raster appear together when all are made, the task file last and at once; the same rasters and options give the same names,
ids and bytes. A raster that cannot be imported leaves nothing behind and does not hinder the others. What an interrupted import finished is
kept aside (`staging`) and is not made again; neither is what an earlier import into the same folder made from the same.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import shapely

from converters.errors import RasterError, RSISegError
from converters.importing.area import Area
from converters.importing.chip_writer import CutRow, cut_row
from converters.importing.job import Counts, Cutting, RasterJob, job_for
from converters.importing.label_plan import LabelPlan
from converters.importing.sources import find_rasters
from converters.importing.staging import RasterStage, staging
from converters.importing.task_file import EarlierTasks, write_tasks
from converters.importing.views import View, check_views
from converters.importing.workers import Workers
from converters.label_studio import predicted_regions
from converters.raster_profile import RasterProfile, settle
from converters.remote_raster import RasterLocation
from converters.task_addresses import TaskAddresses, chip_name

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Imported:
    """One raster that was imported: what its tasks record, and how many there are.

    empty: chips left out because they show nothing. regions: of its pre-annotations, None where no labels reach it. left_out: objects of
    the labels that became none, by reason. reused: whether an earlier run had made it all; `empty` and `left_out` are not counted again.
    """

    raster: RasterLocation
    profile: RasterProfile
    chips: int
    empty: int = 0
    regions: int | None = None
    left_out: tuple[tuple[str, int], ...] = ()
    reused: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """One raster that was not imported, and the sentence why."""

    raster: str
    reason: str


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """The outcome of an import; `tasks` is None when nothing could be imported and no file was written.

    skipped: files in folders that are no images by their names. outside: rasters that the area of interest does not touch.
    """

    tasks: Path | None
    imported: tuple[Imported, ...]
    failed: tuple[Failed, ...]
    skipped: tuple[Path, ...]
    outside: tuple[RasterLocation, ...] = ()

    @property
    def chips(self) -> int:
        """Tasks in the file."""
        return sum(entry.chips for entry in self.imported)


def import_rasters(
    sources: Sequence[str],
    addresses: TaskAddresses,
    *,
    chip: int = 600,
    overlap: int = 0,
    bands: tuple[str, ...] | None = None,
    crs: str | None = None,
    views: Sequence[View] = (),
    area: Path | None = None,
    skip_empty: bool = False,
    labels: LabelPlan | None = None,
    processes: int = 1,
    again: bool = False,
    progress: Progress = lambda done, total: None,
) -> ImportSummary:
    """Writes chips and the task file into `addresses.out` and tells what became of every source.

    sources: raster files, folders of them, http(s):// and s3:// addresses. chip: side of a chip in native px; the last of a row or column
    may be smaller. overlap: px that neighbours share. bands, crs: override what the files say. views: what the browser sees, the first as
    `$image`. area: vector file; chips outside its polygons are left out. skip_empty: leaves out chips that show nothing. labels: become
    pre-annotations. processes: that cut chips side by side. again: makes anew what an earlier run finished.
    progress: told (chips done, chips in all) now and then.
    Raises RasterError for a folder without rasters, for an output folder that cannot be written and for options that contradict each
    other, SourceError for an address that is none, TaskError for an area without polygons; a raster that fails is reported.
    """
    if not 0 <= overlap < chip:
        raise RasterError(f"an overlap of {overlap} px with chips of {chip} px; expected 0 to {chip - 1}; choose a smaller --overlap")
    cutting = Cutting(chip, overlap, check_views(tuple(views)), skip_empty, None if area is None else Area.read(area), labels)
    locations, skipped = find_rasters(sources)
    with Workers(processes) as workers:
        jobs, failed, outside = _jobs(workers, locations, functools.partial(settle, bands=bands, crs=crs), cutting, addresses)
        if not jobs:
            return ImportSummary(None, (), tuple(failed), tuple(skipped), tuple(outside))
        with staging(addresses.out) as folder:
            run = _Run([_Entry(job, RasterStage(folder, job.name, job.made)) for job in jobs], progress)
            run.begin(None if again else EarlierTasks(addresses.out), again=again)
            for row, done in workers.map(cut_row, run.rows()):
                run.finished(row, done)
            run.publish()
            done_entries = [entry for entry in run.entries if entry.error is None]
            file = (
                write_tasks(addresses.out, [entry.stage.tasks for entry in done_entries])
                if any(e.counts.chips for e in done_entries)
                else None
            )
            for entry in run.entries:
                entry.stage.discard()
    failed += [Failed(str(entry.job.location), str(entry.error)) for entry in run.entries if entry.error is not None]
    return ImportSummary(file, tuple(entry.imported() for entry in done_entries), tuple(failed), tuple(skipped), tuple(outside))


def _jobs(
    workers: Workers,
    locations: Sequence[RasterLocation],
    look: Callable[[RasterLocation], RasterProfile],
    cutting: Cutting,
    addresses: TaskAddresses,
) -> tuple[list[RasterJob], list[Failed], list[RasterLocation]]:
    """(jobs, failed, outside the area). Looking at the rasters may read them once, decimated, so that is shared among the workers."""
    jobs: list[RasterJob] = []
    failed: list[Failed] = []
    outside: list[RasterLocation] = []
    for location, profile in workers.map(look, locations):
        try:
            if isinstance(profile, RSISegError):
                raise profile
            job = job_for(location, profile, cutting, addresses)
        except RSISegError as error:
            failed.append(Failed(str(location), str(error)))
        else:
            if job.area is not None and shapely.is_empty(job.area):
                outside.append(location)
            else:
                jobs.append(job)
    return jobs, failed, outside


@dataclass(slots=True, eq=False)
class _Entry:
    """One raster under way.

    waiting: rows that the workers have. drawn: whether they have all of them. ready: nothing is left to make. told: of `done`, to the
    progress. reused: whether an earlier run had made it all.
    """

    job: RasterJob
    stage: RasterStage
    total: int = 0
    done: int = 0
    waiting: int = 0
    drawn: bool = False
    ready: bool = False
    told: int = 0
    reused: bool = False
    error: RSISegError | None = None
    counts: Counts = field(default_factory=Counts)

    def complete(self) -> None:
        """All chips are made: the tasks are written."""
        try:
            self.stage.complete(self.job.lines(self.stage.chips, self.counts))
        except RSISegError as error:
            self.fail(error)
        else:
            self.ready, self.done = True, self.total

    def fail(self, error: RSISegError) -> None:
        """The first error counts; nothing of the raster stays."""
        if self.error is None:
            self.error, self.done = error, self.total
            self.stage.discard()

    def imported(self) -> Imported:
        """What the summary says."""
        counts = self.counts
        left_out = tuple(sorted(counts.left_out.items()))
        regions = None if self.job.labels is None else counts.regions
        return Imported(self.job.location, self.job.profile, counts.chips, counts.empty, regions, left_out, self.reused)


class _Run:
    """All rasters under way, in order: hands out rows of chips, hears what became of them, completes each raster when it can."""

    def __init__(self, entries: list[_Entry], progress: Progress) -> None:
        self.entries = entries
        self._by_stage = {entry.stage.chips: entry for entry in entries}
        self._progress = progress
        self._done = self._total = 0

    def begin(self, earlier: EarlierTasks | None, *, again: bool) -> None:
        """Counts the chips, and finds rasters that an earlier run finished."""
        for entry in self.entries:
            entry.total = sum(len(row) for row in entry.job.rows())
            try:
                if again:
                    entry.stage.discard()
                if entry.stage.resume() or (earlier is not None and _adopt(entry, earlier)):
                    _recount(entry)
                    entry.drawn = entry.reused = True
                    entry.complete()
            except RSISegError as error:
                entry.fail(error)
        self._total = sum(entry.total for entry in self.entries)
        for entry in self.entries:
            self._tell(entry)

    def rows(self) -> Iterator[CutRow]:
        """The rows of chips that are still to be made."""
        for entry in self.entries:
            if entry.ready or entry.error is not None:
                continue
            cut = entry.job.cut(entry.stage.chips)
            for row in entry.job.rows():
                missing = tuple(window for window in row if not entry.stage.is_done(chip_name(window)))
                entry.done += len(row) - len(missing)
                if entry.error is not None:
                    break
                if missing:
                    entry.waiting += 1
                    yield CutRow(cut, missing)
            entry.drawn = True
            self._complete(entry)

    def finished(self, row: CutRow, done: int | RSISegError) -> None:
        """A row of chips was made, or could not be."""
        entry = self._by_stage[row.cut.stage]
        entry.waiting -= 1
        if isinstance(done, RSISegError):
            entry.fail(done)
        elif entry.error is None:
            entry.done += done
        self._complete(entry)

    def publish(self) -> None:
        """Every raster is made, or has failed: the chips appear in their places, one raster after the other."""
        for entry in self.entries:
            if entry.error is None:
                try:
                    entry.stage.publish(entry.job.home)
                except RSISegError as error:
                    entry.fail(error)

    def _complete(self, entry: _Entry) -> None:
        """Completes a raster whose chips are all there."""
        if entry.drawn and not entry.waiting and not entry.ready:
            if entry.error is None:
                entry.complete()
            else:
                entry.stage.discard()  # rows that were under way when it failed
                entry.ready = True
        self._tell(entry)

    def _tell(self, entry: _Entry) -> None:
        self._done += entry.done - entry.told
        entry.told = entry.done
        self._progress(self._done, self._total)


def _adopt(entry: _Entry, earlier: EarlierTasks) -> bool:
    """Takes over the tasks of an earlier import that were made from the same, if all their pictures are there."""
    lines = earlier.lines(entry.job.made)
    if lines is None:
        return False
    if not _pictures_are_there(entry.job, len(lines)):
        return False
    entry.stage.complete(lines)
    return True


def _pictures_are_there(job: RasterJob, tasks: int) -> bool:
    there = sum(all(file.is_file() for file in job.files(window)) for row in job.rows() for window in row)
    return there == tasks if job.cutting.skip_empty else there == tasks == sum(len(row) for row in job.rows())


def _recount(entry: _Entry) -> None:
    """Chips and regions of tasks that were written by an earlier run."""
    with entry.stage.tasks.open(encoding="utf-8") as lines:
        for line in lines:
            entry.counts.chips += 1
            entry.counts.regions += len(predicted_regions(json.loads(line))) if "predictions" in line else 0
