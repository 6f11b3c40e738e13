"""Tasks without a click -> predictions: what `predict` answers when a task is opened or a batch is asked for."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from backend import answer, contract
from backend.byte_cache import ByteCache
from backend.errors import ContractError
from backend.imagery import Imagery
from backend.model_pool import LoadedModel, ModelPool
from backend.pre_annotation.batch_notes import BatchNotes
from backend.pre_annotation.classifier import Classifier
from backend.pre_annotation.classifiers import Classifiers
from backend.pre_annotation.proposal import Proposal, ProposeSettings
from backend.session import PixelKey, Sessions
from backend.settings import PROPOSE
from backend.tag_settings import prediction_settings
from converters.errors import RSISegError
from converters.label_config import ControlTag, LabelConfig

logger = logging.getLogger(__name__)

FITS = 80.0
"""Seconds that the tasks of one request may take together: Label Studio waits 100."""
_KEPT_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """What a project asks of proposals. mode: one of `settings.PROPOSE`. settings: of the model, with the project's own threshold."""

    mode: str
    settings: ProposeSettings

    @classmethod
    def of(cls, params: Mapping[str, str], mode: str, score: float) -> Asked:
        """params: of the project, as `ProjectStore` keeps them; they go before the server's `mode` and `score`. Raises ContractError."""
        mode = params.get("propose") or mode
        if mode not in PROPOSE:
            raise ContractError(f'propose is "{mode}"; expected one of {", ".join(PROPOSE)}; correct the project\'s extra params')
        text = params.get("propose_score")
        try:
            score = score if text is None else float(text)
        except ValueError:
            score = -1.0
        if not 0 <= score <= 1:
            raise ContractError(f'propose_score is "{text}"; expected a number from 0 to 1; correct the project\'s extra params')
        return cls(mode, replace(ProposeSettings(), min_score=score))


@dataclass(frozen=True, slots=True)
class Target:
    """Where a project's proposals go. labels: class -> tag. image: name of the Image tag. field: key of the task's data it shows."""

    labels: Mapping[str, ControlTag]
    image: str
    field: str


def target_of(config: LabelConfig, output: str | None) -> Target:
    """The classes of the first image that has a brush or polygon tag, brush before polygon unless `output` says which.

    Raises ContractError where no image has one.
    """
    for image in (tag.name for tag in config.objects if tag.type == "Image"):
        tags = [tag for tag in config.controls if tag.type in contract.TARGET_TYPES.values() and image in tag.to_name.split(",")]
        labels: dict[str, ControlTag] = {}
        for label in dict.fromkeys(label for tag in tags for label in tag.labels):
            prompt = contract.Prompt((), label, (), image, None)
            try:
                labels[label] = contract.target_tag(config, prompt, output)
            except ContractError:
                continue  # a class that has no tag of the wanted kind gets no proposals
        if labels:
            return Target(labels, image, contract.image_field(config, contract.Prompt((), "", (), image, None)))
    raise ContractError(
        "the label config has no BrushLabels or PolygonLabels with classes for proposals; add one, or set propose to off in extra params"
    )


@dataclass(slots=True)
class Pace:
    """Seconds that tasks took lately."""

    seconds: list[float] = field(default_factory=list)

    def add(self, seconds: float) -> None:
        """One more; the last eight count."""
        self.seconds = [*self.seconds[-7:], seconds]

    @property
    def each(self) -> float | None:
        """What the next will take; None before the first."""
        return sum(self.seconds) / len(self.seconds) if self.seconds else None


class Proposer:
    """What one process needs to propose. Safe to share between threads."""

    def __init__(
        self,
        *,
        imagery: Imagery,
        sessions: Sessions,
        models: ModelPool,
        classifiers: Classifiers,
        notes: BatchNotes,
        checked_model: Callable[[str | None], str],
        server: Mapping[str, str],
        mode: str = "off",
        score: float = ProposeSettings().min_score,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """checked_model: registry name for what a project asks for. server: as in `prediction_settings`. mode, score: where projects say
        nothing. clock: seconds."""
        self._imagery, self._sessions, self._models = imagery, sessions, models
        self._classifiers, self._notes = classifiers, notes
        self._checked_model, self._server = checked_model, server
        self._mode, self._score, self._clock = mode, score, clock
        self._kept: ByteCache[tuple[PixelKey, str, tuple[str, ...]], tuple[Proposal, ...]] = ByteCache(_KEPT_BYTES)
        self._pace = Pace()

    def asked(self, params: Mapping[str, str]) -> Asked:
        """What a project asks for. Raises ContractError."""
        return Asked.of(params, self._mode, self._score)

    def version(self, params: Mapping[str, str], project: str, click_version: str) -> str:
        """`model_version` of predictions: that of clicks, then a hash of classifier, settings and bands; where none are made, of clicks."""
        asked = self.asked(params)
        if asked.mode == "off":
            return click_version
        classifier = self._classifiers.of(self._checked_model(prediction_settings({}, params, self._server).model), project)
        return click_version if classifier is None else proposal_version(click_version, classifier, asked.settings, params)

    def entries(self, tasks: Sequence[Any], project: str, config: LabelConfig, params: Mapping[str, str]) -> list[Any]:
        """The answer's entries, in the tasks' order: a dict, or an empty list for a task with nothing to propose, which stores nothing.

        None at all when there is nothing for any task. Exactly one for several tasks that do not fit in `FITS` seconds: Label Studio then
        asks for each alone. Never raises for what one task says: that is logged with its id.
        """
        asked = self.asked(params)
        if asked.mode == "off" or not tasks:
            return []
        if asked.mode == "batch" and len(tasks) == 1 and not self._notes.expected(project, _number(tasks[0])):
            return []
        started = self._clock()
        found: list[Any] = []
        for done, task in enumerate(tasks):
            left, each = len(tasks) - done, self._pace.each
            if len(tasks) > 1 and each is not None and self._clock() - started + left * each > FITS:
                self._notes.put(project, [_number(one) for one in tasks])
                logger.info("%d tasks at %.1f s do not fit in one request; Label Studio will ask for each alone", len(tasks), each)
                return [contract.entry([], score=0.0, model_version="one-by-one")]
            entry = self._logged(task, project, config, params)
            found.append([] if entry is None else entry)
        return found if any(found) else []

    def _logged(self, task: Any, project: str, config: LabelConfig, params: Mapping[str, str]) -> dict[str, Any] | None:
        number = _number(task)
        try:
            return self.entry(task, project, config, params)
        except RSISegError as error:
            logger.warning("task %s: no proposals: %s", number, error)
        except Exception:
            logger.exception("task %s: a bug in this server, please report it", number)
        return None

    def entry(self, task: Any, project: str, config: LabelConfig, params: Mapping[str, str]) -> dict[str, Any] | None:
        """The prediction of one task; None when there is nothing to propose. Raises RSISegError for what cannot be read."""
        asked = self.asked(params)
        settings = prediction_settings({}, params, self._server)
        target = target_of(config, settings.output)
        name = self._checked_model(settings.model)
        classifier = self._classifiers.of(name, project)
        if classifier is None or not classifier.knows(tuple(target.labels)):
            known = "there is no object classifier" if classifier is None else f"the classifier knows {', '.join(classifier.classes)}"
            raise ContractError(
                f"none of the classes {', '.join(target.labels)} can be proposed: {known}; annotate some tasks, then run "
                "`rsiseg train-classifier --project`"
            )
        image = self._imagery.of_task(contract.checked_task(task), target.field)
        model = self._models.get(name, project)
        key = self._imagery.pixel_key(image, settings.recipes(model.segmenter.recipes))
        version = proposal_version(model.version + settings.refinement.suffix, classifier, asked.settings, params)
        proposals = self._proposals(
            key, version, tuple(target.labels), model, classifier, asked.settings, lambda: self._imagery.pixels(image, key)
        )
        regions = [
            region
            for each in proposals
            if (
                region := answer.region(
                    np.where(each.place.mask, np.float32(max(each.score, 1e-6)), np.float32(0)),
                    0.0,
                    target=target.labels[each.label],
                    image=target.image,
                    label=each.label,
                    display=image.display,
                    meta={"model": name, "version": version, "clicks": 0, "cfr": "off", "proposed": True},
                )
            )
            is not None
        ]
        logger.info("task %s: %d objects proposed by %s", _number(task), len(regions), version)
        if not regions:
            return None
        return contract.entry(regions, score=round(sum(each.score for each in proposals) / len(proposals), 4), model_version=version)

    def _proposals(
        self,
        key: PixelKey,
        version: str,
        classes: tuple[str, ...],
        model: LoadedModel,
        classifier: Classifier,
        settings: ProposeSettings,
        pixels: Callable[[], Any],
    ) -> tuple[Proposal, ...]:
        kept = self._kept.get((key, version, classes))
        if kept is not None:
            return kept
        from backend.pre_annotation.proposing import describe, propose  # noqa: PLC0415 - imports torch, which /setup must not wait for

        started = self._clock()
        encoding = self._sessions.encoding(key, model.plain, segmenter=model.segmenter, device=model.device, pixels=pixels)
        # Whoever clicks meanwhile goes first, between two forward passes.
        described = describe(model.segmenter, encoding, pixels(), model.device.ahead, classifier.kind)
        found = propose(model.segmenter, encoding, described, classifier, classes, settings, model.device.ahead)
        self._pace.add(self._clock() - started)
        self._kept.put((key, version, classes), found, 64 + sum(each.place.inside.nbytes for each in found))
        return found


def proposal_version(click_version: str, classifier: Classifier, settings: ProposeSettings, params: Mapping[str, str]) -> str:
    """Of the click model, and a hash of what else decides about proposals: the classifier, the settings, the project's choice of bands."""
    said = "|".join((classifier.version, classifier.weights_of, settings.sign, params.get("bands", "")))
    return f"{click_version}+p{hashlib.sha256(said.encode()).hexdigest()[:8]}"


def _number(task: Any) -> object:
    return task.get("id") if isinstance(task, Mapping) else None
