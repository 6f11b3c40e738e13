"""Only what was allowed is read, the token goes to Label Studio alone, and every refusal says which step it was."""

from __future__ import annotations

import base64
import io
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

from converters.errors import SourceError
from converters.label_studio_access import ACCESS_SECONDS, Credentials
from converters.origins import Origin, parse_origin
from converters.resolver import LabelStudioAccess, Resolver

LEGACY = "0123456789abcdef0123456789abcdef01234567"
PERSONAL = "eyJhbGciOiJub25lIn0.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCJ9.c2VjcmV0"


def png(value: int = 0, side: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass
class Server:
    """An HTTP server in a thread. answers: path -> (status, headers, body); seen: (path with query, Authorization)."""

    url: str = ""
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    seen: list[tuple[str, str | None]] = field(default_factory=list)
    accepts: Callable[[str | None], bool] = lambda header: True
    exchanges: int = 0
    exchange_status: int = 200

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0


@pytest.fixture
def serve() -> Iterator[Callable[[], Server]]:
    running: list[ThreadingHTTPServer] = []

    def start() -> Server:
        server = Server()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                header = self.headers.get("Authorization")
                server.seen.append((self.path, header))
                status, headers, body = server.answers.get(urlsplit(self.path).path, (404, {}, b"not there"))
                if not server.accepts(header):
                    status, headers, body = 401, {}, b"{}"
                self.reply(status, headers, body)

            def do_POST(self) -> None:
                sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.seen.append((self.path, self.headers.get("Authorization")))
                known = self.path == "/api/token/refresh/" and sent == {"refresh": PERSONAL}
                server.exchanges += 1
                status = server.exchange_status if known else 401
                self.reply(status, {}, json.dumps({"access": f"short-{server.exchanges}"}).encode())

            def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.url = f"http://127.0.0.1:{http.server_port}"
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        running.append(http)
        return server

    yield start
    for http in running:
        http.shutdown()
        http.server_close()


@pytest.fixture
def studio(serve: Callable[[], Server]) -> Server:
    server = serve()
    server.answers["/data/upload/1/a.png"] = (200, {}, png(1))
    server.answers["/data/local-files/"] = (200, {}, png(2))
    return server


def resolver(tmp_path: Path, server: Server, token: str = LEGACY, **options: object) -> Resolver:
    return Resolver([], LabelStudioAccess(server.url, token), cache=tmp_path / "cache", **options)  # pyright: ignore


# --- files here


def test_files_under_a_root_are_named_by_path_by_address_and_relatively(tmp_path: Path) -> None:
    tile = tmp_path / "rasters" / "a tile.tif"
    tile.parent.mkdir()
    tile.write_bytes(b"x")
    resolve = Resolver([tmp_path / "rasters"]).local_path
    assert resolve(str(tile)) == tile
    assert resolve(tile.as_uri()) == tile
    assert resolve("a tile.tif") == tile
    assert resolve(f"{tile.parent}/../rasters/a tile.tif") == tile


def test_paths_that_leave_the_roots_are_refused_whether_or_not_they_exist(tmp_path: Path) -> None:
    root = tmp_path / "rasters"
    root.mkdir()
    secret = tmp_path / "secret.tif"
    secret.write_bytes(b"x")
    (root / "link.tif").symlink_to(secret)
    (root / "up").symlink_to(tmp_path)
    (tmp_path / "rasters-too").mkdir()
    (tmp_path / "rasters-too" / "b.tif").write_bytes(b"x")
    resolve = Resolver([root]).local_path
    for address in (
        str(secret),
        f"{root}/../secret.tif",
        "../secret.tif",
        f"{root}/link.tif",
        f"{root}/up/secret.tif",
        secret.as_uri(),
        f"file://{root}/%2e%2e/secret.tif",
        f"{tmp_path}/rasters-too/b.tif",
        "/nowhere/at/all.tif",
    ):
        with pytest.raises(SourceError, match="outside the folders"):
            resolve(address)


def test_a_link_inside_a_root_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"x")
    (tmp_path / "b.tif").symlink_to(tmp_path / "a.tif")
    assert Resolver([tmp_path]).local_path(str(tmp_path / "b.tif")) == tmp_path / "a.tif"


def test_a_vanished_file_and_a_folder_are_not_files(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("gone.tif", "folder"):
        with pytest.raises(SourceError, match="is not there"):
            Resolver([tmp_path]).local_path(str(tmp_path / name))


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("", "empty"),
        ("a\x00.tif", "control characters"),
        ("file:///a%00.tif", "control characters"),
        ("file://other/a.tif", "another machine"),
        ("ftp://example.org/a.tif", "unknown scheme ftp"),
        ("http://127.0.0.1:1/x.png", "allowed origins only"),
        ("http://u:hunter2@example.org/x.png", "user name or password"),
        ("http:///x.png", "no http or https address"),
        ("http://a:b/x.png", "cannot be read"),
        ("/data/upload/1/a.png", "whose address this server does not know"),
        ("s3://bucket/a.tif", "only Label Studio can open"),
        ("a.tif", "no folder is open"),
    ],
)
def test_an_address_that_cannot_be_read_gets_its_own_sentence(address: str, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence) as raised:
        Resolver([]).local_path(address)
    assert "hunter2" not in str(raised.value)


def test_a_root_that_is_no_folder_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is no folder"):
        Resolver([tmp_path / "missing"])


# --- Label Studio


def test_a_legacy_token_goes_with_uploads_and_local_files(tmp_path: Path, studio: Server) -> None:
    studio.accepts = lambda header: header == f"Token {LEGACY}"
    resolve = resolver(tmp_path, studio).local_path
    assert resolve("/data/upload/1/a.png").read_bytes() == png(1)
    assert resolve("/data/local-files/?d=chips/b.png").read_bytes() == png(2)
    assert studio.seen[-1][0] == "/data/local-files/?d=chips/b.png"
    assert resolve(f"{studio.url}/data/upload/1/a.png").suffix == ".png"


def test_localhost_and_127_0_0_1_are_one_label_studio_only_on_the_same_port(tmp_path: Path, studio: Server) -> None:
    resolve = resolver(tmp_path, studio).local_path
    assert resolve(f"http://localhost:{studio.port}/data/upload/1/a.png").read_bytes() == png(1)
    assert studio.seen[-1][1] == f"Token {LEGACY}"
    for other in (f"http://localhost:{studio.port + 1}", f"https://127.0.0.1:{studio.port}", f"http://127.0.0.1.example.org:{studio.port}"):
        with pytest.raises(SourceError, match="allowed origins only"):
            resolve(f"{other}/data/upload/1/a.png")


def test_loopback_aliases_do_not_stretch_to_other_hosts() -> None:
    assert Origin("http", "localhost", 80).same_server(Origin("http", "::1", 80))
    assert not Origin("http", "localhost", 80).same_server(Origin("http", "10.0.0.1", 80))
    assert not Origin("http", "127.0.0.1", 80).same_server(Origin("http", "localhost.example.org", 80))
    assert parse_origin("http://[::1]:8080/x") == Origin("http", "::1", 8080)


def test_the_token_opens_nothing_but_files(tmp_path: Path, studio: Server) -> None:
    studio.answers["/api/projects/1/export"] = (200, {}, png())
    resolve = resolver(tmp_path, studio).local_path
    for path in ("/api/projects/1/export", "/data/upload/../../api/projects/1/export", "/data/upload/%2e%2e/%2e%2e/api/projects/1/export"):
        with pytest.raises(SourceError, match="refused"):
            resolve(studio.url + path)
    assert studio.seen == []


def test_the_document_root_is_read_from_disk_and_not_left(tmp_path: Path, studio: Server) -> None:
    root = tmp_path / "files"
    (root / "chips").mkdir(parents=True)
    (root / "chips" / "a b.png").write_bytes(png(3))
    (tmp_path / "secret.png").write_bytes(png(4))
    resolve = resolver(tmp_path, studio, document_root=root).local_path
    assert resolve("/data/local-files/?d=chips/a%20b.png") == root / "chips" / "a b.png"
    assert resolve(f"{studio.url}/data/local-files/?d=chips/a+b.png") == root / "chips" / "a b.png"
    assert resolve(str(root / "chips" / "a b.png")) == root / "chips" / "a b.png"
    assert studio.seen == []
    for climb in ("../secret.png", "chips/../../secret.png", "%2e%2e/secret.png"):
        with pytest.raises(SourceError, match="leads out of the document root"):
            resolve(f"/data/local-files/?d={climb}")
    assert studio.seen == []
    assert resolve("/data/local-files/?d=chips/elsewhere.png").read_bytes() == png(2), "not on this disk: downloaded"
    with pytest.raises(SourceError, match="moved or deleted"):
        Resolver([], document_root=root).local_path("/data/local-files/?d=chips/gone.png")
    with pytest.raises(SourceError, match="needs one file name"):
        resolve("/data/local-files/")


def test_a_label_studio_below_a_path_prefix_is_asked_there(tmp_path: Path, serve: Callable[[], Server]) -> None:
    server = serve()
    server.answers["/ls/data/upload/1/a.png"] = (200, {}, png())
    resolve = Resolver([], LabelStudioAccess(f"{server.url}/ls/", LEGACY), cache=tmp_path).local_path
    for address in ("/data/upload/1/a.png", "/ls/data/upload/1/a.png", f"{server.url}/ls/data/upload/1/a.png"):
        resolve(address)
    assert {path for path, _ in server.seen} == {"/ls/data/upload/1/a.png"}


def test_a_bucket_is_opened_through_the_task(tmp_path: Path, studio: Server) -> None:
    studio.answers["/tasks/7/presign/"] = (200, {}, png())
    resolver(tmp_path, studio).local_path("s3://bucket/a.tif", task_id=7)
    encoded = parse_qs(urlsplit(studio.seen[-1][0]).query)["fileuri"][0]
    assert base64.urlsafe_b64decode(encoded) == b"s3://bucket/a.tif"


# --- personal access tokens


def test_a_personal_token_is_exchanged_once_and_never_sent_itself(tmp_path: Path, studio: Server) -> None:
    studio.answers["/data/upload/1/b.png"] = (200, {}, png(5))
    studio.accepts = lambda header: header == "Bearer short-1"
    resolve = resolver(tmp_path, studio, PERSONAL).local_path
    resolve("/data/upload/1/a.png")
    resolve("/data/upload/1/b.png")
    assert studio.exchanges == 1
    assert all(PERSONAL not in (header or "") for _, header in studio.seen)


def test_a_short_lived_token_is_renewed_before_label_studios_five_minutes(studio: Server) -> None:
    now = [1000.0]
    credentials = Credentials(LabelStudioAccess(studio.url, PERSONAL), clock=lambda: now[0])
    assert ACCESS_SECONDS < 300
    assert [credentials.header(), credentials.header()] == ["Bearer short-1"] * 2
    now[0] += ACCESS_SECONDS
    assert credentials.header() == "Bearer short-2"


def test_a_refused_short_lived_token_is_renewed_once(tmp_path: Path, studio: Server) -> None:
    studio.accepts = lambda header: header == "Bearer short-2"
    assert resolver(tmp_path, studio, PERSONAL).local_path("/data/upload/1/a.png").read_bytes() == png(1)
    studio.accepts = lambda header: False
    with pytest.raises(SourceError, match="HTTP 401"):
        resolver(tmp_path / "other", studio, PERSONAL).local_path("/data/upload/1/a.png")
    assert studio.exchanges == 4


def test_a_personal_token_that_is_not_accepted_names_the_exchange(tmp_path: Path, studio: Server) -> None:
    studio.exchange_status = 401
    with pytest.raises(SourceError, match=r"personal access token was not accepted: .* HTTP 401"):
        resolver(tmp_path, studio, PERSONAL).local_path("/data/upload/1/a.png")


# --- redirects and other servers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_token_follows_a_redirect_and_the_target_must_be_allowed(
    tmp_path: Path, studio: Server, serve: Callable[[], Server], status: int
) -> None:
    bucket = serve()
    bucket.answers["/a.png"] = (200, {}, png(9))
    studio.answers["/data/upload/1/r.png"] = (status, {"Location": f"{bucket.url}/a.png?signature=s"}, b"")
    with pytest.raises(SourceError, match="is not allowed"):
        resolver(tmp_path, studio).local_path("/data/upload/1/r.png")
    assert bucket.seen == []
    allowed = resolver(tmp_path, studio, allowed_origins=[bucket.url])
    assert allowed.local_path("/data/upload/1/r.png").read_bytes() == png(9)
    assert bucket.seen == [("/a.png?signature=s", None)]


def test_a_redirect_on_label_studio_itself_carries_no_token_either(tmp_path: Path, studio: Server) -> None:
    studio.answers["/data/upload/1/r.png"] = (302, {"Location": "/data/upload/1/a.png"}, b"")
    resolver(tmp_path, studio).local_path("/data/upload/1/r.png")
    assert [header for _, header in studio.seen] == [f"Token {LEGACY}", None]


def test_a_redirect_to_the_login_page_is_named_as_such(tmp_path: Path, studio: Server) -> None:
    studio.answers["/data/upload/1/a.png"] = (302, {"Location": "/user/login/?next=/data"}, b"")
    with pytest.raises(SourceError, match="asks for a login"):
        resolver(tmp_path, studio, "").local_path("/data/upload/1/a.png")


def test_endless_redirects_end(tmp_path: Path, studio: Server) -> None:
    studio.answers["/data/upload/1/a.png"] = (302, {"Location": "/data/upload/1/a.png"}, b"")
    with pytest.raises(SourceError, match="redirects more than"):
        resolver(tmp_path, studio).local_path("/data/upload/1/a.png")


def test_other_servers_are_read_only_when_allowed_and_without_the_token(
    tmp_path: Path, studio: Server, serve: Callable[[], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even a password that the user's .netrc holds for that host is sent."""
    other = serve()
    other.answers["/t/a.png"] = (200, {}, png(6))
    (tmp_path / "netrc").write_text("default login user password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(SourceError, match="allowed origins only"):
        resolver(tmp_path, studio).local_path(f"{other.url}/t/a.png")
    assert other.seen == []
    allowed = resolver(tmp_path, studio, allowed_origins=[other.url])
    assert allowed.local_path(f"{other.url}/t/a.png").read_bytes() == png(6)
    assert other.seen == [("/t/a.png", None)]


# --- what came back


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (401, b"", "HTTP 401"),
        (403, b"", "HTTP 403"),
        (404, b"", "local storage that covers its folder"),
        (500, b"", "HTTP 500"),
        (200, b"<!doctype html><p>Sign in", "a web page came back"),
        (200, b"<VRTDataset><SourceFilename>/etc/passwd</SourceFilename></VRTDataset>", "is no image"),
        (200, b"", "an empty file came back"),
    ],
)
def test_an_answer_that_is_no_image_is_named_and_leaves_nothing_behind(
    tmp_path: Path, studio: Server, status: int, body: bytes, sentence: str
) -> None:
    studio.answers["/data/upload/1/a.png"] = (status, {}, body)
    with pytest.raises(SourceError, match=sentence) as raised:
        resolver(tmp_path, studio).local_path("/data/upload/1/a.png")
    assert LEGACY not in str(raised.value)
    assert not list((tmp_path / "cache").glob("*"))


def test_a_download_that_breaks_off_leaves_nothing_behind(tmp_path: Path, studio: Server) -> None:
    studio.answers["/data/upload/1/a.png"] = (200, {"Content-Length": "100000", "Connection": "close"}, png())
    with pytest.raises(SourceError, match="broke off"):
        resolver(tmp_path, studio).local_path("/data/upload/1/a.png")
    assert not list((tmp_path / "cache").glob("*"))


def test_a_server_that_is_not_there_is_named_without_the_token(tmp_path: Path, serve: Callable[[], Server]) -> None:
    gone = LabelStudioAccess("http://127.0.0.1:9", LEGACY)
    with pytest.raises(SourceError, match=r"http://127\.0\.0\.1:9 cannot be reached") as raised:
        Resolver([], gone, cache=tmp_path).local_path("/data/upload/1/a.png")
    assert LEGACY not in str(raised.value)
    assert LEGACY not in repr(gone)


def test_a_second_request_is_served_from_the_cache_and_a_later_one_notices_a_change(tmp_path: Path, studio: Server) -> None:
    resolve = resolver(tmp_path, studio).local_path
    first = resolve("/data/upload/1/a.png")
    resolve("/data/upload/1/a.png")
    assert len(studio.seen) == 1
    os.utime(first, ns=(0, 1_000_000_000))
    always = resolver(tmp_path, studio, recheck=0.0)
    assert always.local_path("/data/upload/1/a.png") == first
    assert first.stat().st_mtime_ns == 1_000_000_000, "unchanged content keeps its modification time"
    studio.answers["/data/upload/1/a.png"] = (200, {}, png(77))
    assert always.local_path("/data/upload/1/a.png").read_bytes() == png(77)


def test_the_cache_stays_below_its_limit_and_forgets_the_least_used(tmp_path: Path, studio: Server) -> None:
    bodies = {f"/data/upload/1/{name}.png": np.random.default_rng(seed).bytes(1000) for seed, name in enumerate("abcd")}
    for path, body in bodies.items():
        studio.answers[path] = (200, {}, b"\x89PNG\r\n\x1a\n" + body)
    cache = resolver(tmp_path, studio, cache_bytes=2500)
    a, b = (cache.local_path(path) for path in list(bodies)[:2])
    os.utime(b, ns=(1, b.stat().st_mtime_ns))
    cache.local_path("/data/upload/1/a.png")
    c = cache.local_path("/data/upload/1/c.png")
    assert [path.exists() for path in (a, b, c)] == [True, False, True]
    assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) <= 2500
    studio.answers["/data/upload/1/d.png"] = (200, {}, b"\x89PNG\r\n\x1a\n" + bytes(3000))
    with pytest.raises(SourceError, match="larger than the download folder may grow"):
        cache.local_path("/data/upload/1/d.png")


def test_many_threads_download_one_file_once(tmp_path: Path, studio: Server) -> None:
    resolve = resolver(tmp_path, studio).local_path
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(resolve("/data/upload/1/a.png"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 8
    assert len(studio.seen) == 1


def test_a_download_folder_that_cannot_be_written_is_named(tmp_path: Path, studio: Server) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="download folder"):
        Resolver([], LabelStudioAccess(studio.url, LEGACY), cache=tmp_path / "file").local_path("/data/upload/1/a.png")
