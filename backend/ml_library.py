"""label-studio-ml 1.0.9, imported without torch.

Its `model` module imports torch.multiprocessing where it can, only to start training processes that this server never starts, and sets
the start method of the whole process on the way. That would make /health wait seconds for torch. Hidden for the length of the import,
torch is as good as not installed, and the library falls back on the standard library's multiprocessing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _torch_hidden() -> Iterator[None]:
    loaded = "torch" in sys.modules
    if not loaded:
        sys.modules["torch"] = None  # type: ignore[assignment]  # the documented way to make an import fail
    try:
        yield
    finally:
        if not loaded:
            del sys.modules["torch"]


with _torch_hidden():
    from label_studio_ml.api import init_app
    from label_studio_ml.model import LabelStudioMLBase

__all__ = ["LabelStudioMLBase", "init_app"]
