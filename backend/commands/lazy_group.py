"""A group of commands that imports a command's module only when it is run or its own help is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import ClassVar

import click


class LazyGroup(click.Group):
    """So `rsiseg export` never loads torch, and `rsiseg --help` loads nothing.

    table: name -> module in this package that defines `command`, and its line in the help; in the order in which a user meets them.
    """

    table: ClassVar[Mapping[str, tuple[str, str]]] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the table's order."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, its module imported now; None for an unknown one."""
        if cmd_name not in self.table:
            return None
        return importlib.import_module(f"{__package__}.{self.table[cmd_name][0]}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in the help, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in self.table.items()])
