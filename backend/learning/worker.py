"""The worker: takes checks from the queue, looks what was accepted, and learns when there is enough of it or somebody asks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from backend.errors import UsageError
from backend.learning.collecting import api_of, collect
from backend.learning.queue import Check, Queue, Taken
from backend.learning.round_order import Learning, RoundOrder
from backend.learning.rounds import Home, begin, carry_on, give_up
from backend.learning.versions import SHIPPED
from backend.project_store import ProjectStore
from backend.segmenters.catalogue import shipped
from backend.settings import ServerSettings
from backend.studio.api import Api
from backend.tag_settings import prediction_settings
from backend.training.checkpoint import locked
from converters.errors import RSISegError

logger = logging.getLogger(__name__)

LEARN_AFTER = 200
"""New objects that make a round, unless the worker is told another number."""
MOST_TRIES = 5
_FIRST_PAUSE = 60.0  # seconds before a failed check is tried again; each further time twice as long
_HOLD_EVERY = 30.0


def _no_progress(done: int, total: int) -> None:
    return


@dataclass(frozen=True)
class Worker:
    """How a check is carried out. settings: of the server whose data folder it shares. learn_after: new objects that make a round.

    tell: told each step in a sentence. told: of tasks fetched, and all. api: Label Studio, instead of the one that the settings name.
    """

    settings: ServerSettings
    learning: Learning
    learn_after: int = LEARN_AFTER
    tell: Callable[[str], object] = print
    told: Callable[[int, int], object] = _no_progress
    api: Api | None = None
    carry_on: Callable[[Home, Path], dict[str, Any]] = field(default=carry_on)

    def handle(self, check: Check) -> dict[str, Any] | None:
        """The record of the last round that this check led to, None where there is not enough to learn from yet.

        A round that was interrupted goes on first. Raises InterruptedRound, and RSISegError for what may be mended.
        """
        home = Home(self.settings.data_dir, check.project, _roots(self.settings), self.settings.document_root)
        with locked(home.folder):
            record = None
            begun = home.unfinished()
            if begun is not None:
                self.tell(f"project {check.project}: round {int(begun.name)} goes on")
                record = self._carried_on(home, begun)
                check = replace(check, asked=False)
            begun = self._begun(home, check)
            return record if begun is None else self._carried_on(home, begun)

    def give_up(self, check: Check, why: str) -> None:
        """Ends the round of a project that failed again and again, if one was begun."""
        home = Home(self.settings.data_dir, check.project)
        begun = home.unfinished()
        if begun is not None:
            give_up(begun, f"given up: {why}")

    def _begun(self, home: Home, check: Check) -> Path | None:
        """The folder of a new round, where there is reason for one."""
        found = collect(self.api or api_of(self.settings), check.project, home.folder, self.told)
        new = len(found.regions - home.seen())
        wanted = 1 if check.asked else self.learn_after
        if new < wanted and not (check.asked and found.regions):
            self.tell(f"project {check.project}: {new} new objects, learning begins at {wanted}")
            return None
        model = self._model(check.project)
        current = home.versions.current(check.project)
        parent = current.number if current is not None and current.model == model else SHIPPED
        number = home.next_number()
        order = RoundOrder(check.project, number, model, parent, len(found.regions), found.images, check.asked, self.learning)
        self.tell(f"project {check.project}: round {number} learns from {order.objects} objects on {order.images} images, {new} new")
        return begin(home, order, found.export, found.regions)

    def _carried_on(self, home: Home, folder: Path) -> dict[str, Any]:
        record = self.carry_on(home, folder)
        self.tell(f"project {home.project}: round {record['round']}: {record['why']}")
        return record

    def _model(self, project: int) -> str:
        """The model that answers in a project unless a tag says otherwise. Raises ModelError for one that is not there."""
        settings = self.settings
        wanted = prediction_settings({}, ProjectStore(settings.data_dir).of_number(project), settings.prediction).model
        own = wanted is None or wanted == settings.model
        return shipped().checked(settings.model if wanted is None else wanted, path_allowed=own)


def work(queue: Queue, worker: Worker, *, once: bool = False, stop: threading.Event | None = None, poll: float = 2.0) -> None:
    """Works off checks until `stop` is set, or with `once` until none waits. Raises InterruptedRound when training was asked to stop.

    A check that fails waits, longer each time, and is given up after MOST_TRIES; one whose worker was killed comes back by itself.
    """
    stop = stop or threading.Event()
    while not stop.is_set():
        taken = queue.take()
        if taken is not None:
            _work_off(queue, worker, taken)
        elif once:
            return
        else:
            stop.wait(poll)


def _work_off(queue: Queue, worker: Worker, taken: Taken) -> None:
    try:
        with _held(queue, taken):
            if taken.tries > MOST_TRIES:
                raise UsageError(f"its worker ended {taken.tries} times before it was done; memory may be short")
            worker.handle(taken.check)
    except RSISegError as error:
        last = taken.tries >= MOST_TRIES
        pause = _FIRST_PAUSE * 2**taken.tries
        worker.tell(f"project {taken.check.project}: {error}" + ("; given up" if last else f"; tried again in {pause / 60:.0f} min"))
        if last:
            worker.give_up(taken.check, str(error))
        queue.failed(taken, None if last else pause)
    except BaseException:
        queue.failed(taken, 0.0)  # Ctrl-C: the next worker goes on at once
        raise
    else:
        queue.done(taken)


@contextmanager
def _held(queue: Queue, taken: Taken) -> Iterator[None]:
    """Tells the queue again and again that somebody is at it: training takes longer than a lease."""
    ended = threading.Event()

    def hold() -> None:
        while not ended.wait(_HOLD_EVERY):
            try:
                queue.hold(taken)
            except RSISegError as error:
                logger.warning("%s", error)

    thread = threading.Thread(target=hold, name="rsiseg-hold", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _roots(settings: ServerSettings) -> tuple[Path, ...]:
    return (*settings.roots, *([settings.document_root] if settings.document_root else []))
