"""Phantoms as the project's own images and labels."""

from __future__ import annotations

from napari_medseg.core import ClassInfo, Geometry, Image, Labels, Reporter, silent

from .femur import draw_thighs, series_cuts

FEMURS = (ClassInfo.numbered(1, "femur, image left"), ClassInfo.numbered(2, "femur, image right"))
"""Classes of the labels that `draw_thighs` draws."""

LEG = 450.0
VIEW = 480.0
"""Length of a sample and side of its slices, in mm."""

NAME = "femur ct"
SEED = 2011
"""Of the person that samples show: none that the built-in model was trained on."""

SLICES = 36


def femur_sample(seed: int, *, slices: int = 36, size: int = 512, report: Reporter = silent) -> tuple[Image, Labels]:
    """A made-up CT series from hip to knee and its exact labels; slices are named ``0.png``, ``1.png`` and so on.

    Parameters
    ----------
    seed
        Which patient: the same gives the same series.
    slices, size
        How many, and pixels along each side.
    report
        Told after each slice.

    Returns
    -------
    Image, Labels
        Grey values and classes (1 and 2, the femora left and right in the image), both (Z, Y, X) uint8, spacing in mm.
    """
    cuts = series_cuts(seed, slices, (LEG / slices, VIEW / size))
    data, truth, spacing = draw_thighs(seed, cuts, size=size, report=report).arrays()
    geometry = Geometry(spacing=spacing, unit="mm")
    names = tuple(f"{z}.png" for z in range(slices))
    return Image(data, "ZYX", geometry, names), Labels(truth, FEMURS, geometry, names)


def built_in_sample(report: Reporter = silent) -> tuple[Image, Labels]:
    """The series that napari's Open Sample and the docks offer, named `NAME` there.

    Parameters
    ----------
    report
        Told after each slice.

    Returns
    -------
    Image, Labels
        A `femur_sample`, always the same.
    """
    return femur_sample(SEED, slices=SLICES, report=report)
