"""Settings come from the environment, projects and tags; secrets are never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.errors import UsageError
from backend.project_store import ProjectStore, read_extra_params
from backend.settings import ServerSettings, settings_from
from backend.tag_settings import prediction_settings


def test_nothing_set_is_the_default() -> None:
    assert settings_from({}) == ServerSettings()


def test_every_variable_is_read(tmp_path: Path) -> None:
    roots = [tmp_path / "a", tmp_path / "b"]
    for root in roots:
        root.mkdir()
    environment = {
        "RSISEG_HOST": "0.0.0.0", "RSISEG_PORT": "1", "RSISEG_WORKERS": "2", "RSISEG_THREADS": "3", "RSISEG_MODEL": "m",
        "RSISEG_DEVICE": "cpu", "RSISEG_DATA_DIR": "d", "RSISEG_ROOT": f"{roots[0]}:{roots[1]}", "RSISEG_DOCUMENT_ROOT": str(tmp_path),
        "RSISEG_LABEL_STUDIO_URL": "http://ls", "RSISEG_ALLOW_ORIGIN": "http://a https://b", "LABEL_STUDIO_API_KEY": "key",
        "RSISEG_BASIC_AUTH_USER": "ann", "RSISEG_BASIC_AUTH_PASSWORD": "pwd", "RSISEG_CACHE_MB": "5",
        "RSISEG_DISK_CACHE_MB": "0", "RSISEG_WARM_TASKS": "4",
    }  # fmt: skip
    assert settings_from(environment) == ServerSettings(
        host="0.0.0.0", port=1, workers=2, threads=3, model="m", device="cpu", data_dir=Path("d"), roots=tuple(roots),
        document_root=tmp_path, label_studio_url="http://ls", allowed_origins=("http://a", "https://b"), api_key="key",
        basic_auth_user="ann", basic_auth_password="pwd", cache_mb=5, disk_cache_mb=0, warm_tasks=4,
    )  # fmt: skip


def test_label_studios_own_variables_serve_too(tmp_path: Path) -> None:
    settings = settings_from({"LABEL_STUDIO_URL": "http://ls", "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(tmp_path)})
    assert (settings.label_studio_url, settings.document_root) == ("http://ls", tmp_path)


def test_secrets_are_not_shown() -> None:
    shown = repr(ServerSettings(api_key="s3cr3t", basic_auth_user="ann", basic_auth_password="s3cr3t"))
    assert "s3cr3t" not in shown


@pytest.mark.parametrize(
    "environment",
    [
        {"RSISEG_PORT": "x"},
        {"RSISEG_WORKERS": "0"},
        {"RSISEG_CACHE_MB": "-1"},
        {"RSISEG_DISK_CACHE_MB": "-1"},
        {"RSISEG_WARM_TASKS": "-1"},
        {"RSISEG_ROOT": "/nowhere/at/all"},
        {"RSISEG_BASIC_AUTH_PASSWORD": "x"},
    ],
)
def test_a_value_that_is_none_is_named(environment: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        settings_from(environment)


@pytest.mark.parametrize(
    ("tag", "project", "expected"),
    [
        ({}, {}, (None, None, None)),
        ({}, {"name": "p", "output": "polygon", "bands": "RGB"}, ("p", "polygon", ("R", "G", "B"))),
        ({"model_name": "t"}, {"name": "p", "output": "polygon"}, ("t", "polygon", None)),
        ({"model_name": "", "model_output": "brush"}, {"name": "p", "output": "polygon"}, ("p", "brush", None)),
        ({"model_bands": "NIR,R,G", "model_cfr": "off", "smart": "true"}, {}, (None, None, ("IR", "R", "G"))),
    ],
)
def test_the_tag_beats_the_project(tag: dict[str, str], project: dict[str, str], expected: tuple) -> None:
    settings = prediction_settings(tag, project)
    assert (settings.model, settings.output, settings.recipe) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, {}), ("", {}), ("  ", {}), ({}, {}), ("null", {}),
        ({"model": "m"}, {"name": "m"}), ('{"model_name": "m", "model_output": "brush"}', {"name": "m", "output": "brush"}),
        ({"cfr": 4, "token": "t", "device": "cpu"}, {"cfr": "4"}),
    ],
)  # fmt: skip
def test_extra_params_are_an_object_or_a_text_that_holds_one(value: object, expected: dict[str, str]) -> None:
    assert read_extra_params(value) == expected


def test_the_store_writes_whole_files_and_only_when_something_changed(tmp_path: Path) -> None:
    store = ProjectStore(tmp_path)
    assert store.get("1.2") == {}
    store.put("1.2", {})
    assert not (tmp_path / "projects").exists()
    store.put("1.2", {"name": "m"})
    path = tmp_path / "projects" / "1.2.json"
    before = path.stat().st_mtime_ns, path.stat().st_ino
    store.put("1.2", {"name": "m"})
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    assert ProjectStore(tmp_path).get("1.2") == {"name": "m"}
    assert [file.name for file in path.parent.iterdir()] == ["1.2.json"]


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"', '{"name": 7, "token": "t"}'])
def test_a_damaged_file_counts_as_no_settings(tmp_path: Path, content: str) -> None:
    (tmp_path / "projects").mkdir()
    (tmp_path / "projects" / "1.2.json").write_text(content)
    assert ProjectStore(tmp_path).get("1.2") == {}
