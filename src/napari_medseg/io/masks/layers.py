"""Masks that keep one layer for each class: one-hot stacks and channels, or one file for each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Finding, InputError

Array = npt.NDArray[Any]

SOFTENED = 0.05
"""Share of pixels that may be neither 0 nor full, as softened edges are."""


def as_layers(data: Array, name: str) -> npt.NDArray[np.bool_]:
    """Which pixels each layer (C, ...) has, from values 0 and 1, 0 and 255, or probabilities cut at half.

    Raises
    ------
    InputError
        If the layers hold other values.
    """
    if data.dtype.kind == "b":
        return np.asarray(data)
    top = float(data.max(initial=0))
    full = 1.0 if top <= 1 else 255.0
    between = np.count_nonzero((data > 0) & (data < full)) / max(1, data.size) if full > 1 else 0.0
    if not np.isfinite(data).all() or top > full or data.min(initial=0) < 0 or between > SOFTENED:
        raise InputError(
            f"{name} has {len(data)} layers that are not masks of 0 and 1.",
            "A mask has one whole number per pixel, or one layer of 0 and 1 for each class.",
        )
    return np.asarray(data >= full / 2)


def join_layers(layers: npt.NDArray[np.bool_], name: str) -> tuple[Array, tuple[Finding, ...]]:
    """Class values of layers (C, ...): 1, 2, … in their order, the later one where two overlap.

    Where every pixel is in exactly one layer, the first layer is the background; a finding says which it was
    (``ONE_HOT_MASK``), another how many pixels are in several layers (``OVERLAP``).
    """
    depth = layers.sum(axis=0, dtype=np.int32)
    with_ground = len(layers) > 1 and bool((depth == 1).all())
    values = np.zeros(layers.shape[1:], np.min_scalar_type(len(layers)))
    for value, layer in enumerate(layers, 0 if with_ground else 1):
        values[layer] = value
    ground = "the first is background" if with_ground else "none of them is background"
    text = f"The {len(layers)} layers of {name} became classes in their order; {ground}."
    return values, (Finding("ONE_HOT_MASK", text), *overlap(int((depth > 1).sum()), name))


def join_classes(parts: Sequence[Array], name: str) -> tuple[Array, tuple[Finding, ...]]:
    """Class values 1, 2, … of masks with one class each, the later one where two overlap."""
    values = np.zeros(parts[0].shape, np.min_scalar_type(len(parts)))
    twice = 0
    for value, part in enumerate(parts, 1):
        inside = part > 0
        twice += int(np.count_nonzero(values[inside]))
        values[inside] = value
    return values, overlap(twice, name)


def overlap(pixels: int, name: str) -> tuple[Finding, ...]:
    """That classes share pixels, where they do."""
    if not pixels:
        return ()
    text = f"In {name} {pixels:,} pixels are in more than one class; there the later class counts."
    return (Finding("OVERLAP", text),)
