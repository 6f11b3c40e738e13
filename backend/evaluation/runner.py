"""Visits of a benchmark, or of other work, in this process or in several, with the same results either way."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.queues import SimpleQueue
from typing import Any, TypeVar

import cv2
import torch

from backend.errors import UsageError
from backend.evaluation.noc import ObjectResult
from backend.evaluation.work import Visit, Work, Worker
from backend.freed_memory import keep_freed_memory

Group = tuple[ObjectResult, ...]
"""Results of objects that were computed together."""

VisitT = TypeVar("VisitT", bound=Visit)
GroupT = TypeVar("GroupT")
_POLL_SECONDS = 0.05


def run_visits(work: Work[VisitT, GroupT], visits: Sequence[VisitT], workers: int) -> Iterator[GroupT]:
    """The results of all visits, group by group as they are measured: in order from one process, as they come from several."""
    if workers == 1 or len(visits) < 2:
        worker = work.worker()
        for visit in visits:
            yield from worker.carry_out(visit)
        return
    context = multiprocessing.get_context("spawn")
    measured: SimpleQueue[GroupT] = context.SimpleQueue()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker, initargs=(work, workers, measured)) as pool:
        try:
            yield from _as_measured([pool.submit(_carry_out, visit) for visit in visits], measured)
        except BrokenProcessPool as error:
            raise UsageError(
                "a worker process died, most likely for want of memory; what was measured is kept; go on with --resume and fewer --workers"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _as_measured(futures: Sequence[Future[None]], measured: SimpleQueue[GroupT]) -> Iterator[GroupT]:
    """What workers put into the queue until all futures are done; an exception of a worker is raised here."""
    pending = set(futures)
    while pending or not measured.empty():
        while not measured.empty():
            yield measured.get()
        done, pending = wait(pending, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()


def threads_of_a_worker(workers: int) -> int:
    """How many threads each of so many processes computes with."""
    return max(1, (os.cpu_count() or 1) // workers)


_worker: Worker[Any, Any] | None = None
_measured: SimpleQueue[Any] | None = None


def _begin_worker(work: Work[Any, Any], workers: int, measured: SimpleQueue[Any]) -> None:
    """Opens the data in a worker process, and keeps the workers from fighting over the cores."""
    global _worker, _measured  # a worker process has one for its whole life
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    threading.Thread(target=_end_with_parent, daemon=True).start()
    threads = threads_of_a_worker(workers)
    torch.set_num_threads(threads)
    keep_freed_memory()
    cv2.setNumThreads(threads)
    _worker, _measured = work.worker(), measured


def _end_with_parent() -> None:
    """A killed parent leaves workers that would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _carry_out(visit: Visit) -> None:
    if _worker is None or _measured is None:
        raise RuntimeError("a worker process begins with _begin_worker")
    for group in _worker.carry_out(visit):
        _measured.put(group)
