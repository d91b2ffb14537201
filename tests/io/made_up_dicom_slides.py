"""Made-up DICOM whole slide images: a file for each level, one for the label, tiles row by row (TILED_FULL)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import imagecodecs
import numpy as np
import numpy.typing as npt
from made_up_dicom import save_dicom
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000, ExplicitVRLittleEndian, JPEGBaseline8Bit

Array = npt.NDArray[Any]
Code = Literal["none", "jpeg", "jpeg-rgb", "jpeg2000"]

SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_CODES = {
    "none": (ExplicitVRLittleEndian, "RGB"), "jpeg": (JPEGBaseline8Bit, "YBR_FULL_422"),
    "jpeg-rgb": (JPEGBaseline8Bit, "RGB"), "jpeg2000": (JPEG2000, "YBR_ICT"),
}  # fmt: skip


def write_dicom_slide(  # noqa: PLR0913
    folder: Path,
    levels: Sequence[Array],
    *,
    code: Code = "none",
    tile: tuple[int, int] = (48, 64),
    mpp: tuple[float, float] | None = (0.5, 0.25),
    number: int = 1,
    suffix: str = ".dcm",
    **changes: Any,
) -> list[Path]:
    """Write levels (Y, X, 3), the largest first, as ``0.dcm`` and so on, and ``label.dcm``; gives the levels' files.

    Parameters
    ----------
    mpp
        Micrometres of a pixel of the first level along Y and X.
    number
        Of the series.
    changes
        Elements of all levels; those that are None are left out.
    """
    paths = []
    label = np.full((30, 40, 3), (200, 30, 30), np.uint8)
    for n, pixels in enumerate([*levels, label]):
        kind = "VOLUME" if n < len(levels) else "LABEL"
        syntax, colors = _CODES[code]
        frames = [_packed(t, code) for t in _tiles(pixels, tile if kind == "VOLUME" else pixels.shape[:2])]
        elements: dict[str, Any] = {
            "SOPClassUID": SLIDE, "SOPInstanceUID": f"1.2.3.{number}.{n + 1}", "StudyInstanceUID": "1.2.3",
            "SeriesInstanceUID": f"1.2.3.{number}", "SeriesNumber": number, "Modality": "SM",
            "SeriesDescription": "biopsy", "PatientName": "Doe^Jane", "PatientID": "HOSP-4711", "InstanceNumber": n + 1,
            "ImageType": ["DERIVED" if n else "ORIGINAL", "PRIMARY", kind, "RESAMPLED" if n else "NONE"],
            "DimensionOrganizationType": "TILED_FULL", "TotalPixelMatrixFocalPlanes": 1, "NumberOfOpticalPaths": 1,
            "TotalPixelMatrixRows": pixels.shape[0], "TotalPixelMatrixColumns": pixels.shape[1],
            "Rows": tile[0] if kind == "VOLUME" else 30, "Columns": tile[1] if kind == "VOLUME" else 40,
            "NumberOfFrames": len(frames), "SamplesPerPixel": 3, "PlanarConfiguration": 0, "BitsAllocated": 8,
            "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0, "PhotometricInterpretation": colors,
            "PixelData": b"".join(frames) if code == "none" else encapsulate(frames), **changes,
        }  # fmt: skip
        dataset = Dataset()
        for name, value in elements.items():
            if value is not None:
                setattr(dataset, name, value)
        if mpp:
            step = levels[0].shape[0] / pixels.shape[0], levels[0].shape[1] / pixels.shape[1]
            measures, shared = Dataset(), Dataset()
            measures.PixelSpacing = [f"{size * s / 1000:.8g}" for size, s in zip(mpp, step, strict=True)]
            shared.PixelMeasuresSequence = [measures]
            dataset.SharedFunctionalGroupsSequence = [shared]
        paths.append(save_dicom(folder / f"{n if kind == 'VOLUME' else 'label'}{suffix}", dataset, syntax))
    return paths[:-1]


def _tiles(pixels: Array, tile: tuple[int, ...]) -> list[Array]:
    """Whole tiles row by row, filled up beyond the edges with black."""
    down, across = (-(-n // side) for n, side in zip(pixels.shape[:2], tile, strict=True))
    whole = np.zeros((down * tile[0], across * tile[1], 3), np.uint8)
    whole[: pixels.shape[0], : pixels.shape[1]] = pixels
    parts = whole.reshape(down, tile[0], across, tile[1], 3).swapaxes(1, 2)
    return list(parts.reshape(-1, *tile, 3))


def _packed(tile: Array, code: Code) -> bytes:
    tile = np.ascontiguousarray(tile)
    if code == "jpeg":
        return bytes(imagecodecs.jpeg8_encode(tile, level=95, subsampling="422"))
    if code == "jpeg-rgb":
        return bytes(imagecodecs.jpeg8_encode(tile, level=95, colorspace="rgb", outcolorspace="rgb"))
    if code == "jpeg2000":
        return bytes(imagecodecs.jpeg2k_encode(tile, level=50, codecformat="j2k", mct=True))
    return tile.tobytes()
