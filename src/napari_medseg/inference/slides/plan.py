"""Everything a slide's labels depend on, settled before the first block and kept in the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Finding, Image, InputError, Mark, ModelCard, marked, spare_value
from napari_medseg.editing.fingerprint import fingerprint
from napari_medseg.inference.mosaic import Mosaic
from napari_medseg.inference.options import SegmentOptions
from napari_medseg.inference.ranges import ValueRange, is_flat
from napari_medseg.inference.runner import Predictor
from napari_medseg.io.atomic import check_free, write_file
from napari_medseg.io.zarr.labels import LabelPyramid
from napari_medseg.models import Model

from .job import clear_place
from .ledger import Ledger
from .reader import SlideReader, measure_slide
from .tissue import Tissue, find_tissue

STAGE = "Segmenting"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """A run over a slide, ready to compute.

    Attributes
    ----------
    image, card, options
        As given.
    reader, predictor
        Where windows come from and what they go through.
    chosen
        (rows, columns) of the grid: windows with tissue.
    tissue, value_range
        Where there is tissue, and the values that become 0 and 1.
    pyramid, ledger
        The result and what is done of it.
    """

    image: Image
    card: ModelCard
    options: SegmentOptions
    reader: SlideReader
    predictor: Predictor
    chosen: npt.NDArray[np.bool_]
    tissue: Tissue
    value_range: ValueRange
    pyramid: LabelPyramid
    ledger: Ledger

    def mosaic(self) -> Mosaic:
        """A mosaic of its own: passes may lie within one another."""
        return Mosaic(
            self.predictor.grid, self.pyramid.shape, self.pyramid.chunk, self.card.out_channels, self.predictor.device,
            blend=self.options.blend, chosen=self.chosen,
        )  # fmt: skip

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the user should know about how it was computed."""
        found = [*self.reader.findings]
        if is_flat(self.value_range):
            text = f"{_name(self.image)} has the same value everywhere; its labels mean nothing."
            found.append(Finding("CONSTANT_IMAGE", text))
        if self.tissue.share < 1:
            text = f"{self.tissue.share:.0%} of the slide is tissue; the rest was taken as background without a look."
            found.append(Finding("TISSUE", text.replace("%", " %")))
        if self.card.presence is not None and self.options.gate:
            text = "What the model says of whole slices is not asked for slides: all tissue is segmented."
            found.append(Finding("NOT_GATED", text))
        found += [Finding("COMPUTE", note) for note in self.predictor.notes]
        return tuple(found)


class Planner:
    """Begins a run, or takes up the one that a ledger tells of.

    Parameters
    ----------
    image, model, options
        What is to be done.
    ledger
        Of the result.
    say
        Told what is being prepared, in words.
    """

    def __init__(self, image: Image, model: Model, options: SegmentOptions, ledger: Ledger, say: Say) -> None:
        self._image, self._model, self._options = image, model, options
        self._ledger, self._say = ledger, say

    def __call__(self, tissue: Any = None, beat: Callable[[], None] = lambda: None) -> Plan:
        """Settle everything; to be called while nobody else does.

        Parameters
        ----------
        tissue
            As in `SlideJob`.
        beat
            For the predictor.

        Raises
        ------
        InputError
            The run was begun with another image, model or options.
        """
        image, card, options, ledger = self._image, self._model.card, self._options, self._ledger
        about = {
            "image": fingerprint(image.pyramid, image.source, image.names),
            "model": {"reference": card.reference, "sha256": card.fingerprint or _hash(self._model)},
            "options": options.model_dump(include={*marked(SegmentOptions, Mark.SLIDE)}),
        }
        before = ledger.read()
        if before:
            ledger.check(about)
        found = self._tissue(tissue, before)
        value_range: ValueRange
        if before:
            value_range = (before["range"][0], before["range"][1])
        else:
            value_range = measure_slide(image, card.normalisation, found)
        reader = SlideReader(image, card, value_range)
        self._say("Loading the model")
        settings: Mapping[str, Any] | None = before.get("settings")
        predictor = Predictor(card, self._model.network, options, reader.shape, beat, settings)
        predictor.take_raw(value_range)
        chosen = self._choose(found, predictor)
        self._prepare(predictor, reader, chosen)
        if before:
            pyramid = LabelPyramid.open(ledger.result)
        else:
            pyramid = self._begin({**about, "range": list(value_range)}, predictor, found)
        return Plan(image, card, options, reader, predictor, chosen, found, value_range, pyramid, ledger)

    def _tissue(self, given: Any, before: Mapping[str, Any]) -> Tissue:
        shape = (self._image.shape[-2], self._image.shape[-1])
        if not self._options.tissue:
            return Tissue.everywhere(shape)
        if given is None and before:
            with np.load(self._ledger.folder / "tissue.npz") as stored:
                return Tissue.of_mask(stored["mask"], shape)
        if given is None:
            self._say("Looking for tissue")
            return find_tissue(self._image)
        # Laid over the whole slide anew, as it will be when it is read from the ledger.
        tissue = Tissue.of_mask(given.mask if isinstance(given, Tissue) else given, shape)
        if not tissue.mask.any():
            raise InputError("Nothing is marked as tissue.", "Mark some, or segment the whole slide.")
        if before:
            self._ledger.check({"tissue": tissue.digest})
        return tissue

    def _choose(self, tissue: Tissue, predictor: Predictor) -> npt.NDArray[np.bool_]:
        grid = predictor.grid
        rows, columns = (
            np.stack([np.array(firsts), np.array(firsts) + size], 1) * (full / have)
            for firsts, size, full, have in zip(
                (grid.rows, grid.columns), grid.patch, self._image.shape, grid.shape, strict=True
            )
        )
        return tissue.touches(rows, columns)

    def _prepare(self, predictor: Predictor, reader: SlideReader, chosen: npt.NDArray[np.bool_]) -> None:
        """Choose number format and batch by a window with tissue near the middle of all of them."""
        places = np.argwhere(chosen)
        middle = places[len(places) // 2]
        predictor.prepare(reader(predictor.grid.window(int(middle[0]), int(middle[1]))), len(places))

    def _begin(self, about: Mapping[str, Any], predictor: Predictor, tissue: Tissue) -> LabelPyramid:
        values = [c.value for c in self._model.card.classes]
        empty = spare_value(max(values))
        clear_place(self._ledger)
        check_free(self._ledger.result, overwrite=False)
        pyramid = LabelPyramid.create(
            self._ledger.result, (self._image.shape[-2], self._image.shape[-1]), np.min_scalar_type(empty),
            self._image.geometry, self._model.card.classes, empty,
        )  # fmt: skip

        def write(part: Path) -> None:
            with part.open("wb") as file:
                np.savez_compressed(file, mask=tissue.mask)

        write_file(self._ledger.folder / "tissue.npz", write, overwrite=True)
        # Last: from here on there is a run.
        self._ledger.begin({
            **about, "settings": predictor.settings, "block": pyramid.chunk, "shape": list(pyramid.shape),
            "tissue": tissue.digest, "tissue_scale": list(tissue.scale), "tissue_share": tissue.share,
        })  # fmt: skip
        return pyramid


def _hash(model: Model) -> str:
    """Of weights that were never saved."""
    known = hashlib.sha256()
    for name, tensor in sorted(model.network.state_dict().items()):
        known.update(name.encode())
        known.update(np.ascontiguousarray(tensor.detach().cpu().float().numpy()).tobytes())
    return known.hexdigest()


def _name(image: Image) -> str:
    return image.source.name if image.source else "The image"
