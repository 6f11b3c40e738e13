"""Requests written in a few words, and a server in process that answers them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakes import FakeSegmenter

LABEL_STUDIO = "http://127.0.0.1:8085"  # as in the recorded requests; nothing listens there
CONFIG = """<View>
  <Image name="img" value="$image"/>
  <KeyPointLabels name="kp" toName="img" smart="true"{attributes}>
    <Label value="Road"/><Label value="Building"/><Label value="Only"/>
  </KeyPointLabels>
  <KeyPointLabels name="kp2" toName="img" smart="true" model_name="other"><Label value="Road"/></KeyPointLabels>
  <RectangleLabels name="rect" toName="img" smart="true"><Label value="Road"/></RectangleLabels>
  <BrushLabels name="brush" toName="img" smart="false"><Label value="Road"/><Label value="Building"/></BrushLabels>
  <PolygonLabels name="poly" toName="img" smart="false"><Label value="Road"/></PolygonLabels>
</View>"""


def config(**attributes: str) -> str:
    """A label config; `attributes` stand on the smart tag "kp"."""
    return CONFIG.format(attributes="".join(f' {name}="{value}"' for name, value in attributes.items()))


def point(
    x: float, y: float, *, positive: bool | None = True, tag: str = "kp", label: str = "Road", size: tuple[int, int] = (600, 600)
) -> dict[str, Any]:
    """A key point in percent as Label Studio sends it; positive None leaves `is_positive` out."""
    item = {
        "original_width": size[0],
        "original_height": size[1],
        "image_rotation": 0,
        "value": {"x": x, "y": y, "width": 0.2, "labels": [label], "keypointlabels": [label]},
        "id": f"{x}-{y}",
        "from_name": tag,
        "to_name": "img",
        "type": "keypointlabels",
    }
    return item if positive is None else {**item, "is_positive": positive}


@dataclass
class Server:
    """The app in process, with what a test wants to look at."""

    client: Any
    runtime: Any
    segmenters: dict[str, FakeSegmenter]
    files: Path

    @property
    def fake(self) -> FakeSegmenter:
        return self.segmenters["fake"]

    def post(self, path: str, body: Any, **more: Any) -> Any:
        return self.client.post(path, json=body, **more)

    def click(
        self,
        points: Sequence[dict[str, Any]] | None,
        *,
        data: dict[str, Any] | None = None,
        config: str = config(),
        project: str = "3.1795327615",
        context: Any = ...,
        **of_task: Any,
    ) -> dict[str, Any]:
        """The one entry that answers a click. context: instead of the points. of_task: such as `drafts`."""
        picture = {"image": f"{LABEL_STUDIO}/data/local-files/?d=imgs/sq600.png"}
        body = {
            "tasks": [{"id": 4, "data": data or picture, "drafts": [], "annotations": [], **of_task}],
            "project": project,
            "label_config": config,
            "params": {"login": None, "password": None, "context": {"result": points} if context is ... else context},
        }
        response = self.post("/predict", body)
        assert response.status_code == 200, response.text
        results = response.json["results"]
        assert len(results) == 1
        return results[0]

    def metric(self, line: str) -> float:
        """The value of one line of /metrics, 0 when it is not there."""
        for text in self.client.get("/metrics").text.splitlines():
            if text.startswith(f"{line} "):
                return float(text.rsplit(" ", 1)[1])
        return 0.0
