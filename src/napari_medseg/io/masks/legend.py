"""Classes that masks tell by colour: who says which colour is which, and the nearest one of each pixel."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_medseg.core import ClassInfo, Finding, InputError
from napari_medseg.io.sidecar import read_sidecar

Array = npt.NDArray[Any]

NAMED = {
    "black": "#000000", "white": "#ffffff", "red": "#ff0000", "green": "#00ff00", "blue": "#0000ff",
    "yellow": "#ffff00", "cyan": "#00ffff", "magenta": "#ff00ff", "orange": "#ff8000", "purple": "#800080",
    "pink": "#ffc0cb", "brown": "#804000", "grey": "#808080", "gray": "#808080",
}  # fmt: skip
"""Colours that may be called by name; those of drawing programs, not of CSS, whose green is dark."""

_HEX = re.compile(r"#[0-9a-f]{6}")
_LONGEST = 2**20
_FEW = 16
_SURE = 64
"""Distance in RGB up to which a pixel certainly has a colour; softened edges and JPEG lie further off."""


class Legend(BaseModel):
    """The colours in which masks draw their classes.

    Attributes
    ----------
    classes
        Each with the colour it is drawn in.
    background
        Colours ``#rrggbb`` that are no class.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: tuple[ClassInfo, ...] = ()
    background: tuple[str, ...] = Field(default=("#000000",), min_length=1)

    def __bool__(self) -> bool:
        return bool(self.classes)

    @property
    def is_grey(self) -> bool:
        """Whether all its colours are shades of grey: then it holds for grey masks too."""
        return all(c[1:3] == c[3:5] == c[5:7] for c in (*self.background, *(c.color for c in self.classes)))

    def holds(self, values: Array) -> bool:
        """Whether grey 8-bit pixels (Y, X) have no other values than those of its colours that are shades of grey."""
        greys = [rgb(c)[0] for c in (*self.background, *(c.color for c in self.classes)) if len({*rgb(c)}) == 1]
        return bool(np.isin(np.flatnonzero(np.bincount(values.ravel(), minlength=256)), greys).all())

    def values(self, pixels: Array) -> Array:
        """Class values (Y, X) of coloured (Y, X, 3) or grey (Y, X) 8-bit pixels: those of the nearest colour.

        A pixel between two colours, as softened edges and JPEG have them, takes only a colour that is found for sure
        within three pixels of it: halfway between black and yellow lies as near to red and green.

        Raises
        ------
        InputError
            If areas have another colour.
        """
        pixels = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=-1)
        colors = [*self.background, *(c.color for c in self.classes)]
        values = np.array([0] * len(self.background) + [c.value for c in self.classes])
        values = values.astype(np.min_scalar_type(values.max(initial=0)))
        codes = pixels.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
        kinds, where = np.unique(codes, return_inverse=True)
        table = np.stack([kinds >> 16, (kinds >> 8) & 255, kinds & 255], axis=-1)
        far = _distances(table, np.array([rgb(c) for c in colors]))
        where = where.reshape(codes.shape)
        nearest = far.argmin(axis=1).astype(np.uint8 if len(colors) < 256 else np.uint16)[where]
        unsure = (far.min(axis=1) > _SURE)[where]
        if unsure.any():
            nearest, strange = _settle(nearest, unsure, where, far)
            if np.count_nonzero(strange) > max(_FEW, 1e-3 * strange.size):
                color = hex_of(table[np.bincount(where[strange]).argmax()])
                raise InputError(
                    f"{np.count_nonzero(strange):,} pixels of a mask have another colour than those named, such as"
                    f" {describe(color)}.",
                    f"Name it too: --classes '{color}=NAME', or '{color}=background' together with the background's.",
                )
        return np.asarray(values[nearest])

    def finding(self) -> Finding:
        """What was made of the colours, for the user to check."""
        told = ", ".join(f"{describe(c.color)} is {c.value} '{c.name}'" for c in self.classes)
        ground = " and ".join(map(describe, self.background))
        text = f"Colours of the masks became classes: {told}; {ground} is background."
        return Finding(
            "COLOR_MASK",
            f"{text} Other names and order: --classes COLOUR=NAME, or class_dict.csv beside the masks (name, r, g, b).",
        )


def describe(color: str) -> str:
    """``green #00ff00``, or the number alone."""
    name = name_color(color)
    return color if name == color else f"{name} {color}"


def name_color(color: str) -> str:
    """The common name of a colour that is nearly one of `NAMED`, else itself."""
    near = _distances(np.array([rgb(color)]), np.array([rgb(c) for c in NAMED.values()]))[0]
    return [*NAMED][int(near.argmin())] if near.min() <= _SURE / 2 else color


def color_of(text: str) -> str | None:
    """``#rrggbb`` of a colour given by number or by name; None of any other text."""
    text = text.strip().lower()
    return NAMED.get(text) or (text if _HEX.fullmatch(text) else None)


def rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def hex_of(color: Sequence[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*(int(c) for c in color))


def legend_of(named: Sequence[tuple[str, str]]) -> Legend:
    """Classes numbered in the order of these (colour ``#rrggbb``, name); those named background are background.

    Raises
    ------
    InputError
        If a colour is named twice or there is no class.
    """
    ground = tuple(color for color, name in named if name.lower() == "background")
    chosen = [(color, name) for color, name in named if name.lower() != "background"]
    colors = [color for color, _ in named]
    twice = next((c for c in colors if colors.count(c) > 1), None)
    if twice is not None or not chosen:
        problem = f"The colour {twice} is named twice." if twice else "No colour is named as a class."
        raise InputError(problem, "Give each colour one name, such as #00ff00=gland.")
    classes = tuple(ClassInfo(value=i, name=name, color=color) for i, (color, name) in enumerate(chosen, 1))
    return Legend(classes=classes, background=ground or (_ground(colors),))


def read_legend(folder: Path) -> Legend:
    """What a folder of masks says of its colours; an empty legend when it says nothing.

    Known are the sidecar ``classes.json``, ``class_dict.csv`` (columns name, r, g, b, as CamVid and many sets after it
    have it) and ``labelmap.txt`` (CVAT's lines ``name:r,g,b:parts:actions``), in the folder or the one above.

    Raises
    ------
    InputError
        If one is there and makes no sense.
    """
    sidecar = read_sidecar(folder)
    if sidecar is not None and sidecar.classes:
        black = _ground([c.color for c in sidecar.classes])
        return Legend(classes=sidecar.classes, background=(black,))
    for place in (folder, folder.parent):
        for name, read in (("class_dict.csv", _read_table), ("labelmap.txt", _read_lines)):
            if (place / name).is_file():
                return _read(place / name, read)
    return Legend()


def _read(path: Path, read: Any) -> Legend:
    try:
        if path.stat().st_size > _LONGEST:
            raise ValueError("too long")
        return legend_of([(hex_of(color), name) for name, color in read(path.read_text("utf-8-sig"))])
    except (OSError, ValueError, KeyError, TypeError, csv.Error, ValidationError) as error:
        wanted = "Lines of it are a name and three numbers 0-255 (red, green, blue); mend it or move it away."
        raise InputError(f"{path.name} beside the masks is no list of class colours.", wanted) from error


def _read_table(text: str) -> list[tuple[str, tuple[int, int, int]]]:
    rows = [{k.strip().lower(): v for k, v in row.items() if k} for row in csv.DictReader(text.splitlines())]
    return [(row["name"].strip(), _numbers([row["r"], row["g"], row["b"]])) for row in rows]


def _read_lines(text: str) -> list[tuple[str, tuple[int, int, int]]]:
    lines = [line.split(":") for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line[0].strip(), _numbers(line[1].split(","))) for line in lines if len(line) > 1]


def _numbers(texts: Sequence[str]) -> tuple[int, int, int]:
    red, green, blue = (int(t) for t in texts)
    if not all(0 <= n <= 255 for n in (red, green, blue)):
        raise ValueError(f"{texts} is no colour")
    return red, green, blue


def _ground(colors: Sequence[str]) -> str:
    """Black is background where nothing else is said; white where black is a class."""
    return "#000000" if "#000000" not in colors else "#ffffff"


def _distances(table: Array, colors: Array) -> npt.NDArray[np.float32]:
    """Euclidean distances (N, M) of N colours from M others."""
    far = np.linalg.norm(table[:, None].astype(np.float32) - colors[None].astype(np.float32), axis=-1)
    return np.asarray(far, np.float32)


def _settle(nearest: Array, unsure: Array, where: Array, far: Array) -> tuple[Array, Array]:
    """Index of the colour of each pixel, unsure ones that of the nearest that is sure close by; and where none is."""
    from scipy.ndimage import maximum_filter

    rows, columns = np.nonzero(unsure)
    away = far[where[rows, columns]]
    close = np.zeros(away.shape, bool)
    for k in np.unique(nearest[~unsure]):
        around = maximum_filter(((nearest == k) & ~unsure).view(np.uint8), size=7)
        close[:, k] = around[rows, columns]
    allowed = np.where(close | ~close.any(axis=1, keepdims=True), away, np.inf)
    settled = nearest.copy()
    settled[rows, columns] = allowed.argmin(axis=1)
    strange = np.zeros(unsure.shape, bool)
    strange[rows, columns] = ~close.any(axis=1)
    return settled, strange
