"""The queue in Redis, with a real server where one is installed."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import rq

from backend.errors import UsageError
from backend.learning import rq_queue
from backend.learning.queue import Check
from backend.learning.queues import queue_of
from backend.learning.rq_queue import NAME, RqQueue, work

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = shutil.which("redis-server")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("redis-server is not installed; .ci/run installs Debian's")
        pytest.skip("redis-server is not installed")
    folder = tmp_path_factory.mktemp("redis")
    socket = folder / "socket"
    words = [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT)
    url = f"unix://{socket}"
    while True:
        try:
            redis.Redis.from_url(url).ping()
            break
        except redis.RedisError:
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
    yield url
    server.terminate()
    server.wait()


@pytest.fixture
def queue(address: str) -> RqQueue:
    redis.Redis.from_url(address).flushall()
    return RqQueue(address)


def _write_down(address: str, out: Path) -> None:
    """A worker that notes what it was given."""

    def handle(check: Check) -> None:
        with out.open("a") as file:
            file.write(f"{check.project} {check.asked} {check.events}\n")

    work(address, handle, burst=True)


def _hang(address: str, begun: Path) -> None:
    def handle(check: Check) -> None:
        begun.touch()
        time.sleep(600)

    work(address, handle)


def worked_off(address: str, out: Path) -> list[str]:
    process = SPAWN.Process(target=_write_down, args=(address, out))
    process.start()
    process.join()
    assert process.exitcode == 0
    return out.read_text().split("\n")[:-1] if out.exists() else []


def test_many_events_of_a_project_are_one_job(queue: RqQueue, address: str, tmp_path: Path) -> None:
    for number in range(5):
        queue.put(Check(7, asked=number == 2))
    queue.put(Check(8))
    assert len(rq.Queue(NAME, connection=redis.Redis.from_url(address))) == 2
    assert worked_off(address, tmp_path / "out") == ["7 True 5", "8 False 1"]
    queue.put(Check(7))
    assert worked_off(address, tmp_path / "out")[2:] == ["7 False 1"], "the next event asks anew"


def test_the_job_of_a_killed_worker_is_done_by_the_next(queue: RqQueue, address: str, tmp_path: Path) -> None:
    queue.put(Check(7, asked=True))
    begun = tmp_path / "begun"
    worker = SPAWN.Process(target=_hang, args=(address, begun))
    worker.start()
    while not begun.exists():
        assert worker.is_alive()
        time.sleep(0.05)
    connection = redis.Redis.from_url(address)
    registry = rq.registry.StartedJobRegistry(NAME, connection=connection, serializer=rq.serializers.JSONSerializer)
    (identity,) = registry.get_job_ids()
    assert worker.pid is not None
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    for process in (worker.pid, *map(int, children)):
        os.kill(process, signal.SIGKILL)
    worker.join()
    registry.cleanup(timestamp=time.time() + 10_000)  # what RQ's next worker does once the job has not been heard of for a while
    assert identity in rq.Queue(NAME, connection=connection, serializer=rq.serializers.JSONSerializer).job_ids
    assert worked_off(address, tmp_path / "out") == ["7 True 1"], "that training was asked for is not forgotten"


def test_nothing_in_redis_is_a_pickle(queue: RqQueue, address: str) -> None:
    queue.put(Check(7))
    connection = redis.Redis.from_url(address)
    (job,) = list(connection.scan_iter("rq:job:*"))
    import zlib

    assert zlib.decompress(connection.hget(job, "data")).startswith(b'["backend.learning.rq_queue.look"')


def test_redis_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="start it, or unset that variable"):
        RqQueue(f"unix://{tmp_path}/nothing").put(Check(7))
    with pytest.raises(UsageError, match="no address of Redis"):
        RqQueue("nonsense")


def test_the_environment_chooses(tmp_path: Path) -> None:
    assert isinstance(queue_of(tmp_path, {"REDIS_URL": f"unix://{tmp_path}/socket"}), RqQueue)
    with pytest.raises(RuntimeError, match="rsiseg worker"):
        rq_queue.look(7)
