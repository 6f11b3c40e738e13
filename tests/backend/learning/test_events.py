"""What is read of a webhook's body, however large, and what is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import ContractError
from backend.learning.events import Event, read_event, shortened


def brush(identity: str, numbers: int) -> dict[str, Any]:
    return {"id": identity, "type": "brushlabels", "value": {"format": "rle", "rle": list(range(numbers)), "brushlabels": ["roof"]}}


def body(action: str, results: list[dict[str, Any]], **annotation: Any) -> bytes:
    return json.dumps(
        {"action": action, "annotation": {"id": 3, "result": results, **annotation}, "project": {"id": 7, "token": "secret"}, "task": {}}
    ).encode()


def test_accepted_regions_are_counted_and_prompts_are_not() -> None:
    results = [
        brush("a", 9000),
        {"id": "b", "type": "polygonlabels", "value": {"points": [[1.5, 2.5]] * 2000, "polygonlabels": ["roof"]}},
        {"id": "a", "type": "keypointlabels", "value": {"x": 1, "y": 2}},
        {"id": "c", "type": "keypointlabels", "value": {"x": 1, "y": 2}},
        {"id": "d", "type": "rectanglelabels", "value": {}},
    ]
    assert read_event(body("ANNOTATION_CREATED", results)) == Event("ANNOTATION_CREATED", 7, 3, 2)
    assert read_event(body("ANNOTATION_UPDATED", results)).counts
    assert not read_event(body("ANNOTATION_CREATED", results[2:])).counts, "key points alone are no reason to look"


def test_a_cancelled_annotation_counts_nothing() -> None:
    assert read_event(body("ANNOTATION_CREATED", [brush("a", 3)], was_cancelled=True)).objects == 0


def test_recorded_webhooks_of_label_studio(wire: Callable[[str], Any]) -> None:
    def read(name: str) -> Event:
        return read_event(json.dumps(wire(name)).encode())

    recorded = wire("webhook_annotation_created")
    project, annotation = recorded["project"]["id"], recorded["annotation"]
    assert read("webhook_start_training") == Event("START_TRAINING", wire("webhook_start_training")["project"]["id"])
    assert read("webhook_start_training").counts
    created = read("webhook_annotation_created")
    assert (created.project, created.annotation) == (project, annotation["id"])
    assert created.objects == sum(item["type"] in ("brushlabels", "polygonlabels") for item in annotation["result"])
    for name in ("webhook_annotations_deleted", "webhook_project_updated", "webhook_tasks_created"):
        assert not read(name).counts


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"\xff\xfe", b'{"action": "ANNOTATION_CREATED", "annotation": ' + b"[" * 200_000])
def test_what_is_no_event_is_an_error_in_words(text: bytes) -> None:
    with pytest.raises(ContractError, match="expected what Label Studio sends"):
        read_event(text)


@pytest.mark.parametrize(
    "document",
    [
        {"action": "ANNOTATION_CREATED"},
        {"action": "ANNOTATION_CREATED", "annotation": [], "project": {"id": "7"}},
        {"action": "ANNOTATION_CREATED", "annotation": {"result": {}}, "project": {"id": True}},
        {"action": "ANNOTATION_CREATED", "annotation": {"result": [None, {"type": []}]}, "project": {"id": -1}},
        {"action": 7, "project": {"id": 7}},
        {"annotation": {"result": [brush("a", 2)]}, "project": {"id": 7}},
    ],
)
def test_incomplete_events_ask_for_nothing(document: dict[str, Any]) -> None:
    assert not read_event(json.dumps(document).encode()).counts


def test_events_that_need_no_look_are_not_parsed() -> None:
    assert read_event(b'{"action": "TASKS_CREATED", "tasks": [broken') == Event("TASKS_CREATED")
    assert read_event(b'{"action": "SOMETHING_NEW", "tasks": [broken') == Event("other")


def test_only_long_lists_of_numbers_are_cut() -> None:
    long = body("ANNOTATION_CREATED", [brush("a", 9000)])
    assert len(shortened(long)) < 400 and json.loads(shortened(long))["annotation"]["result"][0]["value"]["rle"] == []
    short = body("ANNOTATION_CREATED", [brush("a", 5)])
    assert shortened(short) == short


_names = st.text(max_size=12) | st.sampled_from(['"rle"', '"points": [', '\\"rle": [', "]]", "rle", "points", ']"', "\\"])
_numbers = st.lists(st.integers(0, 255), max_size=5) | st.just(list(range(2000)))
_points = st.lists(st.lists(st.floats(0, 100), min_size=2, max_size=2), max_size=3) | st.just([[1.25, 2.5]] * 1500)
_values = st.fixed_dictionaries({}, optional={"format": st.just("rle"), "rle": _numbers, "points": _points, "text": _names})
_results = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["brushlabels", "polygonlabels", "keypointlabels", "textarea"]), "value": _values, "id": _names}
    ),
    max_size=4,
)


@given(results=_results, title=_names, spaced=st.booleans())
def test_cutting_changes_nothing_that_is_read(results: list[dict[str, Any]], title: str, spaced: bool) -> None:
    """Whatever texts stand in an annotation: the event is that of the whole document, parsed."""
    document = {"action": "ANNOTATION_UPDATED", "annotation": {"id": 3, "result": results}, "project": {"id": 7, "title": title}}
    found = read_event(json.dumps(document, separators=None if spaced else (",", ":")).encode())
    kept = [item["id"] or number for number, item in enumerate(results) if item["type"] in ("brushlabels", "polygonlabels")]
    assert found == Event("ANNOTATION_UPDATED", 7, 3, len(set(kept)))
