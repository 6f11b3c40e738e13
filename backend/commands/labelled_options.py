"""Options of the commands that read labelled data: where labels and files lie when the set does not say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
_EXISTING = click.Path(path_type=Path, exists=True)


def labelled_options(command: CommandT) -> CommandT:
    """Decorator: adds `labels`, `attribute`, `roots` and `document_root`, as `data_source.Source` takes them."""
    for option in (
        click.option("--document-root", type=_EXISTING, help="Folder that /data/local-files/?d= of a Label Studio export counts from."),
        click.option(
            "--root", "roots", multiple=True, type=_EXISTING, help="Folder in which a Label Studio export's files may lie; may be repeated."
        ),
        click.option("--attribute", help="Attribute of a vector file that holds the classes.  [default: looked for]"),
        click.option("--labels", type=_EXISTING, help="Vector file with the labels of the raster or the folder of rasters at --data."),
    ):
        command = option(command)
    return command
