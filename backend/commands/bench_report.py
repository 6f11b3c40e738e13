"""`rsiseg bench report`: tables and figures from the results of bench, the study's numbers beside them."""

from __future__ import annotations

import json
from pathlib import Path

import click

from backend.errors import UsageError


@click.command(name="report", short_help="Tables and figures from results, the study's numbers beside them.")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder for report.md and its figures.")
@click.option(
    "--fine-tuned",
    "tuned",
    multiple=True,
    metavar="BEFORE=AFTER",
    help="AFTER was trained from BEFORE; both as --model named them, without +cfr. May be repeated.",
)
@click.option(
    "--study-set",
    type=click.Choice(("PRGB", "PRGIR", "PRGBIR", "VRGIR")),
    help="Compare with this set of the study. [default: found from an ISPRS tree and its bands]",
)
@click.option("--json", "as_json", is_flag=True, help="What was written, and every comparison with the study, as JSON.")
def command(*, results: tuple[Path, ...], out: Path, tuned: tuple[str, ...], study_set: str | None, as_json: bool) -> None:
    """Write report.md and figures for the JSON files that bench wrote.

    Results over the same objects are compared with each other; one model in two versions of its weights is shown before and after, the
    earlier file first. Where data set and model are those of the study, its published numbers stand beside ours, with the difference.
    """
    from backend.evaluation.bench_report import write_report
    from backend.evaluation.bench_results import load_results

    written = write_report(load_results(results), _pairs(tuned), out, study_set)
    if as_json:
        click.echo(json.dumps(written, indent=1))
        return
    for title, best in written["best"].items():
        click.echo(f"{title}: {best} needs the fewest clicks to 90 %")
    click.echo(f"wrote {out / 'report.md'} and {len(written['files']) - 1} figures")


def _pairs(texts: tuple[str, ...]) -> dict[str, str]:
    """AFTER -> BEFORE."""
    pairs: dict[str, str] = {}
    for text in texts:
        before, equals, after = text.partition("=")
        if not (before and equals and after):
            raise UsageError(f"--fine-tuned {text} is no pair; expected BEFORE=AFTER, two names that --model was given")
        pairs[after] = before
    return pairs
