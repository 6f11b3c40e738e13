"""A promoted version takes over between two clicks; until it is loaded, and where it is damaged, the one before answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import FakeSegmenter
from version_files import MODEL, write_tiny

from backend.errors import ModelError
from backend.learning.versions import SHIPPED, Versions
from backend.model_pool import MOST_PROJECTS, ModelPool
from backend.segmenters import catalogue
from backend.segmenters.catalogue_entry import Entry, version_of

PROJECT = "7.1795326590"


class Weights:
    """A loader that waits until it may, and can fail."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.may.set()
        self.loaded: list[str] = []
        self.broken = False

    def __call__(self, entry: Entry, device: str) -> FakeSegmenter:
        self.may.wait(60)
        if self.broken:
            raise RuntimeError("damaged in a way nobody thought of")
        self.loaded.append(entry.name)
        return FakeSegmenter(entry.name, version=version_of(entry))


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    made = Versions(tmp_path / "data")
    for seed in (1, 2):
        weights = write_tiny(tmp_path / f"{seed}.safetensors", seed)
        made.add(7, weights, model=MODEL, parent=seed - 1, about={})
    return made


@pytest.fixture
def load() -> Weights:
    return Weights()


@pytest.fixture
def pool(versions: Versions, load: Weights) -> ModelPool:
    return ModelPool(catalogue.shipped(), device="cpu", load=load, versions=versions)


def until(reached: Callable[[], bool]) -> None:
    """Waits for another thread; a minute is for a machine that does everything else first."""
    for _ in range(6000):
        if reached():
            return
        threading.Event().wait(0.01)
    raise AssertionError("never happened")


def answers(pool: ModelPool) -> str:
    return pool.get(MODEL, PROJECT).segmenter.name


def test_the_old_weights_answer_until_the_new_ones_are_loaded(pool: ModelPool, versions: Versions, load: Weights) -> None:
    assert answers(pool) == MODEL
    load.may.clear()
    versions.promote(7, 1)
    assert [answers(pool) for _ in range(5)] == [MODEL] * 5, "nobody waits"
    held = pool.get(MODEL, PROJECT)
    assert pool.version(MODEL, PROJECT) == held.version, "/setup names what answers"
    load.may.set()
    until(lambda: answers(pool) == f"{MODEL}.project7.v1")
    assert load.loaded == [MODEL, f"{MODEL}.project7.v1"], "loaded once, however many clicks came meanwhile"
    assert held.segmenter.name == MODEL, "a click under way keeps what it began with"
    assert pool.get(MODEL, PROJECT).device is held.device, "one lock a device, whichever the version"
    versions.promote(7, 2)
    until(lambda: answers(pool) == f"{MODEL}.project7.v2")
    versions.promote(7, SHIPPED)
    until(lambda: answers(pool) == MODEL)


def test_a_process_that_starts_later_answers_with_the_current_version_at_once(pool: ModelPool, versions: Versions, load: Weights) -> None:
    versions.promote(7, 2)
    pool.get(MODEL)  # as `--warm` does
    expected = pool.version(MODEL, PROJECT)
    assert answers(pool) == f"{MODEL}.project7.v2" and pool.version(MODEL, PROJECT) == expected
    assert expected.startswith(f"{MODEL}.project7.v2@")


def test_other_projects_and_other_models_are_not_concerned(pool: ModelPool, versions: Versions) -> None:
    versions.promote(7, 1)
    assert pool.get(MODEL, "8.1").segmenter.name == MODEL and pool.get(MODEL).segmenter.name == MODEL
    assert pool.get("ritm_tiny", PROJECT).segmenter.name == "ritm_tiny"


@pytest.mark.parametrize("how", ["weights", "card", "loader"])
def test_a_damaged_version_leaves_the_one_before_and_is_said_once(
    pool: ModelPool, versions: Versions, load: Weights, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    versions.promote(7, 1)
    assert answers(pool) == f"{MODEL}.project7.v1"
    two = versions.get(7, 2)
    if how == "loader":
        load.broken = True
    elif how == "weights":
        two.weights.write_bytes(two.weights.read_bytes()[:1000])
    else:
        (two.folder / "card.json").write_text("{")
    (versions.folder / "7" / "current").write_text("2\n")

    def said() -> list[str]:
        answers(pool)
        return [record.getMessage() for record in caplog.records if "goes on answering" in record.getMessage()]

    until(lambda: bool(said()))
    for _ in range(20):
        assert answers(pool) == f"{MODEL}.project7.v1"
    assert len(said()) == 1
    load.broken = False
    versions.promote(7, SHIPPED)
    until(lambda: answers(pool) == MODEL)


def test_a_damaged_version_at_the_start_leaves_the_shipped_model(pool: ModelPool, versions: Versions) -> None:
    versions.promote(7, 2)
    versions.get(7, 2).weights.write_bytes(b"no weights")
    assert answers(pool) == MODEL
    assert pool.version(MODEL, PROJECT) == catalogue.shipped().version(MODEL)


def test_only_so_many_projects_stay_loaded(pool: ModelPool, versions: Versions, load: Weights, tmp_path: Path) -> None:
    weights = versions.get(7, 1).weights
    for project in range(20, 21 + MOST_PROJECTS):
        versions.add(project, weights, model=MODEL, parent=SHIPPED, about={})
        versions.promote(project, 1)
        assert pool.get(MODEL, f"{project}.1").segmenter.name == f"{MODEL}.project{project}.v1"
    pool.get(MODEL, "21.1")
    assert load.loaded.count(f"{MODEL}.project21.v1") == 1
    pool.get(MODEL, "20.1")
    assert load.loaded.count(f"{MODEL}.project20.v1") == 2


def test_a_missing_model_is_an_error_as_before(versions: Versions) -> None:
    def absent(entry: Entry, device: str) -> FakeSegmenter:
        raise ModelError("not here")

    pool = ModelPool(catalogue.shipped(), device="cpu", load=absent, versions=versions)
    versions.promote(7, 1)
    with pytest.raises(ModelError, match="not here"):
        pool.get(MODEL, PROJECT)
