"""Which slices of a segmentation and of the truth belong together, by name or by place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_medseg.core import InputError, Labels
from napari_medseg.io.cases import case_of
from napari_medseg.io.masks.onto import stored_like
from napari_medseg.io.names import masked_stem, stem_of

Match = tuple[int, int, str]


def slice_key(name: str) -> str:
    """What a mask's name shares with its image's: the stem without ``mask``, ``seg`` or ``label`` at either end.

    Parameters
    ----------
    name
        Of a file or slice: ``hip_012_mask.png`` and ``hip_012.dcm`` both give ``hip_012``.
    """
    return masked_stem(name) or stem_of(name)


def image_keys(name: str) -> set[str]:
    """What the masks of an image file may be called, as `slice_key` tells it; also without the ``_0000`` of a first
    channel."""
    return {slice_key(name), case_of(name)}


def match_slices(prediction: Labels, truth: Labels) -> tuple[list[Match], list[str]]:
    """Pair the slices of both sides.

    Parameters
    ----------
    prediction, truth
        Labels (Z, Y, X) or (Y, X): by name where both have names, else by place.

    Returns
    -------
    matches
        Index in the prediction, index in the truth and name, in the order of the truth.
    unmatched
        Names of the slices without a partner.

    Raises
    ------
    InputError
        When nothing matches.
    """
    single = len(prediction) == len(truth) == 1
    if prediction.names and truth.names and not single:
        ours = _keys(prediction, "prediction")
        theirs = _keys(truth, "truth")
        matches = [(ours[key], t, truth.names[t]) for key, t in theirs.items() if key in ours]
        if not matches:
            raise InputError(
                f"No slice of the prediction ({prediction.names[0]} …) has a name of the truth ({truth.names[0]} …).",
                "Name the masks as the slices they belong to.",
            )
        alone = [prediction.names[p] for key, p in ours.items() if key not in theirs]
        return matches, alone + [truth.names[t] for key, t in theirs.items() if key not in ours]
    if len(prediction) != len(truth):
        raise InputError(
            f"The prediction has {len(prediction)} slices and the truth {len(truth)}, without names to match them by.",
            "Give both as folders of files with equal names, or with equally many slices.",
        )
    names = names_of(prediction, truth)
    return [(z, z, names[z]) for z in range(len(truth))], []


def _keys(labels: Labels, side: str) -> dict[str, int]:
    keys = [slice_key(name) for name in labels.names]
    if len(set(keys)) != len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InputError(f"Two slices of the {side} are called {twice}.", "Keep one mask for each slice.")
    return {key: z for z, key in enumerate(keys)}


def names_of(prediction: Labels, truth: Labels) -> tuple[str, ...]:
    """What the slices of a pair may be called in the report."""
    return truth.names or prediction.names or tuple(str(z) for z in range(len(truth)))


def laid_like(prediction: Labels, truth: Labels) -> Labels:
    """The prediction with its voxels in the order of the truth's, where both fill the same place in space.

    Programs store one volume from left to right or from right to left. Where places differ, as those of files do that
    tell nothing true about them, indices decide.
    """
    if not (prediction.is_stack and truth.is_stack and prediction.geometry.unit == truth.geometry.unit == "mm"):
        return prediction
    turned = stored_like(prediction, truth.geometry)
    if turned is prediction or tuple(turned.data.shape) != tuple(truth.data.shape):
        return prediction
    off = np.abs(turned.geometry.affine() - truth.geometry.affine()).max()
    same = off <= 0.1 * min(truth.geometry.spacing)
    return replace(turned, names=truth.names) if same else prediction
