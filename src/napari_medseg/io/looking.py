"""A look into each file of a series: its header, and whether its colours are more than grey."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from napari_medseg.core import InputError, spread_ends

from .format import Header
from .levels import looks_colored, open_levels
from .pixels import is_grey
from .registry import format_for, read_header

_SAMPLES = 5


def look_into(files: list[Path]) -> tuple[list[Header | None], dict[int, str]]:
    """Headers of all files, and why some cannot be read."""

    def look(path: Path) -> Header | str:
        try:
            return read_header(path)
        except InputError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(look, files))
    unreadable = {z: h for z, h in enumerate(found) if isinstance(h, str)}
    for z, h in enumerate(found):
        if isinstance(h, Header) and len(h.broken) == h.slices:
            unreadable[z] = f"{files[z].name} is damaged ({h.broken[0]})."
    return [None if isinstance(h, str) else h for h in found], unreadable


def is_color(
    files: list[Path],
    headers: Sequence[Header | None],
    unreadable: dict[int, str],
    color: bool | None,
    levels: Sequence[Any] = (),
) -> bool:
    """Whether any of a few slices has unequal channels; of a slide, its smallest level."""
    rgb = [i for i, h in enumerate(headers) if h and h.channels == 3 and h.meaning != "channels"]
    if color is not None or not rgb:
        return bool(color) and bool(rgb)
    if len(files) == 1 and format_for(files[0]).array:  # says what its channels are; a look may decode all of it
        return True
    if levels:
        try:
            return looks_colored(levels)
        except InputError:  # told when it is read
            return True
    if len(files) == 1 and (only := headers[0]):
        places = [(0, z) for z in range(only.slices) if z not in unreadable]
    else:
        places = [(index, 0) for index in rgb if index not in unreadable]
    for index, z in spread_ends(places, _SAMPLES):
        try:
            if _has_color(files[index], headers[index], z):
                return True
        except InputError:  # told when this slice is read
            continue
    return False


def _has_color(path: Path, header: Header | None, z: int) -> bool:
    """Whether the channels of a slice differ; of a slide, those of its smallest level."""
    form = format_for(path)
    levels = open_levels(path, header) if form.pyramid and header else ()
    return looks_colored(levels) if levels else not is_grey(form.pixels(path, z))
