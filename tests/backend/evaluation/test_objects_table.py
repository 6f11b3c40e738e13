"""Results by object, to Parquet and back."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.errors import UsageError
from backend.evaluation.noc import ObjectResult
from backend.evaluation.objects_table import read_conditions, read_objects, write_objects

_small = st.integers(0, 6000)
_result = st.builds(
    ObjectResult,
    model=st.text(max_size=5),
    version=st.text(max_size=5),
    image=st.text(max_size=5),
    window=st.tuples(_small, _small, _small, _small),
    index=_small,
    class_name=st.sampled_from(["tree", "car"]),
    area=st.integers(1, 2**40),
    clicks=st.lists(st.tuples(st.booleans(), _small, _small), max_size=3).map(tuple),
    ious=st.lists(st.floats(0, 1), max_size=3).map(tuple),
    met=st.lists(_small, max_size=3).map(tuple),
    gsd=st.none() | st.floats(0.01, 30),
)
ONE = ObjectResult("m", "m@1", "a.tif", (600, 0, 600, 600), 3, "car", 100, ((True, 1, 2),), (0.5, 0.86), (1, 2), gsd=0.05)


@settings(max_examples=25)
@given(st.lists(_result, max_size=4))
def test_what_was_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, results: list[ObjectResult]) -> None:
    path = tmp_path_factory.mktemp("table") / "out.parquet"
    write_objects(path, results)
    assert read_objects(path) == results


def test_the_same_results_give_the_same_bytes_and_times_are_not_among_them(tmp_path: Path) -> None:
    slow = ObjectResult(*(getattr(ONE, name) for name in ONE.__slots__[:-1]), seconds={"step": 9.0})
    write_objects(tmp_path / "a.parquet", [ONE] * 300, {"patch": 600, "bands": None})
    write_objects(tmp_path / "b.parquet", [slow] * 300, {"bands": None, "patch": 600})
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert read_conditions(tmp_path / "a.parquet") == {"patch": 600, "bands": None}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "b.parquet"]


def test_clicks_needed_and_square_metres_are_there_for_whoever_opens_the_file(tmp_path: Path) -> None:
    write_objects(tmp_path / "out.parquet", [ONE])
    row = pq.read_table(tmp_path / "out.parquet").to_pylist()[0]
    assert (row["noc80"], row["noc85"], row["noc90"], row["noc95"]) == (2, 2, 20, 20)
    assert row["area_m2"] == pytest.approx(0.25)
    assert row["clicks"] == [{"positive": True, "row": 1, "col": 2}]


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"model": ["m"]}), other)
    with pytest.raises(UsageError, match=r"other\.parquet is a Parquet file of other columns"):
        read_objects(other)
    other.write_text("no")
    with pytest.raises(UsageError, match="no Parquet file"):
        read_objects(other)


def test_a_failed_write_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    write_objects(path, [ONE])
    before = path.read_bytes()
    broken = ObjectResult("m", "m@1", "a.tif", (0, 0, 1, 1), "x", "car", 1, (), (), ())  # type: ignore[arg-type]
    with pytest.raises(pa.ArrowException):
        write_objects(path, [broken])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
