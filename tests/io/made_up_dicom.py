"""Made-up DICOM files that the tests share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

CT = "1.2.840.10008.5.1.4.1.1.2"


def dicom_slice(z: float = 0, **changes: Any) -> Dataset:
    """An axial CT slice of 6 x 5 pixels at height ``z`` mm, whose first stored number is ``1000 + 10 * z``."""
    stored = np.arange(30, dtype=np.uint16).reshape(6, 5)
    stored[0, 0] = round(1000 + 10 * z)
    elements: dict[str, Any] = {
        "SOPClassUID": CT, "SOPInstanceUID": f"1.2.3.4.{round(1000 + 100 * z)}", "StudyInstanceUID": "1.2.3.1",
        "SeriesInstanceUID": "1.2.3.4", "SeriesNumber": 4, "SeriesDescription": "thigh", "Modality": "CT",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "PatientName": "Doe^Jane", "PatientID": "HOSP-4711",
        "InstanceNumber": round(z) + 1, "ImagePositionPatient": [-10, -20, z],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [0.75, 0.5], "SliceThickness": 3,
        "Rows": 6, "Columns": 5, "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0, "RescaleSlope": 1,
        "RescaleIntercept": -1024, "WindowCenter": 40, "WindowWidth": 400, "PixelData": stored.tobytes(),
    }  # fmt: skip
    dataset = Dataset()
    for name, value in {**elements, **changes}.items():
        if value is not None:
            setattr(dataset, name, value)
    return dataset


def save_dicom(path: Path, dataset: Dataset, syntax: UID = ExplicitVRLittleEndian) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path, enforce_file_format=True)
    return path


def stored_of(pixels: npt.NDArray[Any], **changes: Any) -> dict[str, Any]:
    """Elements that describe these stored pixels."""
    bits = pixels.itemsize * 8
    return {
        "Rows": pixels.shape[0], "Columns": pixels.shape[1], "BitsAllocated": bits, "BitsStored": bits,
        "HighBit": bits - 1, "PixelRepresentation": int(pixels.dtype.kind == "i"), "PixelData": pixels.tobytes(),
        **changes,
    }  # fmt: skip
