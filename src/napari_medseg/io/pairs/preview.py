"""What training would be given: which image goes with which mask, what the masks hold, what is left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_medseg.core import ClassInfo, Finding, InputError, Progress, Reporter, silent
from napari_medseg.io.findings import alike
from napari_medseg.io.masks.colors import find_legend
from napari_medseg.io.masks.legend import Legend

from .matching import list_masks, match_pairs
from .pair import FilePair
from .reading import read_pair

SHOWN = 12
"""Lines of one kind that are listed before the rest is counted."""

NAMED = 3
"""Masks of one image that are all named in its line."""

_USUAL = ("SINGLE_SLICE", "NO_SPACING", "MISSING_SLICES")


@dataclass(frozen=True)
class Row:
    """An image with its mask.

    Attributes
    ----------
    slices, total
        How many of the image's slices have a mask that can be read, and how many there are.
    classes
        Those in the mask.
    problem
        Why it cannot be used; empty when it can.
    """

    pair: FilePair
    slices: int = 0
    total: int = 0
    size: tuple[int, int] = (0, 0)
    classes: tuple[ClassInfo, ...] = ()
    findings: tuple[Finding, ...] = ()
    problem: str = ""

    @property
    def line(self) -> str:
        """One line of text."""
        masks = [name for name in dict.fromkeys(p.name for p in self.pair.masks) if name != self.pair.image.name]
        if len(masks) > NAMED:
            masks = [f"{masks[0]} … {masks[-1]} ({len(masks)} files)"]
        image = " + ".join(path.name for path in (self.pair.image, *self.pair.channels))
        what = " — ".join([image, *([" + ".join(masks)] if masks else [])])
        if self.problem:
            return f"{what}: {self.problem}"
        many = f"{self.slices} of {self.total} slices, " if self.total > 1 else ""
        shown = f"classes {', '.join(map(_title, self.classes))}" if self.classes else "empty"
        return f"{what} ({self.pair.how}): {many}{self.size[1]} x {self.size[0]}, {shown}"


@dataclass(frozen=True)
class Preview:
    """The pairs of two folders (or files, or a table), and what of them has no partner."""

    rows: tuple[Row, ...]
    unmatched: dict[Path, str]
    findings: tuple[Finding, ...] = ()

    @property
    def usable(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if not row.problem)

    @property
    def headline(self) -> str:
        """How many pairs there are, and how many files are left over."""
        good, slices = self.usable, sum(row.slices for row in self.usable)
        bad = len(self.rows) - len(good)
        parts = [f"{_count(len(good), 'pair')} with {_count(slices, 'labelled slice')}"]
        parts += [f"{bad} cannot be used"] if bad else []
        parts += [f"{_count(len(self.unmatched), 'file')} without partner"] if self.unmatched else []
        return ", ".join(parts)

    @property
    def classes(self) -> list[str]:
        """Each class with the number of pairs whose masks show it."""
        counts = Counter(title for row in self.usable for title in {(c.value, _title(c)) for c in row.classes})
        return [f"{title}: in {_count(n, 'pair')}" for (_, title), n in sorted(counts.items())]

    def named(self, classes: Iterable[ClassInfo], merged: ClassInfo | None = None) -> Preview:
        """The same with names given to mask values, or all values the class as which they are taken."""
        given = {info.value: info for info in classes}
        rows = [
            replace(
                row,
                classes=(merged,) if merged and row.classes else tuple(given.get(c.value, c) for c in row.classes),
            )
            for row in self.rows
        ]
        return replace(self, rows=tuple(rows))

    def lines(self, shown: int = SHOWN) -> Iterable[str]:
        """The whole preview as text: pairs, classes, what is left out and why, what is to be known."""
        yield self.headline
        # What needs a look stands first.
        yield from _some("Classes", self.classes, shown)
        yield from _some("Cannot be used", [row.line for row in self.rows if row.problem], shown)
        yield from _some("Without partner", self._left_over(), shown)
        yield from _some("Note", alike(self.findings), shown)
        yield from _some("Paired", [row.line for row in self.usable], shown)

    def _left_over(self) -> list[str]:
        reasons = Counter(self.unmatched.values())
        lines, told = [], set()
        for path, reason in self.unmatched.items():
            if reason not in told:
                told.add(reason)
                more = f" (and {reasons[reason] - 1} more)" if reasons[reason] > 1 else ""
                lines.append(f"{path.name}{more}: {reason}")
        return lines


def preview_pairs(
    images: str | Path,
    masks: str | Path,
    *,
    series: str = "",
    legend: Legend | None = None,
    report: Reporter = silent,
) -> Preview:
    """Match images and masks and read the masks, as training would; of the images only sizes are looked at.

    Raises
    ------
    InputError
        If nothing matches, or masks are coloured pictures.
    """
    pairs = match_pairs(images, masks, series=series)
    legend, told = find_legend(list_masks(Path(images), Path(masks)), legend)
    rows = []
    for done, pair in enumerate(pairs):
        report(Progress("Looking at masks", done, len(pairs)))
        rows.append(_look(pair, legend))
    report(Progress("Looking at masks", len(pairs), len(pairs)))
    common = dict.fromkeys((*pairs.findings, *told, *(f for row in rows for f in row.findings)))
    return Preview(tuple(rows), pairs.unmatched, tuple(common))


def _look(pair: FilePair, legend: Legend) -> Row:
    try:
        image, labels, slices = read_pair(pair, legend=legend)
    except InputError as error:
        return Row(pair, problem=str(error))
    shown = set(np.unique(labels.data).tolist())
    height, width = image.shape[-2:]
    return Row(
        pair, len(slices), len(image), (height, width), tuple(c for c in labels.classes if c.value in shown),
        tuple(f for f in labels.findings if f.code not in _USUAL),
    )  # fmt: skip


def _title(info: ClassInfo) -> str:
    """``1 femur``; only the value where it has no other name."""
    return str(info.value) if info.name == ClassInfo.numbered(info.value).name else f"{info.value} {info.name}"


def _some(title: str, lines: list[str], shown: int) -> Iterable[str]:
    if lines:
        yield f"{title}:"
        yield from (f"  {line}" for line in lines[:shown])
        if len(lines) > shown:
            yield f"  … and {len(lines) - shown} more"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number:,} {thing}s"
