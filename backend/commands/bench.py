"""`rsiseg bench`: a robot annotator measures how many clicks each model needs on labelled data."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import click
import torch

from backend.commands.labelled_options import labelled_options
from backend.commands.lazy_group import LazyGroup
from backend.errors import UsageError
from backend.evaluation.benchmark import Benchmark
from backend.evaluation.data_source import Source, default_patch
from backend.evaluation.ledger import Ledger
from backend.evaluation.noc import TARGETS
from backend.evaluation.plan import Protocol, Subject
from backend.evaluation.report import markdown
from backend.evaluation.run_record import conditions
from backend.freed_memory import keep_freed_memory
from backend.segmenters.precision import AUTO, CHOICES
from converters.bands import parse_bands

_PATH = click.Path(path_type=Path)
_EXISTING = click.Path(path_type=Path, exists=True)
_BATCH = {"cpu": 1, "cuda": 16}
"""Objects that share forward passes unless told otherwise. On a CPU more make the shipped model no faster, and more is lost by a kill."""
_SMALLEST_PATCH = 16


class BenchGroup(LazyGroup):
    """`bench` with what belongs to it: `report`."""

    table: ClassVar = {"report": ("bench_report", "Tables and figures from the results of bench, beside the study's.")}


@click.group(cls=BenchGroup, invoke_without_command=True, short_help="How many clicks each model needs on labelled data.")
@click.option(
    "--data",
    type=_EXISTING,
    help="Folder with images/, labels/ and classes.json; ISPRS Potsdam or Vaihingen, unpacked; COCO instances JSON; Label Studio's JSON "
    "export; rasters with GeoJSON or GeoPackage beside them.  [required]",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    help="Registry name, .safetensors file, or the baseline grabcut; refined with +cfr4, +acfr4@clicks=all or +fbrsb behind it; "
    "may be repeated.  [required]",
)
@click.option("--json", "out", type=_PATH, help="File for all numbers; results by object are written beside it.")
@click.option(
    "--bands",
    multiple=True,
    help="Bands to give the models, such as RGB or IRRG; what the channels mean where the files do not say. May be repeated: every model "
    "is then measured with each.  [default: the model's own choice of what the files have]",
)
@labelled_options
@click.option(
    "--patch",
    type=click.IntRange(0),
    help="Cut images into patches of so many px; 0 for whole images.  [default: 600 for Potsdam, 300 for Vaihingen, else whole images]",
)
@click.option("--min-area", type=click.IntRange(1), default=30, show_default=True, help="Smallest object in px.")
@click.option("--split", help="Text file with the images to use, one name a line; for ISPRS data also study-test, official-test and such.")
@click.option("--limit", type=click.IntRange(1), help="Use so many objects, drawn at random.")
@click.option("--seed", type=int, default=0, show_default=True, help="For --limit.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option(
    "--cluster", help="Dask scheduler whose workers do the work, such as tcp://node:8786, or local:N for N processes of this machine."
)
@click.option("--batch", type=click.IntRange(1), help="Objects of a patch that share forward passes.  [default: 1 on a CPU, 16 on a GPU]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--precision", type=click.Choice(CHOICES), default=AUTO, show_default=True, help="What networks compute in.")
@click.option(
    "--stop-early",
    is_flag=True,
    help=f"Leave an object at IoU {max(TARGETS)} %: the same NoC in less time; mIoU then counts its last IoU on.",
)
@click.option("--resume", is_flag=True, help="Keep the objects that an earlier run with the same --json has measured.")
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Let a robot annotator click on every object of labelled data and count the clicks each model needs.

    Every object gets up to 20 clicks, each in the middle of the largest error. NoC80 is the mean number of clicks to an IoU of 80 %,
    20 where it is never reached; >=20@90 the share of objects that took all 20 for 90 %; mIoU@5 the mean IoU after 5 clicks; met the
    share of clicks that the masks obey, counted after every click.
    """
    if context.invoked_subcommand is not None:
        given = [name for name in options if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE]
        if given:
            raise click.UsageError(
                f"options of bench were given before '{context.invoked_subcommand}', which has its own; put them behind it"
            )
        return
    for name, option in (("data", "--data"), ("models", "--model")):
        if not options[name]:
            raise click.UsageError(f"Missing option '{option}'.", context)
    _bench(**options)


def _bench(
    *, models: tuple[str, ...], out: Path | None, bands: tuple[str, ...], resume: bool, workers: int, cluster: str | None, **options: Any
) -> None:
    if resume and out is None:
        raise UsageError("--resume was given without --json, so there is nothing to go on from; add the --json of the earlier run")
    if cluster is not None and workers != 1:
        raise UsageError(f"--workers {workers} and --cluster {cluster} were both given; a cluster has workers of its own; leave one out")
    recipes = tuple(dict.fromkeys(map(parse_bands, bands)))
    subjects = tuple(Subject(model, recipe, named=len(recipes) > 1) for recipe in recipes or (None,) for model in dict.fromkeys(models))
    keep_freed_memory()
    protocol = _protocol(subjects[0], **{name: options[name] for name in options if name not in ("limit", "seed")})
    run = Benchmark(protocol, subjects, limit=options["limit"], seed=options["seed"], workers=workers, cluster=cluster)
    ledger = Ledger(out, conditions(protocol)) if out else None
    for note in run.notes:
        click.echo(f"note: {note}", err=True)
    document = run.carry_out(ledger, resume=resume)
    click.echo(markdown(document["models"]), nl=False)
    click.echo(run.cost, err=True)


def _protocol(
    first: Subject,
    *,
    data: Path,
    split: str | None,
    labels: Path | None,
    attribute: str | None,
    roots: tuple[Path, ...],
    document_root: Path | None,
    patch: int | None,
    min_area: int,
    stop_early: bool,
    device: str,
    precision: str,
    batch: int | None,
) -> Protocol:
    source = Source(data, split, labels, attribute, roots, document_root)
    if patch is not None and 0 < patch < _SMALLEST_PATCH:
        raise UsageError(f"--patch is {patch} px; expected {_SMALLEST_PATCH} or more, or 0 for whole images; give one of those")
    chosen = default_patch(source.open(first.bands)) if patch is None else patch or None
    on = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    return Protocol(
        source=source,
        patch=chosen,
        min_area=min_area,
        stop_at=max(TARGETS) / 100 if stop_early else None,
        device=on,
        precision=precision,
        batch=batch or _BATCH.get(on.partition(":")[0], 1),
    )
