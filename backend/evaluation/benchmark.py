"""A benchmark from its settings to its document: lists the objects, measures what is missing, sums it up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import torch
from tqdm import tqdm

from backend.errors import UsageError
from backend.evaluation.data_source import Bands
from backend.evaluation.ledger import Ledger, object_key
from backend.evaluation.noc import ObjectResult
from backend.evaluation.plan import ObjectKey, Protocol, Subject, Target, TargetLists, Visit, in_order, plan_visits
from backend.evaluation.remaining_time import RemainingTime
from backend.evaluation.run_record import Cost, bands_of, conditions, model_record, software
from backend.evaluation.runner import Group, run_visits, threads_of_a_worker
from backend.evaluation.statistics import summarise
from backend.evaluation.visits import Bench
from converters.labelled import LabelledSet
from converters.labelled_manifest import manifest

_BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} objects [{elapsed}{postfix}]"


@dataclass(slots=True)
class Benchmark:
    """One run. subjects: models with their bands, each name once.

    limit, seed: measure so many objects, drawn with the seed; None for all. workers: processes. cluster: see `cluster.cluster_visits`;
    None for this machine.
    """

    protocol: Protocol
    subjects: tuple[Subject, ...]
    limit: int | None = None
    seed: int = 0
    workers: int = 1
    cluster: str | None = None
    sets: dict[Bands, LabelledSet] = field(init=False, repr=False)
    cost: Cost = field(init=False)

    def __post_init__(self) -> None:
        self.sets = {bands: self.protocol.source.open(bands, check=True) for bands in dict.fromkeys(one.bands for one in self.subjects)}

    @property
    def notes(self) -> tuple[str, ...]:
        """Repairs and doubts about the data that a report must print."""
        return tuple(dict.fromkeys(note for found in self.sets.values() for note in found.notes))

    def carry_out(self, ledger: Ledger | None, *, resume: bool) -> dict[str, Any]:
        """The document of the run, which also goes to the ledger. UsageError when interrupted by the user."""
        started = perf_counter()
        versions = self._versions()
        targets = self._targets()
        kept = ledger.start(resume=resume) if ledger else {}
        try:
            results = self._measure(versions, targets, kept, ledger)
        except KeyboardInterrupt as interrupt:
            goes_on = (
                f"; {ledger.partial} keeps what was measured, add --resume to go on" if ledger else ", and without --json nothing is kept"
            )
            raise UsageError(f"interrupted{goes_on}") from interrupt
        finally:
            if ledger:
                ledger.close()
        document = self._document(versions, targets, results, started)
        if ledger:
            ledger.finish([result for found in results.values() for result in found], document)
        return document

    def _versions(self) -> dict[Subject, str]:
        """The version of every subject's model, by loading it; bands that it cannot be given are found now, not after hours."""
        bench = Bench(self.protocol)
        versions: dict[Subject, str] = {}
        for model in dict.fromkeys(one.model for one in self.subjects):  # each is loaded once
            for subject in (one for one in self.subjects if one.model == model):
                bench.check_bands(subject)
                versions[subject] = bench.segmenter(model).version
        return {subject: versions[subject] for subject in self.subjects}

    def _targets(self) -> dict[Bands, list[Target]]:
        lists = TargetLists(self.protocol, self.limit, self.seed)
        images = sum(len(found.images) for found in self.sets.values())
        with tqdm(total=images, unit="image", desc="objects", dynamic_ncols=True, leave=False, delay=1) as bar:
            return {bands: lists.of(found, bar.update) for bands, found in self.sets.items()}

    def _measure(
        self,
        versions: dict[Subject, str],
        targets: dict[Bands, list[Target]],
        kept: dict[ObjectKey, ObjectResult],
        ledger: Ledger | None,
    ) -> dict[Subject, list[ObjectResult]]:
        """Results of all targets by subject, in the targets' order, whatever order they came in; only those not in `kept` are measured."""
        keys = {
            subject: [target.key(subject.name, its_version) for target in targets[subject.bands]]
            for subject, its_version in versions.items()
        }
        visits = [self._visits(subject, targets[subject.bands], versions[subject], kept) for subject in self.subjects]
        left = {subject.name: sum(visit.objects for visit in own) for subject, own in zip(self.subjects, visits, strict=True)}
        remaining = RemainingTime.of(left, [kept[key] for own in keys.values() for key in own if key in kept])
        total, missing = sum(map(len, keys.values())), sum(left.values())
        found = dict(kept)
        began = perf_counter()
        with tqdm(total=total, initial=total - missing, desc="bench", dynamic_ncols=True, bar_format=_BAR) as bar:
            bar.set_postfix_str(f"{remaining.estimate(0.0)} left")
            for group in self._run(in_order(visits)):
                found |= {object_key(result): result for result in group}
                if ledger:
                    ledger.add(group)
                remaining.add(group)
                bar.set_postfix_str(f"{remaining.estimate(perf_counter() - began)} left", refresh=False)
                bar.update(len(group))
        return {subject: [_found(found, key) for key in own] for subject, own in keys.items()}

    def _visits(self, subject: Subject, targets: Sequence[Target], its_version: str, kept: dict[ObjectKey, ObjectResult]) -> list[Visit]:
        def done(target: Target) -> bool:
            return target.key(subject.name, its_version) in kept

        return plan_visits(targets, subject, done, batch=self.protocol.batch, workers=self.workers)

    def _run(self, visits: Sequence[Visit]) -> Iterator[Group]:
        if self.cluster is None:
            return run_visits(self.protocol, visits, self.workers)
        from backend.evaluation.cluster import cluster_visits  # noqa: PLC0415 - an optional extra

        return cluster_visits(self.protocol, visits, self.cluster)

    def _document(
        self,
        versions: dict[Subject, str],
        targets: dict[Bands, list[Target]],
        results: dict[Subject, list[ObjectResult]],
        started: float,
    ) -> dict[str, Any]:
        summed = perf_counter()
        numbers = {subject.name: model_record(subject, versions[subject]) | summarise(found) for subject, found in results.items()}
        now = perf_counter()
        self.cost = Cost.of((result for found in results.values() for result in found), wall=now - started, summary=now - summed)
        first = self.subjects[0]
        settings = conditions(self.protocol) | {
            "kind": self.sets[first.bands].kind,
            "bands": bands_of(self.subjects),
            "split": self.protocol.source.split,
            "limit": self.limit,
            "seed": self.seed,
            "workers": self.workers,
            "cluster": self.cluster,
            "objects": len(results[first]),
            "notes": list(self.notes),
            "versions": software(torch.get_num_threads() if self.workers == 1 else threads_of_a_worker(self.workers)),
        }
        return {"settings": settings, "models": numbers, "cost": self.cost.as_json(), "manifest": self._manifests(targets)}

    def _manifests(self, targets: dict[Bands, list[Target]]) -> list[dict[str, Any]]:
        """What the numbers were computed from: one for each choice of bands."""
        found: list[dict[str, Any]] = []
        for bands, own in targets.items():
            counts: dict[str, Counter[str]] = {}
            for target in own:
                counts.setdefault(target.image, Counter())[target.class_name] += 1
            chosen = {"patch": self.protocol.patch, "min_area": self.protocol.min_area, "split": self.protocol.source.split, "bands": bands}
            found.append(manifest(self.sets[bands], counts, chosen | {"limit": self.limit, "seed": self.seed}))
        return found


def _found(found: dict[ObjectKey, ObjectResult], key: ObjectKey) -> ObjectResult:
    if key not in found:
        raise UsageError(f"the labels of {key[2]} have changed since the run began; expected them to stay; start it again")
    return found[key]
