"""What an image is recognised by when it is opened again."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from napari_medseg.core import spread_ends

MOST_FILES = 64
_CROP = 128


def fingerprint(data: Any, source: Path | None = None, names: Sequence[str] = ()) -> str:
    """A short text that is the same when the same image is opened again, by any program on any day.

    Of files it looks at names, sizes and times of change (of 64 evenly spread ones in a large series), wherever their
    folder was moved to. Of an image without files it reads small parts of three slices.

    Parameters
    ----------
    data
        The image's array, or the levels of a pyramid. May be lazy.
    source
        File or folder it came from.
    names
        File names of its slices, without folder.
    """
    levels = data if isinstance(data, list | tuple) or hasattr(data, "level_shapes") else [data]
    first = levels[0]
    known = blake2b(repr((tuple(first.shape), str(first.dtype))).encode(), digest_size=12)
    files = _describe_files(source, names)
    known.update(repr(files).encode() if files else _sample(levels[-1]))
    return known.hexdigest()


def _describe_files(source: Path | None, names: Sequence[str]) -> list[Any]:
    """Names, sizes and times of an image's files; empty when they are not there (any more)."""
    if source is None:
        return []
    try:
        if not source.is_dir():
            status = source.stat()
            return [source.name, status.st_size, status.st_mtime_ns]
        known = list(names) or sorted(path.name for path in source.iterdir())
        stats = [(source / name).stat() for name in spread_ends(known, MOST_FILES)]
    except OSError:
        return []
    return [known, [(s.st_size, s.st_mtime_ns) for s in stats]] if known else []


def _sample(data: Any) -> bytes:
    """Pixels of three places in the first, middle and last slice; a single image is its own slice."""
    rgb = data.ndim > 2 and data.shape[-1] <= 4
    rows, columns = data.shape[data.ndim - 2 - rgb : data.ndim - rgb]
    stack = data.ndim - rgb > 2
    parts = []
    for z in sorted({0, len(data) // 2, len(data) - 1}) if stack else [None]:
        one = data if z is None else data[z]
        for place in (0.25, 0.5, 0.75):
            top, left = (max(0, int(place * size) - _CROP // 2) for size in (rows, columns))
            crop = (
                one[..., top : top + _CROP, left : left + _CROP, :]
                if rgb
                else one[..., top : top + _CROP, left : left + _CROP]
            )
            parts.append(np.ascontiguousarray(crop).tobytes())
    return b"".join(parts)
