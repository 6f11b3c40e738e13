import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from backend.cli import cli
from backend.commands import export, up
from backend.errors import UsageError
from backend.studio.installation import Installation
from converters.errors import RasterError
from converters.label_config import parse

LABEL_CONFIGS = sorted((Path(up.__file__).parents[2] / "label_config").glob("*.xml"))


def test_welcome_tells_address_login_and_three_sentences() -> None:
    text = click.unstyle(up.welcome("http://127.0.0.1:8080", 3, "a@b.c", "secret", "rsiseg export x"))
    assert "http://127.0.0.1:8080/projects/3/data" in text
    assert "login a@b.c, password secret" in text
    assert "\nrsiseg export x\n" in text
    sentences = re.findall(r"^\d\. (.*)$", text, re.MULTILINE)
    assert len(sentences) == 3
    assert all(re.fullmatch(r"[^.]+\.", sentence) for sentence in sentences)
    assert re.search(r"Auto-Annotation.*Keep label selected.*class.*M.*Alt-click.*Accept.*Submit", text, re.DOTALL)


def test_printed_export_command_is_made_of_real_options(tmp_path: Path) -> None:
    command = up.export_command(Installation(tmp_path / "a folder"), LABEL_CONFIGS[0])
    first, second = (shlex.split(part) for part in command.replace("\\\n", "").split("&&"))
    for words, module in ((first, up), (second, export)):
        name = words.index("up" if module is up else "export")
        context = module.command.make_context("rsiseg", words[name + 1 :])
        assert context.params
    assert first[first.index("--annotations") + 1] == second[second.index("export") + 1] == str(tmp_path / "a folder" / "annotations.json")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_demo_uses_real_options() -> None:
    root = Path(up.__file__).parents[2]
    arguments = ["TILE=my tile.tif", "PORT=8123", "BACKEND_PORT=9123", "MODEL=ritm_tiny"]
    # `make test` tells the makes below it, by variables, to name the folders they enter.
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(["make", "--dry-run", "demo", *arguments], cwd=root, env=env, capture_output=True, text=True, check=True)
    words = shlex.split(done.stdout[done.stdout.index("rsiseg up") :].replace("\\\n", ""))
    given = up.command.make_context("rsiseg", words[2:]).params
    assert (given["tile"], given["port"], given["backend_port"], given["model"]) == (Path("my tile.tif"), 8123, 9123, "ritm_tiny")
    assert given["data_dir"] == Path("demo")


def test_annotations_without_a_running_studio_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no `rsiseg up` runs with"):
        CliRunner().invoke(cli, ["up", "--data-dir", str(tmp_path), "--annotations", str(tmp_path / "a.json")], catch_exceptions=False)
    assert not (tmp_path / "a.json").exists()


def test_missing_tile_ends_before_anything_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("started something"))
    with pytest.raises(RasterError, match="there is no raster"):
        CliRunner().invoke(cli, ["up", "--data-dir", str(tmp_path), str(tmp_path / "absent.tif")], catch_exceptions=False)


def test_missing_label_config_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no labelling interface"):
        CliRunner().invoke(cli, ["up", "--data-dir", str(tmp_path), "--label-config", str(tmp_path / "no.xml")], catch_exceptions=False)


@pytest.mark.parametrize("path", LABEL_CONFIGS, ids=lambda path: path.stem)
def test_label_config_asks_by_key_point_alone_and_paints_visibly(path: Path) -> None:
    config = parse(path.read_text())
    # `smart` is on for every tag that does not say otherwise.
    assert all(control.attributes.get("smart") in ("true", "false") for control in config.controls)
    assert config.objects
    for image in config.objects:
        own = [control for control in config.controls if control.to_name == image.name]
        smart = [control for control in own if control.smart]
        assert {control.type for control in smart} == {"KeyPointLabels"}
        assert len(smart) == 1 or path.stem == "choose-model"
        (target,) = [control for control in own if control.type in ("BrushLabels", "PolygonLabels")]
        assert target.labels == smart[0].labels
        assert len(set(target.labels.values())) == len(target.labels)
        assert_visible(target.labels.values())


def assert_visible(colours: Iterable[str | None]) -> None:
    for colour in colours:
        red, green, blue = bytes.fromhex(str(colour)[1:])
        assert max(red, green, blue) - min(red, green, blue) > 150, f"{colour} is too grey to be seen on a roof"
