"""What a project's ML settings in Label Studio say about prediction. It arrives only in /setup, so it is kept on disk for all workers.

One JSON file a project under `<data folder>/projects`, replaced atomically. Only the keys of `KEYS` are kept: whatever else a request
carries, its access token above all, never reaches the disk.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path

from backend.errors import ContractError
from converters.whole_file import write_whole

logger = logging.getLogger(__name__)

# As on the smart tag (`model_name` and so on), with or without the prefix; `model` alone means its name.
KEYS = ("name", "output", "bands", "cfr", "cfr_clicks", "fbrs", "correct", "propose", "propose_score")


class ProjectStore:
    """Prediction settings by project id, shared by every worker that was given the same folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "projects"

    def get(self, project: str) -> dict[str, str]:
        """The settings kept for a project; empty when /setup brought none. An unreadable file counts as none and is logged."""
        try:
            kept = json.loads(self._path(project).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            logger.error("the settings of project %s cannot be read (%s); set them again in Label Studio", project, error)
            return {}
        return {key: value for key, value in kept.items() if key in KEYS and isinstance(value, str)} if isinstance(kept, dict) else {}

    def of_number(self, number: int) -> dict[str, str]:
        """The settings kept for the project of that number, whose full name an event does not carry; of several the newest."""
        found = [path for path in self._folder.glob(f"{number}.*") if re.fullmatch(rf"{number}(\.\d+)?\.json", path.name)]
        return self.get(max(found, key=lambda path: path.stat().st_mtime_ns).name.removesuffix(".json")) if found else {}

    def put(self, project: str, params: Mapping[str, str]) -> None:
        """Keep these settings instead of the earlier ones. The file is only touched when they differ: /setup comes with every page."""
        if params == self.get(project):
            return
        path = self._path(project)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(dict(params), sort_keys=True))

    def _path(self, project: str) -> Path:
        # Label Studio sends "<id>.<seconds>"; anything else must not become a path of its own making.
        name = (
            project
            if re.fullmatch(r"\w[\w.]{0,63}", project, re.ASCII)
            else hashlib.sha256(project.encode(errors="surrogatepass")).hexdigest()
        )
        return self._folder / f"{name}.json"


def read_extra_params(value: object) -> dict[str, str]:
    """The prediction settings in a project's `extra_params`: null, a JSON object, or a text that holds one (CONTRACT.md 2).

    Keys this server does not know are named in the log and left out. Raises ContractError for anything that is no object.
    """
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except ValueError:
            raise ContractError(
                'the project\'s extra params are a text that is no JSON; write an object such as {"model": "default"}'
            ) from None
    if value is None or (isinstance(value, str) and not value.strip()):
        return {}
    if not isinstance(value, Mapping):
        raise ContractError(f'the project\'s extra params are a {type(value).__name__}; write a JSON object such as {{"model": "default"}}')
    params: dict[str, str] = {}
    unknown: list[str] = []
    for key, setting in value.items():
        name = "name" if key == "model" else str(key).removeprefix("model_")
        if name not in KEYS:
            unknown.append(str(key)[:40])
        elif isinstance(setting, str | int | float) and not isinstance(setting, bool):
            params[name] = str(setting)
        else:
            raise ContractError(f"the project's extra param {key!r} is a {type(setting).__name__}; expected a text")
    if unknown:
        logger.warning(
            "extra params without a meaning here are left out: %s; known are model, %s",
            ", ".join(unknown[:10]),
            ", ".join(f"model_{key}" for key in KEYS),
        )
    return params
