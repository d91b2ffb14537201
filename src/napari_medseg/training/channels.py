"""What the channels of the training images are: grey, the sequences of a scanner, or the colours of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Image, InputError, ModelCard, find_swapped, same_names
from napari_medseg.inference.colours import tell_colours
from napari_medseg.inference.suits import check_order

if TYPE_CHECKING:
    from .truth import LabelledSlice

KINDS = ("auto", "sequences", "photo", "stain")
"""What `TrainOptions.channels` may say; images of one channel are always grey."""

SAMPLE = 4096
"""Pixels looked at in one slice."""


@dataclass(frozen=True)
class Channels:
    """What the channels of a network's input are.

    Attributes
    ----------
    kind
        ``grey``: one channel a slice. ``sequences``: each channel is an image of its own, as in MR: one may be
        missing. ``photo``: red, green and blue. ``stain``: the same of a stained, transparent slide.
    planes
        Slices in one input, each with all its channels: a slice and its neighbours.
    mean, std
        How 0 to 1 were normalised, as in `Normalisation`.
    """

    kind: str = "grey"
    planes: int = 1
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def is_picture(self) -> bool:
        """Whether the channels are red, green and blue: such pictures have no up."""
        return self.kind in {"photo", "stain"}

    def __str__(self) -> str:
        return {
            "grey": "one grey channel",
            "sequences": "sequences, of which one may be missing",
            "photo": "red, green and blue",
            "stain": "red, green and blue of a stained slide",
        }[self.kind]


GREY = Channels()


def find_channels(slices: Sequence[LabelledSlice], card: ModelCard, asked: str = "auto") -> Channels:
    """What the channels of ``card``'s input are: what was asked for, or what the pixels of ``slices`` look like.

    Raises
    ------
    InputError
        Colours are asked for of images that have not three channels.
    """
    normalisation, planes = card.normalisation, 2 * card.neighbours + 1
    kind = "grey" if card.channels == 1 else asked
    if kind == "auto" and normalisation.method == "median":  # colours would not be as they were
        kind = "sequences"
    if kind == "auto":
        kind = _look(slices, card) if card.channels == 3 else "sequences"
    if kind in {"photo", "stain"} and card.channels != 3:
        raise InputError(
            f"Images of {card.channels} channels have no red, green and blue.", "Choose sequences or auto as channels."
        )
    return Channels(kind, planes, normalisation.mean, normalisation.std)


def check_orders(images: Sequence[Image], card: ModelCard) -> None:
    """Refuse images that have the same channels in different orders, or another than a model, by what they are called.

    Raises
    ------
    ModelError
        It is the model that has another order.
    InputError
        It is one of the images.
    """
    for image in images:
        check_order(image, card)
    if swapped := find_swapped(image.channel_names for image in images):
        first, other = (images[i] for i in swapped)
        ours, theirs = (", ".join(image.channel_names) for image in (other, first))
        raise InputError(
            f"{_called(other)} has the channels {ours}, {_called(first, 'another')} has {theirs}.",
            "Give the channels of all images in the same order.",
        )


def agree_on_names(images: Sequence[Image], card: ModelCard) -> tuple[tuple[str, ...], str]:
    """What the channels of a model are called that learns from images, and what there is to say where they differ.

    The names that its ``card`` has already stay where the images have them or none. Otherwise all images have to tell,
    and the same.
    """
    told = [image.channel_names for image in images if len(image.channel_names) == card.channels]
    names = next(iter(told), ())
    agreed = all(same_names(own, names) for own in told)
    first = card.channel_names or names
    other = next((own for own in told if not same_names(own, first)), ())
    if not other:
        return first if card.channel_names or len(told) == len(images) else (), ""
    said = f"Channels are called {', '.join(first)} here and {', '.join(other)} there: all have to show the same."
    return names if agreed and len(told) == len(images) else (), said


def _called(image: Image, otherwise: str = "An image") -> str:
    return image.source.name if image.source else otherwise


def _look(slices: Sequence[LabelledSlice], card: ModelCard) -> str:
    return tell_colours(np.concatenate([_sample(one.pixels, card) for one in slices]))


def _sample(pixels: npt.NDArray[Any], card: ModelCard) -> npt.NDArray[np.float32]:
    """Every n-th pixel of the slice itself, (M, 3), 0 to 1."""
    first = card.neighbours * card.channels
    step = max(1, int(np.sqrt(pixels.shape[-1] * pixels.shape[-2] / SAMPLE)))
    found = pixels[first : first + card.channels, ::step, ::step].reshape(card.channels, -1).T.astype(np.float32)
    if card.normalisation.mean:
        found = found * np.array(card.normalisation.std) + np.array(card.normalisation.mean)
    return np.asarray(found, np.float32)
