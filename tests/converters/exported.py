"""A whole export in one call, for tests that look at its features."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from converters.exporting import geojson_file
from converters.exporting.account import Account, Remark
from converters.exporting.chosen import Choice
from converters.exporting.formats import Request
from converters.exporting.shaping import Shaping
from converters.label_studio_export import AnnotatedTask


@dataclass
class Export:
    features: list[dict[str, Any]]
    account: Account
    left_out: list[Remark] = field(init=False)
    notes: list[Remark] = field(init=False)

    def __post_init__(self) -> None:
        self.left_out, self.notes = self.account.remarks_left_out(), self.account.remarks_noted()


def export(tasks: Iterable[AnnotatedTask], *, annotations: str = "latest", shaping: Shaping | None = None, **changes: Any) -> Export:
    """The GeoJSON features of an export. changes: fields of `Request`."""
    known = list(tasks)
    fields: dict[str, Any] = {"choice": Choice(annotations)} | changes
    request = Request(tasks=lambda: known, out=Path("unused"), shaping=shaping or Shaping(), **fields)
    found = list(geojson_file.features(request))
    request.account.check()
    request.account.report()
    return Export(found, request.account)
