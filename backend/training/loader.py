"""Where the samples of a run come from: draw number i is the same sample whoever draws it, and when, so a run can be taken up anywhere."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import cv2
import numpy as np
from torch.utils.data import DataLoader, Dataset

from backend.errors import UsageError
from backend.training.method import Method
from backend.training.objects import Pool
from converters.errors import RSISegError

MOST_DRAWS = 5000
"""In a row without a usable sample, before the labels are to blame."""
_AHEAD = 8  # draws that each loader process is ahead


@dataclass(frozen=True, slots=True)
class _Failure:
    """An error of a loader process, which its exception alone would carry to this one as a traceback."""

    message: str


@dataclass(frozen=True)
class Draws(Dataset[Any]):
    """The samples of one process by their number; None where the object drawn cannot be used."""

    method: Method[Any]
    pool: Pool
    seed: int
    rank: int

    def __getitem__(self, number: int) -> Any:
        try:
            return self.method.draw(self.pool, np.random.default_rng((self.seed, self.rank, number)))
        except RSISegError as error:
            return _Failure(str(error))


class Samples:
    """An endless row of usable samples.

    start: number of the first draw. workers: processes that draw ahead; 0: this one, when asked. What comes does not depend on them.
    Raises UsageError after MOST_DRAWS draws without a sample, and for data that can no longer be read.
    """

    def __init__(self, draws: Draws, *, start: int = 0, workers: int = 0) -> None:
        self.next_draw = start
        self.seconds_waited = 0.0
        self._drawn = _in_order(draws, start, workers)

    def take(self, number: int) -> list[Any]:
        """The next so many."""
        started = time.perf_counter()
        samples = [self._next() for _ in range(number)]
        self.seconds_waited += time.perf_counter() - started
        return samples

    def _next(self) -> Any:
        for _ in range(MOST_DRAWS):
            sample = next(self._drawn)
            self.next_draw += 1
            if isinstance(sample, _Failure):
                raise UsageError(sample.message)
            if sample is not None:
                return sample
        raise UsageError(
            f"none of {MOST_DRAWS} objects drawn in a row can be clicked on; expected objects with surroundings; check the labels"
        )


def _in_order(draws: Draws, start: int, workers: int) -> Iterator[Any]:
    if not workers:
        return map(draws.__getitem__, count(start))
    loader = DataLoader(
        draws,
        batch_size=None,
        sampler=count(start),  # type: ignore[arg-type] - any iterable does; this one has no end
        num_workers=workers,
        prefetch_factor=_AHEAD,
        collate_fn=_as_it_is,
        worker_init_fn=_begin,
    )
    return iter(loader)


def _as_it_is(sample: Any) -> Any:
    return sample


def _begin(_worker: int) -> None:
    """Loader processes share the cores, and Ctrl-C is for the one that trains."""
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
