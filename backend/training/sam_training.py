"""Fine-tuning of SAM: clicks, boxes and its own last mask as prompts, round after round, as the server asks it.

The losses are those of the click networks; beside them the decoder learns how good its masks are, since that decides which of three is
taken for a first click. Ways of prompting: SAM's paper (Kirillov et al. 2023, appendix A), with fewer rounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.modeling import Sam
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from backend.errors import UsageError
from backend.segmenters.tiny_vit_sam import TinyViTEncoder
from backend.training.losses import sample_loss
from backend.training.method import StepLoss
from backend.training.objects import Pool
from backend.training.sam_embeddings import Embeddings
from backend.training.sam_prompts import Prompts
from backend.training.sam_views import SamView, ViewSettings, ViewSource


@dataclass(frozen=True, slots=True)
class SamSettings:
    """What is trained, and how it is asked.

    trained: `all`; the `decoder` alone (with the prompt encoder), on embeddings computed once for each of `kept` views; or, with a
    TinyViT, the `last` stage of the encoder with the neck too, on what the stages before it make of each of these views.
    views: what is shown. rounds: probabilities of one prompt, two, ... for a view. box_share: of views that begin with boxes, which are off
    by shares of the object's size, `jitter` wide. quality_weight: of the error of the expected IoU. seed: of the views that are kept.
    embeddings: folder for what is computed once.
    """

    trained: Literal["all", "last", "decoder"] = "all"
    views: ViewSettings = field(default_factory=ViewSettings)
    rounds: tuple[float, ...] = (0.25, 0.3, 0.25, 0.2)
    box_share: float = 0.25
    jitter: float = 0.1
    quality_weight: float = 1.0
    kept: int = 400
    seed: int = 0
    embeddings: str = "runs/sam_embeddings"


class SamTraining:
    """A `Method` (see method.py) for networks of the SAM family."""

    def __init__(self, settings: SamSettings) -> None:
        self.settings = settings
        self._views = ViewSource(settings.views)
        self._kept: Embeddings | None = None

    def draw(self, pool: Pool, rng: np.random.Generator) -> SamView | None:
        """As in `Method`. With embeddings that are kept, one of the views whose number is less than `kept`: the same each time."""
        if self.settings.trained == "all":
            return self._views.view(pool, rng)
        number = int(rng.integers(self.settings.kept))
        return self._views.view(pool, np.random.default_rng((self.settings.seed, number)))

    def loss(self, net: nn.Module, samples: Sequence[SamView], rng: np.random.Generator, device: str) -> StepLoss:
        """As in `Method`. The mean over rounds and objects; `iou` and `iou_1` are of the last masks and of those after the first prompt."""
        embeddings = self._embeddings(net, samples, device)
        asked = [self._annotation(net, view, embedding, rng, device) for view, embedding in zip(samples, embeddings, strict=True)]
        losses = [loss for rounds in asked for loss, _ in rounds]
        first, last = (float(np.mean([rounds[which][1] for rounds in asked])) for which in (0, -1))
        return StepLoss(torch.stack(losses).mean(), {"iou": last, "iou_1": first, "prompts": len(losses) / len(asked)})

    def going_on(self, samples: Sequence[SamView], rng: np.random.Generator) -> list[SamView]:
        """None: a view is annotated to the end within one step."""
        return []

    def packed(self, sample: SamView) -> dict[str, Tensor]:
        """As in `Method`."""
        return {"image": torch.from_numpy(sample.image), "targets": torch.from_numpy(sample.targets)}

    def unpacked(self, tensors: Mapping[str, Tensor]) -> SamView:
        """As in `Method`."""
        return SamView(tensors["image"].numpy(), tensors["targets"].numpy())

    def _annotation(
        self, net: nn.Module, view: SamView, embedding: Tensor, rng: np.random.Generator, device: str
    ) -> list[tuple[Tensor, float]]:
        """(loss, mean IoU of the masks) of each round of prompts."""
        shares = np.array(self.settings.rounds)
        rounds = 1 + int(rng.choice(len(shares), p=shares / shares.sum()))
        first: Literal["click", "box"] = "box" if rng.random() < self.settings.box_share else "click"
        prompts = Prompts.begin(view.targets, first, self.settings.jitter, rng)
        labels = torch.from_numpy(view.targets.astype(np.float32)).to(device)[:, None]
        result: list[tuple[Tensor, float]] = []
        for number in range(rounds):
            logits, quality = decoded(net, embedding, prompts, device)
            loss, chosen = prompt_loss(logits, quality, labels, self.settings.quality_weight)
            taken = logits.detach().float()[torch.arange(len(chosen)), chosen][:, None]
            full = F.interpolate(taken, labels.shape[-2:], mode="bilinear", align_corners=False)
            result.append((loss, float(overlap(full, labels).mean())))
            if number + 1 < rounds:
                prompts.answered(taken, list(torch.sigmoid(full)[:, 0].cpu().numpy()), rng)
        return result

    def _embeddings(self, net: nn.Module, samples: Sequence[SamView], device: str) -> Tensor:
        """float [B, C, h, w]; with gradient where the whole network is trained."""
        if self.settings.trained == "all":
            with fixed_statistics(net):
                return embedded(net, [view.image for view in samples], device)
        encoder: nn.Module = sam_of(net).image_encoder
        last = _last_stage_of(encoder) if self.settings.trained == "last" else None
        begin = encoder if last is None else last.begin
        if self._kept is None:
            trained = () if last is None else last.finishing
            fixed = {name: tensor for name, tensor in encoder.state_dict().items() if not name.startswith(trained)}
            self._kept = Embeddings(Path(self.settings.embeddings) / self.settings.trained, fixed)

        def encode(image: NDArray[np.uint8]) -> NDArray[np.float32]:
            with torch.no_grad(), fixed_statistics(net):
                return begin(pixels_of(net, [image], device))[0].float().cpu().numpy()

        kept = torch.from_numpy(np.stack([self._kept.of(view.image, encode) for view in samples])).to(device)
        if last is None:
            return kept
        with fixed_statistics(net):
            return last.finish(kept.to(memory_format=torch.channels_last))


def _last_stage_of(encoder: nn.Module) -> TinyViTEncoder:
    """The encoder, of which the last stage can be trained alone."""
    if not isinstance(encoder, TinyViTEncoder):
        raise UsageError("the last stage alone can be trained of a TinyViT only; train this network's decoder, or all of it")
    return encoder


def embedded(net: nn.Module, images: Sequence[NDArray[np.uint8]], device: str) -> Tensor:
    """Image embeddings [B, C, h, w] of views of the network's size, uint8 SxSxbands each."""
    return sam_of(net).image_encoder(pixels_of(net, images, device))


def pixels_of(net: nn.Module, images: Sequence[NDArray[np.uint8]], device: str) -> Tensor:
    """The views as the encoder reads them, float32 [B, bands, S, S], normalised."""
    pixels = torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy()).to(device)
    return sam_of(net).preprocess(pixels).to(memory_format=torch.channels_last)


def sam_of(net: nn.Module) -> Sam:
    """The network, which must be one of the SAM family. Raises UsageError otherwise."""
    if not isinstance(net, Sam):
        raise UsageError(f"this way of training is for networks of the SAM family, not {type(net).__name__}; choose another recipe")
    return net


def decoded(net: nn.Module, embedding: Tensor, prompts: Prompts, device: str) -> tuple[Tensor, Tensor]:
    """Mask logits [K, n, s, s] and their expected IoU [K, n]; three masks for an ambiguous prompt, else one. embedding: [C, h, w].

    Places of points are computed in float32 whatever the autocast: bfloat16 knows a coordinate to half a percent only.
    """
    sam = sam_of(net)
    with torch.autocast(torch.device(device).type, enabled=False):
        sparse, dense = sam.prompt_encoder(points=prompts.point_tensors(device), boxes=prompts.box_tensor(device), masks=prompts.logits)
        places = sam.prompt_encoder.get_dense_pe()
    return sam.mask_decoder(
        image_embeddings=embedding[None],
        image_pe=places,
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=prompts.ambiguous,
    )


def prompt_loss(logits: Tensor, quality: Tensor, labels: Tensor, quality_weight: float) -> tuple[Tensor, Tensor]:
    """The loss of one prompt, a scalar, and the number of the mask that is taken of each object, [K].

    logits: [K, n, s, s]. quality: [K, n], expected IoU. labels: [K, 1, S, S]. Only the best of n masks learns its shape, so that the others
    may mean other things; all learn how good they are. Taken is, as by the server, the one that the decoder expects most of.
    """
    count, masks = quality.shape
    full = F.interpolate(logits.float(), labels.shape[-2:], mode="bilinear", align_corners=False).flatten(0, 1)[:, None]
    repeated = labels.repeat_interleave(masks, dim=0)
    shape = sample_loss(full, repeated).view(count, masks).min(dim=1).values
    reached = overlap(full.detach(), repeated).view(count, masks)
    error = (quality.float() - reached).square().mean(dim=1)
    return (shape + quality_weight * error).mean(), quality.detach().argmax(dim=1)


def overlap(logits: Tensor, labels: Tensor) -> Tensor:
    """IoU of the masks where the logit is above zero, [B], ignored pixels left out. Both [B, 1, S, S]."""
    valid = labels >= 0
    mask, truth = (logits > 0) & valid, labels == 1
    return (mask & truth).sum(dim=(1, 2, 3)) / (mask | truth).sum(dim=(1, 2, 3)).clamp(min=1)


@contextmanager
def fixed_statistics(net: nn.Module) -> Iterator[None]:
    """Batch norms use the statistics they have, and do not change them: a batch of a few views says little about all imagery."""
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d) and module.training]
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()
