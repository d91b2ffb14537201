"""What a reader of outlines finds in a file, gathered region by region."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from natsort import natsorted, ns

from napari_medseg.core import ClassInfo, Finding
from napari_medseg.core.card import PALETTE

from .regions import Outlines, Polygon, Region, Ring

FARTHEST = 1e7
"""Coordinates beyond this lie on no image; they are damage."""

Points = Sequence[Sequence[float]] | npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Draft:
    polygons: tuple[Polygon, ...]
    label: str
    z: int


@dataclass
class Drawing:
    """Regions by the names of their classes; ``finish`` gives them values.

    Attributes
    ----------
    path
        The file, for the messages.
    left_out
        How many things of which kind were no regions.
    """

    path: Path
    left_out: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    _drafts: list[_Draft] = field(default_factory=list)
    _colors: dict[str, str] = field(default_factory=dict)

    def add(self, polygons: Iterable[Iterable[Points]], label: str = "", color: str = "", z: int = 0) -> bool:
        """Take a region of one or several polygons, each an outer ring and holes of points (X, Y).

        Rings that are damaged or have fewer than three corners are left out and counted; false when nothing is left.
        """
        made = []
        for rings in polygons:
            outer, *holes = [self._ring(points) for points in rings] or [None]
            if outer is not None:
                made.append((outer, *(h for h in holes if h is not None)))
        label = " ".join(str(label).split())
        if color and label not in self._colors:
            self._colors[label] = color
        if made:
            self._drafts.append(_Draft(tuple(made), label, z))
        return bool(made)

    def color(self, label: str, color: str) -> None:
        """Note the colour of a class."""
        self._colors[" ".join(str(label).split())] = color

    def finish(
        self, declared: Sequence[ClassInfo] = (), sizes: Sequence[tuple[int, int]] = (), names: Sequence[str] = (),
        *, scalable: bool = False,
    ) -> Outlines:  # fmt: skip
        """The outlines found.

        Parameters
        ----------
        declared
            Classes whose values the file tells. Others follow after them in the order people sort names, so that files
            of one set agree; regions without a name are one class of their own.
        """
        by_name = {c.name: c for c in declared}
        used = {draft.label for draft in self._drafts} - by_name.keys()
        value = max((c.value for c in declared), default=0)
        for name in [*natsorted(used - {""}, alg=ns.IGNORECASE), *({""} & used)]:
            value += 1
            color = self._colors.get(name) or PALETTE[(value - 1) % len(PALETTE)]
            only = f"class {value}" if len(used) == 1 and not declared else _free("unclassified", by_name)
            by_name[name] = ClassInfo(value=value, name=name or only, color=color)
        regions = tuple(Region(d.polygons, by_name[d.label].value, d.z) for d in self._drafts)
        classes = tuple(sorted(by_name.values(), key=lambda c: c.value))
        return Outlines(
            regions, classes, tuple(sizes), tuple(names), source=self.path, findings=tuple(self._told()),
            scalable=scalable,
        )  # fmt: skip

    def _ring(self, points: Points) -> Ring | None:
        try:
            flat = points if isinstance(points, np.ndarray) else [(float(p[0]), float(p[1])) for p in points]
            found = np.array(flat, np.float64).reshape(-1, 2)[:, ::-1]
        except (TypeError, ValueError, LookupError, OverflowError):
            found = np.full((1, 2), np.nan)
        if not np.isfinite(found).all() or (np.abs(found) > FARTHEST).any():
            self.left_out["damaged"] += 1
            return None
        # Points that repeat the one before them add nothing; the first is often given again as the last.
        kept: Ring = found[(found != np.roll(found, 1, axis=0)).any(axis=1)]
        if len(kept) < 3:
            self.left_out["thin"] += 1
            return None
        return kept

    def _told(self) -> list[Finding]:
        told, name = list(self.findings), (self.path.name,)
        texts = {
            "damaged": ("DAMAGED_OUTLINES", "whose coordinates are no numbers or lie beyond every image"),
            "thin": ("THIN_OUTLINES", "of fewer than three corners"),
        }
        for kind, (code, text) in texts.items():
            if count := self.left_out[kind]:
                outlines = "outline" if count == 1 else "outlines"
                told.append(Finding(code, f"{self.path.name} has {count} {outlines} {text}, left out.", name))
        others = {kind: count for kind, count in self.left_out.items() if kind not in texts}
        if others:
            text = ", ".join(f"{count} x {kind}" for kind, count in others.items())
            told.append(Finding("NO_REGIONS", f"{self.path.name} holds what marks no region, left out: {text}.", name))
        return told


def whole(value: Any, low: int, high: int, what: str) -> int:
    """A whole number of a file, within bounds.

    Raises
    ------
    ValueError
        If it is none; the sentence names it.
    """
    number = float(value)
    if number != int(number) or not low <= number <= high:
        raise ValueError(f"{what} is {value}")
    return int(number)


def hex_color(red: float, green: float, blue: float) -> str:
    """``#rrggbb`` of parts from 0 to 255."""
    return "#" + "".join(f"{min(255, max(0, round(float(part)))):02x}" for part in (red, green, blue))


def rgb_of(color: str) -> tuple[int, int, int]:
    """Parts 0 to 255 of ``#rrggbb``."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def ellipse(center: tuple[float, float], radii: tuple[float, float], error: float = 0.02) -> npt.NDArray[np.float64]:
    """Points (X, Y) around an ellipse, none of whose chords is farther from it than ``error``."""
    around = np.linspace(0, 2 * np.pi, steps_of_arc(max(radii), 2 * np.pi, error) + 1)[:-1]
    return np.stack([center[0] + radii[0] * np.cos(around), center[1] + radii[1] * np.sin(around)], axis=1)


def steps_of_arc(radius: float, angle: float, error: float) -> int:
    """How many chords follow an arc closely enough."""
    if not np.isfinite(radius) or radius <= error:
        return 8
    return int(np.clip(np.ceil(abs(angle) / np.sqrt(8 * error / radius)), 8, 4096))


def _free(name: str, taken: Iterable[str]) -> str:
    return name if name not in taken else _free(f"{name} region", taken)
