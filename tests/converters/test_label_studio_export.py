"""Whatever JSON comes in, it is read or refused with a sentence."""

from __future__ import annotations

from typing import Any

from exported import export
from hypothesis import given, settings
from hypothesis import strategies as st

from converters import geojson
from converters.errors import RSISegError
from converters.label_studio_export import NoRegion, Region, read_export, regions

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-300, 300) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=6,
)
AREAS = ("brushlabels", "polygonlabels", "brush", "polygon")
TYPES = st.sampled_from(["brushlabels", "polygonlabels", "labels", "brush", "polygon", "keypointlabels", "choices"]) | JSON
VALUE = st.fixed_dictionaries(
    {},
    optional={
        "rle": JSON | st.lists(st.integers(0, 255), max_size=20), "points": JSON | st.lists(st.tuples(st.floats(), st.floats()).map(list)),
        "brushlabels": JSON, "polygonlabels": st.just(["a"]) | JSON, "labels": JSON, "closed": JSON,
    },
)  # fmt: skip
RESULT = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["a", "b"]) | JSON, "type": TYPES, "value": VALUE | JSON, "original_width": st.just(4) | JSON,
        "original_height": st.just(4) | JSON, "image_rotation": JSON, "score": JSON, "meta": st.fixed_dictionaries({"rsiseg": JSON}) | JSON,
    },
)  # fmt: skip
DATA = {
    "image": "a.png", "raster": "a.tif", "window": [0, 0, 4, 4], "transform": [1, 0, 4e5, 0, -1, 5e6], "crs": "EPSG:32633", "bands": "RGB",
    "native_size": [4, 4],
}  # fmt: skip


def document(results: list[Any], **annotation: Any) -> list[dict[str, Any]]:
    return [{"id": 1, "data": DATA, "annotations": [{"id": 2, "result": results} | annotation]}]


@given(st.lists(RESULT, max_size=4))
@settings(max_examples=150, deadline=None)
def test_any_result_becomes_a_feature_or_a_reason(results: list[dict[str, Any]]) -> None:
    (task,) = read_export(document(results))
    read = list(regions(task.annotations[0]))
    bare = {str(item["id"]) for item in results if item.get("type") in ("brush", "polygon") and item.get("id") is not None}
    twice = sum(item.get("type") == "labels" and str(item.get("id")) in bare - {""} for item in results)
    areas = {str(item["id"]) for item in results if item.get("type") in AREAS and item.get("id") is not None}
    twice += sum(item.get("type") == "keypointlabels" and item.get("id") is not None and str(item["id"]) in areas for item in results)
    assert len(read) == len(results) - twice
    done = export([task])
    assert len(done.features) + len(done.left_out) == len(read)
    assert all(one.reason for one in read if isinstance(one, NoRegion))
    assert all(one.labels for one in read if isinstance(one, Region))
    geojson.dumps(done.features)


def test_an_accepted_mask_that_is_also_written_as_a_key_point_is_one_region() -> None:
    size = {"original_width": 600, "original_height": 400, "image_rotation": 0}
    ring = {"points": [[10, 10], [20, 10], [20, 20]], "closed": True, "polygonlabels": ["roof"]}
    mask = {"id": "a", "type": "polygonlabels", "value": ring, **size}
    shadow = {"id": "a", "type": "keypointlabels", "value": {"x": 1, "y": 1, "keypointlabels": ["roof"]}, **size}
    prompt = shadow | {"id": "b"}
    (task,) = read_export(document([shadow, mask, prompt]))
    kept, left = regions(task.annotations[0])
    assert isinstance(kept, Region) and kept.labels == ("roof",)
    assert isinstance(left, NoRegion) and left.id == "b" and "prompt" in left.reason


@given(JSON)
def test_any_document_is_read_or_refused(anything: Any) -> None:
    for value in (anything, [anything], [{"data": DATA, "annotations": anything}], [{"data": anything, "annotations": []}]):
        try:
            export(read_export(value))
        except RSISegError as error:
            assert "expected" in str(error)


@given(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("completed_by", "was_cancelled", "ground_truth", "updated_at", "id", "created_at"), JSON)
    )
)
def test_any_author_and_date_is_taken(annotation: dict[str, Any]) -> None:
    polygon = {"id": "a", "type": "polygonlabels", "value": {"points": [[0, 0], [50, 0], [50, 50]], "polygonlabels": ["a"]}}
    done = export(read_export(document([polygon], **annotation)))
    geojson.dumps(done.features)
    assert len(done.features) + len(done.left_out) == 1
