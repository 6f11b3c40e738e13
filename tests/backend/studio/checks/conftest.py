"""Healthy pairs of Label Studio and backend, to be broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clinic import Clinic, a_clinic
from harness import Server


@pytest.fixture
def clinic(serve: Callable[..., Server], files: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clinic]:
    """A healthy pair: the backend in its thread, with the pictures of `files` for tasks."""
    yield from a_clinic(serve, files, monkeypatch)


@pytest.fixture
def guarded_clinic(serve: Callable[..., Server], files: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clinic]:
    """The same with a backend that asks for a password, which Label Studio has and the doctor's environment has not."""
    yield from a_clinic(serve, files, monkeypatch, basic_auth_user="ls", basic_auth_password="pass-word-1")
