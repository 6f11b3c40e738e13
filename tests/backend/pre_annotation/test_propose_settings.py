"""What a server and a project say about proposals."""

from __future__ import annotations

import pytest

from backend.errors import ContractError, UsageError
from backend.pre_annotation.answering import Asked
from backend.project_store import read_extra_params
from backend.settings import settings_from


def test_the_servers_environment() -> None:
    settings = settings_from({"RSISEG_PROPOSE": "on", "RSISEG_PROPOSE_SCORE": "0.7"})
    assert (settings.propose, settings.propose_score) == ("on", 0.7)
    assert (settings_from({}).propose, settings_from({}).propose_score) == ("batch", 0.25)


@pytest.mark.parametrize("wrong", [{"RSISEG_PROPOSE": "yes"}, {"RSISEG_PROPOSE_SCORE": "much"}, {"RSISEG_PROPOSE_SCORE": "1.5"}])
def test_an_environment_without_a_meaning_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"propose|RSISEG_PROPOSE"):
        settings_from(wrong)


def test_a_project_goes_before_the_server() -> None:
    params = read_extra_params({"propose": "on", "propose_score": 0.25})
    asked = Asked.of(params, "off", 0.9)
    assert (asked.mode, asked.settings.min_score) == ("on", 0.25)
    assert Asked.of({}, "off", 0.9) == Asked.of({"propose": "off", "propose_score": "0.9"}, "on", 0.1)


@pytest.mark.parametrize("wrong", [{"propose": "maybe"}, {"propose_score": "2"}, {"propose_score": "high"}, {"propose_score": "nan"}])
def test_settings_of_a_project_without_a_meaning_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ContractError, match="correct the project's extra params"):
        Asked.of(wrong, "on", 0.4)
