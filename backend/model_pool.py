"""Segmenters, loaded once in a process, and one lock for each device they run on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock

from backend.inference.cfr import cascaded
from backend.inference.refinement import Refinement
from backend.inference.segmenter import Segmenter
from backend.segmenters.catalogue import Catalogue
from backend.segmenters.catalogue_entry import Entry

logger = logging.getLogger(__name__)

Loader = Callable[[Entry, str], Segmenter]
"""(entry, device) -> segmenter; raises ModelError."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A segmenter and the lock to hold while it computes: a device serves one forward pass at a time, whichever the model."""

    name: str
    segmenter: Segmenter
    device: Lock

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


class ModelPool:
    """Loads what is asked for, once. Instances of the model class come and go with requests; weights stay here.

    device: "auto" takes the first CUDA device where there is one, else the CPU.
    """

    def __init__(self, catalogue: Catalogue, *, device: str = "auto", load: Loader | None = None) -> None:
        self._catalogue = catalogue
        self._device_name = device
        self._load = load or _load_entry
        self._loading = Lock()
        self._loaded: dict[str, LoadedModel] = {}
        self._devices: dict[str, Lock] = {}

    def get(self, name: str) -> LoadedModel:
        """The model of a checked name; the first request for it waits for its weights. Raises ModelError."""
        known = self._loaded.get(name)
        if known is not None:
            return known
        with self._loading:
            if name not in self._loaded:
                started = time.perf_counter()
                device = _first_device() if self._device_name == "auto" else self._device_name
                segmenter = self._load(self._catalogue.entry(name), device)
                self._loaded[name] = LoadedModel(name, segmenter, self._devices.setdefault(device, Lock()))
                logger.info("%s loaded on %s in %.1f s", segmenter.version, device, time.perf_counter() - started)
            return self._loaded[name]

    def version(self, name: str) -> str:
        """`model_version` of a checked name: of the loaded model, else of what would be loaded now."""
        known = self._loaded.get(name)
        return known.version if known is not None else self._catalogue.version(name)


def _load_entry(one: Entry, device: str) -> Segmenter:
    from backend.segmenters import registry  # noqa: PLC0415 - imports torch, which /health and /setup must not wait for

    return registry.load_entry(one, device=device)


def _first_device() -> str:
    import torch  # noqa: PLC0415 - see above

    return "cuda" if torch.cuda.is_available() else "cpu"
