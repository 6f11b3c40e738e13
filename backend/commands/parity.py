"""`rsiseg parity`: do our networks compute what the originals computed?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from tqdm import tqdm

from backend.errors import UsageError

if TYPE_CHECKING:
    from backend.evaluation.parity import Check


@click.command(name="parity")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON array on standard output, an element per fixture and stage.")
@click.option("--only", metavar="NAME", help="Run this fixture alone.")
@click.pass_context
def command(context: click.Context, folder: Path, as_json: bool, only: str | None) -> None:
    """Compare the networks with recorded outputs of the originals.

    DIR holds fixtures in the format of reference/fixtures/README.md. Exits with 0 if no stage differs by more than its tolerance.
    """
    from backend.evaluation.parity import fixture_names
    from backend.parity_run import check_fixture  # loads torch, only when it runs

    names = fixture_names(folder)
    if only is not None and only not in names:
        raise UsageError(f"{folder} has no fixture '{only}'; it has {', '.join(names)}; use one of those")
    checks: list[Check] = []
    for name in tqdm([only] if only else names, desc="parity", unit="fixture", disable=None):
        for check in check_fixture(folder, name):
            checks.append(check)
            if not as_json:
                tqdm.write(_line(check))
    failed = sum(check.ok is False for check in checks)
    if as_json:
        click.echo(json.dumps([check.as_json() for check in checks], indent=1))
    else:
        passed, skips = sum(check.ok is True for check in checks), sum(check.ok is None for check in checks)
        click.echo(f"{passed} stages agree, {failed} differ, {skips} not supported yet")
    context.exit(1 if failed else 0)


def _line(check: Check) -> str:
    """One stage for people: verdict, place, difference, reason."""
    verdict = {True: "ok  ", False: "FAIL", None: "skip"}[check.ok]
    numbers = f" {check.max_abs:.2g} (tolerance {check.tolerance:g})" if check.max_abs is not None and check.tolerance is not None else ""
    return f"{verdict} {check.fixture} {check.stage}{numbers}{': ' + check.reason if check.reason else ''}"
