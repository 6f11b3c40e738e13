"""Parity of f-BRS: clicks one by one, with scales and shifts searched for by L-BFGS.

The search amplifies rounding: a last bit of a float32 can become another answer some clicks later. The fixtures were recorded with two
threads, on which the order of sums depends, so two are used here whatever the process runs with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.evaluation.parity import PROBABILITY_TOLERANCE, Check, Fixture, close, exact, skipped
from backend.evaluation.parity_networks import check_keys, network_options, with_weights
from backend.evaluation.parity_predictor import UINT16, as_clicks, predictor, states_after_clicks, subsampled, unsupported
from backend.inference.fbrs import FbrsSegmenter
from backend.inference.predictor import ClickPredictor
from backend.segmenters import ritm
from backend.segmenters.feature_splits import PLACES, split_network

PREFIX = "fbrs_"
RECORDED_THREADS = 2
PUBLISHED_LIMIT = 8
"""Clicks that reach the network where a variant does not say otherwise."""
MEAN_TOLERANCE = 5e-3
AT_CLICKS_TOLERANCE = 0.03


def check(fixture: Fixture) -> Iterator[Check]:
    """Keys where they are listed, then every variant: the first click exactly as usual, the later ones by the mean over the map and by the
    probability at the clicks."""
    model = f"ritm_{fixture.name.removeprefix(PREFIX)}" if fixture.meta is None else str(fixture.setting("model"))
    family, _, architecture = model.partition("_")
    options = (
        network_options(fixture, family, architecture) if family == "ritm" else f"f-BRS over the family '{family}' is not supported yet"
    )
    if isinstance(options, str):
        yield skipped(fixture.name, options)
        return
    if fixture.keys is not None:
        with torch.device("meta"):
            yield check_keys(fixture, ritm.RitmNet(**options))
    if fixture.arrays is None:
        return
    # As written: the search amplifies rounding, so its later clicks repeat only with the very operations that were recorded.
    net = with_weights(fixture, ritm.RitmNet(**options), rewritten=False)
    for name, variant in fixture.setting("variants").items():
        mode = str(variant.get("mode") or fixture.setting("strategy"))
        place = mode.rpartition("-")[2].lower()
        reason = unsupported(variant) or (None if place in PLACES else f"the mode {mode} is not supported yet")
        plain = None if reason is not None else predictor(net, variant)
        if not isinstance(plain, ClickPredictor):
            yield skipped(fixture.name, f"variant {name}: {reason or 'a cascade round f-BRS is not supported yet'}")
            continue
        with _threads(RECORDED_THREADS):
            limit = PUBLISHED_LIMIT if plain.clicks_limit is None else plain.clicks_limit
            yield from _check_variant(fixture, name, variant, FbrsSegmenter(plain, split_network(net, place), place, clicks_limit=limit))


def _check_variant(fixture: Fixture, name: str, variant: Mapping[str, Any], segmenter: FbrsSegmenter) -> Iterator[Check]:
    clicks = fixture.setting("clicks")
    states = states_after_clicks(segmenter, fixture.array("image"), as_clicks(clicks))
    maps = np.stack([state.probability for state in states])
    for array, step in subsampled(fixture, f"prob_{name}"):
        ours, recorded = maps[:, ::step, ::step], fixture.array(array) / UINT16
        if ours.shape != recorded.shape:
            yield exact(fixture.name, f"{name}:{array}", 1, f"shape {ours.shape}, recorded {recorded.shape}")
            continue
        yield close(fixture.name, f"{name}:click1:{array}", ours[0], recorded[0], PROBABILITY_TOLERANCE)
        yield close(
            fixture.name, f"{name}:means:{array}", _mean_differences(ours[1:], recorded[1:]), np.zeros(len(clicks) - 1), MEAN_TOLERANCE
        )
    if "prob_at_clicks" not in variant:
        return
    at_clicks = [map_[int(row), int(col)] for count, map_ in enumerate(maps, 1) for _, row, col in clicks[:count]]
    recorded = [value for values in variant["prob_at_clicks"] for value in values]
    yield close(fixture.name, f"{name}:prob_at_clicks", at_clicks, recorded, AT_CLICKS_TOLERANCE)


def _mean_differences(ours: NDArray[np.float32], recorded: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean absolute difference of each map."""
    return np.abs(ours - recorded).mean(axis=(1, 2))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
