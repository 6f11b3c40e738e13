"""The benchmark over a Dask cluster: object by object what one process measures, also when a worker dies on the way."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

distributed = pytest.importorskip("distributed")

from backend.commands.bench import command  # noqa: E402
from backend.errors import ModelError, UsageError  # noqa: E402
from backend.evaluation.cluster import cluster_visits  # noqa: E402
from backend.evaluation.data_source import Source  # noqa: E402
from backend.evaluation.noc import ObjectResult  # noqa: E402
from backend.evaluation.plan import Protocol, Subject, TargetLists, Visit, plan_visits  # noqa: E402
from backend.evaluation.runner import run_visits  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
MODELS = ("ritm_tiny", "vitclick_tiny+cfr1")


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes of this machine, restarted when they die."""
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=0) as local:
        yield local


def planned(data: Path) -> tuple[Protocol, list[Visit]]:
    protocol = Protocol(Source(data), precision="fp32", batch=2)
    targets = TargetLists(protocol).of(protocol.source.open())
    return protocol, [visit for name in MODELS for visit in plan_visits(targets, Subject(name), lambda _: False, batch=2, workers=1)]


def by_object(groups) -> dict[tuple, ObjectResult]:
    """Every result under what it is of; fails where one comes twice."""
    found: dict[tuple, ObjectResult] = {}
    for group in groups:
        for result in group:
            key = (result.model, result.image, result.window, result.index)
            assert key not in found
            found[key] = result
    return found


def test_a_cluster_measures_what_one_process_measures_object_by_object(data: Path, cluster) -> None:
    protocol, visits = planned(data)
    alone = by_object(run_visits(protocol, visits, 1))
    assert len(alone) == 16
    assert by_object(cluster_visits(protocol, visits, cluster.scheduler_address)) == alone


def test_what_a_killed_worker_had_is_measured_elsewhere(data: Path, cluster) -> None:
    protocol, visits = planned(data)
    alone = by_object(run_visits(protocol, visits, 1))
    groups = cluster_visits(protocol, visits, cluster.scheduler_address)
    first = next(groups)
    with distributed.Client(cluster.scheduler_address) as client:
        os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
    assert by_object([first, *groups]) == alone


def test_the_command_gives_the_same_files_over_two_local_workers(data: Path, tmp_path: Path) -> None:
    for name, more in (("one", []), ("two", ["--cluster", "local:2"])):
        words = ["--data", data, "--model", MODELS[0], "--precision", "fp32", "--json", tmp_path / f"{name}.json", *more]
        assert CliRunner().invoke(command, list(map(str, words)), catch_exceptions=False).exit_code == 0
    assert (tmp_path / "one.objects.parquet").read_bytes() == (tmp_path / "two.objects.parquet").read_bytes()


def test_an_error_of_a_worker_is_told_in_its_own_words(data: Path, cluster) -> None:
    protocol, visits = planned(data)
    wrong = [Visit(Subject("no_such"), visits[0].image, visits[0].window, visits[0].groups)]
    with pytest.raises((UsageError, ModelError), match="there is no model 'no_such'"):
        list(cluster_visits(protocol, wrong, cluster.scheduler_address))


def test_an_address_without_a_scheduler_and_a_cluster_that_is_none_are_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    protocol, visits = planned(data)
    monkeypatch.setattr("backend.evaluation.cluster._CONNECT_SECONDS", 1)
    with pytest.raises(UsageError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        list(cluster_visits(protocol, visits, "tcp://127.0.0.1:9"))
    with pytest.raises(UsageError, match="local:N"):
        list(cluster_visits(protocol, visits, "local:none"))
    with pytest.raises(UsageError, match="--workers 2 and --cluster local:2"):
        CliRunner().invoke(
            command,
            ["--data", str(data), "--model", "grabcut", "--workers", "2", "--cluster", "local:2"],
            catch_exceptions=False,
        )


def test_a_worker_that_names_its_device_computes_there(data: Path) -> None:
    """A device that this machine lacks: the error proves who chose."""
    protocol, visits = planned(data)
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=":0", memory_limit=0, processes=False, resources={"cuda:7": 1}
        ) as local,
        pytest.raises((UsageError, ModelError), match="cuda:7"),
    ):
        list(cluster_visits(protocol, visits[:1], local.scheduler_address))
