"""Segmenters, loaded once in a process, and one lock for each device they run on.

A project may have weights of its own (backend/learning/versions.py). Which version answers is looked up with every click; another one is
loaded beside the one that answers, and takes its place between two clicks.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock, Thread

from backend.device_lock import DeviceLock
from backend.inference.cfr import cascaded
from backend.inference.refinement import Refinement
from backend.inference.segmenter import Segmenter
from backend.learning.versions import Stamp, Versions, project_number
from backend.segmenters.catalogue import Catalogue
from backend.segmenters.catalogue_entry import Entry, version_of
from converters.errors import RSISegError

logger = logging.getLogger(__name__)

Loader = Callable[[Entry, str], Segmenter]
"""(entry, device) -> segmenter; raises ModelError."""

MOST_PROJECTS = 8
"""Projects whose own weights stay loaded in a process, at most; the one not asked for longest is dropped, and loaded again at need."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A segmenter and the lock to hold while it computes: a device serves one forward pass at a time, whichever the model.

    name: of the model, without the version of a project. plain: version of the segmenter as it encodes, however clicks are refined.
    """

    name: str
    segmenter: Segmenter
    device: DeviceLock
    plain: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "plain", self.plain or self.segmenter.version)

    @property
    def version(self) -> str:
        """Of what was loaded; the weights on disk may have been replaced since."""
        return self.segmenter.version

    def refined(self, refinement: Refinement) -> LoadedModel:
        """The same model with its clicks refined, and a version that says so. Raises ModelError where its network knows no f-BRS."""
        segmenter = self.segmenter
        if refinement.fbrs is not None:
            from backend.segmenters.feature_splits import with_fbrs  # noqa: PLC0415 - imports torch, as below

            segmenter = with_fbrs(segmenter, refinement.fbrs)
        return replace(self, segmenter=cascaded(segmenter, refinement.cascade))


@dataclass(slots=True)
class _Serving:
    """What answers one model's clicks in one project. stamp: of the choice that was carried out last, or could not be. loading: another."""

    model: LoadedModel
    stamp: Stamp | None = None
    loading: bool = False


class ModelPool:
    """Loads what is asked for, once. Instances of the model class come and go with requests; weights stay here.

    device: "auto" takes the first CUDA device where there is one, else the CPU. versions: of projects; None: none has its own weights.
    """

    def __init__(self, catalogue: Catalogue, *, device: str = "auto", load: Loader | None = None, versions: Versions | None = None) -> None:
        self._catalogue = catalogue
        self._device_name = device
        self._load = load or _load_entry
        self._versions = versions
        self._loading = Lock()
        self._loaded: dict[str, LoadedModel] = {}
        self._devices: dict[str, DeviceLock] = {}
        self._choosing, self._first = Lock(), Lock()
        self._serving: OrderedDict[tuple[str, int], _Serving] = OrderedDict()
        self._without: set[int] = set()  # projects that this process has answered with the shipped weights

    def get(self, name: str, project: str = "") -> LoadedModel:
        """The model of a checked name as it answers in a project; the first request for it waits for its weights. Raises ModelError.

        project: as Label Studio calls it. Weights that were promoted meanwhile are loaded in the background: until they are there, and
        where they cannot be used, those before answer.
        """
        number = project_number(project)
        if self._versions is None or number is None:
            return self._shipped(name)
        stamp = self._versions.stamp(number)
        if stamp is None:
            self._without.add(number)
            return self._shipped(name)
        serving = self._answering(name, number, stamp)
        if serving is not None:
            return serving
        with self._first:
            serving = self._answering(name, number, stamp)
            if serving is None:
                serving = self._chosen(self._versions, name, number) or self._shipped(name)
                with self._choosing:
                    self._keep(name, number, _Serving(serving, stamp))
            return serving

    def version(self, name: str, project: str = "") -> str:
        """`model_version` of a checked name in a project: of what answers there, else of what would be loaded now."""
        number = project_number(project)
        if self._versions is not None and number is not None and (stamp := self._versions.stamp(number)) is not None:
            serving = self._answering(name, number, stamp)
            if serving is not None:
                return serving.version
            try:
                version = self._versions.current(number)
                if version is not None and version.model == name:
                    return version_of(version.entry(self._catalogue))
            except RSISegError as error:
                logger.error("project %d: %s", number, error)
        known = self._loaded.get(name)
        return known.version if known is not None else self._catalogue.version(name)

    def _shipped(self, name: str) -> LoadedModel:
        known = self._loaded.get(name)
        if known is not None:
            return known
        with self._loading:
            if name not in self._loaded:
                self._loaded[name] = self._load_timed(name, self._catalogue.entry(name))
            return self._loaded[name]

    def _answering(self, name: str, number: int, stamp: Stamp) -> LoadedModel | None:
        """What answers a project now, None where nothing was chosen in this process yet. Begins to load what was promoted since."""
        with self._choosing:
            serving = self._serving.get((name, number))
            if serving is None and number in self._without and name in self._loaded:
                serving = self._keep(name, number, _Serving(self._loaded[name]))
            if serving is None:
                return None
            self._serving.move_to_end((name, number))
            if serving.stamp != stamp and not serving.loading:
                serving.loading = True
                Thread(target=self._switch, args=(name, number, serving, stamp), name="rsiseg-switch", daemon=True).start()
            return serving.model

    def _switch(self, name: str, number: int, serving: _Serving, stamp: Stamp) -> None:
        assert self._versions is not None
        found = self._chosen(self._versions, name, number)
        with self._choosing:
            before, serving.stamp, serving.loading = serving.model, stamp, False
            if found is not None:
                serving.model = found
        if found is not None:
            logger.info("project %d: %s answers from now on, %s until now", number, found.version, before.version)

    def _chosen(self, versions: Versions, name: str, number: int) -> LoadedModel | None:
        """The version that was promoted last, loaded; None, and a line in the log, where it cannot be used."""
        try:
            version = versions.current(number)
            if version is None or version.model != name:
                return self._shipped(name)
            return self._load_timed(name, version.entry(self._catalogue))
        except RSISegError as error:
            logger.error("project %d: its current version cannot be used, the one before goes on answering: %s", number, error)
        except Exception:  # whatever a damaged file makes torch raise: clicks must go on
            logger.exception("project %d: its current version cannot be loaded, the one before goes on answering", number)
        return None

    def _keep(self, name: str, number: int, serving: _Serving) -> _Serving:
        self._serving[name, number] = serving
        while len(self._serving) > MOST_PROJECTS:
            self._serving.popitem(last=False)
        return serving

    def _load_timed(self, name: str, entry: Entry) -> LoadedModel:
        started = time.perf_counter()
        device = _first_device() if self._device_name == "auto" else self._device_name
        segmenter = self._load(entry, device)
        logger.info("%s loaded on %s in %.1f s", segmenter.version, device, time.perf_counter() - started)
        return LoadedModel(name, segmenter, self._devices.setdefault(device, DeviceLock(device)))


def _load_entry(one: Entry, device: str) -> Segmenter:
    from backend.segmenters import registry  # noqa: PLC0415 - imports torch, which /health and /setup must not wait for

    return registry.load_entry(one, device=device)


def _first_device() -> str:
    import torch  # noqa: PLC0415 - see above

    return "cuda" if torch.cuda.is_available() else "cpu"
