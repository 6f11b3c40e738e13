import os
import socket
import sys
import time
from pathlib import Path

import pytest

from backend.errors import UsageError
from backend.studio.processes import ChildProcess, check_port, free_port, without_proxy_here

# A server that starts a worker; neither heeds a polite request.
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
print(os.getpid(), flush=True)
time.sleep(60)
"""
ANSWERING = """
import http.server, sys
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Healthy).serve_forever()
"""


def child(log: Path, code: str, *arguments: str) -> ChildProcess:
    return ChildProcess("the server", [sys.executable, "-c", code, *arguments], environ=os.environ, log=log)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_waits_until_the_server_answers_and_stops_it(tmp_path: Path) -> None:
    port = free_port()
    server = child(tmp_path / "log", ANSWERING, str(port))
    try:
        assert server.wait_until_answers(f"http://127.0.0.1:{port}/", seconds=30, waiting=lambda seconds: None) < 30
        assert not server.has_ended()
    finally:
        server.stop()
    assert server.has_ended()
    check_port(port, option="--port", what="a test")


def test_stop_kills_what_the_server_started_too(tmp_path: Path) -> None:
    server = child(tmp_path / "log", STUBBORN)
    while len(pids := (tmp_path / "log").read_text().split()) < 2:
        time.sleep(0.05)
    server.stop(grace=0.2)
    deadline = time.monotonic() + 5  # a killed process goes when the kernel gets to it
    while any(alive(int(pid)) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_server_that_ends_early_is_reported_with_its_log(tmp_path: Path) -> None:
    server = child(tmp_path / "log", "print('first line'); print('no space left on device'); raise SystemExit(3)")
    with pytest.raises(UsageError) as caught:
        server.wait_until_answers("http://127.0.0.1:9/", seconds=30, waiting=lambda seconds: None)
    server.stop()
    assert "the server ended with status 3" in str(caught.value)
    assert str(tmp_path / "log") in str(caught.value)
    assert "no space left on device" in str(caught.value)


def test_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    server = child(tmp_path / "log", "import time; time.sleep(60)")
    waited = []
    try:
        with pytest.raises(UsageError, match=r"did not answer at http://127\.0\.0\.1:9/ within 1 s"):
            server.wait_until_answers("http://127.0.0.1:9/", seconds=1, waiting=waited.append)
    finally:
        server.stop()
    assert waited == sorted(waited)
    assert len(waited) >= 2


def test_log_is_for_the_owner_only(tmp_path: Path) -> None:
    child(tmp_path / "log", "").stop()
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_taken_port_is_named_with_the_option_that_changes_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"port {port} for Label Studio cannot be used .*; stop .*--port"):
            check_port(port, option="--port", what="Label Studio")


@pytest.mark.parametrize(("given", "expected"), [({}, "127.0.0.1,localhost"), ({"no_proxy": "intra.net"}, "intra.net,127.0.0.1,localhost")])
def test_servers_reach_each_other_without_the_proxy(given: dict[str, str], expected: str) -> None:
    environ = without_proxy_here({"HTTP_PROXY": "http://proxy:3128"} | given)
    assert environ == {"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": expected, "no_proxy": expected}


def test_server_is_found_although_a_proxy_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    port = free_port()
    server = child(tmp_path / "log", ANSWERING, str(port))
    try:
        server.wait_until_answers(f"http://127.0.0.1:{port}/", seconds=30, waiting=lambda seconds: None)
    finally:
        server.stop()
