"""`rsiseg bench`: a robot annotator measures how many clicks each model needs on labelled data."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click
import torch
from tqdm import tqdm

from backend.errors import UsageError
from backend.evaluation.ledger import Ledger, ObjectKey, object_key
from backend.evaluation.models import load_model
from backend.evaluation.noc import TARGETS, ObjectResult
from backend.evaluation.report import markdown
from backend.evaluation.robot import MAX_CLICKS
from backend.evaluation.runner import CHUNK, Protocol, Target, list_targets, plan_visits, run_visits
from backend.evaluation.statistics import summarise
from backend.freed_memory import keep_freed_memory
from backend.segmenters.precision import AUTO, CHOICES
from converters.bands import parse_bands

_PATH = click.Path(path_type=Path)


@click.command(short_help="How many clicks each model needs on labelled data.")
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path, exists=True),
    help="Folder with images/, labels/ and classes.json, or a COCO instances JSON with images/ beside it.",
)
@click.option(
    "--model",
    "models",
    required=True,
    multiple=True,
    help="Registry name, .safetensors file, or the baseline grabcut; refined with +cfr4, +acfr4@clicks=all or +fbrsb behind it; "
    "may be repeated.",
)
@click.option("--json", "out", type=_PATH, help="File for all numbers; results by object are written beside it.")
@click.option("--bands", help="Meaning of the images' channels, such as RGB or IRRG. [default: channels are taken as they are]")
@click.option("--patch", type=click.IntRange(16), help="Cut images into patches of so many px. [default: whole images]")
@click.option("--min-area", type=click.IntRange(1), default=30, show_default=True, help="Smallest object in px.")
@click.option(
    "--split", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Text file with the images to use, one name a line."
)
@click.option("--limit", type=click.IntRange(1), help="Use so many objects, drawn at random.")
@click.option("--seed", type=int, default=0, show_default=True, help="For --limit.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--precision", type=click.Choice(CHOICES), default=AUTO, show_default=True, help="What networks compute in.")
@click.option(
    "--stop-early",
    is_flag=True,
    help=f"Leave an object at IoU {max(TARGETS)} %: the same NoC in less time; mIoU then counts its last IoU on.",
)
@click.option("--resume", is_flag=True, help="Keep the objects that an earlier run with the same --json has measured.")
def command(
    *,
    data: Path,
    models: tuple[str, ...],
    out: Path | None,
    bands: str | None,
    patch: int | None,
    min_area: int,
    split: Path | None,
    limit: int | None,
    seed: int,
    workers: int,
    device: str,
    precision: str,
    stop_early: bool,
    resume: bool,
) -> None:
    """Let a robot annotator click on every object of labelled data and count the clicks each model needs.

    Every object gets up to 20 clicks, each in the middle of the largest error. NoC80 is the mean number of clicks to an IoU of 80 %,
    20 where it is never reached; >=20@90 the share of objects that took all 20 for 90 %; mIoU@5 the mean IoU after 5 clicks; met the
    share of clicks that the masks obey, counted after every click.
    """
    _refuse_unread_data(data)
    if resume and out is None:
        raise UsageError("--resume was given without --json, so there is nothing to go on from; add the --json of the earlier run")
    protocol = Protocol(
        data=data,
        bands=parse_bands(bands) if bands else None,
        patch=patch,
        min_area=min_area,
        stop_at=max(TARGETS) / 100 if stop_early else None,
        device=_device(device),
        precision=precision,
    )
    keep_freed_memory()
    versions = {name: load_model(name, protocol.device, protocol.precision).version for name in models}
    targets = list_targets(protocol, _split_names(split), limit, seed)
    ledger = Ledger(out, _conditions(protocol)) if out else None
    kept = ledger.start(resume=resume) if ledger else {}
    try:
        results = _measure(protocol=protocol, versions=versions, targets=targets, workers=workers, kept=kept, ledger=ledger)
    except KeyboardInterrupt as interrupt:
        goes_on = f"; {ledger.partial} keeps what was measured, add --resume to go on" if ledger else ", and without --json nothing is kept"
        raise UsageError(f"interrupted{goes_on}") from interrupt
    finally:
        if ledger:
            ledger.close()
    settings = _conditions(protocol) | {
        "split": str(split) if split else None,
        "limit": limit,
        "seed": seed,
        "workers": workers,
        "objects": len(targets),
        "versions": _software(),
    }
    numbers = {name: {"version": versions[name], **summarise(results[name])} for name in versions}
    if ledger:
        ledger.finish([result for name in versions for result in results[name]], {"settings": settings, "models": numbers})
    click.echo(markdown(numbers), nl=False)


def _measure(
    *,
    protocol: Protocol,
    versions: dict[str, str],
    targets: list[Target],
    workers: int,
    kept: dict[ObjectKey, ObjectResult],
    ledger: Ledger | None,
) -> dict[str, list[ObjectResult]]:
    """Results of all targets by model, in the targets' order, whatever order they came in; only those not in `kept` are measured."""
    visits = []
    for name, its_version in versions.items():
        visits += plan_visits(
            targets,
            name,
            lambda target, name=name, its_version=its_version: target.key(name, its_version) in kept,
            chunk=CHUNK if workers > 1 else None,
        )
    missing = sum(len(visit.indices) for visit in visits)
    total = len(targets) * len(versions)
    found = dict(kept)
    with tqdm(total=total, initial=total - missing, unit="object", desc="bench", dynamic_ncols=True) as bar:
        for result in run_visits(protocol, visits, workers):
            found[object_key(result)] = result
            if ledger:
                ledger.add(result)
            bar.set_postfix_str(result.model[-24:], refresh=False)
            bar.update()
    return {name: [found[target.key(name, its_version)] for target in targets] for name, its_version in versions.items()}


def _conditions(protocol: Protocol) -> dict[str, Any]:
    """What every object's result depends on: runs that differ here are never mixed."""
    return {
        "data": str(protocol.data),
        "bands": "".join(protocol.bands) if protocol.bands else None,
        "patch": protocol.patch,
        "min_area": protocol.min_area,
        "max_clicks": MAX_CLICKS,
        "stop_at": protocol.stop_at,
        "device": protocol.device,
        "precision": protocol.precision,
    }


def _refuse_unread_data(data: Path) -> None:
    """One clear sentence for the layouts that are planned and not read yet."""
    if data.is_dir() and not (data / "classes.json").is_file():
        raise UsageError(
            f"{data} has no classes.json; ISPRS trees are not read yet; give a folder with images/, labels/, classes.json or a COCO JSON"
        )
    if data.is_file() and data.read_bytes()[:64].lstrip().startswith(b"["):
        raise UsageError(
            f"{data} is a JSON list, as Label Studio exports; those are not read yet; give a COCO JSON or a folder with labels"
        )


def _split_names(split: Path | None) -> frozenset[str] | None:
    if split is None:
        return None
    names = frozenset(line.strip() for line in split.read_text(encoding="utf-8").splitlines() if line.strip())
    if not names:
        raise UsageError(f"{split} is empty; expected the names of the images to use, one a line")
    return names


def _device(name: str) -> str:
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def _software() -> dict[str, str]:
    """Versions that results may depend on."""
    found = {"python": platform.python_version()}
    for package in ("rsiseg", "torch", "numpy", "opencv-python-headless"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
