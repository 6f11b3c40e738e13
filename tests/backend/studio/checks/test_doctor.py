"""`rsiseg doctor` on a healthy pair, and what it never does."""

from __future__ import annotations

import json

from a_studio import PERSONAL, SHORT_LIVED, TOKEN
from clinic import Clinic

from backend.studio.checks.examination import CHECKS


def test_a_healthy_pair_is_well_in_every_line(clinic: Clinic) -> None:
    checks = clinic.checks()
    assert list(checks) == [check.name for check in CHECKS]
    assert {one["status"] for one in checks.values()} == {"ok"}
    assert checks["registered"]["found"] == f"as {clinic.backend_url}"
    assert checks["image sizes"]["status"] == "ok" and "3 pictures" in checks["pictures"]["found"]
    assert "through Label Studio" in checks["test prediction"]["found"] and "directly" in checks["test prediction"]["found"]


def test_nothing_is_stored_anywhere(clinic: Clinic) -> None:
    clinic.checks()
    assert clinic.studio.stored == []
    assert len(clinic.studio.backends) == len(clinic.studio.webhooks) == 1


def test_the_test_click_is_the_middle_of_the_first_task_once_computed(clinic: Clinic) -> None:
    clinic.checks()
    ((click,),) = clinic.server.fake.steps  # asked three times
    assert (click.row, click.col, click.positive) == (300, 300, True)


def test_a_line_for_each_check_and_what_to_do_below_the_failed(clinic: Clinic) -> None:
    clinic.studio.backends[0]["is_interactive"] = False
    result = clinic.run()
    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    assert [line for line in lines if line.startswith(("ok ", "warn ", "fail ", "skipped "))] == [
        line for line in lines[:-1] if not line.startswith("        ->")
    ]
    assert len(lines) == len(CHECKS) + 2  # one thing to do, and the sum
    place = next(number for number, line in enumerate(lines) if line.startswith("fail"))
    assert lines[place].startswith("fail    interactive: ") and "switch them on" in lines[place + 1]
    assert lines[-1] == f"{len(CHECKS) - 2} ok, 1 fail, 1 skipped"


def test_secrets_are_never_shown(guarded_clinic: Clinic) -> None:
    clinic = guarded_clinic
    clinic.environ |= {"RSISEG_BASIC_AUTH_USER": "ls", "RSISEG_BASIC_AUTH_PASSWORD": "pass-word-1"}
    clinic.studio.answers = {"errors": [f"refused {TOKEN} and pass-word-1"]}
    shown = clinic.run().output + clinic.run("--json").output
    assert TOKEN not in shown and "pass-word-1" not in shown and "***" in shown


def test_a_personal_access_token_is_exchanged_and_not_shown(clinic: Clinic) -> None:
    clinic.environ["LABEL_STUDIO_API_KEY"] = PERSONAL
    clinic.studio.legacy = False
    result = clinic.run("--json")
    assert result.exit_code == 0
    token = next(one for one in json.loads(result.stdout)["checks"] if one["check"] == "token")
    assert token["found"].startswith("personal access token") and "a@example.org" in token["found"]
    assert PERSONAL not in result.output and SHORT_LIVED not in result.output.replace("short-lived one", "")


def test_what_stands_on_a_failed_check_is_skipped_with_its_name(clinic: Clinic) -> None:
    clinic.environ["LABEL_STUDIO_API_KEY"] = "wrong"
    checks = clinic.checks()
    assert clinic.ailing() == {"token": "fail"}
    assert {name for name, one in checks.items() if one["status"] == "ok"} == {"folders", "Label Studio", "backend", "password", "versions"}
    assert checks["project"]["found"] == checks["address allowed"]["found"] == "stands on 'token'"
    assert checks["label config"]["found"] == "stands on 'project'"
    assert checks["weights"]["found"] == "stands on 'smart tag'"
