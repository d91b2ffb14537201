"""An image and its mask, as a training run names them."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from napari_medseg.core import ChannelName, Normalisation
from napari_medseg.inference.ranges import ValueRange


class KnownRange(BaseModel):
    """Values of a whole image that become 0 and 1.

    Attributes
    ----------
    normalisation
        By which they do.
    range
        As `measure_range` gives it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    normalisation: Normalisation
    range: ValueRange


class Pair(BaseModel):
    """An image and its mask.

    Attributes
    ----------
    image, labels
        Files or folders.
    slices
        The labelled slices; None takes those for which there is a mask.
    ranges
        Values of the image that become 0 and 1 by each normalisation a run may need; others are measured. Needed where
        ``image`` is only a part of what will be segmented.
    group
        Held out together with others of this group; empty goes by `TrainOptions.group`.
    unlabelled
        Value of this pair's mask that never counts; None takes `TrainOptions.unlabelled`. So strokes and whole masks
        can train together.
    newest
        Slices painted since the last training, which the first steps show more often.
    accepted
        Slices whose labels are a model's, accepted as they were: they measure only where none was painted.
    series
        Which series of an ``image`` that holds several.
    part
        Whether ``image`` is cut out of larger ones: then where a pixel lies in it says nothing.
    neighbours
        Slices on either side that a new network may look at, where ``image`` holds only some slices of its series, each
        labelled one with so many beside it; None goes by the image.
    modality
        What took the image, where its file cannot tell; empty goes by the file.
    channel_names
        What its channels are called, where its file cannot tell; empty goes by the file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: Path
    labels: Path
    slices: tuple[int, ...] | None = None
    ranges: tuple[KnownRange, ...] = ()
    group: str = ""
    unlabelled: int | None = Field(default=None, ge=0)
    newest: tuple[int, ...] = ()
    accepted: tuple[int, ...] = ()
    series: str = ""
    part: bool = False
    neighbours: int | None = Field(default=None, ge=0)
    modality: str = ""
    channel_names: tuple[ChannelName, ...] = ()
