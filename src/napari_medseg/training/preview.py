"""The slice in view, segmented again and again while the training goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Cancelled, Image, InputError, ModelCard
from napari_medseg.inference.normalise import SliceReader, resize
from napari_medseg.inference.ranges import measure_range

if TYPE_CHECKING:  # whoever asks for a slice needs no torch
    from torch import nn

    from .engine import Engine
    from .watch import Watch

EVERY = 3.0
"""Seconds between two previews; more where one takes long, so that they take at most a tenth of the time."""

LARGEST = 2**22
"""Pixels of the largest slice that is shown: a whole slide would keep the training waiting for minutes."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """A slice that somebody looks at.

    Attributes
    ----------
    key
        Comes back as the region of the report, so that whoever asked knows which slice it is.
    image, z
        The whole image, and the slice in it.
    """

    key: tuple[int, ...]
    image: Image
    z: int


Preview = Callable[[], Asked | None]
"""Says which slice is in view, called from the training thread every few seconds; None when none is."""


class Previews:
    """Segments the slice in view with the weights of the moment and reports it.

    Nothing that goes wrong here ends the training: it is said once, and that image is not tried again. A slice that
    cannot be read is left out.

    Parameters
    ----------
    ask
        Which slice is in view; None for never.
    card
        Of the model in training: how its input is made, and its classes.
    clock
        Seconds.
    """

    def __init__(self, ask: Preview | None, card: ModelCard, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask, self._card, self._clock = ask, card, clock
        self._values = np.array([0, *(c.value for c in card.classes)])
        self._next = clock() + EVERY
        self._image: Image | None = None
        self._reader: SliceReader | None = None

    def show(self, network: nn.Module, engine: Engine, watch: Watch, *, halved: bool = False) -> None:
        """Where it is time again, report the slice in view: `Progress` with its key as region and class values.

        Parameters
        ----------
        network
            In ``eval`` mode, on the engine's device.
        halved
            Whether the network has seen nothing but half resolution; then so it is shown.

        Raises
        ------
        Cancelled
            By the reporter.
        """
        begin = self._clock()
        if self._ask is None or begin < self._next:
            return
        try:
            asked = self._ask()
            reader = self._open(asked.image) if asked else None
            if asked and reader:
                watch.show(asked.key, self._segment(asked, reader, network, engine, halved))
        except (Cancelled, InputError) as error:
            if isinstance(error, Cancelled):
                raise
            _log.debug("The slice in view cannot be read: %s", error)
        except Exception as error:
            # Whatever the image or the window has: the training does not depend on it.
            _log.debug("The slice in view cannot be segmented", exc_info=True)
            self._reader = None
            watch.say(f"The slice in view cannot be shown while training: {str(error).rstrip('.')}.")
        end = self._clock()
        self._next = end + max(EVERY, 9 * (end - begin))

    def _open(self, image: Image) -> SliceReader | None:
        """The reader of this image, made once; None where it cannot be shown."""
        if self._image is None or image.data is not self._image.data or image.geometry != self._image.geometry:
            self._image, self._reader = image, None
            if image.shape[-2] * image.shape[-1] <= LARGEST:
                value_range = measure_range(image, self._card.normalisation)
                self._reader = SliceReader(image, self._card, value_range)
        return self._reader

    def _segment(
        self, asked: Asked, reader: SliceReader, network: nn.Module, engine: Engine, halved: bool
    ) -> npt.NDArray[np.int64]:
        """Class values of the slice, (Y, X) of its image."""
        pixels = reader(asked.z)
        if halved:
            pixels = resize(pixels, (max(1, pixels.shape[1] // 2), max(1, pixels.shape[2] // 2)))
        found = engine.predict(network, pixels.astype(np.float16), range(engine.outputs)).cpu().numpy()
        rows, columns = (
            ((np.arange(new) + 0.5) * old / new).astype(int)
            for new, old in zip(asked.image.shape[-2:], found.shape, strict=True)
        )
        values: npt.NDArray[np.int64] = self._values[found[rows[:, None], columns]]
        return values
