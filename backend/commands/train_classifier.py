"""`rsiseg train-classifier`: which class a proposed object is, and what its score is worth."""

from __future__ import annotations

import json
from pathlib import Path

import click

from backend.errors import UsageError


@click.command("train-classifier")
@click.option(
    "--data", "data", multiple=True, type=click.Path(path_type=Path, exists=True), help="Labelled set (as for bench); repeatable."
)
@click.option("--for-project", type=int, help="Keep it for this project of Label Studio, in its own class names, instead of --out.")
@click.option("--url", help="Label Studio's address, to fetch the project's annotations from without --data. [default: LABEL_STUDIO_URL]")
@click.option("--root", "roots", multiple=True, type=click.Path(path_type=Path), help="Folder of an export's rasters; may be repeated.")
@click.option("--document-root", type=click.Path(path_type=Path), help="Folder that /data/local-files/?d= of an export counts from.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="The server's data folder, with --for-project. [default: as for serve]")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for the shipped classifiers (weights/).")
@click.option("--model", default="default", show_default=True, help="Click model whose features it reads.")
@click.option("--exclude", multiple=True, type=click.Path(path_type=Path, exists=True), help="Text file of image names to leave out.")
@click.option("--scenes", type=click.IntRange(0), default=0, show_default=True, help="Procedural scenes to learn from beside --data.")
@click.option("--limit", type=click.IntRange(1), help="Training chips of each set, drawn with --seed.  [default: all]")
@click.option("--calibrate", type=click.IntRange(0), default=40, show_default=True, help="Chips on which scores are calibrated.")
@click.option("--min-area", type=click.IntRange(1), default=30, show_default=True, help="Smallest object, px.")
@click.option("--work", type=click.Path(path_type=Path, file_okay=False), default=Path("runs/classifier"), show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--threads", type=click.IntRange(1), help="CPU threads [all].")
@click.option("--json", "as_json", is_flag=True, help="Print the card on standard output.")
def command(
    data: tuple[Path, ...],
    for_project: int | None,
    url: str | None,
    roots: tuple[Path, ...],
    document_root: Path | None,
    data_dir: Path | None,
    out: Path | None,
    model: str,
    exclude: tuple[Path, ...],
    scenes: int,
    limit: int | None,
    calibrate: int,
    min_area: int,
    work: Path,
    seed: int,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Train the object classifier of pre-annotation from labelled data, or from a project's accepted annotations.

    With --out, classes of the sets are brought to common words, one image in eight is held out as for `rsiseg train`, and scores are
    calibrated on training chips that the classifier has not seen. With --for-project, --data is a JSON export of the project (without it,
    the annotations are fetched from Label Studio), and its own classes are learned. Stopped with Ctrl-C, the same command goes on: what
    a chip costs is kept in --work.
    """
    import torch

    from backend.pre_annotation.training_order import Order, carry_out
    from backend.settings import settings_from

    if (out is None) == (for_project is None):
        raise UsageError("expected --out for classifiers to be shipped, or --for-project with a project's number; give one of them")
    settings = settings_from()
    if not data and for_project is not None:
        data = (_fetched(for_project, url or settings.label_studio_url, settings.api_key, work),)
    if not data:
        raise UsageError("no --data; expected labelled sets; give at least one")
    if threads is not None:
        torch.set_num_threads(threads)
    if scenes:
        from backend.pre_annotation.scene_set import scene_set

        data = (*data, scene_set(work / "scenes", scenes))
    names = frozenset(name for path in exclude for name in path.read_text(encoding="utf-8").split())
    folder = data_dir or settings.data_dir
    card = carry_out(
        Order(
            data,
            for_project,
            folder,
            out,
            model,
            names,
            limit,
            calibrate,
            min_area,
            work,
            seed,
            device,
            roots or settings.roots,
            document_root or settings.document_root,
        )
    )
    click.echo(json.dumps(card) if as_json else f"wrote {', '.join(card['files'])}: {', '.join(card['classes'])}")


def _fetched(project: int, url: str | None, token: str | None, folder: Path) -> Path:
    """The project's annotations as Label Studio exports them, in a file of `folder`."""
    from backend.studio.api import Api
    from converters.label_studio_access import LabelStudioAccess
    from converters.whole_file import replacing

    if url is None:
        raise UsageError("no --data and no address of Label Studio; expected an export, or --url or LABEL_STUDIO_URL; give one")
    api = Api(LabelStudioAccess(url, token or ""))
    path = folder / f"project-{project}.json"
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as aside:

        def fetch() -> None:
            with aside.open("wb") as file:
                api.save(f"/api/projects/{project}/export", [("exportType", "JSON")], file.write)

        api.patiently(fetch)
    return path
