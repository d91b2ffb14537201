"""Outlines of several files: a class of one name has one value in all of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from napari_medseg.core import ClassInfo, Finding, InputError
from napari_medseg.io.names import stem_of

from .regions import Outlines, Region
from .registry import read_outlines


def gathered(parts: Sequence[Outlines], source: Path) -> Outlines:
    """Outlines of several files as those of one: an image each, classes by their names.

    Raises
    ------
    InputError
        One of the files holds several images.
    """
    if len(parts) == 1 and not source.is_dir():
        only = parts[0]
        names = only.names or (stem_of(source),)
        return replace(only, names=names, source=source)
    classes: tuple[ClassInfo, ...] = ()
    for part in parts:
        classes = _joined(part, classes)
    regions: list[Region] = []
    titles: list[str] = []
    sizes: list[tuple[int, int]] = []
    findings: list[Finding] = []
    for part in (with_classes(p, classes) for p in parts):
        if len(part) > 1:
            raise InputError(f"{part.source} holds the outlines of several images.", "Read it by itself.")
        regions += [replace(r, z=len(titles)) for r in part.regions]
        titles.append(stem_of(part.source) if part.source else "")
        sizes += part.sizes
        findings += part.findings
    return Outlines(
        tuple(regions), classes, tuple(sizes) if len(sizes) == len(parts) else (), tuple(titles), source=source,
        findings=tuple(findings), scalable=all(p.scalable for p in parts),
    )  # fmt: skip


def with_classes(outlines: Outlines, known: Sequence[ClassInfo]) -> Outlines:
    """The same outlines with the values and colours that known classes of these names have."""
    by_name = {c.name.casefold(): c for c in known}
    taken = {c.value for c in known}
    mapped: dict[int, ClassInfo] = {}
    for own in outlines.classes:
        found = by_name.get(own.name.casefold())
        if found is None:
            value = own.value if own.value not in taken else max(taken) + 1
            found = own.model_copy(update={"value": value})
            taken.add(value)
        mapped[own.value] = found
    regions = tuple(replace(r, value=mapped[r.value].value) for r in outlines.regions)
    classes = {c.value: c for c in (*known, *mapped.values())}
    return replace(outlines, regions=regions, classes=tuple(classes[v] for v in sorted(classes)))


def classes_of_files(files: Sequence[Path]) -> tuple[ClassInfo, ...]:
    """The classes that the outlines of these files name; files that cannot be read are left out.

    Each file numbers its own classes, so those of one data set have to be looked at together.
    """
    return _classes_of(tuple((path, path.stat().st_mtime_ns) for path in files))


@lru_cache(maxsize=4)
def _classes_of(files: tuple[tuple[Path, int], ...]) -> tuple[ClassInfo, ...]:
    classes: tuple[ClassInfo, ...] = ()
    for path, _ in files:
        with suppress(InputError):  # told when it is read
            classes = _joined(read_outlines(path), classes)
    return classes


def _joined(outlines: Outlines, known: Sequence[ClassInfo]) -> tuple[ClassInfo, ...]:
    """Known classes and those of outlines beside them, by value."""
    mine = with_classes(outlines, known).classes
    return tuple(sorted({c.name: c for c in (*mine, *known)}.values(), key=lambda c: c.value))
