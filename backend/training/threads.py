"""The same small task for every sample of a batch, on several threads: OpenCV and NumPy let others run while they compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

ItemT = TypeVar("ItemT")
FoundT = TypeVar("FoundT")


def each(task: Callable[[ItemT], FoundT], items: Sequence[ItemT], threads: int) -> list[FoundT]:
    """What the task makes of each item, in their order; what it raises is raised here.

    threads: below 2 the caller's own. Tasks must share no state: in which order they run is chance.
    """
    threads = min(threads, len(items))
    if threads < 2:
        return [task(item) for item in items]
    # One job a thread, which takes item after item: a job for each item would cost the caller more, and all wait for the caller.
    left, found = iter(range(len(items))), dict[int, FoundT]()

    def work(_thread: int) -> None:
        for place in left:  # two threads never get the same one: a step of a built-in iterator is not interrupted
            found[place] = task(items[place])

    for _ in _pool(threads).map(work, range(threads)):
        pass
    return [found[place] for place in range(len(items))]


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Kept: starting threads at every step would cost as much as a look."""
    return ThreadPoolExecutor(threads, thread_name_prefix="sample")
