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


def femur_ten(folder: Path, seed: int) -> Split:
    """The same CT with ten of its sixteen masked slices painted, evenly spread; the other six measure."""
    numbers = sorted(femur_masks())
    chosen = np.linspace(0, len(numbers) - 1, 10).round().astype(int)
    return femur(folder / "masks", tuple(numbers[i] for i in chosen))


def pelvis_fold(folder: Path, seed: int) -> Split:
    """MR of the pelvis: one patient measures, the others train."""
    files = sorted((DATA / "femur_mri" / "images").glob("*.tif"))
    masks = DATA / "femur_mri" / "masks"
    left_out = files[seed % len(files)]
    test = (Case(left_out, None, tifffile.imread(masks / left_out.name), left_out.stem),)
    return Split(tuple((f, masks / f.name) for f in files if f != left_out), test)


def tumour(folder: Path, seed: int, folds: int = 6) -> Split:
    """MR of the brain, whole volumes: two of twelve patients measure, the others train; six seeds measure all."""
    patients = sorted(p for p in (DATA / "lgg_mri").iterdir() if p.is_dir())
    pairs, test = [], []
    for i, patient in enumerate(patients):
        series = _set_apart(patient, folder / patient.name)
        if i % folds == seed % folds:
            files = sorted((series / "masks").iterdir(), key=lambda file: int(file.stem.split("_")[4]))
            truth = np.stack([np.asarray(Picture.open(file)) > 127 for file in files]).astype(np.uint8)
            test.append(Case(series / "images", None, truth, patient.name))
        else:
            pairs.append((series / "images", series / "masks"))
    return Split(tuple(pairs), tuple(test))


def _set_apart(patient: Path, folder: Path) -> Path:
    """Links to the images and the masks of a patient, whose folder holds both."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for file in patient.glob("*.tif"):
        (folder / ("masks" if file.stem.endswith("_mask") else "images") / file.name).symlink_to(file)
    return folder


def pictures(name: str, test: int, seed: int) -> Split:
    """A set of single pictures with a mask of the same name: ``test`` of them measure, others with each seed."""
    images = sorted(p for p in (DATA / name / "images").iterdir())
    masks = {p.stem: p for p in (DATA / name / "masks").iterdir()}
    order = np.roll(np.random.default_rng(100).permutation(len(images)), -test * seed)
    cases = tuple(_case(images[i], masks[images[i].stem]) for i in order[:test])
    return Split(tuple((images[i], masks[images[i].stem]) for i in order[test:]), cases)


def _case(image: Path, mask: Path) -> Case:
    """A picture with the foreground of its mask; only JPEG has to be told from its own noise."""
    values = np.asarray(Picture.open(mask).convert("L"))
    return Case(image, None, (values > (127 if mask.suffix == ".jpg" else 0)).astype(np.uint8), image.stem)


NUCLEI = {"epithelial": (0, 255, 0), "lymphocyte": (255, 255, 0), "neutrophil": (255, 0, 0), "macrophage": (0, 0, 255)}


def four_nuclei(folder: Path, seed: int) -> Split:
    """HE with nuclei of four kinds, red and blue of the images put right; one of five patients measures."""
    patients: dict[str, list[Path]] = {}
    for file in sorted((DATA / "monusac" / "images").iterdir()):
        patients.setdefault(file.stem[:12], []).append(file)
    left_out = sorted(patients)[seed % len(patients)]
    masks = {p.stem: p for p in (DATA / "monusac" / "masks").iterdir()}
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    pairs, cases = [], []
    for patient, files in patients.items():
        for file in files:
            image, mask = (folder / kind / f"{file.stem}.png" for kind in ("images", "masks"))
            Picture.fromarray(np.ascontiguousarray(np.asarray(Picture.open(file).convert("RGB"))[..., ::-1])).save(
                image
            )
            values = _nearest(np.asarray(Picture.open(masks[file.stem]).convert("RGB")))
            Picture.fromarray(values).save(mask)
            if patient == left_out:
                cases.append(Case(image, None, values, file.stem))
            else:
                pairs.append((image, mask))
    return Split(tuple(pairs), tuple(cases))


def _nearest(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Class of each pixel by the nearest colour, 0 for black."""
    colours = np.array([(0, 0, 0), *NUCLEI.values()], np.int32)
    distance = [np.square(pixels.astype(np.int32) - colour).sum(-1) for colour in colours]
    return np.argmin(distance, axis=0).astype(np.uint8)
