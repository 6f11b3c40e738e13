"""`rsiseg weights`: list, convert and pull as they are typed. Downloads come from a server of the test, and so over http."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
import torch
from click.testing import CliRunner, Result

from backend import cli
from backend.commands.weights import command
from backend.errors import ModelError, UsageError
from backend.segmenters import catalogue, registry
from backend.segmenters.downloads import Pins, fetched, https_session
from converters.errors import RSISegError


def run(*arguments: object) -> Result:
    """The command as it is typed; its errors are raised, as `cli.main` gets them."""
    return CliRunner().invoke(command, [str(one) for one in arguments], catch_exceptions=False)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    net = registry.build("ritm", "tiny")
    catalogue.entry("ritm_tiny").formula.fill(net)  # type: ignore[union-attr]
    path = tmp_path / "authors_tiny.pth"
    torch.save({"state_dict": net.state_dict(), "config": {"class": "x", "params": {}}}, path)
    return path


# --- list


def test_list_names_every_entry_and_where_its_weights_are() -> None:
    listed = json.loads(run("list", "--json").stdout)
    assert [one["name"] for one in listed] == [one.name for one in catalogue.entries()]
    by_name = {one["name"]: one for one in listed}
    assert by_name["ritm_tiny"]["available"] is True
    sam = by_name["sam_vit_b"]
    assert (sam["family"], sam["architecture"], sam["bands"], sam["licence"]) == ("sam", "vit_b", ["RGB", "IRRG"], "Apache-2.0")
    assert sam["checkpoint_sha256"].startswith("ec2df6")
    assert sam["download"].startswith("https://")
    assert by_name["icl_vit_huge_cocolvis"]["non_commercial"] is True
    table = run("list").stdout
    assert all(one["name"] in table for one in listed)


def test_every_published_entry_says_how_to_get_it_and_nothing_is_fetched_without_https() -> None:
    for one in catalogue.entries():
        if one.checkpoint is not None:
            assert one.file is not None and one.file.parent.name == "pulled"
            assert one.source.startswith("https://")
            assert one.download is None or (one.download.startswith("https://") and one.download.endswith("/" + one.checkpoint))
            assert one.non_commercial == any(word in one.licence for word in ("NC", "non-commercial"))


def test_what_is_not_here_names_the_command_that_gets_it() -> None:
    with pytest.raises(ModelError, match="fetch them with `rsiseg weights pull sam_vit_b`"):
        catalogue.shipped().checked("sam_vit_b")
    with pytest.raises(
        ModelError, match=r"publish cocolvis_vit_base\.pth at https://\S+, .*rsiseg weights convert .* --as simpleclick_vit_base"
    ):
        registry.load("simpleclick_vit_base_cocolvis")


def test_the_command_is_part_of_rsiseg() -> None:
    result = CliRunner().invoke(cli.cli, ["weights", "--help"])
    assert result.exit_code == 0
    assert all(word in result.stdout for word in ("list", "convert", "pull"))


# --- convert


def test_convert_writes_a_model(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.safetensors"
    told = json.loads(run("convert", checkpoint, "--out", out, "--json").stdout)
    assert told == {"file": str(out), "family": "ritm", "architecture": "tiny", "like": None, "licence": "unknown", "genuine": None}
    assert registry.load(str(out)).name == "mine"


def test_weights_of_another_origin_under_a_published_name_are_converted_and_told(
    checkpoint: Path, tmp_path: Path, listed: Callable[..., Path]
) -> None:
    target = listed(checkpoint_sha256="0" * 64)
    assert json.loads(run("convert", checkpoint, "--as", "published", "--json").stdout)["genuine"] is False
    assert "not the published file of that name" in run("convert", checkpoint, "--as", "published").stdout
    assert target.is_file()
    listed(checkpoint_sha256=hashlib.sha256(checkpoint.read_bytes()).hexdigest())
    assert json.loads(run("convert", checkpoint, "--as", "published", "--json").stdout)["genuine"] is True


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ([], UsageError, "give --out FILE.safetensors, or --as NAME"),
        (["--out", "x.safetensors", "--as", "sam_vit_b"], UsageError, "one place"),
        (["--out", "x.pth"], UsageError, "does not end in .safetensors"),
        (["--as", "nope"], ModelError, "no model 'nope'"),
        (["--as", "ritm_tiny"], UsageError, "generated for tests, nobody else publishes them"),
        (["--as", "simpleclick_vit_base_sbd"], ModelError, "no architecture 'vit_base448'"),
        (["--as", "ritm_hrnet18s_cocolvis"], ModelError, "it also has|has the shape"),
    ],
)
def test_convert_refuses_what_it_cannot_do(checkpoint: Path, arguments: list[str], error: type[RSISegError], said: str) -> None:
    with pytest.raises(error, match=said):
        run("convert", checkpoint, *arguments)


# --- pull


@dataclass
class Site:
    """A server with one file. answers: what it does instead of handing it out."""

    content: bytes
    address: str = ""
    requests: int = 0
    redirect: str | None = None
    status: int = 200
    announce: int | None = None
    paths: list[str] = field(default_factory=list)


@pytest.fixture
def site(checkpoint: Path) -> Iterator[Site]:
    here = Site(checkpoint.read_bytes())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            here.paths.append(self.path)
            self.send_response(302 if here.redirect else here.status)
            if here.redirect:
                self.send_header("Location", here.redirect)
            self.send_header("Content-Length", str(0 if here.redirect else here.announce or len(here.content)))
            self.end_headers()
            if not here.redirect:
                self.wfile.write(here.content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    here.address = f"http://127.0.0.1:{server.server_address[1]}/authors_tiny.pth"
    yield here
    server.shutdown()
    server.server_close()


class ToSite(requests.Session):
    """The seam: https addresses of the test's registry go to the test's server, without a certificate."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self._site = site

    def get(self, url: str | bytes, **more: object) -> requests.Response:  # pyright: ignore[reportIncompatibleMethodOverride]
        assert str(url).startswith("https://example.org/")
        return super().get(self._site.address, **more)  # type: ignore[arg-type]


@pytest.fixture
def listed(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Puts one published model into the registry, its weight file in a folder of the test."""
    target = tmp_path / "pulled" / "tiny.safetensors"
    monkeypatch.setattr("backend.commands.weights._session", lambda: ToSite(site))

    def put(**changes: object) -> Path:
        settings = {"name": "published", "file": target, "formula": None, "checkpoint": "authors_tiny.pth", "licence": "MIT"}
        address = {"source": "https://example.org", "download": "https://example.org/authors_tiny.pth"}
        one = replace(catalogue.entry("ritm_tiny"), **{**settings, **address, **changes})  # type: ignore[arg-type]
        monkeypatch.setattr(catalogue, "entry", lambda name: one)
        return target

    return put


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_pull_fetches_checks_converts_and_pins(site: Site, listed: Callable[..., Path]) -> None:
    target = listed()
    sha256 = hashlib.sha256(site.content).hexdigest()
    told = json.loads(run("pull", "published", "--json").stdout)
    assert told == {"name": "published", "file": str(target), "fetched": True, "checkpoint_sha256": sha256, "pinned": True}
    assert registry.load_entry(catalogue.entry("published")).name == "published"
    assert left_in(target.parent) == {"tiny.safetensors", "pins.json"}
    assert Pins(target.parent / "pins.json").get("published") == sha256
    assert json.loads(run("pull", "published", "--json").stdout)["fetched"] is False
    assert len(site.paths) == 1


def test_a_pin_is_said_and_another_file_is_refused_later(site: Site, listed: Callable[..., Path]) -> None:
    target = listed()
    assert "pinned its sha256" in run("pull", "published").stdout
    target.unlink()
    assert "is that of the first download" in run("pull", "published").stdout
    target.unlink()
    site.content += b"more"
    with pytest.raises(ModelError, match=r"the first download on this machine had .*nothing was kept"):
        run("pull", "published")
    assert left_in(target.parent) == {"pins.json"}


def test_the_registrys_sha256_is_checked(site: Site, listed: Callable[..., Path]) -> None:
    target = listed(checkpoint_sha256=hashlib.sha256(site.content).hexdigest())
    assert "is that of the registry" in run("pull", "published").stdout
    assert left_in(target.parent) == {"tiny.safetensors"}
    target.unlink()
    listed(checkpoint_sha256="0" * 64)
    with pytest.raises(ModelError, match=r"the registry had 000000000000"):
        run("pull", "published")
    assert left_in(target.parent) == set()


def test_non_commercial_weights_need_a_flag_that_prints_the_licence(site: Site, listed: Callable[..., Path]) -> None:
    target = listed(non_commercial=True, licence="CC BY-NC 4.0, https://creativecommons.org/licenses/by-nc/4.0/legalcode")
    with pytest.raises(UsageError, match=r"forbids commercial use \(CC BY-NC 4\.0.*--accept-non-commercial"):
        run("pull", "published")
    assert site.paths == []
    result = run("pull", "published", "--accept-non-commercial")
    assert "CC BY-NC 4.0, https://creativecommons.org" in result.stderr
    assert target.is_file()


def test_what_has_no_address_is_to_be_fetched_by_hand(listed: Callable[..., Path]) -> None:
    listed(download=None)
    with pytest.raises(
        ModelError, match=r"publish authors_tiny\.pth at https://example\.org.*rsiseg weights convert authors_tiny\.pth --as"
    ):
        run("pull", "published")


def test_what_nobody_published_cannot_be_pulled() -> None:
    with pytest.raises(UsageError, match="generated for tests"):
        run("pull", "ritm_tiny")
    with pytest.raises(UsageError, match="trained here"):
        run("pull", "default")


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ({"status": 404}, "answered HTTP 404"),
        ({"announce": 10_000_000}, "broke off|could not be fetched"),
        ({"content": b"<html>quota exceeded</html>"}, "is a web page"),
        ({"redirect": "ftp://127.0.0.1/x"}, "not https"),
    ],
)
def test_a_download_that_fails_leaves_nothing(site: Site, listed: Callable[..., Path], trouble: dict[str, object], said: str) -> None:
    target = listed()
    for name, value in trouble.items():
        setattr(site, name, value)
    with pytest.raises(ModelError, match=said):
        run("pull", "published")
    assert left_in(target.parent) == set()


def test_the_real_session_speaks_https_only(site: Site, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not https"), fetched(site.address, tmp_path, "x", session=https_session()):
        pass
    assert site.paths == []
    with pytest.raises(ModelError, match="not https"), fetched("file:///etc/hostname", tmp_path, "x", session=https_session()):
        pass


def test_an_entry_whose_address_is_not_https_is_refused(site: Site, listed: Callable[..., Path]) -> None:
    listed(download="http://example.org/authors_tiny.pth")
    with pytest.raises(ModelError, match="not https; correct that entry"):
        run("pull", "published")
    assert site.paths == []


def test_damaged_pins_are_an_error_and_not_forgotten(tmp_path: Path) -> None:
    for text in ("[]", "{", '{"a": {"sha256": "short"}}'):
        (tmp_path / "pins.json").write_text(text)
        with pytest.raises(ModelError, match="delete it to accept the next download"):
            Pins(tmp_path / "pins.json").get("a")
