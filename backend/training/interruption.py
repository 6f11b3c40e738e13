"""Ctrl-C, or a polite kill, as a wish that the loop fulfils after the step at hand."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """wanted: whether somebody asked the run to stop."""

    def __init__(self) -> None:
        self.wanted = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """SIGINT and SIGTERM are noted for a while; a second one does what it did before. Only the main thread hears signals."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def note(number: int, _frame: FrameType | None) -> None:
            self.wanted = True
            signal.signal(number, before[signal.Signals(number)])

        for number in before:
            signal.signal(number, note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
