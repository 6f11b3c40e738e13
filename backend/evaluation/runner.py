"""A benchmark run in this process or in several, with the same results either way."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.queues import SimpleQueue

import cv2
import torch

from backend.errors import UsageError
from backend.evaluation.noc import ObjectResult
from backend.evaluation.plan import Protocol, Visit
from backend.evaluation.visits import Bench
from backend.freed_memory import keep_freed_memory

Group = tuple[ObjectResult, ...]
"""Results of objects that were computed together."""

_POLL_SECONDS = 0.05


def run_visits(protocol: Protocol, visits: Sequence[Visit], workers: int) -> Iterator[Group]:
    """The results of all visits, group by group as they are measured: in order from one process, as they come from several."""
    if workers == 1 or len(visits) < 2:
        bench = Bench(protocol)
        for visit in visits:
            yield from bench.carry_out(visit)
        return
    context = multiprocessing.get_context("spawn")
    measured: SimpleQueue[Group] = context.SimpleQueue()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker, initargs=(protocol, workers, measured)) as pool:
        try:
            yield from _as_measured([pool.submit(_carry_out, visit) for visit in visits], measured)
        except BrokenProcessPool as error:
            raise UsageError(
                "a worker process died, most likely for want of memory; what was measured is kept; go on with --resume and fewer --workers"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _as_measured(futures: Sequence[Future[None]], measured: SimpleQueue[Group]) -> Iterator[Group]:
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


_bench: Bench | None = None
_measured: SimpleQueue[Group] | None = None


def _begin_worker(protocol: Protocol, workers: int, measured: SimpleQueue[Group]) -> None:
    """Opens the data in a worker process, and keeps the workers from fighting over the cores."""
    global _bench, _measured  # a worker process has one bench for its whole life
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    threading.Thread(target=_end_with_parent, daemon=True).start()
    threads = threads_of_a_worker(workers)
    torch.set_num_threads(threads)
    keep_freed_memory()
    cv2.setNumThreads(threads)
    _bench, _measured = Bench(protocol), measured


def _end_with_parent() -> None:
    """A killed parent leaves workers that would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _carry_out(visit: Visit) -> None:
    if _bench is None or _measured is None:
        raise RuntimeError("a worker process begins with _begin_worker")
    for group in _bench.carry_out(visit):
        _measured.put(group)
