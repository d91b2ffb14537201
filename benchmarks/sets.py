"""The real image sets, split the same way each time: what trains and what only measures."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image as Picture

DATA = Path(os.environ.get("MEDSEG_DATA", Path(__file__).parents[2] / "shared" / "data"))
FEMUR_TRAINED = (439, 475, 511, 547, 583, 619)
"""Numbers of the six slices of the femur CT that are painted in the main job."""


@dataclass(frozen=True)
class Case:
    """One slice or image to measure on.

    Attributes
    ----------
    image
        File or series.
    z
        Slice of the series; None for all of it.
    truth
        Class values, (Y, X) or (Z, Y, X).
    name
        For tables.
    """

    image: Path
    z: int | None
    truth: npt.NDArray[np.integer]
    name: str


@dataclass(frozen=True)
class Split:
    """Pairs of images and masks that train, and cases never trained on."""

    pairs: tuple[tuple[Path, Path], ...]
    test: tuple[Case, ...]


def read_mask(path: Path) -> npt.NDArray[np.integer]:
    """Class values of a grey mask file; 0/255 masks with soft edges become 0/1."""
    values = np.asarray(Picture.open(path).convert("L"))
    return values if values.max() < 50 else (values > 127).astype(np.uint8)


def femur_masks() -> dict[int, Path]:
    """Masks of the femur CT by the number in their name."""
    return {int(p.stem.split("-")[1]): p for p in sorted((DATA / "femur_ct" / "masks").glob("*.png"))}


def femur_slices() -> dict[int, int]:
    """Slice index of each number."""
    numbers = sorted(int(p.stem.split("-")[1]) for p in (DATA / "femur_ct" / "images").glob("*.png"))
    return {number: z for z, number in enumerate(numbers)}


def femur(folder: Path, trained: tuple[int, ...] = FEMUR_TRAINED) -> Split:
    """Hip to thigh CT of one patient; masks of the slices that train are copied into ``folder``."""
    folder.mkdir(parents=True)
    where, test = femur_slices(), []
    for number, path in femur_masks().items():
        if number in trained:
            shutil.copy(path, folder)
        else:
            test.append(Case(DATA / "femur_ct" / "images", where[number], read_mask(path), path.stem))
    return Split(((DATA / "femur_ct" / "images", folder),), tuple(test))


def lungs(count: int, seed: int) -> Split:
    """Chest X-rays, one a patient: ``count`` drawn by ``seed`` from 100, and 60 that are the same for every seed."""
    files = sorted((DATA / "cxr_lungs" / "images").glob("*.png"))
    order = np.random.default_rng(100).permutation(len(files))
    masks = DATA / "cxr_lungs" / "masks"
    chosen = np.random.default_rng(seed).permutation(order[60:])[:count]
    test = tuple(Case(files[i], None, read_mask(masks / files[i].name), files[i].stem) for i in order[:60])
    return Split(tuple((files[i], masks / files[i].name) for i in chosen), test)


def pelvis(patients: int, seed: int) -> Split:
    """MR of the pelvis: ``patients`` of the first three, turned by ``seed``, and the other two."""
    files = sorted((DATA / "femur_mri" / "images").glob("*.tif"))
    masks = DATA / "femur_mri" / "masks"
    test = tuple(Case(f, None, tifffile.imread(masks / f.name), f.stem) for f in files[3:])
    chosen = [files[(seed + i) % 3] for i in range(patients)]
    return Split(tuple((f, masks / f.name) for f in chosen), test)
