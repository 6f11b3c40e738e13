"""What a run starts from, and what it leaves: a network with pretrained parts, and a weight file with its card."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from backend.errors import ModelError, UsageError
from backend.segmenters import catalogue, registry
from backend.segmenters.weight_files import write_weights
from backend.segmenters.widening import widened
from backend.training.bands import Recipes, starting_weights
from backend.training.objects import Pool, Source
from backend.training.recipes import Recipe
from converters.whole_file import write_whole


def starting_network(
    name: str, *, start_from: Path | None, init: Path | None, seed: int, recipes: Recipes | None = None
) -> tuple[nn.Module, frozenset[str]]:
    """The network of registry entry `name`, and the names of its parameters that are pretrained.

    start_from: a complete weight file to be fine-tuned. init: a safetensors file with some of the parameters of the network for three
    bands, such as a body. Neither: the constructor's random weights, from `seed`. recipes: that it is to read images in, None for the
    entry's own; with more bands than the files know, the weights are widened. Raises ModelError when a file does not fit.
    """
    if start_from is not None and init is not None:
        raise UsageError("--from fine-tunes a whole weight file and --init fills a part of a new network; give one of the two")
    entry = catalogue.entry(name)
    recipes = recipes or entry.recipes
    torch.manual_seed(seed)
    if start_from is not None:
        net = registry.build(entry.family, entry.architecture, len(recipes[0]))
        net.load_state_dict(starting_weights(start_from, entry, recipes))
        return net, frozenset(dict(net.named_parameters()))
    if init is None:
        return registry.build(entry.family, entry.architecture, len(recipes[0])), frozenset()
    net = registry.build(entry.family, entry.architecture)
    part = load_file(init)
    own = net.state_dict()
    for key, tensor in part.items():
        if key not in own or own[key].shape != tensor.shape:
            raise ModelError(f"{init} holds {key} {tuple(tensor.shape)}, which {name} has not; give the file made for this architecture")
    net.load_state_dict(part, strict=False)
    if len(recipes[0]) != 3:
        wide = registry.build(entry.family, entry.architecture, len(recipes[0]))
        wide.load_state_dict(widened(net.state_dict(), family=entry.family, architecture=entry.architecture, bands=len(recipes[0])))
        net = wide
    return net, frozenset(part)


def card(name: str, recipe: Recipe, sources: Sequence[Source], pools: tuple[Pool, Pool], seed: int, started: str) -> dict[str, Any]:
    """What a reader of the weights must know, as JSON values: data, counts, recipe, seed, start, code."""
    return {
        "model": name,
        "data": [{"name": source.name, "weight": source.weight} for source in sources],
        "objects": {"training": len(pools[0].objects), "validation": len(pools[1].objects)},
        "recipe": json.loads(json.dumps(asdict(recipe), default=str)),
        "seed": seed,
        "started_from": started,
        "code": code_version(),
    }


def code_version() -> dict[str, str | None]:
    """version of the package, and the commit of its checkout, with `+changes` where files differ from it; None where there is no git."""
    package = Path(__file__).resolve().parents[2]
    git = ["git", "-C", str(package), "describe", "--always", "--abbrev=40", "--dirty=+changes", "--exclude=*"]
    commit = None
    if (package / ".git").exists():
        with suppress(OSError, subprocess.SubprocessError):
            commit = subprocess.run(git, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    try:
        return {"version": metadata.version("rsiseg"), "commit": commit}
    except metadata.PackageNotFoundError:
        return {"version": None, "commit": commit}


def write_result(out: Path, name: str, tensors: Mapping[str, Tensor], about: Mapping[str, Any], recipes: Recipes | None = None) -> None:
    """`out` (fp16 safetensors that name their architecture) and `out` with the suffix .json, the card; each whole or not at all.

    recipes: that the network was trained for, None for the entry's own; whoever loads the file is bound to them.
    """
    entry = catalogue.entry(name)
    bands = recipes or entry.recipes
    write_weights(out, tensors, family=entry.family, architecture=entry.architecture, recipes=bands, licence=entry.licence)
    write_whole(out.with_suffix(".json"), json.dumps(about, indent=1) + "\n")
