"""`rsiseg train`: learn clicks from labelled images; stop it with Ctrl-C, start it again with the same words, and it goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click

from backend.commands.labelled_options import labelled_options
from backend.errors import UsageError
from converters.bands import parse_bands

INTERRUPTED = 130  # as shells call a program ended by Ctrl-C


def _source(text: str) -> tuple[Path, float]:
    """`PATH` or `PATH=WEIGHT`; a path may hold an equals sign itself where it exists as it stands."""
    if Path(text).exists() or "=" not in text:
        return Path(text), 1.0
    path, _, weight = text.rpartition("=")
    try:
        share = float(weight)
    except ValueError:
        share = 0.0
    if not 0 < share < float("inf"):
        raise UsageError(f"--data {text}: {weight!r} is no weight; expected PATH, or PATH=NUMBER with a number above 0")
    return Path(path), share


@click.command("train")
@click.option("--data", "data", multiple=True, required=True, help="Labelled set (as for bench), or SET=WEIGHT for its share; repeatable.")
@click.option("--model", "model", help="Registry name of the architecture.  [default: that of --from, else default]")
@click.option("--recipe", "recipe_name", help="Hyper-parameters by name.  [default: fine_tune with --from, else aerial]")
@click.option("--out", "out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Weight file (.safetensors) to write.")
@click.option("--run", "folder", type=click.Path(path_type=Path, file_okay=False), help="Folder of checkpoints and log [OUT with .run].")
@click.option("--from", "start_from", help="Weights to fine-tune: a registry name such as default, or a weight file.")
@click.option("--force", is_flag=True, help="Write fine-tuned weights that are no better too.")
@click.option("--init", "init", type=click.Path(path_type=Path, exists=True), help="Pretrained part, such as a body.")
@click.option(
    "--bands",
    multiple=True,
    help="Bands the model is to read, such as RGBIR, or what the channels mean where the files do not say. May be repeated for a choice, "
    "best first.  [default: those of --from, else of the model]",
)
@labelled_options
@click.option("--min-area", type=click.IntRange(1), help="Smallest object to learn from, px, instead of the recipe's.")
@click.option("--cache", type=click.Path(path_type=Path, file_okay=False), help="Folder for decoded images [RUN/cache].")
@click.option("--exclude", type=click.Path(path_type=Path, exists=True), help="Text file of image names to leave out, one a line.")
@click.option("--steps", type=click.IntRange(1), help="Steps in all, instead of the recipe's.")
@click.option("--batch", type=click.IntRange(1), help="Objects a step, instead of the recipe's.")
@click.option("--accumulate", type=click.IntRange(1), help="In how many parts a device takes its share of a step [the recipe's].")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda; cuda:1 for the second.")
@click.option("--devices", type=click.IntRange(1), default=1, show_default=True, help="How many of them; a process each.")
@click.option("--precision", type=click.Choice(["auto", "bf16-mixed", "fp32"]), default="auto", show_default=True)
@click.option("--workers", type=click.IntRange(0), default=0, show_default=True, help="Processes that prepare samples, for each device.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads [all].")
@click.option("--validate-every", type=click.IntRange(1), default=400, show_default=True, help="Steps between two validations.")
@click.option("--validation-objects", type=click.IntRange(1), default=96, show_default=True, help="Held-out objects the robot clicks on.")
@click.option("--json", "as_json", is_flag=True, help="Print the card on standard output.")
def command(
    data: tuple[str, ...],
    model: str | None,
    recipe_name: str | None,
    out: Path,
    folder: Path | None,
    start_from: str | None,
    force: bool,
    init: Path | None,
    bands: tuple[str, ...],
    labels: Path | None,
    attribute: str | None,
    roots: tuple[Path, ...],
    document_root: Path | None,
    min_area: int | None,
    cache: Path | None,
    exclude: Path | None,
    steps: int | None,
    batch: int | None,
    accumulate: int | None,
    seed: int,
    device: str,
    devices: int,
    precision: str,
    workers: int,
    threads: int | None,
    validate_every: int,
    validation_objects: int,
    as_json: bool,
) -> None:
    """Train or fine-tune a model on labelled data.

    One image in eight, chosen by its name, is held out for validation, together with the others that were cut from the same larger
    picture. Images are decoded once, into files that all processes share. RUN holds a checkpoint of the last two minutes, from which the
    same command goes on, best.safetensors, log.jsonl, TensorBoard's files, and pages of example masks (examples/index.html). OUT is what
    needed the fewest clicks on held-out objects (NoC80 + NoC90).

    With --from, the weights before and after click on the held-out objects, and OUT is written only if it needs fewer clicks beyond chance.
    """
    import cv2
    import torch

    from backend.segmenters.catalogue import DEFAULT
    from backend.training.fine_tuning import weights_to_start_from
    from backend.training.recipes import recipe
    from backend.training.sources import Source
    from backend.training.training_run import Order, carry_out

    if labels is not None and len(data) > 1:
        raise UsageError(
            f"--labels {labels} belongs to one --data, and {len(data)} are given; lay the labels beside their rasters, or give one set"
        )
    if out.suffix != ".safetensors":
        raise UsageError(f"--out {out}: expected a name that ends in .safetensors")
    if threads is not None:
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
    before, its_model = (None, None) if start_from is None else weights_to_start_from(start_from)
    chosen = recipe(recipe_name or ("aerial" if before is None else "fine_tune"))
    asked_for = {"steps": steps, "batch": batch, "accumulate": accumulate}
    plan = replace(chosen.optimisation, **{name: value for name, value in asked_for.items() if value is not None})
    names = frozenset(exclude.read_text().split()) if exclude is not None else frozenset[str]()
    asked = tuple(map(parse_bands, bands))
    folder = folder or out.with_suffix(".run")
    one = asked[0] if len(asked) == 1 else None
    where = {"labels": labels, "attribute": attribute, "roots": roots, "document_root": document_root}
    order = Order(
        sources=[Source(path, weight, names, bands=one, **where) for path, weight in map(_source, data)],
        model=model or its_model or DEFAULT,
        recipe=replace(chosen, optimisation=plan, min_area=min_area or chosen.min_area),
        out=out,
        folder=folder,
        cache=cache or folder / "cache",
        start_from=before,
        force=force,
        init=init,
        bands=asked,
        seed=seed,
        device=device,
        devices=devices,
        precision=precision,
        workers=workers,
        validate_every=validate_every,
        validation_objects=validation_objects,
    )
    result = carry_out(order)
    if result.card is not None:
        click.echo(json.dumps(result.card) if as_json else f"wrote {out} and {out.with_suffix('.json').name}, its card")
    elif result.leads:
        click.echo(f"rsiseg: stopped after step {result.steps} of {plan.steps}; {folder} holds it; the same command goes on", err=True)
        raise click.exceptions.Exit(INTERRUPTED)
