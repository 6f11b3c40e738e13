"""Every interface that comes with the package is well in all checks that look at interfaces."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.settings import ServerSettings
from backend.studio.checks import interface
from backend.studio.checks.finding import Verdict
from backend.studio.checks.label_studio import Project
from backend.studio.checks.notes import Notes, Question

SHIPPED = sorted((Path(__file__).parents[4] / "label_config").glob("*.xml"))
CHECKS = (interface.label_config, interface.smart_tag, interface.tag_settings, interface.targets, interface.other_tags)


def looked_at(xml: str) -> list[Verdict]:
    notes = Notes(Question(ServerSettings(), "http://127.0.0.1:9090"))
    notes.learn(Project(1, "1.0", "shipped", xml))
    return [check(notes) for check in CHECKS]


def test_some_are_shipped() -> None:
    assert len(SHIPPED) >= 3


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_a_shipped_interface_is_well(path: Path) -> None:
    xml = path.read_text(encoding="utf-8")
    assert [(verdict.status, verdict.todo) for verdict in looked_at(xml)] == [("ok", "")] * len(CHECKS)
    loud = looked_at(xml.replace('smart="false"', ""))
    assert loud[-1].status == "warn"
