"""Label Studio's own process: its settings as environment variables, and nothing else on its command line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from backend.studio.installation import Installation
from backend.studio.processes import ChildProcess

# Prefixes of Label Studio's settings: what the caller's shell says for another Label Studio must not reach this one.
_FOREIGN = ("LABEL_STUDIO_", "HEARTEX_", "DJANGO_", "POSTGRE_", "REDIS_", "STORAGE_", "ML_", "SSRF_")
_FOREIGN_NAMES = ("HOST", "PORT", "USERNAME", "PASSWORD", "USER_TOKEN", "DATABASE_NAME", "DEBUG", "VIRTUAL_ENV", "PYTHONPATH")


def label_studio_environ(installation: Installation, port: int, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of a private Label Studio on this machine.

    The login goes through the environment, not the command line, which every user of the machine can list.
    """
    login = installation.credentials()
    kept = {name: value for name, value in environ.items() if not name.startswith(_FOREIGN) and name not in _FOREIGN_NAMES}
    return kept | {
        "LABEL_STUDIO_BASE_DATA_DIR": str(installation.label_studio),
        "LABEL_STUDIO_HOST": address(port),
        "LABEL_STUDIO_USERNAME": login.email,
        "LABEL_STUDIO_PASSWORD": login.password,
        "LABEL_STUDIO_USER_TOKEN": login.token,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(installation.files),
        # Without it Label Studio refuses every ML backend on this machine: loopback is on its list of banned networks.
        "USE_DEFAULT_BANNED_SUBNETS": "false",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
    }


def start_label_studio(command: Path, installation: Installation, port: int) -> ChildProcess:
    """Starts Label Studio on the loopback address; it answers at `address(port)` half a minute later at the first start."""
    return ChildProcess(
        "Label Studio",
        [str(command), "start", "--no-browser", "--port", str(port), "--internal-host", "127.0.0.1"],
        environ=label_studio_environ(installation, port),
        log=installation.logs / "label-studio.log",
    )


def address(port: int) -> str:
    """Label Studio's address in the browser."""
    return f"http://127.0.0.1:{port}"
