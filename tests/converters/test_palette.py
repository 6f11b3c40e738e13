"""Colours of classes are fixed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.palette import colour


@given(st.text())
def test_every_name_has_a_colour(name: str) -> None:
    assert re.fullmatch("#[0-9a-f]{6}", colour(name))


@pytest.mark.parametrize("name", ["Building", "building", " BUILDINGS ", "buildings"])
def test_spellings_of_a_benchmark_class_share_its_colour(name: str) -> None:
    assert colour(name) == "#0000ff"
    assert colour("Low_vegetation") == colour("low vegetation") == "#00ffff"


def test_other_names_keep_theirs_from_release_to_release() -> None:
    assert [colour(name) for name in ("solar panel", "pool", "Straße")] == ["#f032e6", "#3cb44b", "#dcbeff"]
