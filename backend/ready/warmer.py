"""The thread that works ahead: what was opened first, then what comes next; the newest request before older ones."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Condition, Thread
from typing import Any

from backend.learning.versions import project_number
from backend.session import Ahead
from converters.errors import RSISegError

logger = logging.getLogger(__name__)

Warm = Callable[[Mapping[str, Any], str, str], Sequence[Ahead]]
"""(task, project, label config) -> how it went, see `warm_task`."""
After = Callable[[int, int, int], Sequence[Mapping[str, Any]]]
"""(project number, task id, count) -> the tasks that come next, see `NextTasks`."""

# Requests that wait, at most; the oldest is dropped for a newer one.
MOST = 32
# Seconds for which the tasks after one are not asked for again, and how many such questions are remembered.
ASK_AGAIN = 300.0
_REMEMBERED = 1024
# How often a task is tried again that an annotator's click, or another process, kept from being made ready.
_TRIES = 10
_PAUSE = 0.5  # seconds after somebody clicked meanwhile: where there is one click, there are more


@dataclass(frozen=True, slots=True)
class _Wish:
    """task: to be made ready, or None. after: id of the task whose followers are wanted, or None. urgent: an annotator looks at it."""

    project: str
    label_config: str
    task: Mapping[str, Any] | None = None
    after: int | None = None
    urgent: bool = False
    tries: int = 0

    @property
    def key(self) -> tuple[str, int | None, str]:
        """Wishes of one key are one."""
        return self.project, self.after, "" if self.task is None else repr(self.task.get("id"))

    @property
    def told(self) -> str:
        """For the log."""
        return f"what comes after task {self.after}" if self.task is None else f"task {str(self.task.get('id'))[:20]}"


class Warmer:
    """Makes tasks ready in a thread of its own, which starts with the first wish. No call waits, and none raises.

    warm: makes one task ready; None: nothing is ever done. after: asks which tasks come next; None where nobody can be asked. ahead: how
    many of those are made ready. count: told the outcome of each. clock: seconds. sleep: for so many.
    """

    def __init__(
        self,
        warm: Warm | None = None,
        *,
        after: After | None = None,
        ahead: int = 0,
        count: Callable[[str], None] = lambda outcome: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._warm = warm
        self._after = after if ahead else None
        self._ahead = ahead
        self._count = count
        self._clock = clock
        self._sleep = sleep
        self._wishes: OrderedDict[tuple[str, int | None, str], _Wish] = OrderedDict()  # the newest last
        self._asked: OrderedDict[tuple[int, int], float] = OrderedDict()
        self._changed = Condition()
        self._busy = False
        self._thread: Thread | None = None
        self._refused = ""

    def opened(self, tasks: Sequence[Any], project: str, label_config: str) -> None:
        """Somebody opened this task: it is made ready, and then those that come after it.

        Several tasks are a batch, of which the first few are made ready, as many as would be if the first were opened.
        """
        given = [task for task in tasks[: 1 + self._ahead] if isinstance(task, Mapping)]
        opened = [_Wish(project, label_config, task, urgent=True) for task in reversed(given)]
        self._wish(*(self._followers(given[0], project, label_config) if len(given) == 1 else []), *opened)

    def clicked(self, tasks: Sequence[Any], project: str, label_config: str) -> None:
        """Somebody clicked on the first of these tasks: those that come after it are made ready, which nothing else may have asked for.

        Label Studio does not say that a task was opened that has a prediction.
        """
        if tasks and isinstance(tasks[0], Mapping):
            self._wish(*self._followers(tasks[0], project, label_config))

    def project_opened(self, project: str, label_config: str) -> None:
        """Somebody opened the project: its first unfinished tasks are made ready."""
        self._wish(*self._followers({"id": 0}, project, label_config))

    def wait(self, seconds: float) -> bool:
        """Whether all wishes were dealt with in so many seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._wishes and not self._busy, seconds)

    def _followers(self, task: Mapping[str, Any], project: str, label_config: str) -> list[_Wish]:
        number = task.get("id")
        can_ask = self._after is not None and isinstance(number, int) and project_number(project) is not None
        return [_Wish(project, label_config, after=number)] if can_ask else []

    def _wish(self, *wishes: _Wish) -> None:
        """All at once, the newest last: the thread must not begin with a question while somebody looks at a task."""
        if self._warm is None or not wishes:
            return
        with self._changed:
            for wish in wishes:
                before = self._wishes.pop(wish.key, None)
                self._wishes[wish.key] = replace(wish, urgent=wish.urgent or (before is not None and before.urgent))
            while len(self._wishes) > MOST:
                self._wishes.popitem(last=False)
            if self._thread is None:
                self._thread = Thread(target=self._run, name="rsiseg-ready", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._wishes)
                wish = self._next()
                self._busy = True
            try:
                self._fulfil(wish)
            except RSISegError as error:
                self._count("failed")
                logger.info("%s is not made ready: %s", wish.told, error)
            except Exception:  # a bug of ours must not end the thread
                self._count("failed")
                logger.exception("%s could not be made ready: a bug in this server, please report it", wish.told)

    def _next(self) -> _Wish:
        """The newest of the urgent wishes, else of all; no longer among them."""
        newest = list(reversed(self._wishes.values()))
        wish = next((one for one in newest if one.urgent), newest[0])
        return self._wishes.pop(wish.key)

    def _fulfil(self, wish: _Wish) -> None:
        assert self._warm is not None
        if wish.task is None:
            self._ask(wish)
            return
        outcomes = self._warm(wish.task, wish.project, wish.label_config)
        for outcome in outcomes:
            self._count(outcome.value)
        if wish.tries < _TRIES and not {Ahead.GAVE_WAY, Ahead.BUSY}.isdisjoint(outcomes):
            self._sleep(_PAUSE)
            self._wish(replace(wish, tries=wish.tries + 1))

    def _ask(self, wish: _Wish) -> None:
        """Wishes for the tasks after one, unless that was asked a moment ago: every click of an annotator asks."""
        project = project_number(wish.project)
        assert self._after is not None
        assert project is not None
        assert wish.after is not None
        now = self._clock()
        asked = self._asked.get((project, wish.after))
        if asked is not None and now - asked < ASK_AGAIN:
            return
        self._asked[project, wish.after] = now
        self._asked.move_to_end((project, wish.after))
        while len(self._asked) > _REMEMBERED:
            self._asked.popitem(last=False)
        try:
            tasks = self._after(project, wish.after, self._ahead)
        except RSISegError as error:
            if str(error) != self._refused:  # once: it would be said with every task
                self._refused = str(error)
                logger.warning("no task is made ready in advance: %s", error)
            return
        # The newest wish is the first to be fulfilled, and that shall be the nearest task.
        self._wish(*(_Wish(wish.project, wish.label_config, task) for task in reversed(tasks)))
