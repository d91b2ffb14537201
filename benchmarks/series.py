"""A series of thousands of slices: how long until it is open, and how much memory that takes.

    python benchmarks/series.py [--slices 5000] [--size 512] [--json OUT]

Makes the series as PNG and as DICOM files (with sequences in sequences, as scanners write them) in a temporary folder,
opens each in a process of its own, without reading pixels, then the middle slice. Prints seconds on the clock and of
the processor, and the peak of the memory beyond that of the program itself.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

_OPEN = """
import json, resource, sys, time
from napari_medseg import io
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
io.read(sys.argv[2])
before, wall, cpu = peak(), time.perf_counter(), time.process_time()
image = io.read(sys.argv[1])
told = {"slices": len(image), "seconds": time.perf_counter() - wall, "cpu seconds": time.process_time() - cpu}
told["MiB"] = peak() - before
wall = time.perf_counter()
image.slice(len(image) // 2)
told["seconds to a slice"] = time.perf_counter() - wall
print(json.dumps({name: round(value, 3) for name, value in told.items()}))
"""


def make_png(folder: Path, count: int, size: int) -> None:
    """Grey slices without zeros in front of their numbers."""
    from PIL import Image as Picture

    for z in range(count):
        Picture.fromarray(np.full((size, size), z % 256, np.uint8)).save(folder / f"{z}.png")


def make_dicom(folder: Path, count: int, size: int) -> None:
    """Slices of a CT that refer to others."""
    from pydicom import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    one.StudyInstanceUID, one.SeriesInstanceUID, one.Modality, one.SeriesNumber = "1.2.1", "1.2.2", "CT", 1
    one.ImageOrientationPatient, one.PixelSpacing, one.SliceThickness = [1, 0, 0, 0, 1, 0], [0.5, 0.5], 0.5
    one.Rows = one.Columns = size
    one.SamplesPerPixel, one.PhotometricInterpretation, one.PixelRepresentation = 1, "MONOCHROME2", 1
    one.BitsAllocated = one.BitsStored = 16
    one.HighBit, one.RescaleSlope, one.RescaleIntercept = 15, 1, -1024
    one.PixelData = bytes(2 * size * size)
    for keyword in ("ReferencedStudySequence", "ReferencedImageSequence", "SourceImageSequence"):
        code, reference = Dataset(), Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "121322", "DCM", "Source image"
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = one.SOPClassUID, "1.2.3"
        reference.PurposeOfReferenceCodeSequence = [code]
        setattr(one, keyword, [reference] * 3)
        one[keyword].is_undefined_length = True
    for z in range(count):
        one.InstanceNumber, one.ImagePositionPatient = z + 1, [0, 0, round(0.5 * z, 3)]
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{z + 1}"
        one.save_as(folder / f"{z}.dcm", enforce_file_format=True)


MAKERS: dict[str, Callable[[Path, int, int], None]] = {"PNG": make_png, "DICOM": make_dicom}


def measure(name: str, count: int, size: int) -> dict[str, float]:
    """Make a series, and open it in a process that has opened a small one before."""
    with tempfile.TemporaryDirectory() as folder:
        series, small = Path(folder, "series"), Path(folder, "small")
        for place, slices in ((series, count), (small, 3)):
            place.mkdir()
            MAKERS[name](place, slices, size)
        command = [sys.executable, "-c", _OPEN, series, small]
        told: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=5000)
    parser.add_argument("--size", type=int, default=512, help="pixels of each side of a slice")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = {}
    for name in MAKERS:
        found[name] = measure(name, given.slices, given.size)
        print(name, *(f"{key} {value:g}" for key, value in found[name].items()), sep="  ", flush=True)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
