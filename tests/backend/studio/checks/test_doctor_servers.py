"""The doctor on servers that are broken in one way each: it names that way, what to do, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from a_studio import PERSONAL
from clinic import Clinic

NOWHERE = "http://127.0.0.1:9"  # the discard port, on which nothing listens


def no_address(clinic: Clinic) -> None:
    clinic.options["label-studio-url"] = None


def label_studio_dead(clinic: Clinic) -> None:
    clinic.options["label-studio-url"] = NOWHERE


def not_label_studio(clinic: Clinic) -> None:
    clinic.options["label-studio-url"] = clinic.backend_url


def an_older_label_studio(clinic: Clinic) -> None:
    clinic.studio.version = "1.13.0"


def no_token(clinic: Clinic) -> None:
    del clinic.environ["LABEL_STUDIO_API_KEY"]


def wrong_token(clinic: Clinic) -> None:
    clinic.environ["LABEL_STUDIO_API_KEY"] = "f" * 40


def legacy_tokens_off(clinic: Clinic) -> None:
    clinic.studio.legacy = False


def wrong_personal_token(clinic: Clinic) -> None:
    clinic.environ["LABEL_STUDIO_API_KEY"] = PERSONAL.replace("eyJ0", "eyJ1")


def no_such_project(clinic: Clinic) -> None:
    clinic.options["project"] = 99


def two_projects(clinic: Clinic) -> None:
    clinic.studio.projects = 2


def no_project(clinic: Clinic) -> None:
    clinic.studio.projects = 0


def not_our_backend(clinic: Clinic) -> None:
    clinic.options["backend-url"] = clinic.studio.url


def backend_dead(clinic: Clinic) -> None:
    clinic.options["backend-url"] = clinic.studio.backends[0]["url"] = NOWHERE
    clinic.studio.webhooks[0]["url"] = f"{NOWHERE}/webhook"


def password_expected_and_none_asked(clinic: Clinic) -> None:
    clinic.environ |= {"RSISEG_BASIC_AUTH_USER": "ls", "RSISEG_BASIC_AUTH_PASSWORD": "pass-word-1"}


def not_registered(clinic: Clinic) -> None:
    clinic.studio.backends.clear()


def another_is_asked_first(clinic: Clinic) -> None:
    clinic.studio.backends.insert(0, {**clinic.studio.backends[0], "id": 2, "url": NOWHERE})
    clinic.studio.backends[1]["id"] = 2


def networks_banned(clinic: Clinic) -> None:
    clinic.studio.banned = True


def networks_banned_before_it_is_registered(clinic: Clinic) -> None:
    not_registered(clinic)
    clinic.studio.banned = True


def webhooks_banned(clinic: Clinic) -> None:
    clinic.studio.webhooks_banned = True
    clinic.studio.webhooks.clear()


def unusable_address(clinic: Clinic) -> None:
    clinic.studio.backends[0]["url"] = "backend:9090"


def unreached(clinic: Clinic) -> None:
    clinic.studio.backends[0]["url"] = NOWHERE


def setup_refused(clinic: Clinic) -> None:
    clinic.studio.backends[0]["extra_params"] = {"model": "nobody"}


def not_interactive(clinic: Clinic) -> None:
    clinic.studio.backends[0]["is_interactive"] = False


def no_webhook(clinic: Clinic) -> None:
    clinic.studio.webhooks.clear()


def webhook_left_behind(clinic: Clinic) -> None:
    clinic.studio.webhooks[0]["url"] = f"{NOWHERE}/webhook"


def webhook_off(clinic: Clinic) -> None:
    clinic.studio.webhooks[0]["is_active"] = False


def webhook_for_tasks_only(clinic: Clinic) -> None:
    clinic.studio.webhooks[0] |= {"send_for_all_actions": False, "actions": ["TASKS_CREATED"]}


BROKEN: list[tuple[Callable[[Clinic], None], dict[str, str], str, str]] = [
    (no_address, {"Label Studio": "fail"}, "no address", "--label-studio-url"),
    (label_studio_dead, {"Label Studio": "fail"}, "nothing answers at http://127.0.0.1:9", "start Label Studio"),
    (not_label_studio, {"Label Studio": "fail"}, "something else than Label Studio", "the browser opens"),
    (an_older_label_studio, {"Label Studio": "warn"}, "1.13.0 answers", "1.23.2"),
    (no_token, {"token": "fail"}, "there is no token", "LABEL_STUDIO_API_KEY"),
    (wrong_token, {"token": "fail"}, "status 401: Invalid token.", "Account & Settings"),
    (legacy_tokens_off, {"token": "fail"}, "legacy tokens are switched off", "personal access token"),
    (wrong_personal_token, {"token": "fail"}, "was not accepted", "make a new token"),
    (no_such_project, {"project": "fail"}, "no project 99", "--project"),
    (two_projects, {"project": "fail"}, "there are 2 projects: 1 'Project 1', 2 'Project 2'", "--project"),
    (no_project, {"project": "fail"}, "there is no project", "create one"),
    (not_our_backend, {"backend": "fail"}, "something else than RSISeg", "--backend-url"),
    (backend_dead, {"backend": "fail", "reached": "fail"}, "nothing answers", "rsiseg serve"),
    (password_expected_and_none_asked, {"password": "warn"}, "asks for no password", "RSISEG_BASIC_AUTH_USER"),
    (not_registered, {"registered": "fail"}, "has no backend", "Settings, Model"),
    (another_is_asked_first, {"registered": "warn"}, "http://127.0.0.1:9 is asked before it", "disconnect"),
    (networks_banned, {"address allowed": "fail", "reached": "fail"}, "block: 127.0.0.0/8", "USE_DEFAULT_BANNED_SUBNETS=false"),
    (
        networks_banned_before_it_is_registered, {"registered": "fail", "address allowed": "fail"},
        "has no backend", "with interactive preannotations",
    ),
    (webhooks_banned, {"address allowed": "warn", "webhook": "warn"}, "but not its webhook", "USE_DEFAULT_BANNED_SUBNETS=false"),
    (
        unusable_address, {"address allowed": "fail", "reached": "fail", "webhook": "warn"},
        "cannot use the address backend:9090", "resolves on Label Studio's machine",
    ),
    (unreached, {"reached": "fail", "webhook": "warn"}, "Disconnected", "see 'address allowed'"),
    (setup_refused, {"reached": "fail", "weights": "fail"}, "there is no model 'nobody'", "do what it says"),
    (not_interactive, {"interactive": "fail"}, "are off", "switch them on"),
    (no_webhook, {"webhook": "warn"}, "nothing tells", "Settings, Webhooks"),
    (webhook_left_behind, {"webhook": "warn"}, "only to http://127.0.0.1:9/webhook", "Settings, Webhooks"),
    (webhook_off, {"webhook": "warn"}, "switched off", "switch both on"),
    (webhook_for_tasks_only, {"webhook": "warn"}, "not told of new annotations", "all actions"),
]  # fmt: skip


@pytest.mark.parametrize(("way", "ailing", "found", "todo"), BROKEN, ids=[way.__name__ for way, *_ in BROKEN])
def test_broken_in_one_way(way: Callable[[Clinic], None], ailing: dict[str, str], found: str, todo: str, clinic: Clinic) -> None:
    way(clinic)
    checks = clinic.checks()
    assert {name: one["status"] for name, one in checks.items() if one["status"] in ("warn", "fail")} == ailing
    first = checks[next(iter(ailing))]
    assert found in first["found"] and todo in first["todo"]
    assert clinic.studio.stored == []


def test_a_password_that_nobody_set_here(guarded_clinic: Clinic) -> None:
    checks = guarded_clinic.checks()
    assert guarded_clinic.ailing() == {"password": "fail"}
    assert "none is set here" in checks["password"]["found"] and "RSISEG_BASIC_AUTH_USER" in checks["password"]["todo"]
    assert checks["reached"]["status"] == "ok"  # Label Studio has it
    assert checks["versions"]["found"] == "stands on 'password'"


def test_a_password_that_is_wrong_and_one_that_is_right(guarded_clinic: Clinic) -> None:
    guarded_clinic.environ |= {"RSISEG_BASIC_AUTH_USER": "ls", "RSISEG_BASIC_AUTH_PASSWORD": "not-it"}
    assert "is refused (status 401" in guarded_clinic.checks()["password"]["found"]
    guarded_clinic.environ["RSISEG_BASIC_AUTH_PASSWORD"] = "pass-word-1"
    checks = guarded_clinic.checks()
    assert {one["status"] for one in checks.values()} == {"ok"}
    assert checks["password"]["found"] == "accepted for ls"


def test_label_studio_that_was_given_no_password_is_told_so(guarded_clinic: Clinic) -> None:
    guarded_clinic.studio.backends[0] |= {"auth_method": "NONE", "login": None}
    checks = guarded_clinic.checks()
    assert checks["reached"]["status"] == "fail" and "Basic Authentication" in checks["reached"]["todo"]


def test_folders_that_are_not_there(clinic: Clinic, tmp_path: Path) -> None:
    clinic.options |= {"root": tmp_path / "gone", "document-root": None}
    checks = clinic.checks()
    assert checks["folders"]["status"] == "fail" and str(tmp_path / "gone") in checks["folders"]["found"]
    assert "--root" in checks["folders"]["todo"]


def test_folders_of_the_environment_are_taken_as_serve_takes_them(clinic: Clinic, files: Path) -> None:
    clinic.options |= {"root": None, "document-root": None}
    clinic.environ |= {"RSISEG_ROOT": str(files), "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(files / "none")}
    checks = clinic.checks()
    assert checks["folders"]["found"] == f"{files / 'none'} is not a folder of this machine"
    clinic.environ["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"] = str(files)
    assert clinic.ailing() == {}


@pytest.mark.parametrize("arguments", [("--tasks", "0"), ("--project", "roofs")])
def test_options_that_mean_nothing_are_refused(clinic: Clinic, arguments: tuple[str, str]) -> None:
    assert clinic.run(*arguments).exit_code == 2


@pytest.mark.parametrize("option", ["label-studio-url", "backend-url"])
def test_an_address_that_is_none_is_refused_in_one_sentence(clinic: Clinic, option: str) -> None:
    clinic.options[option] = "localhost:8080"
    result = clinic.run()
    said = result.output + str(result.exception)
    assert result.exit_code == 1 and "localhost:8080 is no http or https address; expected something like http://host:port/path" in said
