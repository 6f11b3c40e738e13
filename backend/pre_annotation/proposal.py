"""What is proposed, and what decides about it: values, without the networks behind them."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from backend.pre_annotation.mask_place import MaskPlace


@dataclass(frozen=True, slots=True)
class ProposeSettings:
    """spacing: native px between seeds of the grid. most_seeds: clicks on a chip at most. min_area: px.

    min_score: 0..1, below which nothing is proposed.
    """

    spacing: int = 64
    most_seeds: int = 40
    min_area: int = 30
    min_score: float = 0.25

    @property
    def sign(self) -> str:
        """All of them, for a version."""
        return "/".join(map(str, astuple(self)))


@dataclass(frozen=True, slots=True)
class Proposal:
    """An object that nobody has clicked on. score: probability that it overlaps an object of its class by an IoU of at least 0.5."""

    place: MaskPlace
    label: str
    score: float
