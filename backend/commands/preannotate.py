"""`rsiseg preannotate`: proposals for all tasks of a project, or of an import before it is uploaded."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from backend.errors import UsageError
from converters.whole_file import write_whole

_PATH = click.Path(path_type=Path)
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
INTERRUPTED = 130  # as shells call a program ended by Ctrl-C


@click.command("preannotate")
@click.argument("tasks", required=False, type=_FILE)
@click.option("--project", type=int, help="Number of a project of Label Studio; the token comes from LABEL_STUDIO_API_KEY.")
@click.option("--url", help="Label Studio's address. [default: LABEL_STUDIO_URL]")
@click.option("--out", type=_PATH, help="With TASKS: the copy of it with predictions. [default: TASKS with .predicted.json]")
@click.option("--label-config", type=_FILE, help="With TASKS: the labelling interface (XML). [default: aerial.xml]")
@click.option("--model", help="Click model. [default: the project's, else the server's]")
@click.option("--bands", help="Bands it is given, such as IRRG. [default: the project's, else the model's choice]")
@click.option("--min-score", type=click.FloatRange(0, 1), help="Least score of a proposal. [default: the project's, else 0.25]")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes on this machine.")
@click.option("--cluster", help="Address of a Dask scheduler, or local:N, instead of --workers.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option("--precision", help="auto, fp32, mixed or bf16. [default: auto]")
@click.option(
    "--data-dir", type=_PATH, help="The server's data folder: projects' settings, weights and classifiers. [default: as for serve]"
)
@click.option("--root", "roots", type=_PATH, multiple=True, help="Folder that rasters may be read from; may be repeated.")
@click.option("--document-root", type=_PATH, help="Label Studio's folder of local files, where it is readable here.")
@click.option("--ledger", type=_PATH, help="File of what is done. [default: in the data folder, or beside --out]")
@click.option("--json", "as_json", type=_PATH, help="Write the report as JSON; - for standard output.")
def command(tasks: Path | None, project: int | None, as_json: Path | None, **options: Any) -> None:
    """Propose objects for every task that has no proposals of this version yet.

    With --project, predictions are uploaded as they come. With TASKS, the tasks.json of `rsiseg import`, a copy of it is written whose
    tasks bring their predictions along. Stopped by Ctrl-C or killed, the same command goes on where it stopped.
    """
    if (tasks is None) == (project is None):
        found = "neither TASKS nor --project" if tasks is None else "both TASKS and --project"
        raise UsageError(f"{found} was given; expected the tasks.json of an import, or the number of a project; give one of them")
    try:
        said = _of_project(project, options) if project is not None else _of_file(_given(tasks), options)
    except KeyboardInterrupt:
        click.echo("rsiseg: stopped; what is done is kept, the same command goes on", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
    from backend.survey.survey_report import text

    if as_json is not None and str(as_json) == "-":
        click.echo(json.dumps(said))
        return
    if as_json is not None:
        write_whole(as_json, json.dumps(said, indent=1) + "\n")
    click.echo(text(said))


def _given(tasks: Path | None) -> Path:
    assert tasks is not None  # checked by the command
    return tasks


def _settings(options: dict[str, Any], home: tuple[Path, ...] = ()) -> Any:
    from backend.settings import settings_from

    names = ("data_dir", "document_root", "precision")
    given = {name: options[name] for name in names if options[name] is not None}
    settings = settings_from(os.environ)
    roots = (*(options["roots"] or settings.roots), *home)
    # No encodings on disk: a survey's are used once. No mode: who runs this wants proposals.
    return replace(
        settings, **given, roots=roots, propose="on", disk_cache_mb=0, label_studio_url=options["url"] or settings.label_studio_url
    )


def _params(options: dict[str, Any], kept: dict[str, str]) -> dict[str, str]:
    given = {"name": options["model"], "bands": options["bands"], "propose_score": options["min_score"]}
    return {**kept, **{name: str(value) for name, value in given.items() if value is not None}, "propose": "on"}


def _work(settings: Any, name: str, config: str, options: dict[str, Any], kept: dict[str, str]) -> tuple[Any, str]:
    """The work, and the version of its predictions."""
    from backend.survey.survey_work import SurveyWork

    params = _params(options, kept)
    work = SurveyWork(replace(settings, api_key=None), name, config, params, options["device"])
    return work, work.runtime().prediction_version(params, name)


def _of_project(project: int, options: dict[str, Any]) -> dict[str, Any]:
    from backend.project_store import ProjectStore
    from backend.studio.api import Api
    from backend.survey.project_predictions import Uploads, project_of, tasks_of
    from backend.survey.survey_report import report
    from backend.survey.survey_run import Survey
    from backend.survey.survey_work import SurveyTask
    from converters.label_studio_access import LabelStudioAccess

    settings = _settings(options)
    if settings.label_studio_url is None:
        raise UsageError("no address of Label Studio; expected --url or LABEL_STUDIO_URL, such as http://localhost:8080; give one")
    access = LabelStudioAccess(settings.label_studio_url, settings.api_key or "")
    api = Api(access)
    name, config = project_of(api, project)
    work, version = _work(settings, name, config, options, ProjectStore(settings.data_dir).get(name))
    with tqdm(desc="tasks", unit="task", disable=None, leave=False) as bar:

        def told(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        there = tasks_of(api, project, version, told)
    ledger = options["ledger"] or settings.data_dir / "surveys" / f"project-{project}.jsonl"
    tasks = [SurveyTask(str(task["id"]), task) for task in there.waiting]
    survey = Survey(work, tasks, version, ledger, options["workers"], options["cluster"])
    with Uploads(access, project).opened() as uploads:
        results, uploaded = survey.carry_out(uploads)
    return report(results, version=version, known=there.known, uploaded=uploaded)


def _of_file(tasks: Path, options: dict[str, Any]) -> dict[str, Any]:
    from backend.survey.survey_report import report
    from backend.survey.survey_run import Survey
    from backend.survey.task_file_predictions import tasks_in, write_with_predictions

    out = options["out"] or tasks.with_suffix(".predicted.json")
    if out.resolve() == tasks.resolve():
        raise UsageError(f"--out is {tasks} itself; expected another file, the tasks stay as they are; name one")
    config = options["label_config"] or Path(__file__).resolve().parents[2] / "label_config" / "aerial.xml"
    work, version = _work(_settings(options, (tasks.parent.resolve(),)), "", config.read_text(encoding="utf-8"), options, {})
    ledger = options["ledger"] or out.with_suffix(".partial.jsonl")
    results, _ = Survey(work, tasks_in(tasks), version, ledger, options["workers"], options["cluster"]).carry_out()
    write_with_predictions(tasks, out, {one.key: one.prediction for one in results if one.prediction is not None}, version)
    return report(results, version=version, known=0, uploaded=None)
