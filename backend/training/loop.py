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
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from tqdm import tqdm

from backend.errors import ModelError, UsageError
from backend.inference.click_maps import points_tensor
from backend.segmenters.weight_files import first_difference
from backend.training.episode import Episode, new_episode
from backend.training.losses import sample_loss
from backend.training.objects import Pool
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
    optimizer = torch.optim.AdamW(_groups(net, pretrained, run.recipe), betas=(0.9, 0.999))
    ema = {name: value.detach().clone().float() for name, value in net.state_dict().items()}
    start = _resume(run, net, optimizer, ema)
    episodes = _episodes(training, run.recipe, np.random.default_rng((run.seed, start)))
    batch = [next(episodes) for _ in range(run.recipe.batch)]
    rng = np.random.default_rng((run.seed, start, 1))
    saved = time.monotonic()
    scores: dict[str, float] = {}
    bar = tqdm(range(start, run.recipe.steps), initial=start, total=run.recipe.steps, desc="training", mininterval=10)
    for step in bar:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * schedule(step, run.recipe)
        loss, ious = _learn(net, optimizer, batch, run, rng)
        _average(ema, net, min(run.recipe.ema, (step + 1) / (step + 10)))
        batch = [one if one.clicks_left > 0 and one.add_click(rng) else next(episodes) for one in batch]
        _log(run, {"step": step, "loss": loss, "iou": ious, "lr": schedule(step, run.recipe)})
        bar.set_postfix(loss=f"{loss:.3f}", iou=f"{ious:.3f}", refresh=False)
        done = step + 1 == run.recipe.steps
        if (step + 1) % run.validate_every == 0 or done:
            with _weights(net, ema):
                scores = validate(net, validation, run)
            _log(run, {"step": step, "validation": scores})
        if done or time.monotonic() - saved > SAVE_SECONDS:
            _save(run, net, optimizer, ema, step + 1)
            saved = time.monotonic()
    return ema, scores


def schedule(step: int, recipe: Recipe) -> float:
    """Share of the peak learning rate: linear up, flat, linear down to 2 % at the end."""
    decay = max(int(recipe.steps * recipe.decay_share), 1)
    down = max((recipe.steps - step) / decay, 0.02)
    return min(1.0, (step + 1) / max(recipe.warmup, 1), down)


def validate(net: nn.Module, pool: Pool, run: Run) -> dict[str, float]:
    """Mean IoU after 1, 2, ... clicks on the same held-out scenes each time; {} when none can be made."""
    if not pool.objects:
        return {}
    rng = np.random.default_rng(20)
    scenes: list[Episode] = []
    for _ in range(MOST_DRAWS):
        image, item = pool.draw(rng)
        scene = new_episode(image, item, run.recipe, rng, augment=False)
        if scene is not None:
            scenes.append(scene)
        if len(scenes) == VALIDATION_OBJECTS:
            break
    if not scenes:
        return {}
    result: dict[str, float] = {}
    net.eval()
    for click in range(1, VALIDATION_CLICKS + 1):
        for first in range(0, len(scenes), run.recipe.batch):
            part = scenes[first : first + run.recipe.batch]
            with torch.no_grad():
                logits, _ = _forward(net, part, run, None)
            for scene, probability in zip(part, _probabilities(logits), strict=True):
                scene.learn(probability)
        result[f"miou@{click}"] = round(float(np.mean([scene.iou for scene in scenes])), 4)
        for scene in scenes:
            scene.add_click(None)
    return result


def _learn(
    net: nn.Module, optimizer: torch.optim.Optimizer, batch: list[Episode], run: Run, rng: np.random.Generator
) -> tuple[float, float]:
    net.train()
    logits, labels = _forward(net, batch, run, rng)
    loss = sample_loss(logits, labels).mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), run.recipe.clip)
    optimizer.step()
    for episode, probability in zip(batch, _probabilities(logits.detach()), strict=True):
        episode.learn(probability)
    return float(loss.detach()), float(np.mean([episode.iou for episode in batch]))


def _forward(net: nn.Module, batch: list[Episode], run: Run, rng: np.random.Generator | None) -> tuple[Tensor, Tensor]:
    """Logits and labels [B, 1, S, S] of what the episodes look at next."""
    looks = [episode.look(run.recipe, rng) for episode in batch]
    x = torch.from_numpy(np.stack([look[0] for look in looks])).to(run.device, memory_format=torch.channels_last)
    labels = torch.from_numpy(np.stack([look[1] for look in looks]))[:, None].to(run.device)
    points = points_tensor([look[2] for look in looks]).to(run.device)
    with torch.autocast(torch.device(run.device).type, torch.bfloat16):
        logits = net(x, points)
    return F.interpolate(logits.float(), labels.shape[-2:], mode="bilinear", align_corners=True), labels


def _probabilities(logits: Tensor) -> NDArray[np.float32]:
    return torch.sigmoid(logits)[:, 0].cpu().numpy()


def _episodes(pool: Pool, recipe: Recipe, rng: np.random.Generator) -> Iterator[Episode]:
    failed = 0
    while failed < MOST_DRAWS:
        image, item = pool.draw(rng)
        episode = new_episode(image, item, recipe, rng, augment=True)
        failed = 0 if episode is not None else failed + 1
        if episode is not None:
            yield episode
    raise UsageError(f"none of {MOST_DRAWS} objects drawn in a row can be clicked on; expected objects with surroundings; check the labels")


def _unfuse_attention(net: nn.Module) -> None:
    """timm's blocks with plain attention: on a CPU the fused one's backward pass is slower (10 against 12.6 samples a second)."""
    for module in net.modules():
        if hasattr(module, "fused_attn"):
            setattr(module, "fused_attn", False)  # noqa: B010 - no module's type knows the name


def _groups(net: nn.Module, pretrained: frozenset[str], recipe: Recipe) -> list[dict[str, Any]]:
    """One group a parameter: pretrained ones by depth (blocks nearer the input learn slower), decay on matrices only."""
    depth = max((int(name.split(".")[1]) + 1 for name in pretrained if name.startswith("blocks.")), default=0)
    groups: list[dict[str, Any]] = []
    for name, parameter in net.named_parameters():
        peak = recipe.new_lr
        if name in pretrained:
            level = int(name.split(".")[1]) + 1 if name.startswith("blocks.") else 0
            peak = recipe.body_lr * recipe.layer_decay ** (depth - level)
        decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
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
