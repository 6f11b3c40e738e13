"""`rsiseg worker`: learns from what annotators accept, beside a server that goes on answering."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from backend.errors import UsageError
from backend.settings import ServerSettings, settings_from

_FOLDER = click.Path(path_type=Path)
_NICE = 10
INTERRUPTED = 130  # as shells call a program ended by Ctrl-C


@click.command(
    epilog="Every option with a value is also an environment variable: RSISEG_DATA_DIR, RSISEG_LEARN_AFTER, RSISEG_REPLAY (several, "
    "separated by blanks) and so on; an option wins. With REDIS_URL the queue is in Redis, worked off by RQ."
)
@click.option("--data-dir", type=_FOLDER, help="The server's folder. [default: rsiseg-data]")
@click.option("--root", "roots", type=_FOLDER, multiple=True, help="Folder that rasters may be read from; may be repeated.")
@click.option("--document-root", type=_FOLDER, help="Label Studio's folder of local files, where it is readable here.")
@click.option("--label-studio-url", help="Label Studio's address, to fetch annotations from. [default: LABEL_STUDIO_URL]")
@click.option("--model", help="The server's model: a registry name or a .safetensors file. [default: default]")
@click.option("--device", help="auto, cpu, cuda or cuda:N. [default: auto]")
@click.option("--learn-after", type=click.IntRange(1), envvar="RSISEG_LEARN_AFTER", default=200, show_default=True, help="New objects.")
@click.option(
    "--replay",
    multiple=True,
    envvar="RSISEG_REPLAY",
    default=("scenes=0.2",),
    show_default=True,
    metavar="SET[=WEIGHT]",
    help="Labelled set that is learned from besides, with its share (the project's is 1); `scenes` are drawn ones, `none` is none.",
)
@click.option("--recipe", envvar="RSISEG_RECIPE", default="fine_tune", show_default=True, help="As for `rsiseg train`.")
@click.option("--steps", type=click.IntRange(1), envvar="RSISEG_STEPS", help="Steps of a round, instead of the recipe's.")
@click.option("--batch", type=click.IntRange(1), envvar="RSISEG_BATCH", help="Objects a step, instead of the recipe's.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1), envvar="RSISEG_LEARN_THREADS", help="CPU threads. [default: half of them]")
@click.option("--project", "projects", type=click.IntRange(1), multiple=True, help="Learn from this project now; may be repeated.")
@click.option("--once", is_flag=True, help="End when nothing waits.")
def command(
    learn_after: int,
    replay: tuple[str, ...],
    recipe: str,
    steps: int | None,
    batch: int | None,
    seed: int,
    threads: int | None,
    projects: tuple[int, ...],
    once: bool,
    **options: Any,
) -> None:
    """Learn from what annotators accept.

    Waits for what Label Studio tells the server (`rsiseg serve`), fetches the accepted regions, and when a project has --learn-after new
    ones, or somebody presses Start Training, fine-tunes its current weights. The new ones answer only if they need fewer clicks on
    held-out images of the project, beyond chance. Ctrl-C keeps what was learned so far; the same command goes on.
    """
    settings = replace(settings_from(), **{name: value for name, value in options.items() if value not in (None, ())})
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.nice(_NICE)
    from backend.learning.round_order import Learning
    from backend.learning.rounds import InterruptedRound
    from backend.learning.worker import Worker

    learning = Learning(_replay(replay), recipe, steps, batch, seed=seed, device=_device(settings.device))
    learning.settled()  # an unknown recipe is named now
    _threads(threads or max((os.cpu_count() or 2) // 2, 1))
    worker = Worker(settings, learning, learn_after, tell=_tell, told=_Fetching())
    try:
        _run(settings, worker, projects, once=once)
    except (KeyboardInterrupt, InterruptedRound):
        _tell("stopped; the same command goes on")
        raise click.exceptions.Exit(INTERRUPTED) from None


def _run(settings: ServerSettings, worker: Any, projects: tuple[int, ...], *, once: bool) -> None:
    from backend.learning.queue import Check
    from backend.learning.queues import queue_file, queue_of, redis_address
    from backend.learning.sqlite_queue import SqliteQueue
    from backend.learning.worker import work

    for project in projects:
        queue_of(settings.data_dir).put(Check(project, asked=True))
    address = redis_address()
    once = once or bool(projects)
    _tell(f"waits for annotations, in {'Redis' if address else queue_file(settings.data_dir)} (stop with Ctrl-C)")
    if address is None:
        work(SqliteQueue(queue_file(settings.data_dir)), worker, once=once)
        return
    from backend.learning import rq_queue

    rq_queue.work(address, worker.handle, burst=once)


def _replay(words: tuple[str, ...]) -> Any:
    """Raises UsageError for a set that is not there and for a weight that is none."""
    from backend.learning.procedural import SCENES
    from backend.learning.round_order import Replay

    found = []
    for word in words:
        if word == "none":
            continue
        name, _, weight = (word, "", "") if Path(word).exists() else word.rpartition("=") if "=" in word else (word, "", "")
        try:
            share = float(weight or 1)
        except ValueError:
            share = 0.0
        if not 0 < share < float("inf"):
            raise UsageError(f"--replay {word}: {weight!r} is no weight; expected SET, or SET=NUMBER with a number above 0")
        if name != SCENES and not Path(name).exists():
            raise UsageError(f"--replay {word}: nothing is at {name}; expected a labelled set as for `rsiseg train`, or {SCENES}")
        found.append(Replay(name if name == SCENES else str(Path(name).resolve()), share))
    return tuple(found)


def _device(wanted: str) -> str:
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted


def _threads(count: int) -> None:
    import cv2
    import torch

    torch.set_num_threads(count)
    cv2.setNumThreads(count)


class _Fetching:
    """A line for every thousand tasks on a log, counted in place on a terminal."""

    def __init__(self) -> None:
        self._write: Callable[[str], object] = sys.stderr.write

    def __call__(self, done: int, total: int) -> None:
        if sys.stderr.isatty():
            self._write(f"\rrsiseg: {done} of {total} tasks fetched" + ("\n" if done == total else ""))
            sys.stderr.flush()


def _tell(text: str) -> None:
    click.echo(f"rsiseg: {text}", err=True)
