"""An export is read task by task, in bounded memory, as the whole document would be."""

from __future__ import annotations

import io
import json
import tracemalloc
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.errors import TaskError
from converters.label_studio_export import read_export
from converters.task_stream import ExportFile, elements

TASK = {"id": 1, "data": {"image": "a.png"}, "annotations": [{"id": 2, "result": [{"id": "x", "type": "choices"}]}]}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def streamed(text: str, size: int) -> list[object]:
    return list(elements(io.StringIO(text, newline=""), size=size))


@given(st.lists(JSON, max_size=6), st.integers(1, 40), st.sampled_from([None, 1]), st.booleans(), st.sampled_from(["", " ", "\n\t "]))
@settings(max_examples=80, deadline=None)
def test_the_elements_are_those_of_the_whole_document(document: list[Any], size: int, indent: int | None, ascii: bool, around: str) -> None:
    text = around + json.dumps(document, indent=indent, ensure_ascii=ascii) + around
    assert streamed(text, size) == document


@given(st.lists(JSON, max_size=3), st.integers(1, 30), st.integers(0, 200), st.sampled_from([*'x,]}"[{ 1\n', ""]))
@settings(max_examples=120, deadline=None)
def test_damaged_text_is_refused_where_and_as_the_whole_document_would_be(document: list[Any], size: int, where: int, sign: str) -> None:
    text = json.dumps(document, indent=1)
    where = min(where, len(text) - 1)
    text = text[:where] + sign + text[where + 1 :]  # a sign gone, or another one in its place
    try:
        expected = json.loads(text)
    except json.JSONDecodeError as error:
        if text.lstrip()[:1] == "[":
            with pytest.raises(json.JSONDecodeError) as refused:
                streamed(text, size)
            assert str(refused.value) == str(error)
        return
    if isinstance(expected, list):
        assert streamed(text, size) == expected


def test_a_pass_can_be_repeated(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_text(json.dumps([TASK, TASK | {"id": 2}]), encoding="utf-8")
    passes = ExportFile(path)
    assert [task.id for task in passes()] == [task.id for task in passes()] == [1, 2]
    assert tuple(passes()) == read_export(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"is no JSON \(Expecting value: line 1 column 1 \(char 0\)\)"), (b"{}", r"the file holds \{\}"),
        (b'{"images": []}', "the file holds"), (b"[1]", "element 0 of the file is 1"), (b"PK\x03\x04\xff\xfe", "no UTF-8 text.*ZIP"),
        (b"[] []", "Extra data: line 1 column 4"), (b"\xef\xbb\xbf[]", "BOM"), (b"[" * 100_000, "is no JSON"),
        (b'[{"image": "a.png", "annotation_id": 3}]', "JSON_MIN"), (b'["a', "Unterminated string"), (b"null", "the file holds None"),
    ],
)  # fmt: skip
def test_another_file_is_refused_with_a_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "export.json"
    path.write_bytes(content)
    with pytest.raises(TaskError, match=said) as refused:
        list(ExportFile(path)())
    assert "expected Label Studio's JSON export" in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"none\.json cannot be read"):
        list(ExportFile(tmp_path / "none.json")())


def test_what_is_wrong_behind_good_tasks_is_said_when_they_have_been_read(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_text(json.dumps([TASK, TASK])[:-1] + ", 7]", encoding="utf-8")
    tasks = ExportFile(path)()
    assert len(list(islice(tasks, 2))) == 2
    with pytest.raises(TaskError, match="element 2 of the file is 7"):
        next(tasks)


def test_memory_follows_the_largest_task_not_the_file() -> None:
    task = json.dumps(TASK | {"data": {"image": "a" * 20_000}})
    text = io.StringIO("[" + ",".join([task] * 500) + "]", newline="")
    tracemalloc.start()
    try:
        assert sum(1 for _ in elements(text, size=1 << 16)) == 500
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
