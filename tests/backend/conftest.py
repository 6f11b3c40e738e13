"""A server in process: pictures as the recorded requests name them, and a fake segmenter."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakeSegmenter
from harness import LABEL_STUDIO, Server
from PIL import Image

_ENTRY = """
[{}]
family = "fake"
architecture = "disk"
licence = "none"
source = "tests"
"""
REGISTRY = (
    'default = "fake"\n'
    + _ENTRY.format("fake")
    + "formula = {}\n"
    + _ENTRY.format("other")
    + "formula = { seed = 5 }\n"
    + _ENTRY.format("infrared")
    + 'formula = {}\nrecipes = [["IR", "R", "G"]]\n'
    + _ENTRY.format("absent")
    + 'file = "absent.safetensors"\n'
)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for name, (width, height) in {"sq600": (600, 600), "wide800x450": (800, 450), "small": (240, 160)}.items():
        pixels = np.random.default_rng(width).integers(0, 255, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png", compress_level=0)
    return folder


@pytest.fixture
def files(tmp_path: Path, pictures: Path) -> Path:
    """Label Studio's folder of local files with the pictures that the recorded requests name."""
    shutil.copytree(pictures, tmp_path / "files" / "imgs")
    return tmp_path / "files"


@pytest.fixture
def serve(tmp_path: Path, files: Path) -> Callable[..., Server]:
    """Starts a server with the given settings; the last one started answers (label-studio-ml has one app in a process)."""
    from backend.app import create_app
    from backend.runtime import make_runtime
    from backend.segmenters.catalogue import Catalogue
    from backend.settings import ServerSettings

    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "registry.toml").write_text(REGISTRY)
    catalogue = Catalogue(weights)

    def start(**settings: Any) -> Server:
        segmenters = {
            name: FakeSegmenter(name, version=catalogue.version(name), **made)
            for name, made in {"fake": {}, "other": {"radius": 5}, "infrared": {"recipes": (("IR", "R", "G"),)}}.items()
        }
        chosen = ServerSettings(
            data_dir=tmp_path / "data", document_root=files, roots=(files,), label_studio_url=LABEL_STUDIO, model="default", device="cpu"
        )
        runtime = make_runtime(replace(chosen, **settings), catalogue=catalogue, load=lambda one, _: segmenters[one.name])
        app = create_app(runtime=runtime)
        return Server(app.test_client(), runtime, segmenters, files)

    return start


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve()


@pytest.fixture(scope="session")
def wire(shared: Path) -> Callable[[str], Any]:
    """The JSON body of a recorded request, by the file's name without .json."""

    def body(name: str) -> Any:
        return json.loads((shared / "label_studio" / "wire" / f"{name}.json").read_text())["json"]

    return body
