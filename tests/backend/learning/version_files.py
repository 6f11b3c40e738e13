"""Weight files of a tiny network, as versions of a project."""

from __future__ import annotations

from pathlib import Path

import torch

from backend.segmenters import catalogue, registry
from backend.segmenters.weight_files import write_weights

MODEL = "vitclick_tiny"


def write_tiny(path: Path, seed: int) -> Path:
    """Random weights of the catalogue's smallest network."""
    entry = catalogue.entry(MODEL)
    torch.manual_seed(seed)
    net = registry.build(entry.family, entry.architecture)
    write_weights(path, net.state_dict(), family=entry.family, architecture=entry.architecture, recipes=entry.recipes, licence="Apache-2.0")
    return path
