"""How clicks are refined beyond one plain prediction: by a cascade (CFR), by f-BRS, or not at all. Read without torch.

The two are not combined: a cascade lets the network reread its own map, f-BRS bends the network until the clicks are met, and each pass of
a cascade would bend it anew, at twenty times the price and for an answer that nobody has measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from backend.errors import ContractError
from backend.inference import cfr
from backend.inference.cfr import Cascade

FBRS_PLACES = ("b", "c")
"""Where f-BRS changes a network: behind its backbone, or before its last convolution. f-BRS-A is B in an HRNet."""


@dataclass(frozen=True, slots=True)
class Refinement:
    """One way of refining. cascade: of CFR. fbrs: one of `FBRS_PLACES`, None for off. At most one of the two is on."""

    cascade: Cascade = cfr.OFF
    fbrs: str | None = None

    def __post_init__(self) -> None:
        if self.cascade.passes and self.fbrs:
            raise ContractError(
                f'clicks are to be refined by CFR (model_cfr="{self.cascade}") and by f-BRS (model_fbrs="{self.fbrs}"); '
                f'expected one of the two; set the other to "off"'
            )

    @classmethod
    def parse(cls, passes: str = "off", clicks: str = "1", fbrs: str = "off") -> Refinement:
        """From the texts of `Cascade.parse`, and `off`, `b` or `c`. Raises ContractError for anything else, and for both at once."""
        place = fbrs.strip().lower()
        if place not in ("off", *FBRS_PLACES):
            raise ContractError(f'model_fbrs is "{fbrs[:40]}"; expected off, {" or ".join(FBRS_PLACES)}')
        return cls(Cascade.parse(passes, clicks), None if place == "off" else place)

    @property
    def suffix(self) -> str:
        """What a name or version ends in: nothing, `+cfr4`, `+fbrsb`."""
        return self.cascade.suffix + (f"+fbrs{self.fbrs}" if self.fbrs else "")


OFF = Refinement()
