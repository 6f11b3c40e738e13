"""`rsiseg weights`: what there is, the authors' files converted, files averaged, and those that may be fetched, fetched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

from backend.errors import ModelError, UsageError

if TYPE_CHECKING:
    import requests

    from backend.segmenters.catalogue_entry import Entry

_JSON = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")


@click.group(name="weights")
def command() -> None:
    """Weights: list them, convert the authors' files, average, fetch them."""


@command.command("list")
@_JSON
@click.option("--markdown", "as_markdown", is_flag=True, help="The page docs/models.md.")
def list_command(as_json: bool, as_markdown: bool) -> None:
    """Every model of the registry, and whether its weights are on this machine."""
    from backend.segmenters import catalogue, model_table

    if as_json and as_markdown:
        raise UsageError("--json and --markdown are two formats of one list; give one of them")
    if as_json:
        click.echo(json.dumps([_described(one) for one in catalogue.entries()], indent=1))
        return
    if as_markdown:
        click.echo(model_table.markdown(catalogue.shipped()), nl=False)
        return
    rows = [(*(column.upper() for column in model_table.COLUMNS[:-1]), "HERE", model_table.COLUMNS[-1].upper())]
    for one in catalogue.entries():
        *columns, source = model_table.cells(one)
        rows.append((*columns, "yes" if one.available else "no", source))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        click.echo("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]))
    click.echo("\npull: rsiseg weights pull NAME. convert: download the authors' file from the source, then rsiseg weights convert FILE")
    click.echo("--as NAME. train: rsiseg train. NC: the licence forbids commercial use. --json shows everything in full.")


@command.command("convert")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Weight file (.safetensors) to write.")
@click.option("--as", "name", metavar="NAME", help="Write it where this model of the registry looks for it, instead of --out.")
@click.option("--architecture", help="For a checkpoint that fits several architectures, such as FocalClick's S1 and S2.")
@click.option("--part", type=click.IntRange(1), help="For a file of several networks, one for each click: which one.")
@_JSON
def convert_command(file: Path, out: Path | None, name: str | None, architecture: str | None, part: int | None, as_json: bool) -> None:
    """Convert a checkpoint of RITM, SimpleClick, ICL, FocalClick or SAM.

    FILE is what the authors published (.pth). Its network is recognised by the names and shapes of its weights; nothing in it is run.
    """
    from backend.segmenters import catalogue
    from backend.segmenters.conversion import convert

    if (out is None) == (name is None):
        raise UsageError("convert needs one place to write to: give --out FILE.safetensors, or --as NAME for a model of the registry")
    entry = None if name is None else _published(catalogue.entry(name))
    target = out or (entry.file if entry else None)
    assert target is not None  # one of the two was given, and published entries have a file
    if target.suffix != ".safetensors":
        raise UsageError(f"--out {target} does not end in .safetensors, by which weight files are known; name it so")
    done = convert(file, target, architecture=architecture, part=part, entry=entry)
    licence = done.published.licence if done.published else "unknown"
    if as_json:
        about = {"file": str(done.out), "family": done.recognised.family, "architecture": done.recognised.architecture}
        like = done.published.name if done.published else None
        click.echo(json.dumps({**about, "like": like, "licence": licence, "genuine": done.genuine}, indent=1))
        return
    like = f"predicts as {done.published.name} does" if done.published else "no published settings are known for it"
    click.echo(f"{file.name} is {done.recognised.family} {done.recognised.architecture}; {like}; licence: {licence}")
    if done.genuine is False:
        click.echo(f"{file.name} is not the published file of that name: its sha256 is another, so these are other weights")
    click.echo(f"{done.out} is written; use it with --model {name or done.out}")


@command.command("mean")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Weight file (.safetensors) to write.")
@_JSON
def mean_command(files: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Average FILES, weights of one network from stages of one training.

    Such a mean often needs fewer clicks on imagery that none of them has seen; measure it with `rsiseg bench` before you use it.
    """
    from backend.segmenters.weight_mean import write_mean

    if out.suffix != ".safetensors":
        raise UsageError(f"--out {out} does not end in .safetensors, by which weight files are known; name it so")
    write_mean(files, out)
    _tell(as_json, {"out": str(out), "of": [str(file) for file in files]}, f"{out} is the mean of {len(files)} weight files")


@command.command("pull")
@click.argument("name")
@click.option("--accept-non-commercial", is_flag=True, help="Fetch weights whose licence forbids commercial use; prints the licence.")
@_JSON
def pull_command(name: str, accept_non_commercial: bool, as_json: bool) -> None:
    """Fetch the published weights of a model and convert them.

    The file's sha256 is compared with the registry's; where that has none, with the first download on this machine.
    """
    from backend.segmenters import catalogue

    entry = _published(catalogue.entry(name))
    if entry.non_commercial:
        _check_licence(entry, accepted=accept_non_commercial)
    assert entry.file is not None  # published entries have one
    if entry.available:
        _tell(as_json, {"name": entry.name, "file": str(entry.file), "fetched": False}, f"{entry.name} is here already: {entry.file}")
        return
    if entry.download is None:
        raise ModelError(f"{entry.name} cannot be fetched by a program: {entry.how_to_get}")
    _tell(as_json, *_pull(entry, entry.download, entry.file))


def _pull(entry: Entry, address: str, target: Path) -> tuple[dict[str, Any], str]:
    """Download, check, convert; what to tell, as JSON and in words."""
    from backend.segmenters.conversion import convert
    from backend.segmenters.downloads import Pins, fetched

    if not address.startswith("https://"):
        raise ModelError(f"the registry gives {address} for {entry.name}, which is not https; correct that entry")
    pins = Pins(target.parent / "pins.json")
    expected, told_by = entry.checkpoint_sha256, "the registry"
    if expected is None:
        expected, told_by = pins.get(entry.name), "the first download on this machine"
    with (
        _progress(entry.name) as progress,
        fetched(address, target.parent, str(entry.checkpoint), session=_session(), progress=progress) as file,
    ):
        if expected is not None and file.sha256 != expected:
            raise ModelError(
                f"{address} has the sha256 {file.sha256[:12]}..., {told_by} had {expected[:12]}...; "
                "nothing was kept; find out from the authors why it changed"
            )
        convert(file.path, target, entry=entry)
    if expected is None:
        pins.set(entry.name, address=address, sha256=file.sha256)
    pinned = expected is None
    checked = f"pinned its sha256 {file.sha256}, since no other is known" if pinned else f"its sha256 is that of {told_by}"
    about = {"name": entry.name, "file": str(target), "fetched": True, "checkpoint_sha256": file.sha256, "pinned": pinned}
    return about, f"{entry.name} is here: {target}; {checked}; licence: {entry.licence}"


def _session() -> requests.Session:
    """Tests replace it, to fetch from a server of their own without a certificate."""
    from backend.segmenters.downloads import https_session

    return https_session()


@contextmanager
def _progress(name: str) -> Iterator[Any]:
    with tqdm(desc=name, unit="B", unit_scale=True, disable=None) as bar:

        def advance(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield advance


def _published(entry: Entry) -> Entry:
    if entry.checkpoint is None or entry.file is None:
        whence = "generated for tests" if entry.file is None else "trained here"
        raise UsageError(f"the weights of {entry.name} are {whence}, nobody else publishes them; see `rsiseg weights list`")
    return entry


def _check_licence(entry: Entry, *, accepted: bool) -> None:
    if not accepted:
        raise UsageError(
            f"the licence of {entry.name} forbids commercial use ({entry.licence}); read it, and repeat with --accept-non-commercial"
        )
    click.echo(f"{entry.name}: {entry.licence}\nYou may not use these weights, nor what you derive from them, commercially.", err=True)


def _described(entry: Entry) -> dict[str, Any]:
    """An entry as `list --json` shows it."""
    return {
        "name": entry.name,
        "family": entry.family,
        "architecture": entry.architecture,
        "bands": ["".join(recipe) for recipe in entry.recipes],
        "input_size": entry.input_size,
        "threshold": entry.threshold,
        "licence": entry.licence,
        "non_commercial": entry.non_commercial,
        "source": entry.source,
        "checkpoint": entry.checkpoint,
        "checkpoint_sha256": entry.checkpoint_sha256,
        "download": entry.download,
        "file": None if entry.file is None else str(entry.file),
        "sha256": entry.sha256,
        "available": entry.available,
        "how_to_get": None if entry.available else entry.how_to_get,
    }


def _tell(as_json: bool, about: dict[str, Any], words: str) -> None:
    click.echo(json.dumps(about, indent=1) if as_json else words)
