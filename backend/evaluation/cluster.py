"""The same run over a Dask cluster: one actor a worker, which is one a device; patches go to actors, what a lost worker had goes to others.

Dask and not Ray: pure Python, the same wheels on every platform, and a node needs nothing but itself. Start a scheduler and workers with
`dask scheduler` and, once a device, `dask worker ADDRESS --nthreads 1`; a worker that computes on a GPU says which one by a resource of
the device's name, `--resources "cuda:1=1"`, any other computes on `--device`. Data and weights lie at the same paths on every node.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, cast

import cv2
import torch

from backend.errors import UsageError
from backend.evaluation.runner import GroupT, VisitT, threads_of_a_worker
from backend.evaluation.work import Visit, Work
from backend.freed_memory import keep_freed_memory
from converters.errors import RSISegError

try:
    from distributed import Client, LocalCluster, get_worker
    from distributed.comm.core import CommClosedError
except ImportError as error:
    raise UsageError("--cluster needs the package distributed, which is not installed; install rsiseg[cluster]") from error

LOCAL = "local:"
_POLL_SECONDS = 1.0
_CONNECT_SECONDS = 30
_MOST_LOSSES = 3
"""A visit that so many workers were lost with is not given to another: it may be what kills them."""


class WorkActor:
    """Lives on a worker of the cluster: the work's own worker on that one's device, with one visit under way at a time."""

    def __init__(self, work: Any, threads: int | None) -> None:
        """threads: to compute with; None leaves that to who started the worker."""
        keep_freed_memory()
        if threads is not None:
            torch.set_num_threads(threads)
            cv2.setNumThreads(threads)
        self._worker = replace(work, device=_device(work.device)).worker()
        self._groups: Iterator[Any] = iter(())

    def begin(self, visit: Visit) -> None:
        """Start a visit; whatever was left of another is dropped."""
        self._groups = self._worker.carry_out(visit)

    def next_group(self) -> Any:
        """The results of the visit's next group; None after the last; an error that a user can mend, as its sentence."""
        try:
            return next(self._groups, None)
        except RSISegError as error:
            return str(error)


def _device(wanted: str) -> str:
    """The device that this worker was started for, else the one that was asked for."""
    named = [name for name in get_worker().state.total_resources if name.startswith(("cuda", "cpu", "mps"))]
    return named[0] if named else wanted


def cluster_visits(work: Work[VisitT, GroupT], visits: Sequence[VisitT], address: str) -> Iterator[GroupT]:
    """The results of all visits, group by group as they come. address: of a scheduler, or `local:N` for N processes of this machine.

    Raises UsageError where no scheduler answers, where it has no workers, and where all of them were lost.
    """
    if not visits:
        return
    with ExitStack() as stack:
        local = _local_workers(address)
        if local is not None:
            # Its HTTP server on any free port, and no limit of memory, which would restart a worker with a large network.
            started: Any = LocalCluster(n_workers=local, threads_per_worker=1, dashboard_address=":0", memory_limit=0)
            address = stack.enter_context(started).scheduler_address
        client = _connect(address, stack)
        yield from _Crew(client, work, visits, None if local is None else threads_of_a_worker(local)).work()


def _local_workers(address: str) -> int | None:
    """N of `local:N`; None for an address."""
    if not address.startswith(LOCAL):
        return None
    count = address.removeprefix(LOCAL)
    if not count.isascii() or not count.isdigit() or int(count) < 1:
        raise UsageError(f"--cluster is {address}; expected local:N with a number of processes, such as local:2; give that")
    return int(count)


def _connect(address: str, stack: ExitStack) -> Client:
    try:
        client = stack.enter_context(Client(address, timeout=_CONNECT_SECONDS))
    except (OSError, ValueError) as error:
        raise UsageError(f"no Dask scheduler answers at {address} ({error}); expected one; start it with `dask scheduler`") from error
    try:
        client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
    except TimeoutError as error:
        raise UsageError(f"the scheduler at {address} has no workers; expected one a device; start them with `dask worker`") from error
    return client


@dataclass(slots=True)
class _Task:
    """A visit to be done, what of it is done already, and how many workers were lost with it."""

    visit: Visit
    done: int = 0
    losses: int = 0

    def rest(self) -> Visit:
        """The groups that nobody has measured."""
        visit: Any = self.visit  # a dataclass, as `Work` asks for
        return replace(visit, groups=visit.groups[self.done :])


@dataclass(slots=True)
class _Crew:
    """One thread here for every worker there: it takes a visit, asks its actor for group after group, and takes the next."""

    client: Client
    job: Any
    visits: Sequence[Visit]
    threads: int | None
    _tasks: deque[_Task] = field(init=False)
    _measured: queue.Queue[Any] = field(init=False, default_factory=queue.Queue)
    _threads: dict[str, threading.Thread] = field(init=False, default_factory=dict)
    _stop: threading.Event = field(init=False, default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._tasks = deque(map(_Task, self.visits))

    def work(self) -> Iterator[Any]:
        """Every group once, as they come. Workers that join later get actors of their own."""
        awaited = sum(len(visit.groups) for visit in self.visits)
        try:
            while awaited:
                self._hire()
                try:
                    found = self._measured.get(timeout=_POLL_SECONDS)
                except queue.Empty:
                    continue
                if isinstance(found, Exception):
                    raise found
                awaited -= 1
                yield found
        finally:
            self._stop.set()

    def _hire(self) -> None:
        """A thread for every worker that has none. UsageError where none is left."""
        for address in self._present():
            if address not in self._threads:
                self._threads[address] = threading.Thread(target=self._serve, args=(address,), daemon=True)
                self._threads[address].start()
        if not any(thread.is_alive() for thread in self._threads.values()) and self._measured.empty():
            raise UsageError(
                "every worker of the cluster was lost; what was measured is kept; see the workers' logs, start others, go on with --resume"
            )

    def _serve(self, address: str) -> None:
        """What one worker does until it is lost or nothing is left."""
        task: _Task | None = None
        try:
            actor = self._ask(
                address,
                lambda: self.client.submit(WorkActor, self.job, self.threads, workers=[address], actor=True, pure=False),
            )
            while not self._stop.is_set():
                task = self._take()
                if task is None:
                    self._stop.wait(_POLL_SECONDS)  # another worker may still be lost, and leave its visit to this one
                    continue
                rest = task.rest()
                self._ask(address, lambda actor=actor, rest=rest: actor.begin(rest))
                while (group := self._ask(address, lambda actor=actor: actor.next_group())) is not None:
                    if isinstance(group, str):
                        raise UsageError(group)
                    task.done += 1
                    self._measured.put(group)
                task = None
        except _Lost:
            self._put_back(task)
        except Exception as error:  # raised in the caller's thread
            self._measured.put(error)

    def _take(self) -> _Task | None:
        try:
            return self._tasks.popleft()
        except IndexError:
            return None

    def _put_back(self, task: _Task | None) -> None:
        if task is None:
            return
        task.losses += 1
        if task.losses >= _MOST_LOSSES:
            self._measured.put(
                UsageError(
                    f"{task.losses} workers were lost while they measured {task.visit.what}, most likely for "
                    "want of memory; what was measured is kept; start workers with more, and go on with --resume"
                )
            )
        self._tasks.appendleft(task)

    def _ask(self, address: str, begin: Callable[[], Any]) -> Any:
        """The result of the future that `begin` gives. _Lost when that worker is gone, or the run is over."""
        try:
            future = begin()
            while not self._stop.is_set():
                with contextlib.suppress(TimeoutError):
                    return future.result(timeout=_POLL_SECONDS)
                if address not in self._present():
                    break
        except Exception as error:
            # A broken connection is noticed here before the scheduler notices the death of the worker.
            broken = type(error) in (OSError, CommClosedError)
            if not self._is_gone(address, within=_CONNECT_SECONDS if broken else 0):
                raise
            raise _Lost from error
        raise _Lost

    def _is_gone(self, address: str, *, within: float) -> bool:
        """Whether the scheduler has no such worker, now or within so many seconds."""
        deadline = time.monotonic() + within
        while address in self._present():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS / 10)
        return True

    def _present(self) -> Sequence[str]:
        """Addresses of the workers that there are."""
        return sorted(cast("dict[str, int]", self.client.nthreads()))


class _Lost(Exception):  # noqa: N818 - an event more than an error
    """The worker is gone."""
