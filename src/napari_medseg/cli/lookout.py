"""Which slices to look at next, by name: kept while slices finish, told when a run ends, however it ends."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_medseg.core import InputError, Labels, Progress, Reporter
from napari_medseg.evaluation import slice_key
from napari_medseg.evaluation.suggest import Figures, suggest_images, suggest_slices
from napari_medseg.io.series import image_files

from .masks import slice_of


@dataclass
class Lookout:
    """The network's doubts of one run.

    Attributes
    ----------
    number
        How many slices to suggest.
    labelled
        Keys of the slices that need no look.
    """

    number: int
    labelled: frozenset[str] = frozenset()
    slices: dict[int, Figures] = field(default_factory=dict)
    images: dict[str, Figures] = field(default_factory=dict)
    squares: list[str] = field(default_factory=list)

    def watching(self, report: Reporter) -> Reporter:
        """The same reporter without the figures of finished slices, which are kept here."""

        def watch(progress: Progress) -> None:
            if progress.result is not None:
                self.slices[slice_of(progress)] = progress.metrics
                progress = replace(progress, metrics={})
            report(progress)

        return watch

    def leave_out(self, folder: Path | None, names: Collection[str]) -> None:
        """Do not suggest the slices that have a mask in ``folder``.

        Raises
        ------
        InputError
            When no mask there has the name of a slice.
        """
        if folder is None:
            return
        self.labelled = frozenset(slice_key(file.name) for file in image_files(folder))
        if not self.labelled & {slice_key(name) for name in names}:
            raise InputError(
                f"No mask in {folder} has the name of a slice.", "Name the masks as the slices they belong to."
            )

    def finish_image(self, name: str) -> None:
        """What was reported since the last image belongs to this one, of a set of single images."""
        if len(self.slices) == 1:
            self.images[name] = next(iter(self.slices.values()))
        self.slices.clear()

    def note_squares(self, labels: Labels) -> None:
        """Keep where to look in a large single image."""
        self.squares = [f"rows {y.start}-{y.stop - 1}, columns {x.start}-{x.stop - 1}" for y, x in labels.look_in]

    def look_at(self, names: Sequence[str]) -> list[str]:
        """Names of the slices, or without names of the images of a set, most worth a look, best first."""
        if not names:
            left = {name: figures for name, figures in self.images.items() if slice_key(name) not in self.labelled}
            return list(suggest_images(left, self.number))
        if self.squares:
            return self.squares
        done = {z for z, name in enumerate(names) if slice_key(name) in self.labelled}
        return [names[z] for z in suggest_slices(self.slices, self.number, done)]
