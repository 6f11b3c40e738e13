"""Which classifier answers in a project: its own, once it was trained from accepted annotations, else a shipped one."""

from __future__ import annotations

import logging
import re
from functools import cache
from pathlib import Path

from backend.pre_annotation.classifier import Classifier, read
from backend.segmenters.catalogue import WEIGHTS_FOLDER
from converters.errors import RSISegError

logger = logging.getLogger(__name__)

SHIPPED_BODY = "objects_vitclick_s14.safetensors"
SHIPPED_APPEARANCE = "objects_appearance.safetensors"


class Classifiers:
    """Classifiers by model and project. folder: where those of projects are kept, shared by all processes of a server.

    weights: folder of the shipped ones.
    """

    def __init__(self, folder: Path, weights: Path = WEIGHTS_FOLDER) -> None:
        self._folder = folder / "proposals"
        self._weights = weights
        self._read: dict[Path, tuple[tuple[int, int], Classifier]] = {}

    def path(self, project: str) -> Path:
        """The file of a project's own classifier. project: as Label Studio calls it, `3.1795327615`, or its number alone."""
        number = re.match(r"\d+", project, re.ASCII)
        return self._folder / f"project-{number.group() if number else 'none'}.safetensors"

    def of(self, model: str, project: str) -> Classifier | None:
        """The classifier for objects that a model finds. None, and a line in the log, where there is none for that model.

        A classifier that reads a model's features is for that model and what was fine-tuned from it (`name@...`), one that reads colour
        and shape for any.
        """
        own = self._own(project)
        if own is not None and _fits(own, model):
            return own
        if own is not None:
            logger.warning(
                "project %s: its object classifier was trained with %s, not with %s; train it again", project, own.weights_of, model
            )
        body = self._shipped(SHIPPED_BODY)
        return body if body is not None and _fits(body, model) else self._shipped(SHIPPED_APPEARANCE)

    def _own(self, project: str) -> Classifier | None:
        path = self.path(project)
        try:
            status = path.stat()
        except OSError:
            return None
        stamp = (status.st_mtime_ns, status.st_size)
        known = self._read.get(path)
        if known is None or known[0] != stamp:
            try:
                known = self._read[path] = (stamp, read(path))
            except RSISegError as error:
                logger.error("project %s: %s", project, error)
                return None
        return known[1]

    def _shipped(self, name: str) -> Classifier | None:
        return _shipped(self._weights, name)


@cache
def _shipped(folder: Path, name: str) -> Classifier | None:
    try:
        return read(folder / name)
    except RSISegError as error:
        logger.error("%s", error)
        return None


def _fits(classifier: Classifier, model: str) -> bool:
    return classifier.kind == "appearance" or classifier.weights_of.split("@")[0] == model
