"""The tasks of a JSON export of any size, one after the other: only the task at hand and a buffer are in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from converters.errors import TaskError
from converters.json_values import shown
from converters.label_studio_export import EXPECTED, AnnotatedTask, read_task

# Characters read at a time. A task that is cut off at the buffer's end is parsed again with more, so it should hold many of them.
BUFFER = 1 << 23
# A document that is no list is shown in the error as far as it takes no more than this to read.
_SMALL = 1 << 26
_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class ExportFile:
    """Label Studio's JSON export in a file; each call is a fresh pass over its tasks.

    A pass raises TaskError for a file that cannot be read or is something else, also where that first shows behind some tasks.
    """

    path: Path

    def __call__(self) -> Iterator[AnnotatedTask]:
        """A pass."""
        expected = "expected Label Studio's JSON export"
        try:
            with self.path.open(encoding="utf-8", newline="") as file:
                for position, element in enumerate(elements(file)):
                    yield read_task(element, position)
        except OSError as error:
            raise TaskError(f"{self.path} cannot be read ({error.strerror}); {expected}; check the path") from error
        except UnicodeDecodeError as error:
            raise TaskError(f"{self.path} is no UTF-8 text; {expected}; if it is a ZIP archive, unpack it first") from error
        except (json.JSONDecodeError, RecursionError) as error:
            raise TaskError(f"{self.path} is no JSON ({error}); {expected}; export again and choose JSON, not CSV or COCO") from error


def elements(file: TextIO, *, size: int = BUFFER) -> Iterator[object]:
    """The elements of the JSON list that a text file holds.

    Raises TaskError for a document that is no list, json.JSONDecodeError with the place in the whole text for one that is no JSON.
    """
    buffer = _Buffer(file, size)
    buffer.space()
    if buffer.peek() == "\ufeff":
        json.loads("\ufeff")  # raises the decoder's own words
    if buffer.peek() != "[":
        raise TaskError(f"the file holds {shown(buffer.document())}; {EXPECTED}")
    buffer.skip()
    buffer.space()
    if buffer.peek() == "]":
        buffer.skip()
    else:
        yield from _until_closed(buffer)
    buffer.space()
    if buffer.peek():
        raise buffer.error("Extra data")


def _until_closed(buffer: _Buffer) -> Iterator[object]:
    while True:
        yield buffer.value()
        buffer.space()
        mark = buffer.peek()
        if mark not in {",", "]"}:
            raise buffer.error("Expecting ',' delimiter")
        buffer.skip()
        if mark == "]":
            return
        buffer.space()


class _Buffer:
    """A window that moves over the text: what is behind `at` is dropped when more is read, only its lines are counted."""

    def __init__(self, file: TextIO, size: int) -> None:
        self._file = file
        self._size = size
        self._text = ""
        self._at = 0
        self._ended = False
        self._dropped = 0  # characters, lines, and characters since the last line's end, before the text
        self._lines = 0
        self._column = 0
        self._decoder = json.JSONDecoder()

    def peek(self) -> str:
        """The next character, empty at the end."""
        while self._at >= len(self._text) and not self._ended:
            self._more()
        return self._text[self._at : self._at + 1]

    def skip(self) -> None:
        """Goes past the next character."""
        self._at += 1

    def space(self) -> None:
        """Goes past white space."""
        while self.peek():
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                return

    def value(self) -> object:
        """The JSON value that begins at the next character."""
        self.peek()
        while True:
            try:
                found, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._ended or not _may_be_cut_off(error, len(self._text)):
                    raise self._placed(error.msg, error.pos) from None
            else:
                # A number goes on where the text does: -0. is read as -0 until the next digit is there.
                if self._ended or self._text[end : end + 32].lstrip("+-.eE0123456789"):
                    self._at = end
                    return found
            self._more()

    def document(self) -> object:
        """The whole document, or the beginning of a large one as text."""
        while len(self._text) < _SMALL and not self._ended:
            self._more()
        if not self._ended:
            return self._text[: _SMALL // 1024]
        try:
            return json.loads(self._text)
        except json.JSONDecodeError as error:
            raise self._placed(error.msg, error.pos) from None

    def error(self, message: str) -> json.JSONDecodeError:
        """An error at the next character."""
        return self._placed(message, self._at)

    def _more(self) -> None:
        """Reads as much again as is left, so that a long value is parsed few times only."""
        passed = self._text[: self._at]
        self._dropped += len(passed)
        self._lines += passed.count("\n")
        self._column = len(passed) - passed.rfind("\n") - 1 if "\n" in passed else self._column + len(passed)
        left = self._text[self._at :]
        read = self._file.read(max(self._size, len(left)))
        self._ended = not read
        self._text, self._at = left + read, 0

    def _placed(self, message: str, at: int) -> json.JSONDecodeError:
        """The error with its place in the whole text."""
        error = json.JSONDecodeError(message, self._text, at)
        if error.lineno == 1:
            error.colno += self._column
        error.lineno += self._lines
        error.pos += self._dropped
        error.args = (f"{message}: line {error.lineno} column {error.colno} (char {error.pos})",)
        error.doc = ""
        return error


def _may_be_cut_off(error: json.JSONDecodeError, length: int) -> bool:
    """Whether more text could mend it: a string without an end, or something wrong in the last few characters, such as half a `null`."""
    return error.msg.startswith("Unterminated string") or error.pos > length - len("-Infinity") - len("\\u0000")
