"""Judging values of foreign JSON: what kind they are, and how to show them in a sentence."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, TypeGuard


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a finite number; true and false are none."""
    # Compared rather than converted: JSON may hold whole numbers beyond any float. Not a number compares false.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def is_list_of_objects(value: object) -> TypeGuard[list[Mapping[str, Any]]]:
    """Whether a value is a list, maybe empty, of JSON objects only."""
    return isinstance(value, list) and all(isinstance(item, Mapping) for item in value)


def shown(value: object) -> str:
    """The value as Python writes it, cut to 80 characters."""
    # Cut long lists first: the text of a mask of a million numbers is not worth making.
    text = repr(value[:40] if isinstance(value, list | str) else value)
    return text if len(text) <= 80 else text[:77] + "..."
