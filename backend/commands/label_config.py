"""`rsiseg label-config`: a labelling interface for a user's own classes."""

from __future__ import annotations

import json
from pathlib import Path

import click

from backend.errors import UsageError
from converters.interface import SHAPES, Interface, interface_xml, parse_classes
from converters.whole_file import write_whole


@click.command("label-config")
@click.option("--classes", "classes", multiple=True, help="NAME or NAME=#rrggbb, several separated by commas; may be repeated.")
@click.option("--classes-from", type=click.Path(path_type=Path, dir_okay=False), help="A set's classes.json instead: its classes.")
@click.option("--shape", type=click.Choice([*SHAPES, "both"]), default="brush", show_default=True, help="What a click is answered in.")
@click.option("--model", help="Registry name of the model that answers. [default: the project's, else the server's]")
@click.option("--choose-model", "switches", multiple=True, help="A model that annotators may switch to while annotating; may be repeated.")
@click.option("--two-views", is_flag=True, help="True colour and infrared side by side, as imported with --view true --view cir.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write. [default: standard output]")
def command(
    classes: tuple[str, ...],
    classes_from: Path | None,
    shape: str,
    model: str | None,
    switches: tuple[str, ...],
    two_views: bool,
    out: Path | None,
) -> None:
    """A labelling interface (XML) for your own classes and colours.

    Paste it in Label Studio under Settings, Labeling Interface, Code. Classes without a colour get one that can be seen on imagery and told
    from the others, by red-green blind eyes too.
    """
    if bool(classes) == (classes_from is not None):
        raise UsageError("no classes, or classes from two places, are given; expected either --classes or --classes-from")
    from backend.segmenters import catalogue

    for name in (*([model] if model else []), *switches):
        if name not in {catalogue.DEFAULT, *(entry.name for entry in catalogue.entries())}:
            raise UsageError(f"{name!r} is no model of the registry; see `rsiseg weights list`")
    if len(set(switches)) < len(switches):
        raise UsageError("--choose-model names a model twice; expected each once")
    texts = [part for text in classes for part in text.split(",")] if classes_from is None else _classes_of(classes_from)
    shapes = tuple(SHAPES) if shape == "both" else (shape,)
    text = interface_xml(Interface(parse_classes(texts), shapes, model, switches, two_views))
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, text)
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written ({error.strerror}); expected a file in a folder that you may write; change --out"
        ) from error
    click.echo(f"wrote {out}; paste it in Label Studio under Settings, Labeling Interface, Code", err=True)


def _classes_of(path: Path) -> list[str]:
    """The names in a set's classes.json."""
    try:
        return [str(name) for name in json.loads(path.read_text(encoding="utf-8"))["classes"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} names no classes ({error}); expected a classes.json as in docs/labelled_data.md") from error
