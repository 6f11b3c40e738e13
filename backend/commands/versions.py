"""`rsiseg versions`: what a project's annotations made of its weights, and which of it answers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from backend.errors import UsageError
from backend.learning.versions import SHIPPED, Version, Versions
from backend.settings import settings_from


def _versions(data_dir: Path | None) -> Versions:
    settings = settings_from()
    return Versions((settings if data_dir is None else replace(settings, data_dir=data_dir)).data_dir)


_DATA_DIR = click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="The server's folder. [default: rsiseg-data]")
_JSON = click.option("--json", "as_json", is_flag=True, help="Machine-readable, on standard output.")


@click.group("versions")
def command() -> None:
    """Versions of projects' weights: list them, go back to an earlier one, choose one. Servers switch between two clicks."""


@command.command("list")
@click.option("--project", type=click.IntRange(1), help="Of this project alone.")
@_DATA_DIR
@_JSON
def list_versions(project: int | None, data_dir: Path | None, as_json: bool) -> None:
    """All versions, with what judged them."""
    versions = _versions(data_dir)
    rows = [_row(versions, one) for number in versions.projects() if project in (None, number) for one in versions.of(number)]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    if not rows:
        click.echo(f"no versions in {versions.folder}: the shipped models answer")
    for row in rows:
        origin = f"v{row['parent']}" if row["parent"] else "shipped"
        mark = "*" if row["current"] else " "
        click.echo(f"{mark} project {row['project']}  v{row['version']:<3} from {origin}  {row['made']}  {_clicks(row)}")


@command.command("rollback")
@click.option("--project", type=click.IntRange(1), help="Of this project; not needed where only one has versions.")
@click.option(
    "--to", type=click.IntRange(SHIPPED), help="This version; 0 for the shipped weights. [default: the parent of the current one]"
)
@_DATA_DIR
@_JSON
def rollback(project: int | None, to: int | None, data_dir: Path | None, as_json: bool) -> None:
    """Answer with the version before the current one."""
    versions = _versions(data_dir)
    project = _the_project(versions, project)
    _say(project, versions.roll_back(project, to), as_json)


@command.command("promote")
@click.argument("number", type=click.IntRange(SHIPPED))
@click.option("--project", type=click.IntRange(1), help="Of this project; not needed where only one has versions.")
@_DATA_DIR
@_JSON
def promote(number: int, project: int | None, data_dir: Path | None, as_json: bool) -> None:
    """Answer with version NUMBER, 0 for the shipped weights."""
    versions = _versions(data_dir)
    project = _the_project(versions, project)
    versions.promote(project, number)
    _say(project, number, as_json)


def _the_project(versions: Versions, project: int | None) -> int:
    if project is not None:
        return project
    known = versions.projects()
    if len(known) == 1:
        return known[0]
    found = ", ".join(map(str, known)) or "none"
    raise UsageError(f"no project was named; those with versions in {versions.folder} are {found}; add --project NUMBER")


def _row(versions: Versions, one: Version) -> dict[str, Any]:
    current = versions.current(one.project)
    return {
        **one.about,
        "version": one.number,
        "current": current is not None and current.number == one.number,
        "weights": str(one.weights),
    }


def _clicks(row: dict[str, Any]) -> str:
    judged = row.get("held out")
    if not isinstance(judged, dict):
        return row["model"]
    low, high = judged["interval"] or (0.0, 0.0)
    return f"{judged['difference']:+.2f} clicks ({low:+.2f} to {high:+.2f}) on {judged['objects']} held-out objects"


def _say(project: int, number: int, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"project": project, "current": number}))
    else:
        click.echo(f"project {project} is answered by {f'version {number}' if number else 'the shipped weights'} from the next click on")
