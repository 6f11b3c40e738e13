"""Work on several processes, or in this one: in order of submission, a few pieces ahead, errors as values.

Processes are started anew (not forked: GDAL and threads do not survive that) and end with their parent, even when it is killed.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import TypeVar

from converters.errors import RasterError, RSISegError

Item = TypeVar("Item")
Result = TypeVar("Result")

CACHE_MB = 64
"""GDAL's block cache of a process. Its own default, a share of the machine's memory, would grow with the machine."""

_AHEAD = 3  # pieces waiting for each process


class Workers:
    """processes: 1 works in this process, at the moment when a result is asked for."""

    def __init__(self, processes: int = 1) -> None:
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        bound_cache()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | RSISegError]]:
        """(item, result) for every item, in order; an RSISegError that `function` raises is the result.

        items is drawn from a few pieces ahead of the results. function and items must be picklable.
        """
        items = iter(items)
        begin = list(itertools.islice(items, 2))
        items = itertools.chain(begin, items)
        if self._processes == 1 or len(begin) < 2:  # no process is started for one piece of work
            for item in items:
                yield item, _attempt(function, item)
            return
        waiting: deque[tuple[Item, Future[Result | RSISegError]]] = deque()
        pool = self._started()
        try:
            for item in items:
                waiting.append((item, pool.submit(_attempt, function, item)))
                if len(waiting) >= self._processes * _AHEAD:
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        except BrokenProcessPool:
            raise RasterError(
                f"one of the {self._processes} processes of the import was killed, perhaps for lack of memory; expected all to go on; "
                "run the same command again with fewer --processes: what was finished is kept"
            ) from None

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._processes, mp_context=context, initializer=_start)
        return self._pool


def bound_cache() -> None:
    """Bounds GDAL's block cache, unless the user did; it counts only before GDAL's first read in a process."""
    os.environ.setdefault("GDAL_CACHEMAX", str(CACHE_MB))


def usable_processes() -> int:
    """The processes that this machine has cores for, four at most: memory, and the disk behind them, are shared."""
    return max(1, min(4, len(os.sched_getaffinity(0))))


def _attempt(function: Callable[[Item], Result], item: Item) -> Result | RSISegError:
    try:
        return function(item)
    except RSISegError as error:
        return error


def _start() -> None:
    bound_cache()
    parent = multiprocessing.parent_process()
    if parent is not None:
        # A pool's processes wait for work for ever when their parent is killed.
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
