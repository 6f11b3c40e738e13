"""The authors' hyper-parameters for RITM, SimpleClick, ICL and FocalClick. MODELS.md 8; for SimpleClick on SBD, its paper, section 4.

Numbers of epochs stay as the authors counted them, and steps follow from them: epochs x (epoch length // batch). They mean hundreds of
thousands of steps on many devices; `--steps` shortens a run, and learning rates fall at the same shares of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from backend.training.augment_published import PublishedAugmentation
from backend.training.copy_paste import Suem
from backend.training.focal_crops import AlignedCrop
from backend.training.focal_training import FocalSettings
from backend.training.icl import IclSettings
from backend.training.iterative import IterativeSettings
from backend.training.optimisation import Optimisation
from backend.training.points_sampler import PointsSampler
from backend.training.scene_source import SceneSettings

COCO_LVIS_EPOCH = 30_000
SBD_EPOCH = 8_498
"""Images of SBD's training set; an epoch of the authors' is one of it."""
COCO_LVIS_AREA, SBD_AREA = 1000, 80  # smallest object, px

SBD = PublishedAugmentation(scale=(0.75, 1.25), mirrors="any", quarter_turns=True, shift=0.03, tilt=3.0)


@dataclass(frozen=True, slots=True)
class Published:
    """Settings of the method, of the optimisation, and the smallest object, px."""

    method: IterativeSettings | IclSettings | FocalSettings
    optimisation: Optimisation
    min_area: int = COCO_LVIS_AREA


def _adam(
    lr: float,
    *,
    batch: int,
    epochs: int,
    drops: tuple[int, ...],
    length: int = COCO_LVIS_EPOCH,
    multipliers: tuple[tuple[str, float], ...] = (),
) -> Optimisation:
    """Adam without decay of weights, its learning rate cut to a tenth after some epochs; a cut after the last one is none."""
    return Optimisation(
        optimiser="adam",
        lr=lr,
        multipliers=multipliers,
        batch=batch,
        steps=epochs * (length // batch),
        schedule="step",
        milestones=tuple(drop / epochs for drop in drops if drop < epochs),
    )


# The heads in front of the aggregated features keep the backbone's tenth, the parts of OCR do not.
_RITM_RATES = (("feature_extractor.", 0.1), ("feature_extractor.conv3x3_ocr.", 1.0), ("feature_extractor.ocr_distri_head.", 1.0))
_RITM = IterativeSettings(SceneSettings((320, 480)), auxiliary_weight=0.4)
_SIMPLECLICK = IterativeSettings(SceneSettings((448, 448)))
_ICL = IclSettings(SceneSettings((448, 448), sampler=PointsSampler(max_points=12, order="shuffled"), suem=Suem()))
_FOCAL = FocalSettings()
_FOCAL_HRNET = FocalSettings(auxiliary_weight=0.4)
_COMBINED = AlignedCrop(mean=1.0, limits=(0.5, 1.3))


def _on_sbd(settings: IterativeSettings) -> IterativeSettings:
    return replace(settings, scene=replace(settings.scene, augmentation=SBD, background_prob=0.0))


def _ritm(batch: int) -> Optimisation:
    return _adam(5e-4, batch=batch, epochs=230, drops=(200, 220), multipliers=_RITM_RATES)


_FOCAL_SEGFORMER_RATES = _adam(5e-3, batch=28, epochs=230, drops=(190, 210), multipliers=(("feature_extractor.backbone.", 0.1),))
_FOCAL_HRNET_RATES = _adam(5e-4, batch=32, epochs=230, drops=(190, 210), multipliers=(("feature_extractor.", 2.0),))


def _icl(epochs: int, length: int = COCO_LVIS_EPOCH) -> Optimisation:
    return _adam(5e-6, batch=32, epochs=epochs, length=length, drops=(50, 55))


PUBLISHED: dict[str, Published] = {
    "ritm_cocolvis": Published(_RITM, _ritm(32)),  # HRNet-18s and HRNet-32
    "ritm_cocolvis_h18": Published(_RITM, _ritm(28)),
    "ritm_sbd": Published(
        _on_sbd(_RITM), _adam(5e-4, batch=28, epochs=220, length=SBD_EPOCH, drops=(200, 215), multipliers=_RITM_RATES), SBD_AREA
    ),
    "simpleclick_cocolvis": Published(_SIMPLECLICK, _adam(5e-5, batch=32, epochs=55, drops=(50, 55))),
    "simpleclick_cocolvis_xtiny": Published(_SIMPLECLICK, _adam(5e-5, batch=32, epochs=230, drops=(200, 230))),
    "simpleclick_sbd": Published(_on_sbd(_SIMPLECLICK), _adam(5e-5, batch=32, epochs=55, length=SBD_EPOCH, drops=(50, 55)), SBD_AREA),
    "icl_cocolvis": Published(_ICL, _icl(1, length=3000)),
    "icl_cocolvis_base": Published(replace(_ICL, scene=replace(_ICL.scene, sampler=PointsSampler(order="shuffled"))), _icl(5)),
    "focalclick_segformer": Published(_FOCAL, _FOCAL_SEGFORMER_RATES),
    "focalclick_segformer_combined": Published(replace(_FOCAL, crop=_COMBINED), _FOCAL_SEGFORMER_RATES),
    "focalclick_hrnet": Published(_FOCAL_HRNET, _FOCAL_HRNET_RATES),
    "focalclick_hrnet_combined": Published(replace(_FOCAL_HRNET, crop=_COMBINED), _FOCAL_HRNET_RATES),
}
"""By the name of the recipe."""
