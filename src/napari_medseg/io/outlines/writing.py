"""Labels to files of outlines, with the sidecar that keeps what their format does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from napari_medseg.core import ClassInfo, Labels, OutputError
from napari_medseg.io.atomic import check_free, explained, temporary_folder, write_with_companion
from napari_medseg.io.names import stem_of
from napari_medseg.io.sidecar import Sidecar, read_sidecar, sidecar_path

from .regions import Outlines
from .registry import OutlineFormat, outline_format, outline_formats
from .trace import trace


def write_outline_labels(target: Path, labels: Labels, *, overwrite: bool = False, name: str | None = None) -> None:
    """Outline labels and write them.

    Parameters
    ----------
    target
        A file; with ``name`` also a new or empty folder, in which every slice gets a file of its own.
    name
        Of the format, where the suffix does not tell.

    Raises
    ------
    OutputError
        If the target exists, cannot be written, or cannot hold these outlines.
    """
    chosen = outline_format(target, name)
    outlines = trace(labels)
    used = {r.value for r in outlines.regions}
    if used - {c.value for c in labels.classes}:
        known = {c.value: c for c in labels.classes}
        known = {value: ClassInfo.numbered(value) for value in used} | known
        outlines = replace(outlines, classes=tuple(known[v] for v in sorted(known)))
    sidecar = Sidecar.of(labels).model_copy(update={"size": outlines.sizes[0], "classes": outlines.classes})
    if name is not None and (target.is_dir() or not target.suffix):
        _write_folder(target, outlines, chosen, sidecar, overwrite=overwrite)
        return
    if target.is_dir():
        raise OutputError(f"{target} is a folder, not a file.", "Choose another name.")
    _check_holds(target, chosen, len(labels))
    _write_file(target, outlines, chosen, sidecar, overwrite=overwrite)


def write_described(target: Path, outlines: Outlines, *, overwrite: bool = False) -> None:
    """Write outlines into one file, with a sidecar that keeps values, colours, size and place.

    Raises
    ------
    OutputError
        If the target exists, cannot be written, or cannot hold these outlines.
    """
    chosen = outline_format(target)
    _check_holds(target, chosen, len(outlines))
    sidecar = Sidecar(
        classes=outlines.classes, geometry=outlines.geometry, names=outlines.names, slices=len(outlines),
        size=outlines.sizes[0] if len({*outlines.sizes}) == 1 else None,
    )  # fmt: skip
    _write_file(target, outlines, chosen, sidecar, overwrite=overwrite)


def check_outlines_hold(target: Path, slices: int) -> None:
    """Refuse a file of outlines that cannot hold this many slices.

    Raises
    ------
    OutputError
        Naming what can.
    """
    _check_holds(target, outline_format(target), slices)


def _check_holds(target: Path, chosen: OutlineFormat, slices: int) -> None:
    if slices > 1 and not chosen.stacks:
        able = ", ".join(f.suffixes[0] for f in outline_formats() if f.stacks)
        raise OutputError(
            f"{target.name} can hold the outlines of one slice, there are {slices}.",
            f"Give a name ending in {able}, or a folder together with the format (--format {chosen.name}).",
        )


def _write_file(target: Path, outlines: Outlines, chosen: OutlineFormat, sidecar: Sidecar, *, overwrite: bool) -> None:
    beside = sidecar_path(target, folder=False)
    check_free(target, overwrite=overwrite)
    check_free(beside, overwrite=overwrite)
    write_with_companion(target, lambda path: chosen.write(path, outlines), beside, sidecar.save)


def _write_folder(
    target: Path, outlines: Outlines, chosen: OutlineFormat, sidecar: Sidecar, *, overwrite: bool
) -> None:
    """A file for each slice, whole or not at all; files of other names are never touched."""
    if target.is_dir() and any(target.iterdir()) and not overwrite:
        raise OutputError(f"Folder {target} exists and is not empty.", "Choose another, or allow overwriting.")
    digits = max(4, len(str(len(outlines) - 1)))
    stems = [stem_of(n) for n in outlines.names] or [f"{z:0{digits}d}" for z in range(len(outlines))]
    if len({s.casefold() for s in stems}) < len(stems):
        raise OutputError("Outlines of several slices would be called the same.", "Rename the slices.")
    with temporary_folder(target) as folder, explained(target):
        for z, stem in enumerate(stems):
            if z in sidecar.missing:
                continue
            one = replace(
                outlines, regions=tuple(replace(r, z=0) for r in outlines.regions if r.z == z),
                names=outlines.names[z : z + 1], sizes=outlines.sizes[:1],
            )  # fmt: skip
            chosen.write(folder / f"{stem}{chosen.suffixes[-1]}", one)
        sidecar.save(folder / sidecar_path(target, folder=True).name)
        if target.is_dir():
            before = read_sidecar(target)
            ours = {stem_of(n) for n in before.names} if before else set()
            for path in folder.iterdir():
                path.replace(target / path.name)
            # Ours for slices that have no result any more: leaving them would look like one.
            for stem in {stems[z] for z in sidecar.missing} & ours:
                (target / f"{stem}{chosen.suffixes[-1]}").unlink(missing_ok=True)
        else:
            folder.rename(target)
