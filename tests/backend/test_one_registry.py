"""The command line, the page in docs, /versions and the benchmark know the same models: those of weights/registry.toml, in its order."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from backend.app import create_app
from backend.commands.weights import command
from backend.errors import ModelError, UsageError
from backend.evaluation.models import load_model
from backend.segmenters import catalogue, registry
from backend.segmenters.model_table import COLUMNS
from backend.settings import ServerSettings

ROOT = Path(__file__).resolve().parents[2]
LISTED = [name for name, value in tomllib.loads((ROOT / "weights" / "registry.toml").read_text()).items() if isinstance(value, dict)]


def run(*arguments: str) -> str:
    return CliRunner().invoke(command, ["list", *arguments], catch_exceptions=False).stdout


def test_the_command_lists_every_entry_in_every_format() -> None:
    assert [one["name"] for one in json.loads(run("--json"))] == LISTED
    assert [line.split()[0] for line in run().split("\n\n")[0].splitlines()[1:]] == LISTED
    assert re.findall(r"^\| `(\w+)` \|", run("--markdown"), re.M) == LISTED
    with pytest.raises(UsageError, match="give one of them"):
        run("--json", "--markdown")


def test_the_page_in_docs_is_the_registry() -> None:
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert page == run("--markdown"), "write it again: rsiseg weights list --markdown > docs/models.md"


def test_the_page_says_nothing_of_the_machine_it_was_written_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as which weights are here, or where."""
    (tmp_path / "registry.toml").write_bytes((ROOT / "weights" / "registry.toml").read_bytes())
    elsewhere = catalogue.Catalogue(tmp_path)
    monkeypatch.setattr(catalogue, "shipped", lambda: elsewhere)
    assert "vitclick_s14" in elsewhere.unavailable()
    assert run("--markdown") == (ROOT / "docs" / "models.md").read_text(encoding="utf-8")


def test_the_table_tells_what_there_is_to_know_of_a_model() -> None:
    rows = {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in (_row(line) for line in run("--markdown").splitlines()) if row}
    sam, icl, own, wide = rows["sam_vit_b"], rows["icl_vit_huge_cocolvis"], rows["vitclick_s14"], rows["ritm_tiny_rgbir"]
    assert (sam["family"], sam["architecture"], sam["bands"], sam["input"]) == ("sam", "vit_b", "RGB/IRRG", "1024x1024")
    assert (sam["licence"], sam["weights"], sam["sha256"]) == ("Apache-2.0", "pull", "ec2df6273261")
    assert sam["source"] == "<https://github.com/facebookresearch/segment-anything>"
    assert (icl["licence"], icl["weights"]) == ("CC BY-NC 4.0 (NC)", "convert")
    assert own["weights"] == "shipped"
    assert (wide["bands"], wide["input"], wide["weights"]) == ("RGBIR", "any", "generated")


def _row(line: str) -> list[str]:
    return [cell.strip("` ") for cell in line.strip("|").split("|")] if line.startswith("| `") else []


def test_versions_names_every_entry_once(tmp_path: Path) -> None:
    client = create_app(ServerSettings(device="cpu", data_dir=tmp_path)).test_client()
    told = client.get("/versions").json
    here = [version.partition("@")[0] for version in told["versions"]]
    assert here[0] == catalogue.entry("default").name, "the server's own first"
    assert sorted([*here, *told["unavailable"]]) == sorted(LISTED)
    assert all(told["unavailable"].values())


@pytest.mark.parametrize("name", LISTED)
def test_bench_and_server_know_every_entry_and_its_network(name: str) -> None:
    """What has weights here is not loaded for that: the whole default model is some seconds of work."""
    one = catalogue.entry(name)
    assert one.architecture in registry.family(one.family).architectures
    if not one.available:
        with pytest.raises(ModelError, match="not on this machine") as caught:
            load_model(f"{name}+cfr2")
        assert one.how_to_get in str(caught.value)


def test_the_shipped_file_is_the_one_whose_hash_the_registry_states() -> None:
    """So the version that is told without reading the file is that of the file."""
    from backend.segmenters.catalogue_entry import weights_sha256

    shipped = [one for one in catalogue.entries() if one.file is not None and one.available and one.checkpoint is None]
    assert shipped
    assert all(one.sha256 == weights_sha256(one) for one in shipped)
