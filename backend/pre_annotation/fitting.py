"""How a classifier is trained: in seconds, the same bits for a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the field's name for it

from backend.pre_annotation.classifier import Classifier

HIDDEN = 48


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """What a classifier learns from. features: [N, F]. labels: class of each. images: image of each; a hold-out moves whole images."""

    features: NDArray[np.float32]
    labels: tuple[str, ...]
    images: tuple[str, ...]


def train(
    samples: Samples, *, kind: str, weights_of: str, appearance: int, seed: int = 0, steps: int = 600, shipped: bool = True
) -> Classifier:
    """A classifier of the classes that occur, balanced between them; one thread, so that a seed gives the same bits.

    appearance: so many of the last features are at times withheld, with the ring before them, as they are for a single cell.
    """
    classes = tuple(sorted(set(samples.labels)))
    y = np.array([classes.index(label) for label in samples.labels])
    x = samples.features
    mean = np.nanmean(x, axis=0).astype(np.float32)
    scale = (np.nanstd(x, axis=0) + 1e-3).astype(np.float32)
    x = np.clip(np.nan_to_num((x - mean) / scale, nan=0.0), -6, 6).astype(np.float32)
    counts = np.bincount(y, minlength=len(classes))
    chance = (1 / np.sqrt(counts))[y]
    rng = np.random.default_rng(seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = _fit(torch.from_numpy(x), torch.from_numpy(y), chance / chance.sum(), rng, len(classes), appearance, steps)
    finally:
        torch.set_num_threads(threads)
    first, last = net[0], net[2]
    assert isinstance(first, nn.Linear) and isinstance(last, nn.Linear)  # as `_fit` makes them
    return Classifier(
        kind=kind,
        classes=classes,
        weights_of=weights_of,
        mean=mean,
        scale=scale,
        # Kept in half precision in the file: what was just trained answers as what is read back.
        hidden=(np.ascontiguousarray(first.weight.detach().numpy().T.astype(np.float16).astype(np.float32)), first.bias.detach().numpy()),
        out=(np.ascontiguousarray(last.weight.detach().numpy().T), last.bias.detach().numpy()),
        shipped=shipped,
    )


def _fit(
    x: torch.Tensor, y: torch.Tensor, chance: NDArray[np.float64], rng: np.random.Generator, classes: int, appearance: int, steps: int
) -> nn.Sequential:
    net = nn.Sequential(nn.Linear(x.shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, classes))
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for _ in range(steps):
        batch = torch.from_numpy(rng.choice(len(x), 256, p=chance))
        seen = x[batch].clone()
        if x.shape[1] > appearance:
            seen[torch.from_numpy(rng.random(len(batch)) < 0.3), -appearance:] = 0
        seen = F.dropout(seen, 0.2)
        loss = F.cross_entropy(net(seen), y[batch], label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net


def balanced_accuracy(classifier: Classifier, samples: Samples, classes: Sequence[str]) -> float:
    """Mean share of each class's samples that are told right, 0..1, over the classes that occur."""
    if not samples.labels:
        return 0.0
    found = classifier.probabilities(samples.features).argmax(axis=1)
    right: dict[str, list[bool]] = {}
    for label, number in zip(samples.labels, found.tolist(), strict=True):
        if label in classes:
            right.setdefault(label, []).append(classifier.classes[number] == label)
    return float(np.mean([np.mean(each) for each in right.values()])) if right else 0.0
