"""A folder of PNG masks that fills while slices finish, and that a later run can take up again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg import io
from napari_medseg.core import (
    ClassInfo,
    Geometry,
    Image,
    InputError,
    Labels,
    Mark,
    ModelCard,
    ModelError,
    OutputError,
    Progress,
    Reporter,
    marked,
)
from napari_medseg.editing.fingerprint import fingerprint
from napari_medseg.inference import SegmentOptions
from napari_medseg.io.atomic import explained, write_file, write_text
from napari_medseg.io.masks.reading import mask_values, written_names
from napari_medseg.io.registry import format_for
from napari_medseg.io.series import image_files
from napari_medseg.io.sidecar import Sidecar, sidecar_path

from .claims import MOMENTS, one_at_a_time
from .targets import begin_file
from .watch import Watch

LEDGER = "segment.json"
_SIDECAR = sidecar_path(Path(), folder=True).name


class SettledElsewhereError(Exception):
    """Another part of the same run settled first how it is computed; nothing was written yet."""


@dataclass(frozen=True)
class MaskFolder:
    """Masks of one image, one PNG per slice, and beside them which model and options made them, and how."""

    folder: Path
    image: Image
    card: ModelCard
    watch: Watch

    def begin(self, options: SegmentOptions, *, shared: bool, overwrite: bool) -> None:
        """Write down what this run does; with ``shared``, join the run that the folder holds.

        Raises
        ------
        ModelError
            When the folder was begun with another model (M11).
        InputError
            When it was begun with other options, for another image, or the image has changed since.
        OutputError
            When it holds masks that no run has written down, or cannot be written to.
        """
        wanted = {
            "model": self.card.reference,
            "sha256": self.card.fingerprint,
            "options": options.model_dump(mode="json", exclude={*marked(SegmentOptions, Mark.FREE)}),
            "masks": list(self.names),
            "image": fingerprint(self.image.data, self.image.source, self.image.names)
            + (f" {fingerprint(self.image.data)}" if self.image.others else ""),  # by its pixels, of all channels
            "files": self.watch.digest,
        }
        ledger = self.folder / LEDGER
        self._check_strangers()
        with explained(self.folder):
            # What it says of missing slices is about to change; without it each mask speaks for itself.
            sidecar_path(self.folder, folder=True).unlink(missing_ok=True)
            if overwrite:
                self._clear()
        if shared and ledger.exists():
            self._check(self._read_ledger(ledger), wanted)
            return
        if shared and self.done():
            raise OutputError(
                f"{self.folder} holds masks but no {LEDGER}.", "Start anew with --overwrite or another folder."
            )
        if not begin_file(ledger, json.dumps(wanted, indent=2)):
            self._check(self._read_ledger(ledger), wanted)  # another part of the run was faster

    def settled(self) -> dict[str, Any]:
        """What the first part of the run chose (`Progress.settled`); empty before its first slice is finished."""
        found = self._read_ledger(self.folder / LEDGER).get("settled")
        return found if isinstance(found, dict) else {}

    def _settle(self, settled: Mapping[str, Any]) -> None:
        """Write down what this part has chosen, unless another one was faster.

        Raises
        ------
        SettledElsewhereError
            It was, and has chosen otherwise.
        """
        ledger = self.folder / LEDGER
        with one_at_a_time(self.folder):
            if not (first := self.settled()):
                write_text(ledger, json.dumps({**self._read_ledger(ledger), "settled": {**settled}}, indent=2))
                return
        if first != settled:
            raise SettledElsewhereError

    def tidy(self, slices: Iterable[int], *, alone: bool) -> None:
        """Remove what a killed run was writing: masks of these slices, and where nobody else is at work all of it."""
        names = {self.names[z] for z in slices} | ({LEDGER, *self.names, _SIDECAR} if alone else set())
        if alone:
            (self.folder / MOMENTS).unlink(missing_ok=True)
        for path in self.folder.glob(".*.part.*") if self.folder.is_dir() else ():
            if path.name.partition(".part.")[2] in names:
                path.unlink(missing_ok=True)

    def _read_ledger(self, ledger: Path) -> dict[str, Any]:
        try:
            found = json.loads(ledger.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise OutputError(f"{ledger} cannot be read: {error}.", "Start anew with --overwrite.") from error
        return found if isinstance(found, dict) else {}

    def _check(self, found: dict[str, Any], wanted: dict[str, Any]) -> None:
        anew = "Give the same again, or start anew with --overwrite or another folder."
        if found.get("sha256") != wanted["sha256"] or (not wanted["sha256"] and found.get("model") != wanted["model"]):
            raise ModelError(f"{self.folder} was begun with another model ({found.get('model')}).", anew)
        before = found.get("options") or {}
        for name, value in wanted["options"].items():
            if before.get(name) != value:
                raise InputError(f"{self.folder} was begun with {name} {before.get(name)}, not {value}.", anew)
        if found.get("masks") != wanted["masks"]:
            raise InputError(f"{self.folder} was begun for another image or series.", anew)
        if any(found.get(key) != wanted[key] for key in ("image", "files")):
            raise InputError(f"The files of the image have changed since {self.folder} was begun.", anew)

    @property
    def names(self) -> tuple[str, ...]:
        """File name of each slice's mask."""
        return tuple(written_names(self.image.names, len(self.image)))

    def done(self) -> set[int]:
        """Slices that have a mask."""
        return {z for z, name in enumerate(self.names) if (self.folder / name).exists()}

    def _check_strangers(self) -> None:
        """Other images in this folder would later be read as masks of the same series."""
        files = image_files(self.folder) if self.folder.is_dir() else []
        if strangers := [file.name for file in files if file.name not in self.names]:
            raise OutputError(
                f"{self.folder} holds other images, such as {strangers[0]}.", "Choose an empty folder for the masks."
            )

    def _clear(self) -> None:
        for name in (*self.names, LEDGER):
            (self.folder / name).unlink(missing_ok=True)

    def filling(self, report: Reporter, settled: Mapping[str, Any]) -> Reporter:
        """The same reporter, which also writes the mask of every finished slice.

        Parameters
        ----------
        settled
            What this part goes on with; where it is empty, what it has chosen itself is written down.
        """
        known = bool(settled)

        def write(progress: Progress) -> None:
            nonlocal known
            if progress.result is not None:
                self.watch.check(slice_of(progress))
                if not known:
                    self._settle(progress.settled)
                    known = True
                self._note(slice_of(progress), progress.metrics.get("presence"))
                self._write(slice_of(progress), progress.result)
            report(progress)

        return write

    def _note(self, z: int, chance: float | None) -> None:
        """Write down what the model said of a slice, before its mask: other parts of the run and later ones tell it."""
        if chance is None:
            return
        ledger = self.folder / LEDGER
        with one_at_a_time(self.folder):
            found = self._read_ledger(ledger)
            said = {**found.get("presence", {}), self.names[z]: round(chance, 4)}
            write_text(ledger, json.dumps({**found, "presence": said}, indent=2))

    def _write(self, z: int, mask: npt.NDArray[Any]) -> None:
        target = self.folder / self.names[z]
        png = format_for(target)
        assert png.write is not None
        write_file(target, partial(_write_png, mask=mask, classes=self.card.classes, writer=png.write), overwrite=True)

    def finish(self) -> Labels:
        """All masks of the folder, described by ``classes.json``; slices that have none are missing."""
        target = sidecar_path(self.folder, folder=True)
        while True:
            done = self.done()
            said = self._read_ledger(self.folder / LEDGER).get("presence", {})
            chances = {z: float(said[self.names[z]]) for z in sorted(done) if self.names[z] in said}
            masks = {z: mask_values(self.folder / self.names[z]) for z in done}
            labels = _labels(self.image, self.card, masks, chances)
            write_text(target, Sidecar.of(labels).model_dump_json(indent=1))
            # Another part of the run may have finished slices since they were listed, and its list be older or newer.
            if self.done() == done:
                return labels


def _write_png(
    path: Path, *, mask: npt.NDArray[Any], classes: tuple[ClassInfo, ...], writer: Callable[[Path, Labels], None]
) -> None:
    writer(path, Labels(mask, classes, Geometry.unknown(2)))


def slice_of(progress: Progress) -> int:
    """Index of the slice that a report is about; 0 of a single image."""
    index = progress.region[0] if progress.region else 0
    return int(index.start if isinstance(index, slice) else index)


@dataclass(frozen=True)
class MaskFile:
    """Masks of one image in one file, written when the work ends."""

    path: Path
    image: Image
    card: ModelCard
    watch: Watch
    overwrite: bool = False
    masks: dict[int, npt.NDArray[Any]] = field(default_factory=dict)
    chances: dict[int, float] = field(default_factory=dict)

    def done(self) -> set[int]:
        """Slices that have a mask."""
        return set(self.masks)

    def settled(self) -> dict[str, Any]:
        """Nothing: a file is written in one go."""
        return {}

    def filling(self, report: Reporter, settled: Mapping[str, Any]) -> Reporter:
        """The same reporter, which also keeps the mask of every finished slice."""

        def keep(progress: Progress) -> None:
            if progress.result is not None:
                self.watch.check(slice_of(progress))
                self.masks[slice_of(progress)] = progress.result.copy()
                if "presence" in progress.metrics:
                    self.chances[slice_of(progress)] = progress.metrics["presence"]
            report(progress)

        return keep

    def finish(self) -> Labels:
        """Write the file; slices that have no mask are missing, and findings say what it cannot hold."""
        labels = _labels(self.image, self.card, self.masks, self.chances)
        told = io.write(self.path, labels, overwrite=self.overwrite)
        return replace(labels, findings=(*labels.findings, *told))


def _labels(
    image: Image, card: ModelCard, masks: Mapping[int, npt.NDArray[Any]], chances: Mapping[int, float]
) -> Labels:
    """Labels of an image of which only some slices have a mask, with what the model said of slices."""
    data = np.zeros(image.shape, np.min_scalar_type(max(info.value for info in card.classes)))
    for z, mask in masks.items():
        data[z if image.is_stack else ...] = mask
    return Labels(
        data=data,
        classes=card.classes,
        geometry=image.geometry,
        names=image.names,
        source=image.source,
        findings=image.findings,
        missing=frozenset(range(len(image))) - masks.keys(),
        presence=chances,
        threshold=card.presence or 0.0,
        outlined=card.outlines,
    )
