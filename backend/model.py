"""The model class that label-studio-ml hosts: one request in, one answer out, and nothing remembered in between."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, ClassVar

from backend import answer, contract
from backend.drawn import DRAFT
from backend.existing import Existing, Place
from backend.imagery import TaskImage
from backend.inference.segmenter import Segmenter
from backend.ml_library import LabelStudioMLBase
from backend.model_pool import LoadedModel
from backend.project_store import read_extra_params
from backend.runtime import Runtime, make_runtime
from backend.session import Outcome, SessionKey, mask_hash
from backend.settings import settings_from
from backend.tag_settings import PredictionSettings, prediction_settings
from converters.click_statistics import LIMIT
from converters.errors import RSISegError
from converters.frames import Box, Click
from converters.label_config import parse

logger = logging.getLogger(__name__)

# A project's config comes with every request and hardly ever changes.
parse_label_config = lru_cache(maxsize=64)(parse)


class RSISegModel(LabelStudioMLBase):
    """Answers clicks. The same class is hosted by label-studio-ml 1.0.9 (through `backend.app`) and by the 2.x of its repository.

    An instance belongs to one request: it knows the request's project and label config, and everything that outlives the request is in
    `runtime`, which `serving` puts there; a host that does not gets one made from the environment.
    """

    runtime: ClassVar[Runtime | None] = None

    def __init__(self, project_id: str | None = None, label_config: str | None = None, **kwargs: Any) -> None:
        super().__init__(project_id=project_id, label_config=label_config, **kwargs)
        self._project = project_id or ""
        self._config = label_config or ""

    @classmethod
    def for_request(cls, project: str, label_config: str) -> RSISegModel:
        """An instance for one request, of any config: 1.0.9's own reading of it, which nobody needs, raises for some good ones."""
        model = cls(project_id=project)
        model._config = label_config
        return model

    @classmethod
    def serving(cls, runtime: Runtime) -> type[RSISegModel]:
        """A subclass bound to `runtime`; two of them live side by side."""
        return type(cls.__name__, (cls,), {"runtime": runtime})

    def predict(  # pyright: ignore[reportIncompatibleMethodOverride] - the base says nothing of what it returns
        self, tasks: Sequence[Any], context: Any = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        """One entry for each task, possibly with an empty result, when someone clicked; no entries without a context.

        tasks: as Label Studio sends them. context: {"result": [prompts]} or None. Never raises for what a request says: the reason is
        logged with the task's id and counted, and the entry is empty, since Label Studio would show an error to nobody.
        """
        warmer = (self.runtime or default_runtime()).warmer
        if context is None:
            warmer.opened(tasks, self._project, self._config)
            return self._proposed(tasks)
        entries = [self._entry(task, context) for task in tasks or [None]]
        warmer.clicked(tasks, self._project, self._config)
        return entries

    def _proposed(self, tasks: Sequence[Any]) -> list[Any]:
        """Predictions of tasks that nobody clicked on; none for what there is nothing to propose for.

        An empty prediction would be stored and keep the next one away.
        """
        runtime = self.runtime or default_runtime()
        if runtime.proposer is None:
            return []
        try:
            params = self._project_params(runtime)
            return runtime.proposer.entries(tasks, self._project, parse_label_config(self._config), params)
        except RSISegError as error:
            logger.warning("no proposals: %s", error)
            runtime.metrics.failures.labels(type(error).__name__).inc()
            return []

    def _entry(self, task: Any, context: Any) -> dict[str, Any]:
        runtime = self.runtime or default_runtime()
        metrics = runtime.metrics
        task_id = task.get("id") if isinstance(task, Mapping) else None
        started = time.perf_counter()
        try:
            entry = self._answer(runtime, task, context)
            metrics.answers.labels("mask" if entry["result"] else "empty").inc()
        except RSISegError as error:
            logger.warning("task %s: %s", task_id, error)
            metrics.failures.labels(type(error).__name__).inc()
            metrics.answers.labels("failed").inc()
            entry = self._nothing(runtime)
        except Exception:
            logger.exception("task %s: a bug in this server, please report it", task_id)
            metrics.failures.labels("unexpected").inc()
            metrics.answers.labels("failed").inc()
            entry = self._nothing(runtime)
        metrics.seconds.observe(time.perf_counter() - started)
        return entry

    def _answer(self, runtime: Runtime, task: Any, context: Any) -> dict[str, Any]:
        config = parse_label_config(self._config)
        prompt = contract.read_prompt(context, config)
        if prompt is None:
            return self._nothing(runtime)
        settings = prediction_settings(prompt.attributes, self._project_params(runtime), runtime.settings.prediction)
        target = contract.target_tag(config, prompt, settings.output)
        name = runtime.checked_model(settings.model)
        task = contract.checked_task(task)
        image = runtime.imagery.of_task(task, contract.image_field(config, prompt))
        clicks = contract.native_clicks(prompt, image.native, image.display)
        box = contract.native_box(prompt, image.native, image.display)
        model = runtime.models.get(name, self._project).refined(settings.refinement)
        if box is not None and not model.segmenter.takes_boxes:
            clicks = (box.centre,)
        place = Place(self._project, str(task.get("id")), prompt.image, prompt.label)
        there = runtime.existing.under(clicks[0], place, task, image.chip) if settings.corrects and clicks and box is None else None
        if there is not None:
            target = contract.target_tag(config, prompt, there.shape)
        outcome = self._outcome(runtime, image, clicks, box, model, settings, there)
        runtime.metrics.steps.labels(name).inc(outcome.steps)
        total = len(clicks) + (there.clicks if there else 0)
        region = answer.region(
            outcome.state.probability,
            model.segmenter.threshold,
            target=target,
            image=prompt.image,
            label=prompt.label,
            display=image.display,
            meta={
                "model": name,
                "version": model.version,
                "clicks": len(clicks),
                "cfr": str(settings.refinement.cascade),
                **({"fbrs": settings.refinement.fbrs} if settings.refinement.fbrs else {}),
                **({"box": True} if box else {}),
                **({"refines": there.source, "clicks_before": there.clicks} if there else {}),
                **({"proposed": True} if there and there.proposed else {}),
            },
            id=there.id if there else None,
            note=_note(total),
        )
        if total > LIMIT:
            runtime.metrics.over_limit.labels(name).inc()
        found = _told(prompt, clicks, name, outcome, there)
        if region is None:
            logger.info("task %s: %s: no pixel belongs to the object", task.get("id"), found)
            return contract.entry([], score=0.0, model_version=model.version)
        if there is not None:
            runtime.metrics.corrected.labels(there.source).inc()
        if settings.corrects and clicks:
            mask = outcome.state.probability > model.segmenter.threshold
            shape = contract.shape_of(target)
            source, proposed = (there.source, there.proposed) if there else (DRAFT, False)
            runtime.existing.answered(place, clicks[0], there, Existing(region["id"], mask, shape, source, total, proposed))
        logger.info("task %s: %s", task.get("id"), found)
        return contract.entry([region], score=region["score"], model_version=model.version)

    def _outcome(
        self,
        runtime: Runtime,
        image: TaskImage,
        clicks: tuple[Click, ...],
        box: Box | None,
        model: LoadedModel,
        settings: PredictionSettings,
        there: Existing | None,
    ) -> Outcome:
        pixels = runtime.imagery.pixel_key(image, settings.recipes(model.segmenter.recipes))
        return runtime.sessions.outcome(
            SessionKey(
                pixels,
                model.plain,
                initial_mask=("proposed " if there.untouched else "") + mask_hash(there.mask) if there else "",
                box=box,
                refinement=settings.refinement.suffix,
            ),
            clicks,
            segmenter=_correcting(model.segmenter, there) if there else model.segmenter,
            device=model.device,
            pixels=lambda: runtime.imagery.pixels(image, pixels),
            initial_mask=there.mask if there else None,
        )

    def _nothing(self, runtime: Runtime) -> dict[str, Any]:
        """The entry for a click that got no mask."""
        return contract.entry([], score=0.0, model_version=runtime.known_version(self._project))

    def _project_params(self, runtime: Runtime) -> Mapping[str, str]:
        kept = runtime.projects.get(self._project) if self._project else {}
        # The 2.x library keeps extra params itself and has its own /setup.
        return kept or read_extra_params(getattr(self, "extra_params", None))


@cache
def default_runtime() -> Runtime:
    """The runtime of a host other than `backend.app`, from the environment."""
    return make_runtime(settings_from())


def _correcting(segmenter: Segmenter, there: Existing) -> Segmenter:
    from backend.inference.continuation import Continuation  # noqa: PLC0415 - imports torch, which /health and /setup must not wait for
    from backend.inference.correction import Correction  # noqa: PLC0415 - likewise

    return Continuation(segmenter) if there.untouched else Correction(segmenter)


def _note(clicks: int) -> str | None:
    """What the annotator reads beside an object that takes too long."""
    if clicks <= LIMIT:
        return None
    return f"{clicks} clicks on one object; beyond {LIMIT} more of them hardly help: draw the rest with brush and eraser, or begin anew"


def _told(prompt: contract.Prompt, clicks: tuple[Click, ...], name: str, outcome: Outcome, there: Existing | None) -> str:
    what = "1 click" if len(clicks) == 1 else f"{len(clicks)} clicks"
    if prompt.box is not None:
        what = "a click at the centre of a box (this model reads no boxes)" if clicks else "a box"
    if there is not None:
        what += f" on a region of a {there.source}"
    return f"{prompt.label}, {what} from {' with '.join(tag.name for tag in prompt.tags)}, {name}, {outcome.steps} computed"
