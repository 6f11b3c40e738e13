"""Every error a user can cause, one class each.

RSISegError
├── RasterError          a raster that cannot be read or used
├── SourceError          a file or address that may not, or could not, be fetched
├── TaskError            a task, chip or annotation that contradicts itself
└── ExportError          an export that would lie about places

A message says what was found, what was expected, and what to do next, in one sentence. The command line prints it without a
traceback; the server logs it with the task id.
"""

from __future__ import annotations


class RSISegError(Exception):
    """Base of all errors with a message meant for the user."""


class RasterError(RSISegError):
    """A raster cannot be opened, decoded, or used as asked."""


class SourceError(RSISegError):
    """An image or raster address is outside what was allowed, or is not there."""


class TaskError(RSISegError):
    """A Label Studio task or annotation contradicts itself or its raster."""


class ExportError(RSISegError):
    """An export was asked for that cannot be true, such as map coordinates without a CRS."""
