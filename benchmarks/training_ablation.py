"""What matters in the aerial recipe: short trainings that differ in one thing each, and the clicks they need on the same held-out objects.

    python benchmarks/training_ablation.py OUT --data SET[=WEIGHT] ... --from default [--init BODY] [--steps 150] [--objects 120]

Every arm goes on from the weights of --from for the same steps over the same samples, but for what it changes; with --init, two more start
anew, with the pretrained body and without. Differences are to the first arm of a group, object by object, with 95 % bootstrap intervals.
Interrupted, the same command goes on. The table is printed as Markdown and kept as OUT/table.md.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from backend.commands.train import _source
from backend.evaluation.noc import ObjectResult
from backend.segmenters import catalogue
from backend.training.copy_paste import Suem
from backend.training.episode import EpisodeSettings
from backend.training.episode_training import EpisodeTraining
from backend.training.fine_tuning import weights_to_start_from
from backend.training.loop import train
from backend.training.objects import Pool, load_pools
from backend.training.pixel_cache import PixelCache
from backend.training.recipes import recipe
from backend.training.run import Run
from backend.training.sources import Source
from backend.training.start import starting_network
from backend.training.validation import chosen_objects, noc, scores, segmenter_of
from backend.training.verdict import judge

Change = Callable[[EpisodeSettings], EpisodeSettings]


class Arm(NamedTuple):
    """name: in the table. start: `from`, `init` or `random`. change: of the settings of recipe aerial."""

    name: str
    start: str
    change: Change


def _same(settings: EpisodeSettings) -> EpisodeSettings:
    return settings


GOING_ON = (
    Arm("aerial", "from", _same),
    Arm(
        "without false infrared and channel shuffling", "from", lambda s: replace(s, changes=replace(s.changes, infrared=0.0, shuffle=0.0))
    ),
    Arm("with SUEM copy-paste", "from", lambda s: replace(s, suem=Suem())),
    Arm("with ICL's click weights 1, 2, 3", "from", lambda s: replace(s, click_weights=(1.0, 2.0, 3.0))),
    Arm("without scale jitter", "from", lambda s: replace(s, scales=(1.0, 1.0))),
    Arm("without a window about the first click", "from", lambda s: replace(s, whole=0.5, window=0.0)),
)
ANEW = (Arm("anew, pretrained body", "init", _same), Arm("anew, random weights", "random", _same))


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("out", type=Path)
    words.add_argument("--data", action="append", required=True)
    words.add_argument("--exclude", type=Path)
    words.add_argument("--from", dest="start_from", required=True)
    words.add_argument("--init", type=Path)
    words.add_argument("--steps", type=int, default=150)
    words.add_argument("--batch", type=int, default=16)
    words.add_argument("--objects", type=int, default=120)
    words.add_argument("--precision", choices=["bf16-mixed", "fp32"], default="bf16-mixed")
    words.add_argument("--threads", type=int)
    asked = words.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    names = frozenset(asked.exclude.read_text().split()) if asked.exclude else frozenset[str]()
    sources = [Source(path, weight, names) for path, weight in map(_source, asked.data)]
    pools = load_pools(sources, min_area=recipe("aerial").min_area, cache=PixelCache(asked.out / "cache"))
    objects = chosen_objects(pools[1], asked.objects, seed=20)
    lines = ["| arm | NoC80 | NoC90 | mIoU@1 | mIoU@5 | clicks, difference |", "|---|--:|--:|--:|--:|--:|"]
    for arms in (GOING_ON, ANEW if asked.init else ()):
        first: list[ObjectResult] | None = None
        for arm in arms:
            results = _measured(arm, asked, pools, objects)
            first = first or results
            found, verdict = scores(results), judge(first, results)
            interval = "" if verdict.interval is None else f" ({verdict.interval[0]:+.2f} to {verdict.interval[1]:+.2f})"
            difference = "" if results is first else f"{verdict.difference:+.2f}{interval}"
            numbers = " | ".join(f"{found[name]:.{places}f}" for name, places in (("noc80", 2), ("noc90", 2), ("miou@1", 3), ("miou@5", 3)))
            lines.append(f"| {arm.name} | {numbers} | {difference} |")
            print(lines[-1], flush=True)
            gc.collect()
    note = f"{len(objects)} held-out objects, {asked.steps} steps of {asked.batch}; clicks: the mean of NoC80 and NoC90."
    (asked.out / "table.md").write_text("\n".join([*lines, "", note, ""]))
    print("\n".join([*lines, "", note]))


def _measured(arm: Arm, asked: argparse.Namespace, pools: tuple[Pool, Pool], objects: list[int]) -> list[ObjectResult]:
    path, name = weights_to_start_from(asked.start_from)
    entry = catalogue.entry(name or "default")
    net, pretrained = starting_network(
        entry.name, start_from=path if arm.start == "from" else None, init=asked.init if arm.start == "init" else None, seed=0
    )
    plan = recipe("aerial").optimisation
    plan = replace(plan, steps=asked.steps, batch=asked.batch, warmup=min(plan.warmup, asked.steps // 10), ema=0.97)
    if arm.start == "from":
        plan = replace(plan, lr=plan.lr / 2.5, pretrained_lr=1e-4)
    folder = asked.out / arm.name.replace(" ", "_").replace(",", "").replace("'", "")
    method = EpisodeTraining(arm.change(EpisodeSettings()))
    run = Run(folder, precision=asked.precision, conditions={"arm": arm.name, "from": str(asked.start_from), "steps": asked.steps})
    outcome = train(net, pretrained, pools[0], method, plan, run)
    if not outcome.finished:
        raise SystemExit(130)
    return noc(segmenter_of(entry, outcome.last), pools[1], objects, name=arm.name)


if __name__ == "__main__":
    main()
