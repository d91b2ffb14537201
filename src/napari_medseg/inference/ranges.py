"""Which values of an image become 0 and 1, measured once for all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Image, InputError, ModelCard, Normalisation, spread_ends

SAMPLE_SLICES = 16
SAMPLE_PIXELS = 65_536  # of each sampled slice

ValueRange = tuple[float, float] | tuple[tuple[float, ...], tuple[float, ...]]
"""Values that become 0 and 1: two numbers, or two for each channel."""

NORMALISATIONS: dict[str, Normalisation] = {
    "percentile": Normalisation(),
    "median": Normalisation(method="median", low=0.5, high=3),
}
"""What a new network may get."""


def sample_slices(image: Image) -> list[npt.NDArray[Any]]:
    """Every n-th pixel of at most 16 evenly spread slices that can be read; the same ones each time."""
    readable = [z for z in range(len(image)) if z not in image.missing]
    sample = []
    for z in spread_ends(readable, SAMPLE_SLICES):
        try:
            pixels = image.slice(z)
        except InputError:
            continue
        sample.append(_thin(pixels))
    return sample


def _thin(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    step = max(1, int(np.sqrt(pixels.shape[0] * pixels.shape[1] / SAMPLE_PIXELS)))
    return pixels[::step, ::step]


def measure_range(image: Image, normalisation: Normalisation) -> ValueRange:
    """Values of ``image`` that become 0 and 1.

    Measured once for the whole image, never per slice or tile: a slice of air must not be stretched to look like bone.
    Missing and unreadable slices and values that are not finite do not count.

    Parameters
    ----------
    image
        Sampled slices of it are read.
    normalisation
        Of the model's card: which percentiles, or which fixed values such as a window in HU.

    Returns
    -------
    (low, high)
        Numbers, or one for each channel where each has a range of its own. Equal when the image is constant; 0 and 0
        when nothing could be read.

    Source of ``"median"``: Nyul and Udupa, "On standardizing the MR image intensity scale" (1999), who take what is
    brighter than the mean for the body, and its median for a landmark.
    """
    if normalisation.method == "window":
        return normalisation.low, normalisation.high
    parts = [part.reshape(-1, image.channels) for part in sample_slices(image)]
    return range_of(np.concatenate(parts) if parts else np.zeros((0, 1)), normalisation)


def has_own_ranges(image: Image, card: ModelCard) -> bool:
    """Whether each slice of an image has a range of its own."""
    return card.normalisation.each and len(image) > 1


def slice_range(pixels: npt.NDArray[Any], normalisation: Normalisation) -> ValueRange:
    """`measure_range` of a slice (Y, X) or (Y, X, C) by itself."""
    thin = _thin(pixels)
    return range_of(thin.reshape(-1, pixels.shape[2] if pixels.ndim == 3 else 1), normalisation)


def range_of(pixels: npt.NDArray[Any], normalisation: Normalisation) -> ValueRange:
    """`measure_range` of pixels (N, channels) that stand for all of an image."""
    if normalisation.method == "median":
        lows, highs = zip(*(_spread(values, normalisation) for values in pixels.T), strict=True)
        return lows, highs
    return _spread(pixels.ravel(), normalisation)


def _spread(values: npt.NDArray[Any], normalisation: Normalisation) -> tuple[float, float]:
    values = values[np.isfinite(values)].astype(np.float64)
    if not values.size:
        return 0.0, 0.0
    if normalisation.method == "median":
        low, body = np.percentile(values, normalisation.low), values[values > values.mean()]
        high = low + normalisation.high * (np.median(body) - low) if body.size else low
    else:
        low, high = np.percentile(values, (normalisation.low, normalisation.high))
    if low == high:  # a small bright object on a flat ground
        low, high = values.min(), values.max()
    return float(low), float(high)


def is_flat(value_range: ValueRange) -> bool:
    """Whether an image has the same value everywhere, so that nothing can be seen in it."""
    return not np.less(*value_range).any()
