"""An annotator at one roof of a project of a test's own, and what Label Studio keeps of the work."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from editor import Answer, Editor
from numpy.typing import NDArray
from own_project import OwnProject, own_project
from place import decoded
from roofs import Roof
from running import RunningStudio

Mask = NDArray[np.bool_]
Point = tuple[float, float]


@dataclass(frozen=True)
class Desk:
    """editor: of the one who sits here. roof: of the project's own task. Points are (col, row) in native px of the chip."""

    editor: Editor
    project: OwnProject
    roof: Roof

    @property
    def task(self) -> int:
        return self.roof.task["id"]

    @property
    def middle(self) -> Point:
        return self.roof.col, self.roof.row

    def sit_down(self) -> None:
        """Opens the task as it is and goes on as `rsiseg up` says."""
        self.editor.open_task(self.project.id, self.task)
        self.editor.keep_label_selected()
        self.editor.switch_on_auto_annotation()
        self.editor.choose("building")

    def click(self, at: Point, **keys: bool) -> Answer:
        return self.editor.click(*at, native=self.roof.native, **keys)

    def draw(self) -> dict[str, Any]:
        """One click in the middle of the roof, accepted: the region."""
        (region,) = self.click(self.middle).regions
        self.editor.accept()
        return region

    def kept(self) -> dict[str, Any]:
        """The task with all that is stored about it."""
        return self.project.ask("GET", f"/api/tasks/{self.task}?project={self.project.id}&fields=all")

    def submitted(self) -> list[dict[str, Any]]:
        """The items of the only annotation."""
        (annotation,) = self.kept()["annotations"]
        return annotation["result"]

    def saved(self, reached: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """The items of the newest draft, once they are as wanted. Label Studio saves some 5 s after a change."""
        deadline = time.monotonic() + 120
        while True:
            drafts = sorted(self.kept()["drafts"], key=lambda draft: draft["updated_at"])
            if drafts and reached(drafts[-1]["result"]):
                return drafts[-1]["result"]
            assert time.monotonic() < deadline, f"after 120 s the draft is {drafts[-1:]}"
            time.sleep(0.5)


def desk_of(editor: Editor, studio: RunningStudio, roof: Roof, name: str) -> Desk:
    """A desk with a project of that name, where nobody has worked yet."""
    project = own_project(studio, name)
    (task,) = [task for task in project.tasks() if task["data"]["image"] == roof.task["data"]["image"]]
    return Desk(editor, project, replace(roof, task=task))


def objects(result: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The brush regions among the items of an annotation or a draft."""
    return [item for item in result if item["type"] == "brushlabels"]


def ids(result: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for item in objects(result)]


def the_object(result: list[dict[str, Any]]) -> dict[str, Any]:
    (region,) = objects(result)
    return region


def same_mask(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return np.array_equal(decoded(one), decoded(other))


def inside(region: dict[str, Any], away: Point) -> Point:
    """A point well inside a region's mask and away from another one, the more of the smaller of the two."""
    mask: Mask = decoded(region)
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    rows, cols = np.ogrid[: mask.shape[0], : mask.shape[1]]
    room = np.minimum(depth, 0.25 * np.hypot(rows + 0.5 - away[1], cols + 0.5 - away[0])) * mask
    row, col = np.unravel_index(int(room.argmax()), mask.shape)
    assert room[row, col] > 2, "the mask is too thin to be clicked on"
    return float(col) + 0.5, float(row) + 0.5


def outside(region: dict[str, Any]) -> Point:
    """The point of the chip that is farthest from a region's mask and from the chip's edge."""
    free = np.pad(~decoded(region), 1).astype(np.uint8)
    depth = cv2.distanceTransform(free, cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, col = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(col) + 0.5, float(row) + 0.5
