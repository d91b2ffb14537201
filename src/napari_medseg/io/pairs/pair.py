"""An image and its mask, as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_medseg.core import Finding


@dataclass(frozen=True)
class FilePair:
    """An image and its mask: two files, or a folder of slices and the folder of its masks.

    Attributes
    ----------
    parts
        Name and place of each class's own mask, where every class has one (``left``, ``right``); ``mask`` is then the
        folder that they lie in.
    group
        What it is held out together with, such as a patient, where a table says so.
    how
        Why they were put together, in words.
    series
        Which series of an image that holds several; empty where it holds one.
    slices
        File name and mask of each slice that has one, where a table says so; ``mask`` is then the folder of the first.
    channels
        Files of the channels after those of ``image``, where each has its own.
    channel_names
        What a table calls the channels; empty where it does not.
    """

    image: Path
    mask: Path
    parts: tuple[tuple[str, Path], ...] = ()
    group: str = ""
    how: str = ""
    series: str = ""
    slices: tuple[tuple[str, Path], ...] = ()
    channels: tuple[Path, ...] = ()
    channel_names: tuple[str, ...] = ()

    @property
    def masks(self) -> tuple[Path, ...]:
        """Where its masks lie."""
        return tuple(path for _, path in self.parts or self.slices) or (self.mask,)


class Pairs(list[FilePair]):
    """Pairs found, a list; ``unmatched`` says of each file left over why it is, ``findings`` how others were found."""

    def __init__(self, pairs: Sequence[FilePair] = (), unmatched: dict[Path, str] | None = None) -> None:
        super().__init__(pairs)
        self.unmatched: dict[Path, str] = dict(unmatched or {})
        self.findings: tuple[Finding, ...] = ()
