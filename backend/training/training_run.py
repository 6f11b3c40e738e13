"""A whole run as it was ordered: data, network and method put together, trained, and left as a weight file with its card."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

from backend.segmenters import catalogue
from backend.segmenters.catalogue_entry import Entry
from backend.segmenters.weight_headers import file_sha256
from backend.training.bands import starting_weights, training_recipes
from backend.training.devices import precision_of
from backend.training.fine_tuning import compared, expect_better
from backend.training.loop import train
from backend.training.methods import method_of
from backend.training.objects import Pool, load_pools
from backend.training.pixel_cache import PixelCache
from backend.training.recipes import Recipe
from backend.training.run import Outcome, Run
from backend.training.sources import Source
from backend.training.start import card, starting_network, write_result
from backend.training.validation import RobotValidation, chosen_objects
from backend.training.verdict import Verdict

VALIDATION_SEED = 20
"""Of the sample that is validated on: the same objects whatever the seed of the run, so that runs can be compared."""


@dataclass(frozen=True, slots=True)
class Order:
    """What `rsiseg train` is told.

    model: registry name. out: weight file to write; folder: of the run. start_from: weight file to fine-tune; init: pretrained part.
    force: write fine-tuned weights that are no better too. bands: recipes asked for, none for the usual ones. cache: folder of decoded
    images. validation_objects: held-out objects that the robot clicks on, at most; the rest as in `run.Run`, with `auto` as a
    precision too.
    """

    sources: Sequence[Source]
    model: str
    recipe: Recipe
    out: Path
    folder: Path
    cache: Path
    start_from: Path | None = None
    init: Path | None = None
    force: bool = False
    bands: tuple[tuple[str, ...], ...] = ()
    seed: int = 0
    device: str = "cpu"
    devices: int = 1
    precision: str = "auto"
    workers: int = 0
    validate_every: int = 400
    validation_objects: int = 96


@dataclass(frozen=True, slots=True)
class Result:
    """card: what was written beside the weights; None where the run was stopped before its end, or where another process writes.
    steps: steps done. leads: whether this process speaks for the run."""

    card: dict[str, Any] | None
    steps: int
    leads: bool


@dataclass(frozen=True, slots=True)
class Training:
    """A run that has come to its end or was stopped. entry: what the network is. pools: for training, for validation."""

    entry: Entry
    run: Run
    pools: tuple[Pool, Pool]
    outcome: Outcome

    @property
    def finished(self) -> bool:
        """Whether all steps are done and this process is the one that says so."""
        return self.outcome.leads and self.outcome.finished


def trained(order: Order, *, validated: bool = True) -> Training:
    """Trains, or goes on. validated: whether the robot clicks under way, too. Raises as `loop.train` and `load_pools` do."""
    listed = catalogue.entry(order.model)
    entry = replace(listed, recipes=training_recipes(listed, order.bands, order.start_from))
    method = method_of(order.recipe, entry)
    net, pretrained = starting_network(order.model, start_from=order.start_from, init=order.init, seed=order.seed, recipes=entry.recipes)
    pools = load_pools(order.sources, min_area=order.recipe.min_area, recipes=entry.recipes, cache=PixelCache(order.cache))
    for note in pools[0].notes:
        click.echo(f"note: {note}", err=True)
    run = Run(
        folder=order.folder,
        seed=order.seed,
        device=order.device,
        devices=order.devices,
        precision=precision_of(order.precision, order.device),
        workers=order.workers,
        validate_every=order.validate_every,
        conditions=_conditions(order, entry, pools),
    )
    plan = order.recipe.optimisation
    outcome = train(net, pretrained, pools[0], method, plan, run, _validation(order, entry, pools[1]) if validated else None)
    return Training(entry, run, pools, outcome)


def carry_out(order: Order) -> Result:
    """Trains, or goes on, and writes `order.out` and its card when all steps are done.

    Fine-tuning (`start_from`) writes weights that are better on held-out images, or with `force`; ModelError says that they are not.
    Raises as `trained` does.
    """
    training = trained(order)
    entry, run, pools, outcome = training.entry, training.run, training.pools, training.outcome
    if not training.finished:
        return Result(None, outcome.steps, outcome.leads)
    if order.start_from is None:
        about = _card(order, run, pools, outcome)
        write_result(order.out, order.model, outcome.weights, about, entry.recipes)
    else:
        # Not the best checkpoint: it was chosen by the objects that are to judge it, and would look better on them than it is.
        verdict = compared(entry, starting_weights(order.start_from, entry, entry.recipes), outcome.last, pools[1], order.device)
        expect_better(verdict, force=order.force, out=order.out)
        about = _fine_tuned_card(order, run, pools, verdict)
        write_result(order.out, order.model, outcome.last, about, entry.recipes)
    return Result(about, outcome.steps, leads=True)


def _validation(order: Order, entry: Entry, pool: Pool) -> RobotValidation | None:
    if not len(pool.objects):
        click.echo("note: nothing is held out, so nothing says which weights are best: those of the last step are kept", err=True)
        return None
    objects = chosen_objects(pool, order.validation_objects, VALIDATION_SEED)
    return RobotValidation(entry, pool, objects, order.folder, order.device)


def _conditions(order: Order, entry: Entry, pools: tuple[Pool, Pool]) -> dict[str, Any]:
    """What a run that goes on must have in common with the one that began, besides what the loop knows itself."""
    started = order.start_from or order.init
    recipe = order.recipe
    return {
        "model": entry.name,
        "family": entry.family,
        "architecture": entry.architecture,
        "bands": entry.recipes,
        "recipe": recipe.name,
        "method": asdict(recipe.method),
        "min_area": recipe.min_area,
        "data": [[source.name, source.weight] for source in order.sources],
        "objects": [_fingerprint(pool) for pool in pools],
        "started_from": None if started is None else file_sha256(started),
        "validate_every": order.validate_every,
        "validation_objects": order.validation_objects,
    }


def _fingerprint(pool: Pool) -> str:
    """Changes when objects, their places or their shares of the draws do."""
    digest = hashlib.sha256(pool.probabilities.tobytes())
    for item in pool.objects:
        digest.update(f"{item.image} {item.class_name} {item.box}\n".encode())
    return f"{len(pool.objects)} objects {digest.hexdigest()[:16]}"


def _card(order: Order, run: Run, pools: tuple[Pool, Pool], outcome: Outcome) -> dict[str, Any]:
    chosen = "lowest noc80 + noc90" if outcome.scores else "last step"
    validated = min(order.validation_objects, len(pools[1].objects))
    return _about(order, run, pools) | {
        "validation": {**outcome.scores, "objects": validated, "step": outcome.best_step, "chosen by": chosen},
    }


def _fine_tuned_card(order: Order, run: Run, pools: tuple[Pool, Pool], verdict: Verdict) -> dict[str, Any]:
    return _about(order, run, pools) | {"held out": verdict.as_json(), "written": "better" if verdict.better else "by --force"}


def _about(order: Order, run: Run, pools: tuple[Pool, Pool]) -> dict[str, Any]:
    started = order.start_from or order.init
    about = card(order.model, order.recipe, order.sources, pools, order.seed, "random weights" if started is None else started.name)
    return about | {"precision": run.precision, "devices": run.devices}
