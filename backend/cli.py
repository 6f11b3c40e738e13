"""`rsiseg`: finds the command, imports only that one, and turns errors into one sentence and an exit code."""

from __future__ import annotations

import sys
from typing import ClassVar

import click

from backend.commands.lazy_group import LazyGroup
from converters.errors import RSISegError


class Commands(LazyGroup):
    """The commands of `rsiseg`."""

    table: ClassVar = {
        "up": ("up", "Label Studio and the backend together on this machine, a project ready."),
        "serve": ("serve", "The ML backend for an existing Label Studio."),
        "doctor": ("doctor", "Check Label Studio and the backend, both ways."),
        "import": ("import_rasters", "Rasters to display chips and Label Studio tasks."),
        "export": ("export", "A Label Studio export to georeferenced features."),
        "stats": ("stats", "The clicks of a team's accepted objects, by class and model."),
        "label-config": ("label_config", "A labelling interface for your own classes and colours."),
        "bench": ("bench", "How many clicks each model needs on labelled data."),
        "preannotate": ("preannotate", "Propose objects for a survey, overnight, before anyone clicked."),
        "train-classifier": ("train_classifier", "Train what tells the classes of proposed objects."),
        "train": ("train", "Train or fine-tune a model on labelled data."),
        "worker": ("worker", "Learn from what annotators accept, beside the server."),
        "versions": ("versions", "Versions of projects' weights: list them, roll back, promote."),
        "parity": ("parity", "Compare the networks with recorded outputs of the originals."),
        "weights": ("weights", "Weights: list them, convert the authors' files, fetch them."),
    }


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rsiseg")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Click segmentation of aerial imagery inside Label Studio."""


def main() -> None:
    """Entry point: exit code 0 only on success, 1 for an error with a message, 2 for a wrong command line."""
    try:
        cli(standalone_mode=True)
    except RSISegError as error:
        if "--debug" in sys.argv:
            raise
        click.echo(f"rsiseg: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
