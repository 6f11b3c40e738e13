"""`rsiseg train`: learn clicks from labelled images; stop it with Ctrl-C, start it again with the same words, and it goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click

from backend.errors import UsageError
from converters.bands import parse_bands


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
@click.option("--model", "model", default="default", show_default=True, help="Registry name of the architecture.")
@click.option("--recipe", "recipe_name", default="aerial", show_default=True, help="Hyper-parameters by name.")
@click.option("--out", "out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Weight file (.safetensors) to write.")
@click.option("--run", "folder", type=click.Path(path_type=Path, file_okay=False), help="Folder of checkpoints and log [OUT with .run].")
@click.option("--from", "start_from", type=click.Path(path_type=Path, exists=True), help="Weight file to fine-tune.")
@click.option("--init", "init", type=click.Path(path_type=Path, exists=True), help="Pretrained part, such as a body.")
@click.option(
    "--bands",
    multiple=True,
    help="Bands the model is to read, such as RGBIR, or what the channels mean where the files do not say. May be repeated for a choice, "
    "best first.  [default: those of --from, else of the model]",
)
@click.option("--cache", type=click.Path(path_type=Path, file_okay=False), help="Folder for decoded images [RUN/cache].")
@click.option("--exclude", type=click.Path(path_type=Path, exists=True), help="Text file of image names to leave out, one a line.")
@click.option("--steps", type=click.IntRange(1), help="Steps in all, instead of the recipe's.")
@click.option("--batch", type=click.IntRange(1), help="Objects a step, instead of the recipe's.")
@click.option("--seed", default=0, show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--threads", type=click.IntRange(1), help="CPU threads [all].")
@click.option("--validate-every", default=400, show_default=True, help="Steps between two validations.")
@click.option("--json", "as_json", is_flag=True, help="Print the card on standard output.")
def command(
    data: tuple[str, ...],
    model: str,
    recipe_name: str,
    out: Path,
    folder: Path | None,
    start_from: Path | None,
    init: Path | None,
    bands: tuple[str, ...],
    cache: Path | None,
    exclude: Path | None,
    steps: int | None,
    batch: int | None,
    seed: int,
    device: str,
    threads: int | None,
    validate_every: int,
    as_json: bool,
) -> None:
    """Train or fine-tune a model on labelled data.

    One image in eight, chosen by its name, is held out for validation, together with the others that were cut from the same larger
    picture. Images are decoded once, into files that all processes share. Progress and losses go to RUN/log.jsonl, a checkpoint every two
    minutes; the same command continues from it.
    """
    import torch

    from backend.segmenters import catalogue
    from backend.training.bands import training_recipes
    from backend.training.loop import Run, train
    from backend.training.methods import method_of
    from backend.training.objects import Source, load_pools
    from backend.training.pixel_cache import PixelCache
    from backend.training.recipes import recipe
    from backend.training.start import card, starting_network, write_result

    if out.suffix != ".safetensors":
        raise UsageError(f"--out {out}: expected a name that ends in .safetensors")
    if threads is not None:
        torch.set_num_threads(threads)
    chosen = recipe(recipe_name)
    plan = chosen.optimisation
    chosen = replace(chosen, optimisation=replace(plan, steps=steps or plan.steps, batch=batch or plan.batch))
    names = frozenset(exclude.read_text().split()) if exclude is not None else frozenset[str]()
    asked = tuple(map(parse_bands, bands))
    recipes = training_recipes(catalogue.entry(model), asked, start_from)
    sources = [Source(path, weight, names, bands=asked[0] if len(asked) == 1 else None) for path, weight in map(_source, data)]
    net, pretrained = starting_network(model, start_from=start_from, init=init, seed=seed, recipes=recipes)
    folder = folder or out.with_suffix(".run")
    pools = load_pools(sources, min_area=chosen.min_area, recipes=recipes, cache=PixelCache(cache or folder / "cache"))
    for note in pools[0].notes:
        click.echo(f"note: {note}", err=True)
    run = Run(folder, chosen, method_of(chosen, catalogue.entry(model)), seed, device, validate_every)
    weights, scores = train(net, pretrained, pools, run)
    started = start_from.name if start_from else init.name if init else "random weights"
    about = card(model, chosen, sources, pools, seed, started) | {"validation": scores}
    write_result(out, model, weights, about, recipes)
    click.echo(json.dumps(about) if as_json else f"wrote {out}; validation {scores}")
