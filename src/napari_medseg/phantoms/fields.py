"""What numpy and scipy do to whole fields, in torch: smoothing, lines through points, extremes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def bell(deviation: Tensor, reach: int) -> Tensor:
    """Gaussian weights that sum to one, (N, 2 * reach + 1), from deviations in pixels, (N,)."""
    offsets = torch.arange(-reach, reach + 1, device=deviation.device, dtype=torch.float32)
    weights = (-0.5 * (offsets[None] / deviation[:, None]) ** 2).exp()
    return weights / weights.sum(1, keepdim=True)


def smooth(field: Tensor, deviation: float | Sequence[float], truncate: float = 4.0, wrap: bool = False) -> Tensor:
    """Gaussian blur along all axes, as `scipy.ndimage.gaussian_filter` does it, in single precision.

    Parameters
    ----------
    field
        Of any number of axes.
    deviation
        In pixels, one for all axes or one for each; 0 leaves an axis as it is.
    truncate
        How many deviations the blur reaches.
    wrap
        Whether what leaves the field on one side comes in on the other; otherwise the field is mirrored beyond its
        outermost pixels, and these are doubled.
    """
    deviations = [deviation] * field.ndim if isinstance(deviation, int | float) else deviation
    for axis, one in enumerate(deviations):
        if one > 0:
            field = _smooth_axis(field, axis, float(one), int(truncate * one + 0.5), wrap)
    return field


def _smooth_axis(field: Tensor, axis: int, deviation: float, reach: int, wrap: bool) -> Tensor:
    size = field.shape[axis]
    # As numbers, which need not wait for the device.
    weights: list[float] = bell(torch.tensor([deviation], device="cpu"), reach)[0].tolist()
    where = torch.arange(-reach, size + reach, device=field.device) % (size if wrap else 2 * size)
    padded = field.index_select(axis, torch.minimum(where, 2 * size - 1 - where))
    # Sums of shifted fields: several times faster on a CPU than a convolution of one channel, and never in TF32.
    total = padded.narrow(axis, reach, size) * weights[reach]
    for start in range(reach):
        both = padded.narrow(axis, start, size) + padded.narrow(axis, 2 * reach - start, size)
        total.add_(both, alpha=weights[start])
    return total


def piecewise(values: Tensor, at: Sequence[float], heights: Sequence[float]) -> Tensor:
    """Heights of the line through points ``(at, heights)`` at the values, level beyond its ends, as `numpy.interp`."""
    result = torch.full_like(values, heights[0])
    for low, high, start, end in zip(at, at[1:], heights, heights[1:], strict=False):
        if start != end:
            result.add_((values - low).clamp_(0, high - low), alpha=(end - start) / (high - low))
    return result


def extremes(field: Tensor) -> tuple[float, float]:
    """Lowest and highest value, in one wait for the device."""
    low, high = torch.stack(torch.aminmax(field)).tolist()
    return low, high
