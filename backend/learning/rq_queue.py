"""The queue in Redis, worked off by RQ: for servers on several machines that share one data folder.

Events of a project are counted in a hash; the first of them enqueues a job, the job takes them all. A job whose worker was killed is
given back by RQ with what it had taken in its `meta`. Everything in Redis is JSON: RQ's own pickles are not used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import redis
import rq
from rq.serializers import JSONSerializer

from backend.errors import UsageError
from backend.learning.queue import Check

NAME = "rsiseg-learning"
_EVENTS = "rsiseg:learning:{}"
_TRIES = rq.Retry(max=5)
_NO_LIMIT = -1  # seconds of a job: training takes as long as it takes

_handle: Callable[[Check], None] | None = None


class RqQueue:
    """The server's side: only puts. See `work` for the other. Raises UsageError where Redis does not answer."""

    def __init__(self, address: str) -> None:
        self._connection = _connected(address)

    def put(self, check: Check) -> None:
        """As in `queue.Queue`."""
        key = _EVENTS.format(check.project)
        try:
            with self._connection.pipeline() as together:
                together.hincrby(key, "events", check.events)
                together.hincrby(key, "asked", int(check.asked))
                events, _ = together.execute()
            if events == check.events:
                _queue(self._connection).enqueue(look, check.project, job_timeout=_NO_LIMIT, retry=_TRIES, result_ttl=0)
        except redis.RedisError as error:
            raise _no_redis(error) from error


def work(address: str, handle: Callable[[Check], None], *, burst: bool = False) -> None:
    """Works off checks until told to stop; each in a process of its own, which RQ forks. burst: ends when nothing waits.

    handle: does the work; what it raises has RQ try again, five times. Raises UsageError where Redis does not answer.
    """
    global _handle  # noqa: PLW0603 - RQ calls functions by their names, in a fork of this process
    _handle = handle
    connection = _connected(address)
    try:
        connection.ping()
        rq.Worker([_queue(connection)], connection=connection, serializer=JSONSerializer).work(burst=burst)
    except redis.RedisError as error:
        raise _no_redis(error) from error


def look(project: int) -> None:
    """The job: what RQ's worker calls by its name."""
    job = rq.get_current_job()
    if job is None or _handle is None:
        raise RuntimeError("this job is for the worker that `rsiseg worker` starts")
    check = _taken(job, int(project))
    _handle(check)


def _taken(job: Any, project: int) -> Check:
    """All events of the project so far, and those that this job took before its worker was killed."""
    connection, key = job.connection, _EVENTS.format(project)
    with connection.pipeline() as together:
        together.hgetall(key)
        together.delete(key)
        found, _ = together.execute()
    before = job.meta.get("check") or {}
    events = _count(found, b"events") + int(before.get("events", 0))
    asked = _count(found, b"asked") > 0 or bool(before.get("asked"))
    job.meta["check"] = {"events": events, "asked": asked}
    job.save_meta()
    return Check(project, asked, max(events, 1))


def _count(found: Mapping[bytes, bytes], key: bytes) -> int:
    return int(found.get(key, b"0"))


def _queue(connection: redis.Redis) -> rq.Queue:
    return rq.Queue(NAME, connection=connection, serializer=JSONSerializer)


def _connected(address: str) -> redis.Redis:
    try:
        return redis.Redis.from_url(address, socket_connect_timeout=3)
    except ValueError as error:
        raise UsageError(f"REDIS_URL is no address of Redis ({error}); expected one such as redis://localhost:6379/0") from None


def _no_redis(error: Exception) -> UsageError:
    return UsageError(
        f"Redis does not answer ({type(error).__name__}); expected it at REDIS_URL; start it, or unset that variable to queue in a file"
    )
