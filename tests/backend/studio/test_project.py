import pytest

from backend.studio.project import refusal

# The answers of Label Studio 1.23.2.
BANNED = {"status_code": 403, "detail": "URL resolves to a reserved network address (block: 127.0.0.0/8)", "validation_errors": None}
DEAD = {
    "status_code": 400,
    "detail": "Validation error",
    "validation_errors": {"non_field_errors": ["Can't connect to ML backend http://127.0.0.1:9, health check failed."]},
}


def test_refused_local_backend_names_the_variable() -> None:
    text = refusal(403, BANNED)
    assert "USE_DEFAULT_BANNED_SUBNETS=false" in text
    assert "127.0.0.0/8" in text


def test_refused_token_says_where_it_is_kept() -> None:
    assert "credentials.json" in refusal(401, {"detail": "Invalid token."})


@pytest.mark.parametrize(("status", "body"), [(400, DEAD), (500, "<html>Server Error</html>"), (None, None)])
def test_every_other_refusal_repeats_what_was_said(status: int | None, body: object) -> None:
    text = refusal(status, body)
    said = "Can't connect to ML backend" if body is DEAD else str(body)
    assert said in text
    assert "see the log" in text
