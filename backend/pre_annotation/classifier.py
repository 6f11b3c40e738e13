"""The light classifier: features of an object to probabilities of classes. One hidden layer, in numpy: `fitting` trains it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from backend.errors import ModelError
from backend.pre_annotation.calibration import Calibration
from backend.pre_annotation.class_names import in_words_of
from converters.whole_file import write_whole

NOTHING = "background"
"""The class of what is no object of any class."""
_FORMAT = "rsiseg object classifier 1"


@dataclass(frozen=True, slots=True, eq=False)
class Classifier:
    """kind: of the features it reads (`Described.kind`). classes: in the order of the probabilities, `NOTHING` perhaps among them.

    weights_of: version of the click model whose features it learned from. mean, scale: [F]. hidden: [F, H] and [H]. out: [H, C] and [C].
    calibration: what a score is worth. version: short hash of all of it.
    """

    kind: str
    classes: tuple[str, ...]
    weights_of: str
    mean: NDArray[np.float32] = field(repr=False)
    scale: NDArray[np.float32] = field(repr=False)
    hidden: tuple[NDArray[np.float32], NDArray[np.float32]] = field(repr=False)
    out: tuple[NDArray[np.float32], NDArray[np.float32]] = field(repr=False)
    calibration: Calibration = field(repr=False, default_factory=Calibration.plain)
    shipped: bool = True

    @property
    def version(self) -> str:
        """Changes whenever an answer may."""
        return hashlib.sha256(self.content()).hexdigest()[:8]

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """[N, F] to [N, C], rows summing to 1; NaN: unknown. Raises ModelError for features of another length."""
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise ModelError(
                f"the object classifier reads {len(self.mean)} features, this model gives {features.shape[-1]}; train it again for this "
                "model with `rsiseg train-classifier`"
            )
        x = np.clip(np.nan_to_num((features - self.mean) / self.scale, nan=0.0), -6, 6)
        pre = x @ self.hidden[0] + self.hidden[1]
        logits = np.maximum(pre, 0) @ self.out[0] + self.out[1]
        power = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (power / power.sum(axis=1, keepdims=True)).astype(np.float32)

    def in_words_of(self, probabilities: NDArray[np.float32], classes: Sequence[str]) -> NDArray[np.float32] | None:
        """[N, len(classes)] from [N, C]: a project's classifier knows its classes by their own names, the shipped one by their meaning.

        None where it knows none of them.
        """
        if self.shipped:
            return in_words_of(self.classes, probabilities, classes)
        known = [self.classes.index(name) if name in self.classes and name != NOTHING else None for name in classes]
        if all(number is None for number in known):
            return None
        zero = np.zeros(len(probabilities), np.float32)
        return np.stack([zero if number is None else probabilities[:, number] for number in known], axis=1)

    def knows(self, classes: Sequence[str]) -> bool:
        """Whether it can tell any of a project's classes."""
        return self.in_words_of(np.ones((1, len(self.classes)), np.float32), classes) is not None

    def content(self) -> bytes:
        """The file's bytes: safetensors, its header carries the names."""
        tensors = {
            "mean": self.mean.astype(np.float32),
            "scale": self.scale.astype(np.float32),
            "hidden.weight": self.hidden[0].astype(np.float16),
            "hidden.bias": self.hidden[1].astype(np.float32),
            "out.weight": self.out[0].astype(np.float32),
            "out.bias": self.out[1].astype(np.float32),
            **self.calibration.tensors(),
        }
        said = {
            "format": _FORMAT,
            "kind": self.kind,
            "classes": list(self.classes),
            "weights_of": self.weights_of,
            "shipped": self.shipped,
            "calibration": self.calibration.note,
        }
        # One entry: safetensors writes several in an arbitrary order.
        return save(tensors, metadata={"classifier": json.dumps(said, sort_keys=True)})

    def write(self, path: Path) -> None:
        """Into a file that appears whole or not at all; its folder must exist."""
        write_whole(path, self.content())


def read(path: Path) -> Classifier:
    """The classifier of a file. Raises ModelError for one that is missing or none."""
    try:
        content = path.read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        said = json.loads(header["classifier"])
        tensors = load(content)
        return Classifier(
            kind=str(said["kind"]),
            classes=tuple(map(str, said["classes"])),
            weights_of=str(said["weights_of"]),
            mean=tensors["mean"],
            scale=tensors["scale"],
            hidden=(tensors["hidden.weight"].astype(np.float32), tensors["hidden.bias"]),
            out=(tensors["out.weight"], tensors["out.bias"]),
            calibration=Calibration.read(tensors, said.get("calibration", "")),
            shipped=bool(said["shipped"]),
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(
            f"{path} is no object classifier that can be read ({error!r}); train it again with `rsiseg train-classifier`"
        ) from error
