from pathlib import Path

import pytest

from backend.errors import UsageError
from backend.studio.installation import Installation, Running
from backend.studio.label_studio_server import label_studio_environ


def test_login_is_random_kept_and_for_the_owner_only(tmp_path: Path) -> None:
    first, second = Installation(tmp_path / "one"), Installation(tmp_path / "two")
    login = first.credentials()
    assert Installation(tmp_path / "one").credentials() == login
    assert login.password != second.credentials().password
    assert login.token != second.credentials().token
    assert len(login.password) >= 12
    assert (tmp_path / "one" / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o700


def test_secrets_are_not_in_the_repr(tmp_path: Path) -> None:
    login = Installation(tmp_path).credentials()
    assert login.password not in repr(login)
    assert login.token not in repr(login)


def test_lost_login_of_an_existing_database_is_an_error(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    (installation.label_studio / "label_studio.sqlite3").touch()
    with pytest.raises(UsageError, match=r"credentials\.json is gone, but the database .* put it back"):
        installation.credentials()


@pytest.mark.parametrize("text", ["", "[]", '{"email": "a"}', '{"email": "a", "password": "b", "token": "c", "more": 1}'])
def test_damaged_login_is_an_error(tmp_path: Path, text: str) -> None:
    installation = Installation(tmp_path)
    (tmp_path / "credentials.json").write_text(text)
    with pytest.raises(UsageError, match="is damaged"):
        installation.credentials()


def test_folder_is_used_by_one_process_at_a_time(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    with installation.locked(), pytest.raises(UsageError, match="another `rsiseg up` runs with"), installation.locked():
        pytest.fail("locked twice")
    with installation.locked():
        pass


def test_running_is_told_while_it_runs(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    running = Running(url="http://127.0.0.1:1", backend_url="http://127.0.0.1:2", project=3)
    with installation.announced(running):
        assert Installation(tmp_path).running() == running
    with pytest.raises(UsageError, match="no `rsiseg up` runs with"):
        installation.running()


def test_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot make the data folder .* choose another one with --data-dir"):
        Installation(tmp_path / "file")


def test_label_studio_gets_its_own_settings_and_none_of_the_shell(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    shell = {"PATH": "/bin", "LABEL_STUDIO_HOST": "https://elsewhere", "POSTGRE_HOST": "db", "PASSWORD": "x"}
    shell["SSRF_PROTECTION_ENABLED"] = "true"
    given = label_studio_environ(installation, 8123, shell)
    assert given["PATH"] == "/bin"
    assert given["LABEL_STUDIO_HOST"] == "http://127.0.0.1:8123"
    assert given["USE_DEFAULT_BANNED_SUBNETS"] == "false"
    assert given["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"] == str(tmp_path / "files")
    assert given["LABEL_STUDIO_USER_TOKEN"] == installation.credentials().token
    assert not {"POSTGRE_HOST", "PASSWORD", "SSRF_PROTECTION_ENABLED"} & set(given)
