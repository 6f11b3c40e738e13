"""What a round of learning is told, as it is written down before it begins: whoever goes on after a kill does the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from backend.errors import ModelError
from backend.training.recipes import Recipe, recipe
from converters.whole_file import write_whole

ORDER = "order.json"
RECORD = "record.json"
EXPORT = "export.json"


@dataclass(frozen=True, slots=True)
class Replay:
    """A labelled set that is learned from besides the project's own. weight: its share of the samples, the project's being 1."""

    path: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Learning:
    """How every round learns.

    replay: sets besides the project's own. recipe: its name; steps, batch, lr: instead of the recipe's. seed: of the first round, each
    further one takes the next. device, precision: as for `rsiseg train`.
    """

    replay: tuple[Replay, ...] = ()
    recipe: str = "fine_tune"
    steps: int | None = None
    batch: int | None = None
    lr: float | None = None
    seed: int = 0
    device: str = "cpu"
    precision: str = "auto"

    def settled(self) -> Recipe:
        """The recipe with these numbers. Raises UsageError for an unknown one."""
        found = recipe(self.recipe)
        plan = found.optimisation
        asked = {"steps": self.steps, "batch": self.batch, "lr": self.lr, "pretrained_lr": self.lr}
        changes = {name: value for name, value in asked.items() if value is not None}
        if self.steps is not None:  # of a shorter run, the same share
            changes["warmup"] = max(plan.warmup * self.steps // plan.steps, 1)
        return replace(found, optimisation=replace(plan, **changes))


@dataclass(frozen=True, slots=True)
class RoundOrder:
    """One round.

    number: of the round in its project, from 1. model: whose weights are tuned. parent: the version training starts from, 0 for the
    shipped weights. objects, images: in the export. asked: by START_TRAINING.
    """

    project: int
    number: int
    model: str
    parent: int
    objects: int
    images: int
    asked: bool
    learning: Learning

    def write(self, folder: Path) -> None:
        """Into the folder of the round."""
        write_whole(folder / ORDER, json.dumps(asdict(self), indent=1) + "\n")


def read_order(folder: Path) -> RoundOrder:
    """The order in the folder of a round. Raises ModelError for a damaged one."""
    try:
        found: dict[str, Any] = json.loads((folder / ORDER).read_text(encoding="utf-8"))
        learning: Mapping[str, Any] = found.pop("learning")
        replay = tuple(Replay(**one) for one in learning["replay"])
        return RoundOrder(**found, learning=Learning(**{**learning, "replay": replay}))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{folder / ORDER} cannot be read ({error}); expected the order of a round; delete the folder {folder}") from error
