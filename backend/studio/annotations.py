"""The annotations of the running project as Label Studio exports them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import requests

from backend.errors import UsageError
from backend.studio.installation import Installation


def fetch_annotations(installation: Installation, out: Path) -> int:
    """Writes Label Studio's JSON export of the project of the running `rsiseg up` to `out`; returns the number of annotated tasks.

    Raises UsageError when nothing runs, Label Studio refuses, or `out` cannot be written.
    """
    running = installation.running()
    headers = {"Authorization": f"Token {installation.credentials().token}"}
    address = f"{running.url}/api/projects/{running.project}/export"
    try:
        with requests.Session() as session:
            session.trust_env = False  # no proxy, and no other login from ~/.netrc
            answer = session.get(address, params={"exportType": "JSON"}, headers=headers, timeout=300)
        answer.raise_for_status()
        tasks = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise UsageError(f"Label Studio at {running.url} gave no export ({error}); expected it to run; see `rsiseg up`") from None
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(tasks, ensure_ascii=False), encoding="utf-8")
        temporary.replace(out)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}; choose another file") from None
    return len(tasks)
