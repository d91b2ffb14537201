"""Small clean-up of one slice's labels: specks and holes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage


def tidy(labels: npt.NDArray[Any], smallest: int, fill_holes: bool) -> npt.NDArray[Any]:
    """Drop small regions, then fill holes, class by class.

    Parameters
    ----------
    labels
        (Y, X), 0 is background.
    smallest
        Regions connected over edges or corners with fewer pixels become background; 0 keeps all.
    fill_holes
        Background that one class encloses completely becomes that class; other classes inside stay.
    """
    if not (smallest or fill_holes):
        return labels
    result = labels.copy()
    for value in np.unique(labels[labels > 0]):
        mask = result == value
        if smallest:
            regions, _ = ndimage.label(mask, structure=np.ones((3, 3)))
            small = np.bincount(regions.ravel()) < smallest
            small[0] = False
            result[small[regions]] = 0
            mask = result == value
        if fill_holes:
            result[ndimage.binary_fill_holes(mask) & (result == 0)] = value
    return result
