"""Label Studio and the backend as one: started together, a project made ready, stopped together."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from label_studio_sdk import LabelStudio

from backend.errors import UsageError
from backend.studio.environment import default_environment, ensure
from backend.studio.installation import Credentials, Installation, Running
from backend.studio.label_studio_server import address, start_label_studio
from backend.studio.processes import ChildProcess, check_port, free_port
from backend.studio.project import ProjectPlan, prepare_project
from backend.studio.tile import ChipSet

# The first start, which makes the database, takes 30 s on two idle cores and took 101 s on two busy ones.
_LABEL_STUDIO_SECONDS = 300.0
_BACKEND_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start. port, backend_port: on the loopback address; 0 takes a free one. model: None for the registry's default.
    learn: whether a worker learns from what is accepted.
    """

    installation: Installation
    chips: ChipSet
    label_config: Path
    port: int = 8080
    backend_port: int = 9090
    model: str | None = None
    learn: bool = False


@dataclass(frozen=True, slots=True)
class Studio:
    """What runs. url, backend_url: addresses without a slash at the end. project: id of the project that was made ready."""

    url: str
    backend_url: str
    project: int
    login: Credentials
    servers: tuple[ChildProcess, ...]

    def dead(self) -> ChildProcess | None:
        """A server that ended by itself."""
        return next((server for server in self.servers if server.has_ended()), None)


@contextmanager
def launched(plan: Plan, tell: Callable[[str], None], waiting: Callable[[str, float], None]) -> Iterator[Studio]:
    """Label Studio with a project of `plan.chips` and the backend connected; both end with the block, however it ends.

    tell: told each step in a sentence. waiting: told (what, seconds so far) while a server starts.
    Raises UsageError when a port is taken, a server does not start, or Label Studio refuses.
    """
    installation = plan.installation
    login = installation.credentials()
    servers: list[ChildProcess] = []
    with installation.locked(), _stopped_at_the_end(servers):
        port, backend_port = _ports(plan)
        command = ensure(default_environment(installation.folder), tell)
        backend = start_backend(plan, backend_port, label_studio=address(port))
        servers.append(backend)
        label_studio = start_label_studio(command, installation, port)
        servers.append(label_studio)
        backend_url = address(backend_port)
        _wait(backend, f"{backend_url}/health", _BACKEND_SECONDS, tell, waiting)
        _wait(label_studio, f"{address(port)}/health", _LABEL_STUDIO_SECONDS, tell, waiting)
        with httpx.Client(timeout=60, trust_env=False) as direct:
            client = LabelStudio(base_url=address(port), api_key=login.token, httpx_client=direct)
            project = prepare_project(client, _project_plan(plan, backend_url))
        tell(f"project {project} has {len(plan.chips.tasks)} chips of {plan.chips.raster.name}")
        with installation.announced(Running(url=address(port), backend_url=backend_url, project=project)):
            yield Studio(address(port), backend_url, project, login, tuple(servers))


def _ports(plan: Plan) -> tuple[int, int]:
    if plan.port == plan.backend_port != 0:
        raise UsageError(
            f"port {plan.port} was given to Label Studio and to the backend; expected two ports; change --port or --backend-port"
        )
    check_port(plan.port, option="--port", what="Label Studio")
    check_port(plan.backend_port, option="--backend-port", what="the backend")
    return plan.port or free_port(), plan.backend_port or free_port()


def start_backend(plan: Plan, port: int, *, label_studio: str) -> ChildProcess:
    """`rsiseg serve` for this Label Studio alone: it reads the raster's folder and the folder of chips, and nothing else of the disk."""
    installation = plan.installation
    command = [sys.executable, "-m", "backend.cli", "serve", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--data-dir", str(installation.backend), "--root", str(plan.chips.raster.parent)]
    command += ["--document-root", str(installation.files), "--label-studio-url", label_studio]
    if plan.model is not None:
        command += ["--model", plan.model]
    if plan.learn:
        command.append("--learn")
    # Label Studio is connected without a password: both listen on the loopback address only.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RSISEG_BASIC_AUTH_")}
    environ["LABEL_STUDIO_API_KEY"] = installation.credentials().token
    return ChildProcess("the backend", command, environ=environ, log=installation.logs / "backend.log")


def _project_plan(plan: Plan, backend_url: str) -> ProjectPlan:
    chips = plan.chips
    return ProjectPlan(
        name=chips.raster.stem,
        identity=f"{chips.raster} ({chips.name}, {plan.label_config.name})",
        label_config=plan.label_config.read_text(encoding="utf-8"),
        tasks=chips.tasks,
        storage=chips.folder,
        backend_url=backend_url,
    )


def _wait(server: ChildProcess, url: str, seconds: float, tell: Callable[[str], None], waiting: Callable[[str, float], None]) -> None:
    taken = server.wait_until_answers(url, seconds=seconds, waiting=lambda elapsed: waiting(server.name, elapsed))
    tell(f"{server.name} answers after {taken:.0f} s (log: {server.log})")


@contextmanager
def _stopped_at_the_end(servers: list[ChildProcess]) -> Iterator[None]:
    """Stops what is in `servers` at the end of the block.

    A terminal that closes and a `kill` count as Ctrl-C; while it stops, a further one does not count.
    """
    # SIGINT too: a shell that starts this in the background has it ignored.
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.default_int_handler) for number in signals}
    try:
        yield
    finally:
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        for server in reversed(servers):
            server.stop()
        for number, handler in before.items():
            signal.signal(number, handler)
