"""docker-compose.yml and Dockerfile against the Compose schema and the code. They cannot be run here; what they say can be compared."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from backend.commands import import_rasters, serve
from backend.settings import ServerSettings, settings_from
from backend.studio.environment import VERSION
from backend.studio.installation import Installation
from backend.studio.label_studio_server import label_studio_environ

ROOT = Path(__file__).resolve().parents[1]
BACKENDS = ("backend", "backend-gpu")
SECRET = re.compile(r"\$\{[A-Z_]+:\?[^}]+\}")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def dockerfile() -> list[tuple[str, str]]:
    """(instruction, the rest), continued lines joined."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    return [(instruction, rest) for instruction, rest in lines]


def mounts(service: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """Folder in the container -> (what is mounted, whether read-only). The source may hold a colon of its own: ${NAME:-default}."""
    parts = [re.fullmatch(r"(.+?):(/[^:]*)(:ro)?", volume) for volume in service["volumes"]]
    return {part[2]: (part[1], part[3] is not None) for part in parts if part is not None}


def test_is_valid_by_the_compose_schema(compose: dict[str, Any]) -> None:
    package = pytest.importorskip("check_jsonschema", reason="the package that carries the Compose schema is not installed")
    schema = json.loads((resources.files(package) / "builtin_schemas" / "vendor" / "compose-spec.json").read_text(encoding="utf-8"))
    jsonschema.validators.validator_for(schema)(schema).validate(compose)


@pytest.mark.parametrize("name", BACKENDS)
def test_serve_is_started_with_its_own_options(compose: dict[str, Any], name: str) -> None:
    program, command, *arguments = compose["services"][name]["command"]
    assert (program, command) == ("rsiseg", "serve")
    given = serve.command.make_context("serve", arguments).params
    assert given["host"] == "0.0.0.0"
    assert given["port"] == ServerSettings().port


def test_import_is_started_with_its_own_options(compose: dict[str, Any]) -> None:
    service = compose["services"]["import"]
    program, command, *arguments = service["command"]
    assert (program, command) == ("rsiseg", "import")
    known = {option for parameter in import_rasters.command.params for option in parameter.opts}
    assert {word for word in arguments if word.startswith("--")} <= known
    given = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    # Where Label Studio serves files from, so that the chips' addresses hold there, and writable here alone.
    root = compose["services"]["label-studio"]["environment"]["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"]
    assert given["--document-root"] == root
    assert given["--out"].startswith(f"{root}/")
    assert mounts(service)[root] == ("files", False)
    assert arguments[0] in mounts(service)


@pytest.mark.parametrize("name", BACKENDS)
def test_every_variable_of_the_backend_is_read_by_it(compose: dict[str, Any], name: str, tmp_path: Path) -> None:
    for variable, value in compose["services"][name]["environment"].items():
        folder = variable in ("RSISEG_ROOT", "RSISEG_DOCUMENT_ROOT")
        assert settings_from({variable: str(tmp_path) if folder else value}) != settings_from({}), f"{variable} changes nothing"


@pytest.mark.parametrize("name", BACKENDS)
def test_backend_reads_what_label_studio_shows(compose: dict[str, Any], name: str) -> None:
    services = compose["services"]
    environment, label_studio = services[name]["environment"], services["label-studio"]
    assert environment["RSISEG_DOCUMENT_ROOT"] == label_studio["environment"]["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"]
    assert mounts(services[name])[environment["RSISEG_DOCUMENT_ROOT"]] == ("files", True)
    assert mounts(label_studio)[environment["RSISEG_DOCUMENT_ROOT"]] == ("files", True)
    assert mounts(services[name])[environment["RSISEG_ROOT"]] == (mounts(services["import"])[environment["RSISEG_ROOT"]][0], True)
    assert environment["RSISEG_DATA_DIR"] in mounts(services[name])
    assert environment["RSISEG_LABEL_STUDIO_URL"] == "http://label-studio:8080"
    assert environment["LABEL_STUDIO_API_KEY"] == label_studio["environment"]["LABEL_STUDIO_USER_TOKEN"]


def test_label_studio_has_the_settings_of_rsiseg_up(compose: dict[str, Any], tmp_path: Path) -> None:
    service = compose["services"]["label-studio"]
    assert service["image"] == f"heartexlabs/label-studio:{VERSION}"
    database = {name for name in service["environment"] if name.startswith("POSTGRE_")} | {"DJANGO_DB"}
    ours = label_studio_environ(Installation(tmp_path), 8080, {})
    assert set(service["environment"]) - database == set(ours) - {"LABEL_STUDIO_BASE_DATA_DIR"}
    own_values = ("HOST", "USERNAME", "PASSWORD", "USER_TOKEN", "LOCAL_FILES_DOCUMENT_ROOT")
    switches = set(ours) - {f"LABEL_STUDIO_{name}" for name in (*own_values, "BASE_DATA_DIR")}
    assert {name: service["environment"][name] for name in switches} == {name: ours[name] for name in switches}


def test_label_studio_reaches_its_database(compose: dict[str, Any]) -> None:
    label_studio, database = compose["services"]["label-studio"]["environment"], compose["services"]["db"]["environment"]
    assert label_studio["POSTGRE_HOST"] in compose["services"]
    for theirs, name in {"POSTGRES_DB": "NAME", "POSTGRES_USER": "USER", "POSTGRES_PASSWORD": "PASSWORD"}.items():
        assert database[theirs] == label_studio[f"POSTGRE_{name}"]
    assert compose["services"]["label-studio"]["depends_on"]["db"]["condition"] == "service_healthy"


def test_ports_agree_and_only_label_studio_is_published_on_this_machine(compose: dict[str, Any], dockerfile: list[tuple[str, str]]) -> None:
    services = compose["services"]
    port = str(ServerSettings().port)
    assert ("EXPOSE", port) in dockerfile
    for name in BACKENDS:
        assert services[name]["expose"] == [port]
        assert f"http://127.0.0.1:{port}/health" in services[name]["healthcheck"]["test"][-1]
    assert {name: service["ports"] for name, service in services.items() if "ports" in service} == {"label-studio": ["127.0.0.1:8080:8080"]}
    assert services["label-studio"]["environment"]["LABEL_STUDIO_HOST"] == "http://localhost:8080"
    assert "http://127.0.0.1:8080/health" in services["label-studio"]["healthcheck"]["test"][-1]


def test_every_server_has_a_health_check(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["healthcheck"] == {"disable": True} if name == "import" else "test" in service["healthcheck"], name


def test_profiles_differ_in_the_device_alone(compose: dict[str, Any]) -> None:
    cpu, gpu = (dict(compose["services"][name]) for name in BACKENDS)
    assert (cpu.pop("profiles"), gpu.pop("profiles")) == (["cpu"], ["gpu"])
    assert (cpu["environment"]["RSISEG_DEVICE"], gpu["environment"]["RSISEG_DEVICE"]) == ("cpu", "cuda")
    assert gpu.pop("deploy")["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
    assert gpu.pop("networks")["default"]["aliases"] == ["backend"]
    assert {**cpu, "environment": None} == {**gpu, "environment": None}


def test_no_secret_stands_in_the_file(compose: dict[str, Any]) -> None:
    secret = re.compile(r"(PASSWORD|USER_TOKEN|API_KEY)$")
    found = [
        value for service in compose["services"].values() for name, value in service.get("environment", {}).items() if secret.search(name)
    ]
    assert len(found) >= 6
    assert all(SECRET.fullmatch(value) for value in found)


def test_volumes_are_declared(compose: dict[str, Any]) -> None:
    named = {source for service in compose["services"].values() for source, _ in mounts(service).values() if "/" not in source}
    assert named == set(compose["volumes"])


def test_image_holds_the_packages_and_starts_the_server(dockerfile: list[tuple[str, str]], tmp_path: Path) -> None:
    copied = {source for instruction, rest in dockerfile if instruction == "COPY" for source in rest.split()[:-1]}
    assert copied == {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert all((ROOT / source).exists() for source in copied)
    assert {"backend", "converters", "label_config", "weights", "requirements.lock"} <= copied
    assert ("CMD", '["rsiseg", "serve"]') in dockerfile
    base = next(re.fullmatch(r"python:3\.(\d+)-slim", rest) for instruction, rest in dockerfile if instruction == "FROM")
    assert base is not None
    assert int(base[1]) >= 11
    variables = dict(pair.split("=", 1) for instruction, rest in dockerfile if instruction == "ENV" for pair in rest.split())
    for name in (name for name in variables if name.startswith("RSISEG_")):
        folder = name in ("RSISEG_ROOT", "RSISEG_DOCUMENT_ROOT")
        assert name == "RSISEG_PORT" or settings_from({name: str(tmp_path) if folder else variables[name]}) != settings_from({}), name
    assert variables["RSISEG_PORT"] == str(ServerSettings().port)
