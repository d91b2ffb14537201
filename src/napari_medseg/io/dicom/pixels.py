"""Decoding the pixels of one DICOM slice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import MedsegError
from napari_medseg.io.pixels import damaged, quietly

from .codecs import add_decoders, claimed_size
from .file import Facts
from .header import common_type, frame_of, open_frames
from .values import Scale

_DEFLATED = "1.2.840.10008.1.2.1.99"
_MOST_SAMPLES = 4

Array = npt.NDArray[Any]


def read_pixels(path: Path, z: int = 0, part: int = 0) -> Array:
    """Values of one slice, (Y, X), or its colours (Y, X, 3).

    Raises
    ------
    InputError
        If they cannot be decoded.
    """
    opened = open_frames(path)
    frame = frame_of(path, opened, z, part)
    if opened.facts.frames == 1 and opened.facts.broken:
        raise damaged(path, opened.facts.broken)
    many = opened.facts.frames > 1
    try:
        stored, described = _decode(path, opened.facts, opened.scales[frame], frame if many else None)
        values = _to_values(stored, described, opened.scales[frame])
    except MedsegError:
        raise
    except Exception as error:  # decoders raise anything; their words may quote the header
        raise damaged(path, "its pixels cannot be decoded", z if many else None) from error
    return values.astype(common_type([opened.scales[i] for i in opened.stacks[part].order]), copy=False)


def read_values(path: Path, z: int = 0, part: int = 0) -> Array:
    """Stored numbers of one slice, (Y, X): for masks that were saved as plain DICOM images."""
    opened = open_frames(path)
    frame = frame_of(path, opened, z, part)
    try:
        return _decode(path, opened.facts, opened.scales[frame], frame if opened.facts.frames > 1 else None)[0]
    except MedsegError:
        raise
    except Exception as error:
        raise damaged(path, "its pixels cannot be decoded") from error


def _decode(path: Path, facts: Facts, scale: Scale, frame: int | None) -> tuple[Array, Any]:
    """Stored numbers of one frame, and the elements that describe them."""
    from pydicom import Dataset, dcmread
    from pydicom.pixels.utils import pixel_array

    add_decoders()
    if facts.begin:
        _check_stream(path, facts, frame or 0)
    described = Dataset()
    # Padding may use bits beyond those that pixels use: they must not be cut off before it is recognised.
    whole = scale.padding is None or (scale.padding[0] >= scale.low and scale.padding[1] <= scale.high)
    with quietly():
        if facts.syntax == _DEFLATED:
            described = dcmread(path, force=True)
            stored = pixel_array(described, index=frame, correct_unused_bits=whole)
        else:
            stored = pixel_array(
                path, ds_out=described, index=frame, transfer_syntax_uid=facts.syntax, correct_unused_bits=whole
            )
    if frame is None and stored.ndim > 2 and stored.shape[0] == 1:
        stored = stored[0]
    return np.asarray(stored), described


def _check_stream(path: Path, facts: Facts, frame: int) -> None:
    """Refuse a compressed frame that is larger than its header says: decoders allocate what the stream claims."""
    from pydicom.encaps import get_frame

    with path.open("rb") as file:
        file.seek(facts.begin)
        stream = get_frame(file, frame, number_of_frames=facts.frames)
    rows, columns, samples = claimed_size(stream)
    if rows > facts.integer("Rows") or columns > facts.integer("Columns") or samples > _MOST_SAMPLES:
        raise damaged(path, f"its compressed pixels claim {columns} x {rows} with {samples} samples each")


def _to_values(stored: Array, described: Any, scale: Scale) -> Array:
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut

    if described.get("PhotometricInterpretation") == "PALETTE COLOR":
        colors = np.asarray(apply_color_lut(stored, described))[..., :3]
        return colors.astype(np.uint8) if colors.dtype == np.uint8 else (colors >> 8).astype(np.uint8)
    if scale.table:
        return np.asarray(apply_modality_lut(stored, described)).astype(scale.dtype)
    if stored.ndim == 3:
        return stored.astype(scale.dtype, copy=False)
    return scale.apply(stored)
