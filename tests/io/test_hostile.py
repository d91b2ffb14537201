"""Hostile files: damaged in thousands of ways, or made to take all memory or to lead out of their folder."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawings import DRAWINGS, draw
from readers import READERS, read_drawing, read_image, read_mask
from specimens import Specimen, blocks, dicom_series, format_of, present, upright, volume

from napari_medseg.core import InputError
from napari_medseg.io import FORMATS

pytestmark = pytest.mark.long

THOROUGH = int(os.environ.get("MEDSEG_FUZZ", "1"))
"""How many times as many damaged files as usual are tried."""

MUTATIONS = {"images": 1000, "masks": 800, "outlines": 700, "models": 350}
"""Damaged files of each kind, spread evenly over its formats; with ``MEDSEG_FUZZ=4`` more than 10,000 in all."""


def test_every_format_is_fuzzed() -> None:
    assert {s.format for s in present()} == {f.name for f in FORMATS}, "a new format needs a row in specimens.py"


@pytest.mark.skipif(sys.platform == "win32", reason="the system cannot limit the memory of a process")
@pytest.mark.parametrize("kind", READERS)
def test_only_our_errors_come_out_of_damaged_files_and_memory_stays_bounded(kind: str, tmp_path: Path) -> None:
    """F1, F3, F4, F8, D12, N6, M8, M9, X1, X3."""
    count = THOROUGH * MUTATIONS[kind]
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("fuzz.py"), kind, str(count), tmp_path],
        capture_output=True, text=True, check=False, env={**os.environ, "MALLOC_ARENA_MAX": "2"},
    )  # fmt: skip
    assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}\n{done.stderr[-9000:]}"
    told = json.loads(done.stdout.splitlines()[-1])
    assert sum(t["tried"] for t in told.values()) >= count
    for name, t in told.items():
        assert t["refused"] < t["tried"], f"{name}: whatever is done to the file, it is refused: {t}"
        # A damaged slice of a series counts as missing.
        assert t["refused"] or name == "dicom", f"{name}: no damage shows: {t}"


def _edit(old: bytes, new: bytes) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        content = path.read_bytes()
        assert re.search(old, content)
        path.write_bytes(re.sub(old, new, content, count=1))

    return edit


def _words(at: int, value: int, count: int, order: str = "little") -> Callable[[bytes], bytes]:
    """Two-byte numbers in the place of others."""
    new = value.to_bytes(2, "big" if order == "big" else "little") * count
    return lambda content: content[:at] + new + content[at + len(new) :]


def _nifti(path: Path) -> None:
    claim = _words(42, 32767, 3)
    content = path.read_bytes()
    packed = content[:2] == b"\x1f\x8b"
    path.write_bytes(gzip.compress(claim(gzip.decompress(content))) if packed else claim(content))


def _jpeg(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(_words(content.index(b"\xff\xc0") + 5, 65500, 2, "big")(content))


def _png(path: Path) -> None:
    content = path.read_bytes()
    start = b"IHDR" + (10**6).to_bytes(4, "big") * 2 + content[24:29]
    path.write_bytes(content[:12] + start + zlib.crc32(start).to_bytes(4, "big") + content[33:])


def _bmp(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:18] + (10**6).to_bytes(4, "little") * 2 + content[26:])


def _zarr(path: Path) -> None:
    described = next(p for p in (path / "0" / "zarr.json", path / "0" / ".zarray") if p.is_file())
    about = json.loads(described.read_text())
    about["shape"] = [3, 10**6, 10**6]
    grid = about["chunk_grid"]["configuration"] if "chunk_grid" in about else about
    grid["chunk_shape" if "chunk_grid" in about else "chunks"] = [1, 10**6, 10**6]
    described.write_text(json.dumps(about))


def _npy(path: Path) -> None:
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<i2", "fortran_order": False, "shape": (10**5, 10**5, 10**5)}
        )


def _dicom(path: Path) -> None:
    import pydicom

    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        one = pydicom.dcmread(file)
        one.Rows = one.Columns = 65535
        one.save_as(file)


def _tiff(path: Path) -> None:
    import tifffile

    with tifffile.TiffFile(path, mode="r+") as tiff:
        for tag in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            tiff.pages[0].tags[tag].overwrite(10**5)


def _svs(path: Path) -> None:
    import tifffile

    with tifffile.TiffFile(path, mode="r+") as tiff:
        for tag in ("ImageWidth", "ImageLength"):
            tiff.pages[0].tags[tag].overwrite(400_000)


def _vms(path: Path) -> None:
    image = path.with_name("image.jpg")
    content = image.read_bytes()
    at = content.index(b"\xff\xc0")
    image.write_bytes(content[: at + 5] + (65000).to_bytes(2, "big") * 2 + content[at + 9 :])


def _dicom_slide(path: Path) -> None:
    import pydicom

    one = pydicom.dcmread(path)
    one.TotalPixelMatrixRows = one.TotalPixelMatrixColumns = 400_000
    one.save_as(path)


_nrrd = _edit(rb"sizes: 10 8 3", b"sizes: 50000 50000 50000")
_mha = _edit(rb"DimSize = 10 8 3", b"DimSize = 50000 50000 50000")

CLAIMS: dict[str, Callable[[Path], None]] = {
    "bmp": _bmp, "jpeg": _jpeg, "png": _png, "tiff": _tiff, "ome-tiff": _tiff, "nii": _nifti, "nii.gz": _nifti,
    "nrrd": _nrrd, "nrrd-gzip": _nrrd, "nhdr": _nrrd, "seg.nrrd": _nrrd, "mha": _mha, "mha-zlib": _mha, "mhd": _mha,
    "npy": _npy, "zarr-0.4": _zarr, "zarr-0.5": _zarr, "svs": _svs, "vms": _vms, "dicom-slide": _dicom_slide,
    "dicom": _dicom, "dicom-file": _dicom, "seg.dcm": _dicom,
}  # fmt: skip


@pytest.mark.parametrize("one", present(), ids=lambda s: s.name)
def test_a_small_file_that_claims_to_be_huge_is_refused_before_allocating(one: Specimen, tmp_path: Path) -> None:
    """F3, F4."""
    kind = format_of(one)
    reader, pixels = (read_image, volume(one.slices)) if kind.images else (read_mask, blocks(one.slices))
    path = one.make(tmp_path, pixels, upright(one.slices))
    reader(path)
    CLAIMS[one.name](path)
    tracemalloc.start()
    try:
        with pytest.raises(InputError):
            reader(path)
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()


def _outside(one: Specimen, folder: Path) -> tuple[Path, Path]:
    """A specimen in a folder of its own, and a place beside that folder, which its reader has no business in."""
    inside = folder / "inside"
    inside.mkdir()
    return one.make(inside, volume(one.slices), upright(one.slices)), folder / "outside"


def _lead_out(path: Path, target: str, pattern: bytes, *files: str) -> None:
    """Name another place where a file names where its pixels lie."""
    described = [path / f for f in files if (path / f).is_file()] or [path]
    _edit(pattern, target.encode().replace(b"\\", b"/"))(described[0])


LEADS = {
    "nhdr": rb"(?<=data file: )\S+",
    "mhd": rb"(?<=ElementDataFile = )\S+",
    "zarr-0.4": rb'(?<="path": ")0(?=")',
    "zarr-0.5": rb'(?<="path": ")0(?=")',
}
"""What names the place of the pixels, in formats that keep them apart from their description."""


@pytest.mark.parametrize("absolute", [False, True], ids=["relative", "absolute"])
@pytest.mark.parametrize("one", [s for s in present() if s.name in LEADS], ids=lambda s: s.name)
def test_a_file_that_leads_out_of_its_folder_is_refused(one: Specimen, absolute: bool, tmp_path: Path) -> None:
    """D13, M8."""
    path, outside = _outside(one, tmp_path)
    shutil.copytree(path if path.is_dir() else path.parent, outside)
    pixels = next(p for p in (outside / "0", *outside.glob("*raw*")) if p.exists())
    up = "../../outside" if path.is_dir() else "../outside"
    _lead_out(path, f"{outside if absolute else up}/{pixels.name}", LEADS[one.name], ".zattrs", "zarr.json")
    with pytest.raises(InputError):
        read_image(path)


@pytest.mark.parametrize("name", [n for n, (_, text) in DRAWINGS.items() if text.startswith("<")])
@pytest.mark.parametrize(
    "definition", ['<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">', '<!ENTITY a SYSTEM "file:///etc/passwd">', ""]
)
def test_xml_with_definitions_of_its_own_is_refused(name: str, definition: str, tmp_path: Path) -> None:
    """X1."""
    path = draw(name, tmp_path)
    head, _, rest = path.read_text(encoding="utf-8").partition("?>")
    path.write_text(f"{head}?><!DOCTYPE x [{definition}]>{rest}", encoding="utf-8")
    with pytest.raises(InputError, match="document type or entities"):
        read_drawing(path)


def test_entities_in_ome_xml_are_not_expanded(tmp_path: Path) -> None:
    """X1."""
    import tifffile

    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "ha" * 50}">' for n in range(9))
    text = f'<?xml version="1.0"?><!DOCTYPE OME [{laughs}]><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">&l8;</OME>'
    tifffile.imwrite(tmp_path / "x.ome.tif", volume(1)[0], description=text, metadata=None)
    tracemalloc.start()
    try:
        with contextlib.suppress(InputError):
            read_image(tmp_path / "x.ome.tif")
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")  # the way out
def test_a_table_of_contents_that_leads_out_of_its_folder_is_not_followed(tmp_path: Path) -> None:
    """D13."""
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage, generate_uid

    dicom_series(tmp_path / "outside", volume(), upright())
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MediaStorageDirectoryStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = tmp_path / "disc" / "DICOMDIR"
    path.parent.mkdir()
    table = FileDataset(path, {}, file_meta=meta, preamble=bytes(128))
    record = Dataset()
    record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", ["..", "outside", "0.dcm"]
    table.FileSetID, table.DirectoryRecordSequence = "X", [record]
    table.save_as(path, enforce_file_format=True)
    for source in (path, path.parent):
        with pytest.raises(InputError):
            read_image(source)
