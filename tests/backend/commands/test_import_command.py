"""`rsiseg import` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

from backend.commands.import_rasters import command
from converters.errors import RasterError


@pytest.fixture
def raster(tmp_path: Path) -> Path:
    path = tmp_path / "tile.tif"
    with rasterio.open(path, "w", driver="GTiff", count=3, height=70, width=50, dtype="uint8") as dataset:
        dataset.write(np.random.default_rng(0).integers(0, 256, (3, 70, 50)).astype(np.uint8))
    return path


def test_the_summary_as_json_is_the_only_thing_on_standard_output(raster: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(command, [str(raster), "--out", str(tmp_path / "out"), "--chip", "32", "--json"])
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert (summary["chips"], summary["failed"]) == (6, [])
    assert summary["rasters"][0]["crs_source"] == "none"
    assert len(json.loads(Path(summary["tasks"]).read_text())) == 6
    assert "chips" in result.stderr


def test_the_document_root_is_the_folder_above_unless_label_studio_says_otherwise(
    raster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def image() -> str:
        result = CliRunner().invoke(command, [str(raster), "--out", str(tmp_path / "files" / "out")])
        assert result.exit_code == 0, result.output
        return json.loads((tmp_path / "files" / "out" / "tasks.json").read_text())[0]["data"]["image"]

    monkeypatch.delenv("LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT", raising=False)
    assert image().startswith("/data/local-files/?d=out/chips/")
    monkeypatch.setenv("LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT", str(tmp_path))
    assert image().startswith("/data/local-files/?d=files/out/chips/")


def test_a_failure_is_an_error_even_when_others_were_imported(raster: Path, tmp_path: Path) -> None:
    (tmp_path / "text.tif").write_text("no raster")
    result = CliRunner().invoke(command, [str(raster), str(tmp_path / "text.tif"), "--out", str(tmp_path / "out"), "--json"])
    assert isinstance(result.exception, RasterError)
    assert "not a raster" in str(result.exception)
    assert len(json.loads(result.stdout)["rasters"]) == 1
    assert (tmp_path / "out" / "tasks.json").is_file()


def test_the_words_on_the_screen_name_bands_and_crs_and_the_next_step(raster: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(command, [str(raster), "--out", str(tmp_path / "out"), "--bands", "IRRG"])
    assert "1 chip, 50 x 70 px, uint8, IRRG (given), no CRS" in result.stdout
    assert "exported in pixels only" in result.stdout
    assert "local storage" in result.stdout
