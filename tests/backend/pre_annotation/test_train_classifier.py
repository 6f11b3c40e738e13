"""`rsiseg train-classifier`: for shipping, from labelled sets; for a project, from its accepted annotations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from disks import picture, truth
from PIL import Image

from backend.commands.train_classifier import command
from backend.errors import UsageError
from backend.pre_annotation.classifier import read
from backend.pre_annotation.classifiers import Classifiers
from converters.label_studio import brush_region

pytestmark = pytest.mark.usefixtures("one_thread")


def pictures(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(8)
    return [
        picture([(int(rng.integers(30, 226)), int(rng.integers(30, 226)), int(rng.integers(12, 28))) for _ in range(4)])
        for _ in range(count)
    ]


def labelled_set(folder: Path, count: int = 8) -> Path:
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number, pixels in enumerate(pictures(count)):
        Image.fromarray(pixels).save(folder / "images" / f"a{number}.png")
        Image.fromarray(((pixels[:, :, 0] > 128) * 7).astype(np.uint8)).save(folder / "labels" / f"a{number}.png")
    (folder / "classes.json").write_text(json.dumps({"classes": {"Roofs": 7}, "background": [0], "ignore": []}))
    return folder


def export(folder: Path, count: int = 6) -> Path:
    """A project's export: the disks accepted as Silo, and a key point that was left over, which is no object."""
    folder.mkdir()
    tasks: list[dict[str, Any]] = []
    for number, pixels in enumerate(pictures(count)):
        Image.fromarray(pixels).save(folder / f"b{number}.png")
        regions = [
            brush_region(place.mask, id=f"{number}-{at}", label="Silo", from_name="mask", to_name="img")
            for at, place in enumerate(truth(pixels))
        ]
        point = {"type": "keypointlabels", "value": {"x": 1, "y": 1, "width": 1, "keypointlabels": ["Silo"]}, "original_width": 256}
        regions.append({**point, "original_height": 256, "id": "p", "from_name": "click", "to_name": "img", "image_rotation": 0})
        tasks.append({"id": number + 1, "data": {"image": f"b{number}.png"}, "annotations": [{"id": number + 1, "result": regions}]})
    path = folder / "export.json"
    path.write_text(json.dumps(tasks))
    return path


def run(*given: str) -> dict[str, Any]:
    result = CliRunner().invoke(command, [*given, "--model", "vitclick_tiny", "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.strip().splitlines()[-1])


def test_both_shipped_classifiers_with_a_card_and_the_images_they_have_not_seen(tmp_path: Path) -> None:
    given = ["--data", str(labelled_set(tmp_path / "set")), "--out", str(tmp_path), "--work", str(tmp_path / "work"), "--calibrate", "1"]
    card = run(*given)
    assert card["classes"] == ["background", "building"]
    body, look = (read(Path(file)) for file in card["files"])
    assert (body.kind, look.kind) == ("body", "appearance") and body.shipped and look.shipped
    assert body.weights_of.startswith("vitclick_tiny@")
    held_out = (tmp_path / "objects_classifier.exclude.txt").read_text().split()
    assert len(held_out) == card["chips"]["held out"] >= 1
    assert json.loads((tmp_path / "objects_classifier.json").read_text()) == card
    before = [Path(file).read_bytes() for file in card["files"]]
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").iterdir()}
    run(*given)
    assert [Path(file).read_bytes() for file in card["files"]] == before, "the same seed, the same bits"
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "work").iterdir()} == kept, "nothing is computed twice"


def test_a_projects_own_from_its_accepted_annotations(tmp_path: Path) -> None:
    card = run(
        *("--data", str(export(tmp_path / "project")), "--for-project", "12", "--data-dir", str(tmp_path / "data")),
        *("--work", str(tmp_path / "work"), "--calibrate", "0"),
    )
    path = Classifiers(tmp_path / "data").path("12.1795327615")
    assert card["files"] == [str(path)]
    own = read(path)
    assert own.classes == ("Silo", "background") and not own.shipped
    assert own.knows(["Silo"]) and not own.knows(["building"])
    found = Classifiers(tmp_path / "data").of("vitclick_tiny", "12.1795327615")
    assert found is not None and found.version == own.version
    other = Classifiers(tmp_path / "data").of("ritm_hrnet18s", "12.1795327615")
    assert other is None or other.shipped, "a classifier of one model's features does not answer for another"


def test_too_little_to_learn_from_is_said(tmp_path: Path) -> None:
    project = export(tmp_path / "project", count=1)
    with pytest.raises(UsageError, match="annotate more"):
        CliRunner().invoke(
            command,
            [
                "--data",
                str(project),
                "--for-project",
                "1",
                "--data-dir",
                str(tmp_path),
                "--work",
                str(tmp_path / "w"),
                "--limit",
                "1",
                "--min-area",
                "60000",
                "--model",
                "vitclick_tiny",
            ],
            catch_exceptions=False,
        )
    for given in ([], ["--out", str(tmp_path)], ["--out", str(tmp_path), "--for-project", "1"]):
        with pytest.raises(UsageError):
            CliRunner().invoke(command, given, catch_exceptions=False)
