"""Quick: filters at several scales, and boosted trees that tell the classes apart at each pixel.

The trees are grown by CatBoost and kept as tensors, so that such a model is a network like any other: its file is the
same safetensors, using it needs no further package, and nothing in it can run.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn
from torch.nn import functional

from napari_medseg.core import ModelCard, ModelError, first_problem

from .build import QUICK, build_network, size_multiple
from .heads import split_output

LEVELS = 7
"""Scales: the filters see a slice, its half, its quarter and so on; the coarsest knows what lies 100 pixels away."""

DIRECTED = 3
"""From this scale on, the direction of a slope tells something, too: what lies above or beside."""

TREES, DEPTH = 200, 6

CHUNK = 2**15
"""Pixels that go through the trees together: they stay in the processor's cache, and torch starts no threads."""

UNSEEN = -20.0
"""Logit of a class that was in no pixel the trees learnt from."""


class Settings(BaseModel):
    """What ``network`` in the card of a Quick model holds.

    Attributes
    ----------
    levels
        Scales of the filters.
    position
        Whether row and column count: then slices are never cut into tiles.
    trees, depth
        Number of trees and of questions each of them asks.
    base
        Card of the network whose features count too; None for filters alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    levels: int = Field(LEVELS, ge=1, le=10)
    position: bool = False
    trees: int = Field(0, ge=0, le=10_000)
    depth: int = Field(DEPTH, ge=1, le=10)
    base: ModelCard | None = None


class QuickNetwork(nn.Module):
    """Images (N, C, Y, X) in, logits (N, K, Y, X) out; float32 on any device.

    Attributes
    ----------
    feature
        Which feature each question is about, (trees, depth), int64.
    border
        Whether it is above this, (trees, depth).
    leaf
        What the answers add to the logits, (trees, 2 ** depth, K); the first question is the lowest bit.
    bias
        Logits to start from, (K,).
    """

    feature: Tensor
    border: Tensor
    leaf: Tensor
    bias: Tensor

    def __init__(self, card: ModelCard, base: nn.Module | None = None) -> None:
        super().__init__()
        self.settings = settings = read_settings(card)
        self.base = base
        self._multiple = size_multiple(settings.base) if settings.base else 1
        self.register_buffer("feature", torch.zeros((settings.trees, settings.depth), dtype=torch.long))
        self.register_buffer("border", torch.zeros((settings.trees, settings.depth)))
        self.register_buffer("leaf", torch.zeros((settings.trees, 2**settings.depth, card.out_channels)))
        self.register_buffer("bias", torch.zeros(card.out_channels))
        self.features = count_features(card.in_channels, settings) + (_count_base(base) if base is not None else 0)
        self.config = {
            "encoder_name": card.encoder, "in_channels": card.in_channels, "classes": card.out_channels,
            **card.network,
        }  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            return torch.stack([self._decide(self.describe(image)) for image in images.float()])

    def describe(self, image: Tensor) -> Tensor:
        """Features (F, Y, X) of one image (C, Y, X)."""
        with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
            image = image.float().contiguous()[None]
            found = filter_image(image, self.settings)
            if self.base is not None:
                found.append(_look_through(self.base, image, self._multiple))
            return torch.cat(found, 1)[0]

    def _decide(self, features: Tensor) -> Tensor:
        """Logits (K, Y, X) from features (F, Y, X)."""
        on_cpu = features.device.type == "cpu"
        parts = torch.split(features.flatten(1), CHUNK if on_cpu else 2**22, 1)
        with ThreadPoolExecutor(torch.get_num_threads() if on_cpu else 1, "quick-trees") as pool:
            logits = list(pool.map(self._answer, parts))
        return torch.cat(logits, 1).reshape(-1, *features.shape[1:])

    @torch.no_grad()
    def _answer(self, features: Tensor) -> Tensor:
        """Logits (K, P) from features (F, P): in each tree, the answers to its questions are the bits of a leaf."""
        rows = features.unbind(0)
        logits = self.bias[:, None].repeat(1, features.shape[1])
        leaves = self.leaf.transpose(1, 2).contiguous()
        above = torch.empty(features.shape[1], dtype=torch.bool, device=features.device)
        number = torch.empty(features.shape[1], dtype=torch.int32, device=features.device)
        for leaf, wanted, borders in zip(leaves, self.feature.tolist(), self.border.tolist(), strict=True):
            number.zero_()
            for bit, (f, border) in enumerate(zip(wanted, borders, strict=True)):
                torch.gt(rows[f], border, out=above)
                number.add_(above, alpha=1 << bit)
            logits += leaf.index_select(1, number)
        return logits

    def find_problem(self) -> str:
        """What is wrong with trees that were read from a file; empty where nothing is."""
        if self.feature.numel() and not 0 <= int(self.feature.min()) <= int(self.feature.max()) < self.features:
            return "its trees ask about features that it does not have"
        return ""


def build_quick(card: ModelCard) -> QuickNetwork:
    """Build the network of a Quick model's card, with random weights in its base.

    Raises
    ------
    ModelError
        The base of the model is a Quick model itself, or cannot be built.
    """
    base = read_settings(card).base
    if base is not None and base.architecture == QUICK:
        raise ModelError(f"The card of {card.name!r} names a Quick model as its network.")
    return QuickNetwork(card, None if base is None else build_network(base))


def read_settings(card: ModelCard) -> Settings:
    """``network`` of a Quick model's card.

    Raises
    ------
    ModelError
        It is not what such a card holds.
    """
    try:
        return Settings.model_validate(card.network)
    except ValidationError as error:
        raise ModelError(f"The card of {card.name!r} describes no Quick model: {first_problem(error)}.") from error


def plant(network: QuickNetwork, trees: Sequence[dict[str, Any]], bias: Sequence[float], seen: Sequence[int]) -> None:
    """Put trees as CatBoost writes them (``oblivious_trees`` of its JSON) into a network, in place of its own.

    Parameters
    ----------
    bias
        Logits to start from, one for each class in ``seen``.
    seen
        Outputs of the network that the trees know; the others become very unlikely.
    """
    count, depth = network.feature.shape
    feature = np.zeros((count, depth), np.int64)
    border = np.full((count, depth), np.finfo(np.float32).max, np.float32)  # a question that always says no
    leaf = np.zeros((count, 2**depth, len(network.bias)), np.float32)
    for i, tree in enumerate(trees):
        splits = tree["splits"] or []
        for j, split in enumerate(splits):
            feature[i, j], border[i, j] = split["float_feature_index"], split["border"]
        leaf[i, : 2 ** len(splits), seen] = np.reshape(tree["leaf_values"], (-1, len(seen))).T
    start = np.full(len(network.bias), UNSEEN, np.float32)
    start[list(seen)] = bias
    for name, values in (("feature", feature), ("border", border), ("leaf", leaf), ("bias", start)):
        setattr(network, name, torch.from_numpy(values).to(network.bias.device))


def adapt_quick(network: Any, card: ModelCard, rows: Sequence[tuple[int, ...]]) -> QuickNetwork:
    """The same trees with the classes of ``card``; ``rows`` as `match_classes` gives them.

    Raises
    ------
    ModelError
        The channels differ, and with them the features.
    """
    old: QuickNetwork = network
    new = QuickNetwork(card, old.base)
    if new.features != old.features:
        raise ModelError(
            f"{card.name} cannot get {card.channels} channels: its trees know others.", "Start from quick."
        )
    bias = torch.full((card.out_channels,), UNSEEN)
    leaf = torch.zeros((*old.leaf.shape[:2], card.out_channels))
    for k, sources in enumerate([(0,), *rows]):
        if sources:
            leaf[..., k], bias[k] = old.leaf[..., list(sources)].mean(-1), old.bias[list(sources)].mean()
    new.feature, new.border, new.leaf, new.bias = old.feature.clone(), old.border.clone(), leaf, bias
    return new.train(old.training)


def count_features(channels: int, settings: Settings) -> int:
    """Number of filter features."""
    directed = max(0, settings.levels - DIRECTED)
    return channels * (1 + 6 * settings.levels + 2 * directed) + 2 * settings.position


def filter_image(image: Tensor, settings: Settings) -> list[Tensor]:
    """Features (1, F, Y, X) each of one image (1, C, Y, X): brightness, edges, ridges and texture at every scale."""
    shape = image.shape[-2:]
    found, small = [image], image
    for level in range(settings.levels):
        maps = torch.cat(_filter(small, directed=level >= DIRECTED), 1)
        if level:
            maps = functional.interpolate(maps, shape, mode="bilinear", align_corners=False)
        found.append(maps)
        small = functional.avg_pool2d(small, 2, ceil_mode=True)
    if settings.position:
        for axis, side in enumerate(shape):
            place = (torch.arange(side, device=image.device) + 0.5) / side
            found.append(place.view(1, 1, *((-1, 1) if axis == 0 else (1, -1))).expand(1, 1, *shape))
    return found


def _filter(image: Tensor, *, directed: bool) -> list[Tensor]:
    """Gaussian, length of its slope, curvatures, and strength of slopes along and across their direction."""
    smooth = _blur(image, 1.0)
    p = functional.pad(smooth, (1, 1, 1, 1), mode="replicate")
    above, below, left, right = p[..., :-2, 1:-1], p[..., 2:, 1:-1], p[..., 1:-1, :-2], p[..., 1:-1, 2:]
    down, across = (below - above) / 2, (right - left) / 2
    mixed = (p[..., 2:, 2:] + p[..., :-2, :-2] - p[..., 2:, :-2] - p[..., :-2, 2:]) / 4
    curvatures = _eigenvalues(below + above - 2 * smooth, mixed, right + left - 2 * smooth)
    products = _blur(torch.cat([down * down, down * across, across * across], 1), 1.5)
    slopes = _eigenvalues(*products.chunk(3, 1))
    return [smooth, torch.hypot(down, across), *curvatures, *slopes, *((down, across) if directed else ())]


def _eigenvalues(yy: Tensor, yx: Tensor, xx: Tensor) -> tuple[Tensor, Tensor]:
    """The larger and the smaller eigenvalue of symmetric 2 x 2 matrices."""
    middle, half = (yy + xx) / 2, torch.hypot((yy - xx) / 2, yx)
    return middle + half, middle - half


def _blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian of three sigma's reach, edges repeated."""
    reach = int(3 * sigma + 0.5)
    x = torch.arange(-reach, reach + 1, device=image.device) / sigma
    kernel = torch.exp(-0.5 * x * x)
    kernel = kernel / kernel.sum()
    planes = image.flatten(0, 1)[:, None]
    planes = functional.conv2d(functional.pad(planes, (0, 0, reach, reach), mode="replicate"), kernel.view(1, 1, -1, 1))
    planes = functional.conv2d(functional.pad(planes, (reach, reach, 0, 0), mode="replicate"), kernel.view(1, 1, 1, -1))
    return planes.view_as(image)


def _count_base(network: Any) -> int:
    """Number of features that `_look_through` finds."""
    convolutions = [m for m in network.segmentation_head.modules() if isinstance(m, nn.Conv2d)]
    return int(convolutions[0].in_channels + convolutions[-1].out_channels)


def _look_through(network: Any, image: Tensor, multiple: int) -> Tensor:
    """What a network makes of an image (1, C, Y, X): the last maps before its head, and the logs of its probabilities.

    Returns
    -------
    Tensor
        (1, F, Y, X)
    """
    height, width = image.shape[-2:]
    padded = functional.pad(image, (0, -width % multiple, 0, -height % multiple), mode="replicate")
    seen: list[Tensor] = []
    hook = network.segmentation_head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    try:
        output = network(padded)
    finally:
        hook.remove()
    logits = split_output(output)[0].float()
    maps = functional.interpolate(seen[0].float(), logits.shape[-2:], mode="bilinear", align_corners=False)
    found: Tensor = torch.cat([maps, logits.log_softmax(1).clamp(min=-10)], 1)
    return found[..., :height, :width]
