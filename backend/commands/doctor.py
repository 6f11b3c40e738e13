"""`rsiseg doctor`: whether Label Studio and the backend can work together, and what to do where they cannot."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from backend.settings import ServerSettings
    from backend.studio.checks.finding import Finding

_FOLDER = click.Path(path_type=Path)
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red", "skipped": None}


@click.command(
    epilog="Settings are read from the environment as `rsiseg serve` reads them, so run it where the backend runs. The token comes from "
    "LABEL_STUDIO_API_KEY only, the backend's password from RSISEG_BASIC_AUTH_USER and RSISEG_BASIC_AUTH_PASSWORD only."
)
@click.option("--label-studio-url", help="Label Studio's address. [default: LABEL_STUDIO_URL]")
@click.option("--backend-url", help="The backend's address from here. [default: http://RSISEG_HOST:RSISEG_PORT, http://127.0.0.1:9090]")
@click.option("--project", type=click.IntRange(1), help="Number of the project. [default: the only one]")
@click.option("--root", "roots", type=_FOLDER, multiple=True, help="Folder of rasters, as for `rsiseg serve`; may be repeated.")
@click.option("--document-root", type=_FOLDER, help="Label Studio's folder of local files, as for `rsiseg serve`.")
@click.option("--tasks", type=click.IntRange(1, 100), default=5, show_default=True, help="How many of the project's tasks to look at.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output, when all is done.")
def command(
    label_studio_url: str | None,
    backend_url: str | None,
    project: int | None,
    roots: tuple[Path, ...],
    document_root: Path | None,
    tasks: int,
    as_json: bool,
) -> None:
    """Check Label Studio and the backend, both ways.

    A line for each check, in an order in which each stands on those before it; what fails says what to do. Nothing is changed or stored.
    Exit code 1 when a check failed.
    """
    from backend.studio.checks.examination import examine
    from backend.studio.checks.folders import settings_with_folders
    from backend.studio.checks.notes import Question
    from converters.origins import parse_origin

    settings, missing = settings_with_folders(os.environ, roots, document_root)
    settings = replace(settings, label_studio_url=(label_studio_url or settings.label_studio_url or "").rstrip("/") or None)
    url = (backend_url or _own_address(settings)).rstrip("/")
    for address in filter(None, (url, settings.label_studio_url)):
        parse_origin(address)  # raises for one that is none
    findings: list[Finding] = []
    for finding in examine(Question(settings, url, missing, project, tasks)):
        shown = _without_secrets(finding, settings)
        findings.append(shown)
        if not as_json:
            _tell(shown)
    counts = Counter(finding.verdict.status for finding in findings)
    if as_json:
        checks = [{"check": finding.name, **asdict(finding.verdict)} for finding in findings]
        click.echo(json.dumps({"ok": not counts["fail"], "checks": checks}, indent=1, ensure_ascii=False))
    else:
        click.echo(", ".join(f"{counts[status]} {status}" for status in _COLOURS if counts[status]))
    if counts["fail"]:
        raise SystemExit(1)


def _own_address(settings: ServerSettings) -> str:
    """Where `rsiseg serve` would listen, as it is reached from the same machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - read, not listened on
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _without_secrets(finding: Finding, settings: ServerSettings) -> Finding:
    """The finding, should another program's message in it repeat what it was sent."""
    verdict = finding.verdict
    for secret in filter(None, (settings.api_key, settings.basic_auth_password)):
        verdict = replace(verdict, found=verdict.found.replace(secret, "***"), todo=verdict.todo.replace(secret, "***"))
    return replace(finding, verdict=verdict)


def _tell(finding: Finding) -> None:
    verdict = finding.verdict
    click.echo(f"{click.style(f'{verdict.status:<8}', fg=_COLOURS[verdict.status])}{finding.name}: {verdict.found}")
    if verdict.todo:
        click.echo(f"{'':<8}-> {verdict.todo}")
