"""What one process of the server holds for all its requests: settings, models, caches, project settings, counters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from backend.encoding_store import EncodingStore, NoStore
from backend.existing import ExistingRegions
from backend.imagery import Imagery, Resolves
from backend.learning.inbox import Inbox
from backend.learning.queues import queue_of
from backend.learning.versions import Versions
from backend.metrics import Metrics
from backend.model_pool import Loader, ModelPool
from backend.pre_annotation.answering import Proposer
from backend.pre_annotation.batch_notes import BatchNotes
from backend.pre_annotation.classifiers import Classifiers
from backend.project_store import ProjectStore
from backend.ready.disk_cache import DiskCache
from backend.ready.next_tasks import NextTasks
from backend.ready.warm_task import warm_task
from backend.ready.warmer import Warmer
from backend.segmenters.catalogue import Catalogue, shipped
from backend.session import Sessions
from backend.settings import ServerSettings
from backend.tag_settings import prediction_settings
from converters.errors import RSISegError
from converters.resolver import LabelStudioAccess, Resolver

# Shares of the memory that --cache-mb grants. States are one float32 map a click, and the only ones that cost a forward pass to lose.
_STATES, _ENCODINGS = 0.5, 0.3


@dataclass(frozen=True)
class Runtime:
    """Made once in a process, before its first request; every part may be used by several threads at once."""

    settings: ServerSettings
    catalogue: Catalogue
    models: ModelPool
    imagery: Imagery
    sessions: Sessions
    projects: ProjectStore
    metrics: Metrics
    versions: Versions
    inbox: Inbox
    existing: ExistingRegions = field(default_factory=ExistingRegions)
    warmer: Warmer = field(default_factory=Warmer)
    proposer: Proposer | None = None

    def model_version(self, project: str) -> str:
        """`model_version` of the model that answers in a project unless a tag says otherwise. Raises for an unknown one."""
        return self.version_for(self.projects.get(project), project)

    def version_for(self, params: Mapping[str, str], project: str = "") -> str:
        """As `model_version`, with a project's settings as `ProjectStore` keeps them. Raises for settings without a meaning."""
        settings = prediction_settings({}, params, self.settings.prediction)
        return self.models.version(self.checked_model(settings.model), project) + settings.refinement.suffix

    def prediction_version(self, params: Mapping[str, str], project: str) -> str:
        """`model_version` of predictions that a project gets without a click, by which Label Studio tells which tasks have theirs."""
        version = self.version_for(params, project)
        return version if self.proposer is None else self.proposer.version(params, project, version)

    def known_version(self, project: str) -> str:
        """As `model_version`, for answers without a mask: "none" where the project's settings are wrong, which the log says elsewhere."""
        try:
            return self.model_version(project)
        except RSISegError:
            return "none"

    def checked_model(self, wanted: str | None) -> str:
        """The name of an available model: `wanted` by a tag or project, or None for the server's own. Raises ModelError."""
        if wanted is None or wanted == self.settings.model:
            return self.catalogue.checked(self.settings.model, path_allowed=True)
        return self.catalogue.checked(wanted)

    def count_caches(self) -> None:
        """Bring the gauges of kept bytes up to date."""
        for kind, cache in (("states", self.sessions.states), ("encodings", self.sessions.encodings), ("windows", self.imagery.windows)):
            self.metrics.cached.labels(kind).set(cache.nbytes)
        self.metrics.disk_bytes.set(self.sessions.store.nbytes)


def make_runtime(
    settings: ServerSettings, *, catalogue: Catalogue | None = None, load: Loader | None = None, resolver: Resolves | None = None
) -> Runtime:
    """A runtime for `settings`, without loading a model. catalogue, load, resolver: replacements for tests and benchmarks."""
    catalogue = catalogue or shipped(settings.precision)
    versions = Versions(settings.data_dir)
    states, encodings = int(settings.cache_bytes * _STATES), int(settings.cache_bytes * _ENCODINGS)
    metrics = Metrics()
    runtime = Runtime(
        settings=settings,
        catalogue=catalogue,
        models=ModelPool(catalogue, device=settings.device, load=load, versions=versions),
        imagery=Imagery(resolver or _resolver(settings), window_bytes=settings.cache_bytes - states - encodings),
        sessions=Sessions(state_bytes=states, encoding_bytes=encodings, store=_encodings_on_disk(settings, metrics)),
        projects=ProjectStore(settings.data_dir),
        metrics=metrics,
        versions=versions,
        inbox=Inbox(queue_of(settings.data_dir)),
    )
    return replace(runtime, warmer=_warmer(runtime), proposer=_proposer(runtime))


def _encodings_on_disk(settings: ServerSettings, metrics: Metrics) -> EncodingStore:
    if not settings.disk_cache_bytes:
        return NoStore()
    return DiskCache(settings.data_dir / "encodings", settings.disk_cache_bytes, count=lambda outcome: metrics.disk.labels(outcome).inc())


def _proposer(runtime: Runtime) -> Proposer:
    settings = runtime.settings
    return Proposer(
        imagery=runtime.imagery,
        sessions=runtime.sessions,
        models=runtime.models,
        classifiers=Classifiers(settings.data_dir),
        notes=BatchNotes(settings.data_dir),
        checked_model=runtime.checked_model,
        server=settings.prediction,
        mode=settings.propose,
        score=settings.propose_score,
    )


def _warmer(runtime: Runtime) -> Warmer:
    settings, after = runtime.settings, None
    if settings.label_studio_url is not None and settings.api_key:
        after = NextTasks(LabelStudioAccess(settings.label_studio_url, settings.api_key)).after
    return Warmer(
        partial(warm_task, runtime),
        after=after,
        ahead=settings.warm_tasks,
        count=lambda outcome: runtime.metrics.warmed.labels(outcome).inc(),
    )


def _resolver(settings: ServerSettings) -> Resolver:
    access = None
    if settings.label_studio_url is not None:
        access = LabelStudioAccess(settings.label_studio_url, settings.api_key or "")
    return Resolver(
        settings.roots,
        access,
        document_root=settings.document_root,
        cache=settings.data_dir / "downloads",
        allowed_origins=settings.allowed_origins,
    )
