"""`rsiseg`: finds the command, imports only that one, and turns errors into one sentence and an exit code."""

from __future__ import annotations

import importlib
import sys

import click

from converters.errors import RSISegError

# name -> module in backend.commands that defines `command`
COMMANDS = {
    "up": "up",
    "serve": "serve",
    "import": "import_rasters",
    "export": "export",
    "bench": "bench",
    "train": "train",
    "parity": "parity",
    "weights": "weights",
}


class LazyGroup(click.Group):
    """Imports a command's module when it is run or its help is asked for, so that `rsiseg export` never loads torch."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which a user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, its module imported now; None for an unknown one."""
        if cmd_name not in COMMANDS:
            return None
        return importlib.import_module(f"backend.commands.{COMMANDS[cmd_name]}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `rsiseg --help`, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, SUMMARIES[name]) for name in COMMANDS])


# Kept beside the table so that `rsiseg --help` needs no command's imports; tests/backend/test_cli.py compares them with the commands.
SUMMARIES = {
    "up": "Label Studio and the backend together on this machine, a project ready.",
    "serve": "The ML backend for an existing Label Studio.",
    "import": "Rasters to display chips and Label Studio tasks.",
    "export": "A Label Studio export to georeferenced features.",
    "bench": "How many clicks each model needs on labelled data.",
    "train": "Train or fine-tune a model on labelled data.",
    "parity": "Compare the networks with recorded outputs of the originals.",
    "weights": "Weights: list them, convert the authors' files, fetch them.",
}


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
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
