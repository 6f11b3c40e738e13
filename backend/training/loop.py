"""The training loop: episodes in, checkpoints out, interruptible at any moment and resumable."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from backend.errors import ModelError, UsageError
from backend.segmenters.weight_files import first_difference
from backend.training.episode import Episode, new_episode
from backend.training.episode_training import EpisodeTraining
from backend.training.method import Method
from backend.training.objects import Pool
from backend.training.optimisation import Optimisation
from backend.training.recipes import Recipe

VALIDATION_OBJECTS = 96
VALIDATION_CLICKS = 5
MOST_DRAWS = 5000  # in a row without a usable scene, before the labels are to blame
SAVE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Run:
    """Where a run lives and how long it goes. folder: checkpoints and log. seed: of everything random."""

    folder: Path
    recipe: Recipe
    method: Method[Any]
    seed: int
    device: str
    validate_every: int


def train(net: nn.Module, pretrained: frozenset[str], pools: tuple[Pool, Pool], run: Run) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Trains `net` and returns the averaged (EMA) weights, float32, with their validation scores.

    net: `net(x, points)` -> logits at any size. pretrained: names of parameters that start from pretrained weights and learn slower.
    A checkpoint in `run.folder` is continued; steps already done are not repeated.
    """
    training, validation = pools
    net.to(run.device).to(memory_format=torch.channels_last)
    if torch.device(run.device).type == "cpu":
        _unfuse_attention(net)
    optimizer = torch.optim.AdamW(_groups(net, pretrained, run.recipe.optimisation), betas=(0.9, 0.999))
    ema = {name: value.detach().clone().float() for name, value in net.state_dict().items()}
    start = _resume(run, net, optimizer, ema)
    episodes = _episodes(training, run.method, np.random.default_rng((run.seed, start)))
    batch = [next(episodes) for _ in range(run.recipe.optimisation.batch)]
    rng = np.random.default_rng((run.seed, start, 1))
    saved = time.monotonic()
    scores: dict[str, float] = {}
    bar = tqdm(
        range(start, run.recipe.optimisation.steps), initial=start, total=run.recipe.optimisation.steps, desc="training", mininterval=10
    )
    for step in bar:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * schedule(step, run.recipe.optimisation)
        loss, ious = _learn(net, optimizer, batch, run, rng)
        _average(ema, net, min(run.recipe.optimisation.ema, (step + 1) / (step + 10)))
        batch = run.method.going_on(batch, rng)
        batch += [next(episodes) for _ in range(run.recipe.optimisation.batch - len(batch))]
        _log(run, {"step": step, "loss": loss, "iou": ious, "lr": schedule(step, run.recipe.optimisation)})
        bar.set_postfix(loss=f"{loss:.3f}", iou=f"{ious:.3f}", refresh=False)
        done = step + 1 == run.recipe.optimisation.steps
        if (step + 1) % run.validate_every == 0 or done:
            with _weights(net, ema):
                scores = validate(net, validation, run)
            _log(run, {"step": step, "validation": scores})
        if done or time.monotonic() - saved > SAVE_SECONDS:
            _save(run, net, optimizer, ema, step + 1)
            saved = time.monotonic()
    return ema, scores


def schedule(step: int, plan: Optimisation) -> float:
    """Share of the peak learning rate: linear up, flat, linear down to 2 % at the end."""
    decay = max(int(plan.steps * plan.decay_share), 1)
    down = max((plan.steps - step) / decay, 0.02)
    return min(1.0, (step + 1) / max(plan.warmup, 1), down)


def validate(net: nn.Module, pool: Pool, run: Run) -> dict[str, float]:
    """Mean IoU after 1, 2, ... clicks on the same held-out scenes each time; {} when none can be made."""
    if not pool.objects or not isinstance(run.method, EpisodeTraining):
        return {}
    method = run.method
    rng = np.random.default_rng(20)
    scenes: list[Episode] = []
    for _ in range(MOST_DRAWS):
        image, item = pool.draw(rng)
        scene = new_episode(image, item, method.settings, rng, augment=False)
        if scene is not None:
            scenes.append(scene)
        if len(scenes) == VALIDATION_OBJECTS:
            break
    if not scenes:
        return {}
    result: dict[str, float] = {}
    net.eval()
    for click in range(1, VALIDATION_CLICKS + 1):
        for first in range(0, len(scenes), run.recipe.optimisation.batch):
            part = scenes[first : first + run.recipe.optimisation.batch]
            with torch.no_grad(), _autocast(run):
                method.loss(net, part, None, run.device)
        result[f"miou@{click}"] = round(float(np.mean([scene.iou for scene in scenes])), 4)
        for scene in scenes:
            scene.add_click(None)
    return result


def _learn(net: nn.Module, optimizer: torch.optim.Optimizer, batch: list[Any], run: Run, rng: np.random.Generator) -> tuple[float, float]:
    net.train()
    with _autocast(run):
        step = run.method.loss(net, batch, rng, run.device)
    optimizer.zero_grad(set_to_none=True)
    step.loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), run.recipe.optimisation.clip)
    optimizer.step()
    return float(step.loss.detach()), step.scalars["iou"]


def _autocast(run: Run) -> torch.autocast:
    return torch.autocast(torch.device(run.device).type, torch.bfloat16)


def _episodes(pool: Pool, method: Method[Any], rng: np.random.Generator) -> Iterator[Any]:
    failed = 0
    while failed < MOST_DRAWS:
        episode = method.draw(pool, rng)
        failed = 0 if episode is not None else failed + 1
        if episode is not None:
            yield episode
    raise UsageError(f"none of {MOST_DRAWS} objects drawn in a row can be clicked on; expected objects with surroundings; check the labels")


def _unfuse_attention(net: nn.Module) -> None:
    """timm's blocks with plain attention: on a CPU the fused one's backward pass is slower (10 against 12.6 samples a second)."""
    for module in net.modules():
        if hasattr(module, "fused_attn"):
            setattr(module, "fused_attn", False)  # noqa: B010 - no module's type knows the name


def _groups(net: nn.Module, pretrained: frozenset[str], plan: Optimisation) -> list[dict[str, Any]]:
    """One group a parameter: pretrained ones by depth (blocks nearer the input learn slower), decay on matrices only."""
    depth = max((int(name.split(".")[1]) + 1 for name in pretrained if name.startswith("blocks.")), default=0)
    groups: list[dict[str, Any]] = []
    for name, parameter in net.named_parameters():
        peak = plan.lr
        if name in pretrained:
            level = int(name.split(".")[1]) + 1 if name.startswith("blocks.") else 0
            peak = (plan.pretrained_lr or plan.lr) * plan.layer_decay ** (depth - level)
        decay = plan.weight_decay if parameter.ndim > 1 else 0.0
        groups.append({"params": [parameter], "lr": peak, "peak": peak, "weight_decay": decay})
    return groups


def _average(ema: dict[str, Tensor], net: nn.Module, keep: float) -> None:
    for name, value in net.state_dict().items():
        if value.is_floating_point():
            ema[name].lerp_(value.detach().float(), 1.0 - keep)
        else:
            ema[name].copy_(value)


@contextmanager
def _weights(net: nn.Module, other: dict[str, Tensor]) -> Iterator[None]:
    """`net` with other weights for a while."""
    own = {name: value.detach().clone() for name, value in net.state_dict().items()}
    net.load_state_dict(other)
    try:
        yield
    finally:
        net.load_state_dict(own)


def _save(run: Run, net: nn.Module, optimizer: torch.optim.Optimizer, ema: dict[str, Tensor], step: int) -> None:
    run.folder.mkdir(parents=True, exist_ok=True)
    state = {"step": step, "recipe": asdict(run.recipe), "net": net.state_dict(), "optimizer": optimizer.state_dict(), "ema": ema}
    torch.save(state, run.folder / "checkpoint.partial")
    (run.folder / "checkpoint.partial").replace(run.folder / "checkpoint.pt")


def _resume(run: Run, net: nn.Module, optimizer: torch.optim.Optimizer, ema: dict[str, Tensor]) -> int:
    path = run.folder / "checkpoint.pt"
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True, map_location=run.device)
    if state["recipe"]["name"] != run.recipe.name:
        raise ModelError(f"{path} was written by recipe {state['recipe']['name']!r}, not {run.recipe.name!r}; choose another run folder")
    shapes = [{name: tuple(value.shape) for name, value in tensors.items()} for tensors in (net.state_dict(), state["net"])]
    if (difference := first_difference(*shapes)) is not None:
        raise ModelError(f"{path} belongs to another architecture: {difference}; choose another run folder")
    net.load_state_dict(state["net"])
    peaks = [group["peak"] for group in optimizer.param_groups]
    optimizer.load_state_dict(state["optimizer"])
    for group, peak in zip(optimizer.param_groups, peaks, strict=True):
        group["peak"] = peak
    for name, value in state["ema"].items():
        ema[name].copy_(value)
    return int(state["step"])


def _log(run: Run, row: dict[str, Any]) -> None:
    run.folder.mkdir(parents=True, exist_ok=True)
    with (run.folder / "log.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
