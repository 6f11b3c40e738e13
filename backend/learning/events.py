"""What is kept of a webhook: which project, what happened, which annotation, how many regions were accepted. Never the body or its token.

A body holds every region of the annotation, megabytes of RLE, and Label Studio's user waits for the answer. So the long lists of numbers
are cut out before the rest is parsed: a look through the bytes for their ends, no number is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.errors import ContractError

START_TRAINING = "START_TRAINING"
ACTIONS = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED", "TASKS_CREATED", "TASKS_DELETED", "PROJECT_UPDATED")
_ACCEPTED = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED")
_OBJECTS = ("brushlabels", "polygonlabels", "brush", "polygon")
"""Types of results that are objects. Key points, boxes and the labels that stand beside them are not."""

_ACTION = re.compile(rb'\s*\{\s*"action"\s*:\s*"([A-Z_]{1,64})"')
# In JSON, quotation marks inside a text have a backslash before them, so these bytes are a key, or a whole text that no colon follows.
_LISTS = ((b'"rle"', b"]"), (b'"points"', b"]]"))
_OPENS = re.compile(rb"\s*:\s*\[")
_SHORT = 4096


@dataclass(frozen=True, slots=True)
class Event:
    """action: one of ACTIONS, START_TRAINING, or "other". project: its number, None where the body names none. annotation: its number,
    None for other events. objects: brush and polygon regions of an annotation that was not cancelled, 0 for other events."""

    action: str
    project: int | None = None
    annotation: int | None = None
    objects: int = 0

    @property
    def counts(self) -> bool:
        """Whether a worker should look at the project: something was accepted, or somebody asks for training."""
        return self.project is not None and (self.action == START_TRAINING or self.objects > 0)


def read_event(body: bytes) -> Event:
    """The event in the body of a webhook, of whatever size. Raises ContractError for a body that is none."""
    begin = _ACTION.match(body)
    if begin is not None and begin[1].decode() not in (*_ACCEPTED, START_TRAINING):
        return Event(_known(begin[1].decode()))  # nothing else of it is of use here
    document = _parsed(body)
    if not isinstance(document, Mapping):
        raise ContractError("the body of /webhook is no JSON object; expected what Label Studio sends")
    action = _known(document.get("action"))
    if action not in (*_ACCEPTED, START_TRAINING):
        return Event(action)
    project = _number(document.get("project"))
    if action == START_TRAINING:
        return Event(action, project)
    annotation = document.get("annotation")
    return Event(action, project, _number(annotation), _objects(annotation))


def shortened(body: bytes) -> bytes:
    """The body with the numbers of its masks and outlines left out: `"rle": []`."""
    pieces, taken = list[bytes](), 0
    for start, end in _cuts(body):
        pieces.append(body[taken:start])
        taken = end
    return body if not pieces else b"".join([*pieces, body[taken:]])


def _cuts(body: bytes) -> list[tuple[int, int]]:
    """(first, end) of the bytes inside the brackets of lists that are longer than _SHORT, in order."""
    cuts: list[tuple[int, int]] = []
    for key, closes in _LISTS:
        at = body.find(key)
        while at >= 0:
            opened = _OPENS.match(body, at + len(key))
            at = at + len(key) if opened is None else opened.end()
            if opened is not None:
                end = body.find(closes, at)
                if end < 0:
                    break
                if body.find(b'"', at, end) >= 0:  # an empty outline, say: the end is that of something else
                    end = at
                elif end - at > _SHORT:
                    cuts.append((at, end + len(closes) - 1))
                at = end
            at = body.find(key, at)
    return sorted(cuts)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(shortened(body))
    except (ValueError, RecursionError):
        pass
    try:
        return json.loads(body)  # lists that end otherwise than Label Studio's own
    except (ValueError, RecursionError):
        raise ContractError("the body of /webhook is no JSON; expected what Label Studio sends") from None


def _known(action: object) -> str:
    return action if isinstance(action, str) and action in (*ACTIONS, START_TRAINING) else "other"


def _number(value: object) -> int | None:
    number = value.get("id") if isinstance(value, Mapping) else value
    return number if isinstance(number, int) and not isinstance(number, bool) and 0 < number < 10**12 else None


def _objects(annotation: object) -> int:
    if not isinstance(annotation, Mapping) or annotation.get("was_cancelled"):
        return 0
    results = annotation.get("result")
    if not isinstance(results, list):
        return 0
    found = {item.get("id") or number for number, item in enumerate(results) if isinstance(item, Mapping) and item.get("type") in _OBJECTS}
    return len(found)
