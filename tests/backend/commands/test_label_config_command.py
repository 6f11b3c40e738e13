"""`rsiseg label-config` writes an interface whole or says why not, without torch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from backend.commands.label_config import command
from backend.errors import UsageError
from converters.errors import RSISegError
from converters.label_config import parse


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(one) for one in arguments])


def test_classes_come_from_the_command_line_or_from_a_set(tmp_path: Path) -> None:
    classes = tmp_path / "classes.json"
    classes.write_text(json.dumps({"classes": {"roof": 1, "road": [1, 2, 3]}, "ignore": [0]}))
    for arguments in (("--classes", "roof,road"), ("--classes", "roof", "--classes", "road"), ("--classes-from", classes)):
        config = parse(run(*arguments).stdout)
        assert [list(tag.labels) for tag in config.controls] == [["roof", "road"]] * 2


def test_every_option_reaches_the_interface(tmp_path: Path) -> None:
    out = tmp_path / "new" / "ours.xml"
    done = run(
        "--classes", "roof=#ff0044", "--shape", "both", "--choose-model", "sam_vit_b", "--two-views", "--model", "default", "--out", out
    )
    assert done.exit_code == 0, done.output
    config = parse(out.read_text())
    assert [one.name for one in config.objects] == ["image", "infrared"]
    assert {tag.type for tag in config.controls} == {"KeyPointLabels", "BrushLabels", "PolygonLabels"}
    assert config.colours()["roof"] == "#ff0044"
    assert [path.name for path in out.parent.iterdir()] == ["ours.xml"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no classes"),
        (("--classes", "a", "--classes-from", "x.json"), "two places"),
        (("--classes", "a,a"), "named twice"),
        (("--classes", "a", "--model", "nothing"), "no model of the registry"),
        (("--classes", "a", "--choose-model", "sam_vit_b", "--choose-model", "sam_vit_b"), "twice"),
        (("--classes-from", "absent.json"), "names no classes"),
    ],
)
def test_what_is_refused_is_refused_in_a_sentence(arguments: tuple[str, ...], said: str) -> None:
    error = run(*arguments).exception
    assert isinstance(error, RSISegError), error
    assert said in str(error)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    error = run("--classes", "a", "--out", tmp_path / "file" / "x.xml").exception
    assert isinstance(error, UsageError)
    assert "change --out" in str(error)
