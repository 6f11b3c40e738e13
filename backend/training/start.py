"""What a run starts from, and what it leaves: a network with pretrained parts, and a weight file with its card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from backend.errors import ModelError, UsageError
from backend.segmenters import catalogue, registry
from backend.segmenters.weight_files import load_weights, write_weights
from backend.training.objects import Pool, Source
from backend.training.recipes import Recipe


def starting_network(name: str, *, start_from: Path | None, init: Path | None, seed: int) -> tuple[nn.Module, frozenset[str]]:
    """The network of registry entry `name`, and the names of its parameters that are pretrained.

    start_from: a complete weight file to be fine-tuned. init: a safetensors file with some of the parameters, such as a body. Neither: the
    constructor's random weights, from `seed`. Raises ModelError when a file does not fit.
    """
    if start_from is not None and init is not None:
        raise UsageError("--from fine-tunes a whole weight file and --init fills a part of a new network; give one of the two")
    entry = catalogue.entry(name)
    torch.manual_seed(seed)
    net = registry.build(entry.family, entry.architecture, entry.bands)
    if start_from is not None:
        load_weights(net, start_from)
        return net, frozenset(dict(net.named_parameters()))
    if init is None:
        return net, frozenset()
    part = load_file(init)
    own = net.state_dict()
    for key, tensor in part.items():
        if key not in own or own[key].shape != tensor.shape:
            raise ModelError(f"{init} holds {key} {tuple(tensor.shape)}, which {name} has not; give the file made for this architecture")
    net.load_state_dict(part, strict=False)
    return net, frozenset(part)


def card(name: str, recipe: Recipe, sources: Sequence[Source], pools: tuple[Pool, Pool], seed: int, started: str) -> dict[str, Any]:
    """What a reader of the weights must know, as JSON values: data, counts, recipe, seed, start."""
    return {
        "model": name,
        "data": [
            {"name": source.path.parent.name if source.path.suffix else source.path.name, "weight": source.weight} for source in sources
        ],
        "objects": {"training": len(pools[0].objects), "validation": len(pools[1].objects)},
        "recipe": asdict(recipe),
        "seed": seed,
        "started_from": started,
    }


def write_result(out: Path, name: str, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """`out` (fp16 safetensors that name their architecture) and `out` with the suffix .json, the card; each whole or not at all."""
    entry = catalogue.entry(name)
    write_weights(out, tensors, family=entry.family, architecture=entry.architecture, recipes=entry.recipes, licence=entry.licence)
    partial = out.with_suffix(".json.partial")
    partial.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    partial.replace(out.with_suffix(".json"))
