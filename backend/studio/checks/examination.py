"""The checks in their order; one that stands on a failed one is skipped."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from backend.imagery import Imagery
from backend.settings import ServerSettings
from backend.studio.checks import connection, folders, interface, label_studio, models, pictures, prediction, server
from backend.studio.checks.finding import Finding, failure, skipped
from backend.studio.checks.notes import Check, Notes, Question, UnknownError
from converters.errors import RSISegError
from converters.label_studio_access import LabelStudioAccess
from converters.resolver import Resolver

CHECKS = (
    Check("folders", folders.folders),
    Check("Label Studio", label_studio.answers, (label_studio.Answering,)),
    Check("token", label_studio.token, (label_studio.SignedIn,)),
    Check("project", label_studio.project, (label_studio.Project,)),
    Check("backend", server.answers, (server.Listening,)),
    Check("password", server.password, (server.Open,)),
    Check("versions", server.versions, (server.Models,)),
    Check("registered", connection.registered, (connection.Backend,)),
    Check("address allowed", connection.allowed),
    Check("reached", connection.reached, (connection.Reached,)),
    Check("interactive", connection.interactive, (connection.Clickable,)),
    Check("webhook", connection.webhook),
    Check("label config", interface.label_config, (interface.Interface,)),
    Check("smart tag", interface.smart_tag, (interface.Prompts,)),
    Check("settings of tags", interface.tag_settings, (interface.TagSettings,)),
    Check("tags for answers", interface.targets, (interface.ClickPlace,)),
    Check("other tags", interface.other_tags),
    Check("tasks", pictures.tasks, (pictures.Sampled,)),
    Check("pictures", pictures.served, (pictures.Shown,)),
    Check("storage", pictures.storage),
    Check("rasters", pictures.rasters, (pictures.Found,)),
    Check("image sizes", pictures.sizes),
    Check("weights", models.weights, (models.Wanted,)),
    Check("bands", models.band_recipes),
    Check("test prediction", prediction.prediction),
)
_WINDOW_BYTES = 256 << 20


def examine(question: Question, checks: Sequence[Check] = CHECKS) -> Iterator[Finding]:
    """The findings, each as soon as it is known. What pictures had to be downloaded for it is removed at the end."""
    notes = Notes(question)
    with _reading(question.settings) as reading:
        notes.learn(reading)
        for check in checks:
            try:
                verdict = check.run(notes)
            except UnknownError as missing:
                verdict = skipped(f"stands on {_source(missing.kind, checks)!r}")
            except RSISegError as error:
                verdict = failure(error)
            yield Finding(check.name, verdict)


def _source(kind: type, checks: Sequence[Check]) -> str:
    return next((check.name for check in checks if kind in check.gives), kind.__name__)


@contextmanager
def _reading(settings: ServerSettings) -> Iterator[pictures.Reading]:
    """Files are found as the backend finds them, with downloads in a folder of their own."""
    access = LabelStudioAccess(settings.label_studio_url, settings.api_key or "") if settings.label_studio_url else None
    with tempfile.TemporaryDirectory(prefix="rsiseg-doctor-") as cache:
        resolver = Resolver(
            settings.roots,
            access,
            document_root=settings.document_root,
            cache=Path(cache),
            allowed_origins=settings.allowed_origins,
        )
        yield pictures.Reading(Imagery(resolver, window_bytes=_WINDOW_BYTES), resolver)
