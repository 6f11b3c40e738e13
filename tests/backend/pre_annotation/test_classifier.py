"""The light classifier and what its scores are worth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from disks import bright_or_dark, picture, truth

from backend.errors import ModelError
from backend.pre_annotation.calibration import SIGNS, Calibration, expected_calibration_error, fit, reliability
from backend.pre_annotation.classifier import NOTHING, Classifier, read
from backend.pre_annotation.features import Described
from backend.pre_annotation.fitting import Samples, train


def test_it_tells_what_it_was_taught_and_is_the_same_bits_for_a_seed(tmp_path: Path) -> None:
    classifier, again = bright_or_dark(), bright_or_dark()
    assert classifier.content() == again.content()
    pixels = picture()
    features = np.stack([Described(pixels, None).of(place) for place in truth(pixels)])
    probabilities = classifier.probabilities(features)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities[:, classifier.classes.index("building")] > 0.5).all()


def test_a_file_answers_as_what_was_written_and_keeps_its_version(tmp_path: Path) -> None:
    classifier = bright_or_dark()
    classifier.write(tmp_path / "one.safetensors")
    found = read(tmp_path / "one.safetensors")
    assert found.version == classifier.version and found.classes == classifier.classes
    features = np.random.default_rng(0).normal(size=(5, len(classifier.mean))).astype(np.float32)
    assert np.array_equal(found.probabilities(features), classifier.probabilities(features))
    assert bright_or_dark(name="roof").version != classifier.version


@pytest.mark.parametrize("content", [b"", b"\x80\x04}", b"\xff" * 40, b"\x02\0\0\0\0\0\0\0{}"])
def test_a_file_that_is_none_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "one.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="no object classifier"):
        read(tmp_path / "one.safetensors")
    with pytest.raises(ModelError, match="no object classifier"):
        read(tmp_path / "missing.safetensors")


def test_features_of_another_model_are_refused() -> None:
    with pytest.raises(ModelError, match="train it again"):
        bright_or_dark().probabilities(np.zeros((1, 7), np.float32))


def test_a_project_classifier_knows_its_own_names_alone() -> None:
    own = bright_or_dark(name="Dachfläche", shipped=False)
    assert own.knows(["Dachfläche", "other"])
    assert not own.knows(["building"]) and not own.knows([NOTHING])
    assert bright_or_dark().knows(["Roof"])


def test_unknown_features_count_as_the_mean() -> None:
    classifier = bright_or_dark()
    unknown = np.full((1, len(classifier.mean)), np.nan, np.float32)
    assert np.allclose(classifier.probabilities(unknown), classifier.probabilities(classifier.mean[None]))


def test_a_rare_class_is_not_forgotten() -> None:
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(0, 1, (300, 4)), rng.normal(4, 1, (10, 4))]).astype(np.float32)
    samples = Samples(features, ("common",) * 300 + ("rare",) * 10, ("one",) * 310)
    found = train(samples, kind="appearance", weights_of="x@y", appearance=0, steps=300)
    assert found.probabilities(np.full((1, 4), 4, np.float32))[0, found.classes.index("rare")] > 0.5


def logistic_world(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    signs = rng.normal(size=(count, len(SIGNS))).astype(np.float32)
    chance = 1 / (1 + np.exp(-(1.5 * signs[:, 1] - signs[:, 4] - 0.5)))
    return signs, rng.random(count) < chance


def test_a_fitted_score_is_the_share_that_is_right() -> None:
    signs, found = logistic_world(4000)
    calibration = fit(signs[:2000], found[:2000].tolist(), "half")
    scores = calibration.scores(signs[2000:]).tolist()
    assert expected_calibration_error(scores, found[2000:].tolist()) < 0.04
    assert expected_calibration_error([0.9] * 2000, found[2000:].tolist()) > 0.3
    assert calibration.weight[1] > 0 > calibration.weight[4]


def test_without_both_outcomes_the_class_alone_decides() -> None:
    signs, _ = logistic_world(100)
    plain = fit(signs, [True] * 100, "all")
    assert np.allclose(plain.scores(signs), 1 / (1 + np.exp(-signs[:, 0])), atol=1e-6)


def test_reliability_counts_every_score_once() -> None:
    bins = reliability([0.0, 0.1, 0.5, 1.0], [False, True, True, True])
    assert [each.count for each in bins] == [2, 1, 1]
    assert bins[0].share == 0.5 and bins[-1].score == 1.0
    assert expected_calibration_error([], []) == 0


def test_calibration_survives_the_file(tmp_path: Path) -> None:
    signs, found = logistic_world(400)
    base = bright_or_dark()
    calibrated = Classifier(
        base.kind, base.classes, base.weights_of, base.mean, base.scale, base.hidden, base.out, fit(signs, found.tolist(), "here")
    )
    calibrated.write(tmp_path / "one.safetensors")
    again = read(tmp_path / "one.safetensors")
    assert again.calibration.note == "here"
    assert np.allclose(again.calibration.scores(signs), calibrated.calibration.scores(signs))
    assert calibrated.version != base.version
    assert isinstance(Calibration.plain().tensors(), dict)
