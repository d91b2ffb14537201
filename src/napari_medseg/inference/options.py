"""What a person can set when segmenting; the only home of these defaults."""

from __future__ import annotations

import platform
import re
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator
from pydantic_core import PydanticCustomError

from napari_medseg.core import Choice, InputError, Mark, Options

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
FLIPS = ("none", "flips")
BLENDS = ("gaussian", "discard")

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_SLICES = re.compile(r"(\d*):(\d*)")
_SHARD = re.compile(r"(\d+)/(\d+)")


def list_devices(root: Path = Path("/")) -> list[str]:
    """Names of the devices this computer seems to have, found without loading torch; only what a form offers.

    Parameters
    ----------
    root
        Where ``proc`` is looked for.
    """
    cards = len(list((root / "proc/driver/nvidia/gpus").glob("*")))
    if not cards and shutil.which("nvidia-smi"):
        cards = 1
    apple = sys.platform == "darwin" and platform.machine() == "arm64"
    return ["auto", "cpu", *(f"cuda:{n}" for n in range(cards)), *(["mps"] if apple else [])]


def _check_device(value: str) -> str:
    if not _DEVICE.fullmatch(value):
        raise PydanticCustomError("device", "'{value}' is none of auto, cpu, cuda, cuda:N, mps", {"value": value})
    return value


Device = Annotated[str, AfterValidator(_check_device)]


class SegmentOptions(Options):
    """Settings of one segmentation."""

    device: Annotated[Device, Mark.FREE] = Field(
        default="auto",
        title="Device",
        description="Where the network runs: auto (the graphics card where there is one), cpu, cuda, cuda:N or mps.",
        examples=list_devices(),
    )
    precision: Annotated[str, Choice(PRECISIONS)] = Field(
        default="auto",
        title="Precision",
        description="Number format in the network; auto takes the fastest that gives the same labels on this computer.",
    )
    tile: Annotated[int, Mark.SLIDE] = Field(
        default=0,
        ge=0,
        le=8192,
        title="Tile (pixels)",
        description="Larger slices are cut into squares of this side; 0 takes the model's own, and slices up to half "
        "as large again whole.",
    )
    overlap: Annotated[float, Mark.SLIDE] = Field(
        default=0.25,
        ge=0,
        le=0.75,
        title="Tile overlap (fraction)",
        description="Part of a tile's side that neighbouring tiles share, 0 to 0.75; more is smoother and slower.",
    )
    blend: Annotated[str, Choice(BLENDS), Mark.SLIDE] = Field(
        default="gaussian",
        title="Where tiles overlap",
        description="gaussian blends overlapping tiles, the middle of each counting most; discard takes each pixel "
        "from the tile whose middle is nearest.",
    )
    tissue: Annotated[bool, Mark.ELSEWHERE, Mark.SLIDE, Mark.ALONE] = Field(
        default=True,
        title="Only tissue",
        description="On slides, glass without tissue becomes background without being looked at.",
    )
    batch: Annotated[Annotated[int, Field(ge=1, le=1024)] | Literal["auto"], Mark.FREE] = Field(
        default="auto",
        title="Batch (slices or tiles)",
        description="Slices or tiles that go through the network together; auto follows the device.",
    )
    tta: Annotated[str, Choice(FLIPS), Mark.SLIDE] = Field(
        default="none",
        title="Test-time augmentation",
        description="flips averages over mirror images of every slice: of scans left to right, of pictures top to "
        "bottom, too; a little better, two or four times as long.",
    )
    slices: Annotated[str, Mark.FREE, Mark.ELSEWHERE] = Field(
        default="",
        title="Slices (A:B)",
        description="Only the slices from A up to, not including, B, counted from 0; A: and :B are open ended, "
        "empty means all.",
    )
    smallest: int = Field(
        default=0,
        ge=0,
        le=1_000_000_000,
        title="Smallest region (pixels)",
        description="Connected regions of one class with fewer pixels in a slice become background; 0 keeps all.",
    )
    fill_holes: bool = Field(
        default=False,
        title="Fill holes",
        description="Background that one class encloses completely in a slice becomes that class.",
    )
    gate: bool = Field(
        default=True,
        title="Empty where nothing is seen",
        description="Slices in which a model that has learnt to tell sees nothing get an empty mask; nothing changes "
        "with other models, and of slides.",
    )
    suggest: Annotated[int, Mark.FREE, Mark.ALONE] = Field(
        default=0,
        ge=0,
        le=1000,
        title="Suggestions (slices)",
        description="Number of slices to look at next: where the network was unsure or its result does not go with "
        "the slices beside; 0 suggests none.",
    )

    @field_validator("tile")
    @classmethod
    def _no_tiny_tile(cls, value: int) -> int:
        if 0 < value < 32:
            raise PydanticCustomError("tile", "must be 0 or at least 32, not {value}", {"value": value})
        return value

    @field_validator("batch", mode="before")
    @classmethod
    def _number_or_auto(cls, value: Any) -> Any:
        # Checked before the union is tried, so that one sentence comes out and not one per member.
        if value == "auto":
            return value
        number = int(value) if isinstance(value, str) and value.isdecimal() else value
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= 1024:
            raise PydanticCustomError("batch", "must be auto or 1 to 1024, not '{value}'", {"value": str(value)})
        return number

    @field_validator("slices")
    @classmethod
    def _slice_range(cls, value: str) -> str:
        text = value.replace(" ", "")
        if text and not _SLICES.fullmatch(text):
            raise PydanticCustomError("slices", "must look like 10:20, 10: or :20, not '{value}'", {"value": value})
        return text


def pick_slices(text: str, count: int) -> range:
    """Indices that ``A:B`` means in a stack of ``count`` slices.

    Parameters
    ----------
    text
        ``"A:B"``, ``"A:"``, ``":B"`` or empty for all; counted from 0, without B.
    count
        Number of slices of the image.

    Returns
    -------
    range
        Not empty.

    Raises
    ------
    InputError
        No slice is left, or the range goes beyond the image.
    """
    match = _SLICES.fullmatch(text or ":")
    if match is None:
        raise InputError(f"The slices must look like 10:20, 10: or :20, not '{text}'.")
    first = int(match[1] or 0)
    end = int(match[2] or count)
    if first >= end or end > count:
        raise InputError(
            f"The slices {text} do not fit an image of {count} slices (0 to {count - 1}).",
            "The first number is the first slice, the second the one after the last.",
        )
    return range(first, end)


def parse_shard(text: str) -> tuple[int, int]:
    """``"I/N"`` as (I, N), I counted from 1: a part of a series or slide, and how many parts there are.

    Raises
    ------
    InputError
        It is nothing of the kind.
    """
    match = _SHARD.fullmatch(text.replace(" ", ""))
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise InputError(
            f"A shard must look like 2/4, the second of four, not '{text}'.", "Give the part and how many there are."
        )
    return int(match[1]), int(match[2])
