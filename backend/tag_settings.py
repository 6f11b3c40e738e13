"""Which model answers, and in which shape: the smart tag decides, then the project, then the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.errors import ContractError
from backend.inference.refinement import OFF, Refinement
from backend.settings import SWITCH
from converters.bands import parse_bands

OUTPUTS = ("brush", "polygon")


@dataclass(frozen=True, slots=True)
class PredictionSettings:
    """How one click is to be answered.

    model: registry name, None for the server's own. output: "brush", "polygon", or None for what the label config offers.
    recipe: letters of the bands to read, None for the model's own recipes. refinement: how clicks are refined.
    corrects: whether a click on a region that is there already corrects it.
    """

    model: str | None = None
    output: str | None = None
    recipe: tuple[str, ...] | None = None
    refinement: Refinement = OFF
    corrects: bool = True

    def recipes(self, of_model: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
        """The band recipes to try. Raises ContractError when the wanted one has another number of bands than the model reads."""
        if self.recipe is None:
            return tuple(of_model)
        if len(self.recipe) != len(of_model[0]):
            raise ContractError(
                f"model_bands is {''.join(self.recipe)}, {len(self.recipe)} bands, but the model reads {len(of_model[0])}; "
                f"name as many, such as {''.join(of_model[0])}"
            )
        return (self.recipe,)


def prediction_settings(
    attributes: Mapping[str, str], project: Mapping[str, str], server: Mapping[str, str] | None = None
) -> PredictionSettings:
    """Settings of one click.

    attributes: of the smart tag (`model_name`, `model_output`, `model_bands`, `model_cfr`, `model_cfr_clicks`, `model_fbrs`,
        `model_correct`); they win, each on its own.
    project: of `ProjectStore`, the same names without `model_`. server: likewise, for what neither says; what nobody says is off.
    Raises ContractError for a value without a meaning. Whether the model exists is the registry's to say.
    """

    def value(name: str) -> str | None:
        # An empty attribute is one that was left blank in a form.
        return attributes.get(f"model_{name}") or project.get(name) or (server or {}).get(name) or None

    output = value("output")
    if output is not None and output not in OUTPUTS:
        raise ContractError(
            f'model_output is "{output}"; expected {" or ".join(OUTPUTS)}; correct the smart tag or the project\'s extra params'
        )
    correct = value("correct") or "on"
    if correct not in SWITCH:
        raise ContractError(f'model_correct is "{correct}"; expected on or off; correct the smart tag or the project\'s extra params')
    bands = value("bands")
    return PredictionSettings(
        model=value("name"),
        output=output,
        recipe=None if bands is None else parse_bands(bands),
        refinement=Refinement.parse(value("cfr") or "off", value("cfr_clicks") or "1", value("fbrs") or "off"),
        corrects=correct == "on",
    )
