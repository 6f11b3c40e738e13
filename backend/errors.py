"""Errors of the backend, beside those of `converters.errors`.

RSISegError
├── ContractError        a request of Label Studio that cannot be answered
├── ModelError           a model that is unknown, unavailable, or does not fit its weights
└── UsageError           a command line that cannot be carried out
"""

from __future__ import annotations

from converters.errors import RSISegError


class ContractError(RSISegError):
    """A /predict request lacks or contradicts something the answer depends on."""


class ModelError(RSISegError):
    """A model name is unknown, its weights are missing, damaged, or of another architecture."""


class UsageError(RSISegError):
    """A command cannot be carried out as it was typed."""
