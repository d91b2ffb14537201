"""The model card: everything needed to use a model rightly."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from .channel_names import RGB, ChannelName, printable, same_names
from .errors import InputError
from .geometry import lengths_in_words
from .score import Score, say_scores

# Colours that people with any colour vision tell apart: Okabe & Ito, "Color Universal Design" (2008), black left out;
# then, as far as so many can be told apart, nine of Paul Tol, "Colour Schemes" (SRON/EPS/TN/09-002, 2021).
PALETTE = (
    "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7",
    "#332288", "#882255", "#ffaabb", "#ee6677", "#aa4499", "#cc3311", "#117733", "#99ddff", "#994455",
)  # fmt: skip

CLASSIFIER = "classifier"
"""Architecture of a model that outlines nothing."""

MOST_CHANNELS = 16
"""Channels that an image may have."""

_PERMISSIVE = ("BSD-3-Clause", "BSD-2-Clause", "MIT", "Apache-2.0", "ISC", "CC-BY-4.0", "CC0-1.0")
"""Licences that let what is made from a model have another."""

Text = Annotated[str, BeforeValidator(lambda text: printable(text) if isinstance(text, str) else text)]
"""Cards come from strangers, too."""

Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""In mm."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
"""What cannot be a folder on Windows."""

_WORDS = {
    "name", "version", "title", "description", "modality", "licence", "trained_on", "scores", "parent", "parent_sha256",
    "pixel_range", "slice_distance", "channel_names",
}  # fmt: skip
"""Fields of a card that change no mask."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ClassInfo(_Frozen):
    """One class of a segmentation: the value of its pixels, its name and its colour ``#rrggbb``."""

    value: int = Field(ge=1, lt=2**32)
    name: Text = Field(min_length=1, pattern=r"\S")
    color: str = Field(pattern=r"^#[0-9a-fA-F]{6}$")

    @classmethod
    def numbered(cls, value: int, name: str = "") -> ClassInfo:
        """The class of a mask that came without names: ``class 3`` in the palette's third colour."""
        return cls(value=value, name=name or f"class {value}", color=PALETTE[(value - 1) % len(PALETTE)])


def told_apart(classes: Sequence[ClassInfo]) -> tuple[ClassInfo, ...]:
    """The classes, of which those that have the colour of an earlier one get one that is free, as long as there is."""
    colors: list[str] = []
    for one in classes:
        free = (color for color in PALETTE if color not in colors)
        colors.append(next(free, one.color) if one.color in colors else one.color)
    return tuple(one.model_copy(update={"color": color}) for one, color in zip(classes, colors, strict=True))


class Normalisation(_Frozen):
    """How grey or colour values become the network's input.

    Attributes
    ----------
    method
        ``"percentile"``: the whole image's ``low``-th and ``high``-th percentile become 0 and 1 (never per slice or
        tile); ``"median"``: of each channel of the whole image by itself the ``low``-th percentile becomes 0, and 1
        lies ``high`` times as far from it as the median of the body, which is what is brighter than the mean;
        ``"window"``: the values ``low`` and ``high`` become 0 and 1.
    low, high
        Percentiles (0-100), a percentile and a factor, or values in the image's own unit.
    clip
        Whether values outside 0-1 are cut off.
    each
        Whether percentiles are those of each slice by itself, not of the whole image: for pictures that have nothing to
        do with those beside them, such as X-rays, each exposed in its own way.
    mean, std
        Subtracted and divided by afterwards, one per channel; empty means 0 and 1.
    """

    method: Literal["percentile", "median", "window"] = "percentile"
    low: float = 0.5
    high: float = 99.8
    clip: bool = True
    each: bool = False
    mean: tuple[float, ...] = ()
    std: tuple[Annotated[float, Field(gt=0)], ...] = ()

    @property
    def ends(self) -> tuple[str, float, float]:
        """What decides which values become 0 and 1."""
        return self.method, self.low, self.high

    @property
    def in_words(self) -> str:
        """For people: ``0.5th to 99.8th percentile``."""
        if self.method == "window":
            return f"values {self.low:g} to {self.high:g}"
        if self.method == "median":
            return f"each channel from its {self.low:g}th percentile to {self.high:g} times the median of its body"
        return f"{self.low:g}th to {self.high:g}th percentile{' of each slice' if self.each else ''}"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        if self.method == "percentile" and not 0 <= self.low < self.high <= 100:
            raise ValueError(f"percentiles are 0 to 100, not {self.low:g} and {self.high:g}")
        if self.method == "median" and not 0 <= self.low <= 100:
            raise ValueError(f"a percentile is 0 to 100, not {self.low:g}")
        if len(self.mean) != len(self.std):
            raise ValueError("mean and std need the same number of channels")
        return self


class ModelCard(_Frozen):
    """What a model is, what it was made from and how its input must look.

    ``channels`` is the number of channels of one slice (1 grey, 3 RGB); with ``neighbours`` = k the k slices on either
    side are stacked as further channels, so the network's input has ``channels * (2 k + 1)``. The network's output has
    one channel for the background and one per class, in the order of ``classes``.
    ``pixel_size`` is in mm; None means that the model takes pixels as they come, made square where they clearly are
    not. With ``presence`` the network has a second output, the logit of the slice holding any of the classes.
    """

    name: str
    version: int = Field(default=1, ge=1)
    title: Text = ""
    description: Text = ""
    architecture: str = "unet"
    encoder: str = "resnet18"
    network: dict[str, Any] = Field(default_factory=dict, description="Further arguments of smp.create_model")
    channels: int = Field(default=1, ge=1, le=MOST_CHANNELS)
    channel_names: tuple[ChannelName, ...] = Field(
        default=(), description="What the channels of its images were called, in order, where that is known"
    )
    neighbours: int = Field(default=0, ge=0, le=4)
    slice_distance: Length | None = Field(
        default=None,
        description="Between the slices it has learnt beside each other, in mm, where known and much the same",
    )
    classes: tuple[ClassInfo, ...] = Field(min_length=1)
    normalisation: Normalisation = Normalisation()
    sides: bool = Field(default=False, description="Classes are left and right: images must never be mirrored")
    upright: bool = Field(default=False, description="Trained on images with an up, as scans have: never upside down")
    pixel_size: float | None = Field(default=None, gt=0)
    pixel_range: tuple[Length, Length] | None = Field(
        default=None, description="Smallest and largest pixel in mm of the images it has learnt from, where known"
    )
    reduction: float = Field(default=1, ge=1, le=8, description="Images are taken this many times smaller, after that")
    longest: int | None = Field(
        default=None,
        ge=32,
        le=4096,
        description="Images are taken with a longer side of so many pixels, whatever their size, in place of the two "
        "above: whole pictures without a scale, such as X-rays",
    )
    tile: int = Field(default=512, ge=32)
    modality: Text = ""
    licence: Text = ""
    trained_on: Text = ""
    scores: tuple[Score, ...] = ()
    presence: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Of a model that also says whether a slice holds anything: the probability from which on it does",
    )
    parent: str = Field(default="", description="name@version of the model this one was trained from")
    parent_sha256: str = ""
    sha256: str = Field(default="", description="Hash of model.safetensors")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"a model's name has small letters, digits, '.', '_' and '-', not {self.name!r}")
        if _DEVICE.fullmatch(self.name) or self.name.endswith("."):
            raise ValueError(f"{self.name!r} cannot be a folder on Windows, and so no model's name")
        values = [c.value for c in self.classes]
        if len(set(values)) != len(values):
            raise ValueError(f"two classes share a value: {values}")
        if len({c.name for c in self.classes}) != len(values):
            raise ValueError(f"two classes share a name: {', '.join(c.name for c in self.classes)}")
        if len(self.normalisation.mean) not in (0, 1, self.channels):
            many = f"{self.channels} channel{'s' if self.channels > 1 else ''}"
            raise ValueError(f"mean and std have {len(self.normalisation.mean)} values for {many}")
        if len(self.channel_names) not in (0, self.channels):
            raise ValueError(f"there are {len(self.channel_names)} names for {self.channels} channels")
        if self.pixel_range and self.pixel_range[0] > self.pixel_range[1]:
            raise ValueError(f"the smallest pixel comes first, not {self.pixel_range}")
        return self

    @property
    def reference(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    @property
    def outlines(self) -> bool:
        """Whether the model gives masks; if not, it only says whether a slice holds anything."""
        return self.architecture != CLASSIFIER

    @property
    def size_in_words(self) -> str:
        """At which size images go through the network."""
        if self.longest:
            return f"with a longer side of {self.longest} pixels"
        size = f"at {lengths_in_words(self.pixel_size)} a pixel" if self.pixel_size else "as they are"
        size = size if self.reduction <= 1 else f"{size}, then {self.reduction:.3g} times smaller"
        return f"{size}; learnt from {self.range_in_words} a pixel" if self.range_in_words else size

    @property
    def beside_in_words(self) -> str:
        """What else it looks at: ``1 slice on either side, learnt 2 mm apart``; empty where that is nothing."""
        if not self.neighbours:
            return ""
        slices = "1 slice" if self.neighbours == 1 else f"{self.neighbours} slices"
        apart = f", learnt {lengths_in_words(self.slice_distance)} apart" if self.slice_distance else ""
        return f"{slices} on either side{apart}"

    @property
    def range_in_words(self) -> str:
        """Of a model that takes pixels as they come: those it has learnt from, ``0.6 to 1.6 mm``; else empty."""
        if self.pixel_range is None or self.pixel_size or self.longest:
            return ""
        return lengths_in_words(*self.pixel_range, between=" to ")

    @property
    def scores_in_words(self) -> tuple[str, ...]:
        """A line for all that was measured on the same: ``64 unseen images: Dice 0.926``."""
        return say_scores(self.scores)

    @property
    def fingerprint(self) -> str:
        """Hash of all that decides what the model makes of an image; empty where that of its weights is."""
        said = self.model_dump_json(exclude=_WORDS)
        return hashlib.sha256(said.encode()).hexdigest() if self.sha256 else ""

    @property
    def takes_licence(self) -> bool:
        """Whether a licence may be given: there is none, or what the model was trained from leaves one a say in it."""
        return not self.licence or (bool(self.parent_sha256) and self.licence in _PERMISSIVE)

    @property
    def in_channels(self) -> int:
        """Channels of the network's input."""
        return self.channels * (2 * self.neighbours + 1)

    @property
    def takes(self) -> str:
        """The channels of an image in words: ``grey``, ``RGB``, ``3 sequences``, ``2 channels (t1, flair)``."""
        if self.is_rgb or self.channels == 1:
            return "RGB" if self.is_rgb else "grey"
        named = f" ({', '.join(self.channel_names)})" if self.channel_names else ""
        return f"{self.channels} {'sequences' if self.normalisation.method == 'median' else 'channels'}{named}"

    @property
    def is_rgb(self) -> bool:
        """Whether its channels are red, green and blue."""
        pictures = self.channels == 3 and self.normalisation.method != "median"  # colours would not be as they were
        return pictures and same_names(self.channel_names or RGB, RGB)

    @property
    def out_channels(self) -> int:
        """Channels of the network's output: background first."""
        return len(self.classes) + 1


def check_name(name: str) -> None:
    """Refuse what cannot be a model's name, before slow work begins.

    Raises
    ------
    InputError
        It is not made of what names are made of.
    """
    try:
        ModelCard(name=name, classes=(ClassInfo.numbered(1),))
    except ValueError:
        raise InputError(
            f"'{name}' cannot be a model's name.",
            "Use small letters, digits, '.', '_' and '-', a letter first, and not con, nul or the like.",
        ) from None
