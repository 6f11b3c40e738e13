"""What a click on a task would need before its network answers: which model, which pixels, and their encoding, made now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Protocol

from backend import contract
from backend.imagery import Imagery
from backend.model_pool import ModelPool
from backend.project_store import ProjectStore
from backend.session import Ahead, Sessions
from backend.settings import ServerSettings
from backend.tag_settings import PredictionSettings, prediction_settings
from converters.label_config import ControlTag, LabelConfig, parse

# A project's config comes with every request and hardly ever changes.
_parsed = lru_cache(maxsize=64)(parse)
_PROMPTS = ("KeyPointLabels", "RectangleLabels")


class Serving(Protocol):
    """What is needed of `backend.runtime.Runtime`."""

    @property
    def settings(self) -> ServerSettings:
        """See `Runtime`."""
        ...

    @property
    def models(self) -> ModelPool:
        """See `Runtime`."""
        ...

    @property
    def imagery(self) -> Imagery:
        """See `Runtime`."""
        ...

    @property
    def sessions(self) -> Sessions:
        """See `Runtime`."""
        ...

    @property
    def projects(self) -> ProjectStore:
        """See `Runtime`."""
        ...

    def checked_model(self, wanted: str | None) -> str:
        """See `Runtime`."""
        ...


def warm_task(serving: Serving, task: Mapping[str, Any], project: str, label_config: str) -> list[Ahead]:
    """Have the encodings that clicks on the task will need, one for each image that its interface shows; says how each went.

    The model, its weights in this project and its bands are those of a click with the first smart tag on the image. Raises what such a
    click would raise (RSISegError).
    """
    config = _parsed(label_config)
    done: list[Ahead] = []
    for tag in first_smart_tags(config):
        prompt = contract.Prompt(points=(), label="", tags=(tag,), image=tag.to_name.split(",")[0], display=None)
        settings = prediction_settings(prompt.attributes, serving.projects.get(project), serving.settings.prediction)
        done.append(_warm_image(serving, task, project, contract.image_field(config, prompt), settings))
    return done


def first_smart_tags(config: LabelConfig) -> Iterator[ControlTag]:
    """The first tag on each image with which a click asks the backend: M takes up its tool."""
    seen: set[str] = set()
    for tag in config.controls:
        if tag.type in _PROMPTS and tag.smart and tag.to_name not in seen:
            seen.add(tag.to_name)
            yield tag


def _warm_image(serving: Serving, task: Mapping[str, Any], project: str, field: str, settings: PredictionSettings) -> Ahead:
    name = serving.checked_model(settings.model)
    image = serving.imagery.of_task(task, field)
    model = serving.models.get(name, project)
    key = serving.imagery.pixel_key(image, settings.recipes(model.segmenter.recipes))
    return serving.sessions.encode_ahead(
        key, model.plain, segmenter=model.segmenter, device=model.device, pixels=lambda: serving.imagery.pixels(image, key)
    )
