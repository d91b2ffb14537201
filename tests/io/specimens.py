"""One valid file of every format, written by another program wherever there is one, with pixels and a place in space.

A format that is new in the registry is asked for a specimen by the tests of round trips and of hostile files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image as Pillow

from napari_medseg.core import ClassInfo, Geometry, Labels
from napari_medseg.io import FORMATS, Format

Array = npt.NDArray[Any]
Make = Callable[[Path, Array, Geometry], Path]

CLASSES = (
    ClassInfo(value=1, name="femur", color="#e69f00"),
    ClassInfo(value=2, name="Schädel links", color="#0072b2"),
)


@dataclass(frozen=True)
class Specimen:
    """How another program writes (Z, Y, X) pixels with this geometry into a folder; gives what is to be read.

    ``slices`` is 1 where a file, and what is read as one, holds one slice. ``packed`` says that the pixels are
    compressed as a whole, ``flat`` that the other program keeps no more of the place than spacing and origin.
    """

    name: str
    format: str
    make: Make
    slices: int = 3
    packed: bool = False
    flat: bool = False


def volume(slices: int = 3, dtype: Any = np.int16) -> Array:
    """Pixels (Z, 8, 10) that differ from slice to slice and along every axis."""
    data = np.random.default_rng(5).integers(0, 1000, (slices, 8, 10))
    data[:, 0, 0] = np.arange(slices)
    return data.astype(dtype)


def blocks(slices: int = 3) -> Array:
    """Masks (Z, 8, 10) of two classes, no two slices alike."""
    data = np.zeros((slices, 8, 10), np.uint8)
    for z in range(slices):
        data[z, 1:4, 1 : 3 + z] = 1
        data[z, 5:7, 6 - z : 9] = 2
    return data


def upright(slices: int = 3) -> Geometry:
    """An even series along the axes, not at the origin."""
    return Geometry(spacing=(3.0, 0.5, 0.25), origin=(1.0, 2.0, 3.0), unit="mm")


def lps(geometry: Geometry) -> tuple[Array, Array, Array]:
    """Spacing (3,), direction as columns (3, 3) and origin (3,), all in the order X Y Z of patient coordinates."""
    matrix = geometry.affine()
    columns = matrix[:3, :3][::-1, ::-1]
    spacing = np.linalg.norm(columns, axis=0)
    return spacing, columns / spacing, matrix[:3, 3][::-1]


def _picture(suffix: str) -> Make:
    def make(folder: Path, data: Array, geometry: Geometry) -> Path:
        path = folder / f"x{suffix}"
        Pillow.fromarray(data[0].astype(np.uint8)).save(path)
        return path

    return make


def _tiff(folder: Path, data: Array, geometry: Geometry) -> Path:
    path = folder / "x.tif"
    z, y, x = geometry.spacing
    data = data.astype(np.uint16) if data.dtype.itemsize == 2 else data
    tags = {"axes": "ZYX", "spacing": z, "unit": "mm"}
    tifffile.imwrite(path, data, imagej=True, metadata=tags, resolution=(1 / x, 1 / y))
    return path


def _ome_tiff(folder: Path, data: Array, geometry: Geometry) -> Path:
    path = folder / "x.ome.tif"
    sizes: dict[str, Any] = {f"PhysicalSize{a}": s for a, s in zip("ZYX", geometry.spacing, strict=True)}
    sizes |= {f"PhysicalSize{a}Unit": "mm" for a in "ZYX"}
    tifffile.imwrite(path, data, ome=True, metadata={"axes": "ZYX", **sizes})
    return path


def _svs(folder: Path, data: Array, geometry: Geometry) -> Path:
    path = folder / "x.svs"
    pixels = np.stack([np.tile(data[0].astype(np.uint8), (5, 4))] * 3, axis=-1)
    about = {"photometric": "rgb", "metadata": None, "tile": (16, 16), "compression": "deflate"}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(pixels, **about, description=f"Aperio Image Library\n40x40|MPP = {1000 * geometry.spacing[-1]}")
        tiff.write(pixels[::2, ::2], **{**about, "tile": None})
        tiff.write(pixels[::2, ::2], **about)
    return path


def _vms(folder: Path, data: Array, geometry: Geometry) -> Path:
    pixels = Pillow.fromarray(np.tile(data[0].astype(np.uint8), (16, 16))).convert("RGB")
    for name in ("image", "map", "macro"):
        pixels.save(folder / f"{name}.jpg", restart_marker_rows=1, subsampling=0)
    (folder / "x.opt").write_bytes(bytes(40))
    told = {
        "NoLayers": 1, "NoJpegColumns": 1, "NoJpegRows": 1, "ImageFile": "image.jpg", "MapFile": "map.jpg",
        "OptimisationFile": "x.opt", "MacroImage": "macro.jpg", "PhysicalWidth": 1e6, "PhysicalHeight": 1e6,
        "SourceLens": 20,
    }  # fmt: skip
    path = folder / "x.vms"
    path.write_text("[Virtual Microscope Specimen]\n" + "".join(f"{k}={v}\n" for k, v in told.items()))
    return path


def _dicom_slide(folder: Path, data: Array, geometry: Geometry) -> Path:
    from made_up_dicom_slides import write_dicom_slide

    pixels = np.stack([np.tile(data[0].astype(np.uint8), (10, 8))] * 3, axis=-1)
    mpp = (1000 * geometry.spacing[-2], 1000 * geometry.spacing[-1])
    return write_dicom_slide(folder, [pixels, pixels[::2, ::2]], tile=(32, 40), mpp=mpp)[0]


def _nifti(suffix: str) -> Make:
    def make(folder: Path, data: Array, geometry: Geometry) -> Path:
        import nibabel

        path = folder / f"x{suffix}"
        spacing, direction, origin = lps(geometry)
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = direction * spacing, origin
        image = nibabel.Nifti1Image(data.transpose(2, 1, 0), np.diag([-1, -1, 1, 1]) @ affine)
        image.header.set_xyzt_units("mm")
        nibabel.save(image, path)
        return path

    return make


def _nrrd(suffix: str, encoding: str, about: dict[str, str]) -> Make:
    def make(folder: Path, data: Array, geometry: Geometry) -> Path:
        import nrrd

        spacing, direction, origin = lps(geometry)
        header = {
            "space": "left-posterior-superior", "space directions": (direction * spacing).T, "space origin": origin,
            "encoding": encoding, "kinds": ["domain"] * 3, **about,
        }  # fmt: skip
        nrrd.write(str(folder / f"x{suffix}"), data.transpose(2, 1, 0), header)
        return folder / f"x{suffix}"

    return make


_SEGMENTS = {
    f"Segment{n}_{key}": value
    for n, c in enumerate(CLASSES)
    for key, value in {
        "ID": f"Segment_{n}", "Name": c.name.replace("ä", "ae"), "LabelValue": str(c.value), "Layer": "0",
        "Extent": "0 9 0 7 0 2",
        "Color": " ".join(f"{int(c.color[i : i + 2], 16) / 255:.6f}" for i in (1, 3, 5)),
    }.items()
}  # fmt: skip
_SEGMENTS["Segmentation_ReferenceImageExtentOffset"] = "0 0 0"
_SEGMENTS["Segmentation_MasterRepresentation"] = "Binary labelmap"


def _itk(suffix: str, *, packed: bool) -> Make:
    def make(folder: Path, data: Array, geometry: Geometry) -> Path:
        import SimpleITK

        spacing, direction, origin = lps(geometry)
        image = SimpleITK.GetImageFromArray(data)
        image.SetSpacing(spacing.tolist())
        image.SetOrigin(origin.tolist())
        image.SetDirection(direction.ravel().tolist())
        SimpleITK.WriteImage(image, str(folder / f"x{suffix}"), packed)
        return folder / f"x{suffix}"

    return make


def _npy(folder: Path, data: Array, geometry: Geometry) -> Path:
    np.save(folder / "x.npy", data)
    return folder / "x.npy"


def _ome_zarr(version: str) -> Make:
    def make(folder: Path, data: Array, geometry: Geometry) -> Path:
        import zarr

        path = folder / "x.ome.zarr"
        group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
        group.create_array("0", data=data, chunks=(1, *data.shape[1:]))
        moves = [{"type": "scale", "scale": list(geometry.spacing)}]
        moves += [{"type": "translation", "translation": list(geometry.origin or (0, 0, 0))}]
        about = {
            "axes": [{"name": a, "type": "space", "unit": "millimeter"} for a in "zyx"],
            "datasets": [{"path": "0", "coordinateTransformations": moves}], "name": "x", "version": version,
        }  # fmt: skip
        if version == "0.4":
            group.attrs["multiscales"] = [about]
        else:
            group.attrs["ome"] = {"version": version, "multiscales": [about]}
        return path

    return make


def dicom_series(folder: Path, data: Array, geometry: Geometry, modality: str = "CT") -> list[Path]:
    """A classic series, one file a slice, ``0.dcm`` first, each at its own position."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    _, direction, _ = lps(geometry)
    study, series, frame = (generate_uid(entropy_srcs=[str(folder), what]) for what in ("study", "series", "frame"))
    paths = []
    for z, plane in enumerate(data):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(folder), str(z)])
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one = FileDataset(folder / f"{z}.dcm", {}, file_meta=meta, preamble=bytes(128))
        one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study, series, frame
        one.Modality, one.SeriesDescription, one.SeriesNumber, one.InstanceNumber = modality, "thigh", 2, z + 1
        one.PatientName, one.PatientID, one.StudyID = "Doe^Jane", "4711", "1"
        one.PatientBirthDate = one.PatientSex = one.AccessionNumber = one.ReferringPhysicianName = ""
        one.StudyDate, one.StudyTime = "20200101", "120000"
        one.ImageOrientationPatient = [f"{x:.10g}" for x in (*direction[:, 0], *direction[:, 1])]
        one.ImagePositionPatient = [f"{x:.10g}" for x in geometry.slice_origin(z)[::-1]]
        one.PixelSpacing = [f"{x:.10g}" for x in geometry.spacing[1:]]
        one.SliceThickness = f"{geometry.spacing[0]:.10g}"
        one.Rows, one.Columns = plane.shape
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated = one.BitsStored = 16
        one.HighBit, one.PixelRepresentation = 15, 1
        one.RescaleSlope, one.RescaleIntercept, one.RescaleType = 1, 0, "HU"
        one.WindowCenter, one.WindowWidth = 40, 400
        one.PixelData = plane.astype(np.int16).tobytes()
        one.save_as(folder / f"{z}.dcm", enforce_file_format=True)
        paths.append(folder / f"{z}.dcm")
    return paths


def _dicom(folder: Path, data: Array, geometry: Geometry) -> Path:
    dicom_series(folder / "series", data, geometry)
    return folder / "series"


def _dicom_file(folder: Path, data: Array, geometry: Geometry) -> Path:
    return dicom_series(folder, data[:1], geometry)[0]


def labels_of(folder: Path, data: Array, geometry: Geometry, classes: tuple[ClassInfo, ...] = CLASSES) -> Labels:
    """Labels of a DICOM series, for the formats that point at their source."""
    source = folder / "source"
    files = dicom_series(source, volume(len(data)), geometry)
    return Labels(data=data, classes=classes, geometry=geometry, names=tuple(p.name for p in files), source=source)


def _own(name: str) -> Make:
    """Formats that no other program here writes: our own writer."""

    def make(folder: Path, data: Array, geometry: Geometry) -> Path:
        fmt = next(f for f in FORMATS if f.name == name)
        assert fmt.write is not None
        path = folder / f"x{fmt.suffixes[0]}"
        fmt.write(path, labels_of(folder, np.minimum(data, 2).astype(np.uint8), geometry))
        return path

    return make


SPECIMENS = (
    Specimen("bmp", "bmp", _picture(".bmp"), 1),
    Specimen("jpeg", "jpeg", _picture(".jpg"), 1),
    Specimen("png", "png", _picture(".png"), 1),
    Specimen("tiff", "tiff", _tiff),
    Specimen("ome-tiff", "tiff", _ome_tiff),
    Specimen("svs", "slide", _svs, 1),
    Specimen("vms", "openslide", _vms, 1),
    Specimen("dicom-slide", "dicom-slide", _dicom_slide, 1),
    Specimen("nii", "nifti", _nifti(".nii")),
    Specimen("nii.gz", "nifti", _nifti(".nii.gz"), packed=True),
    Specimen("nrrd", "nrrd", _nrrd(".nrrd", "raw", {})),
    Specimen("nrrd-gzip", "nrrd", _nrrd(".nrrd", "gzip", {}), packed=True),
    Specimen("nhdr", "nrrd", _nrrd(".nhdr", "raw", {})),
    Specimen("seg.nrrd", "seg_nrrd", _nrrd(".seg.nrrd", "gzip", _SEGMENTS), packed=True),
    Specimen("mha", "mha", _itk(".mha", packed=False)),
    Specimen("mha-zlib", "mha", _itk(".mha", packed=True), packed=True),
    Specimen("mhd", "mha", _itk(".mhd", packed=False)),
    Specimen("npy", "npy", _npy),
    Specimen("zarr-0.4", "zarr", _ome_zarr("0.4"), flat=True),
    Specimen("zarr-0.5", "zarr", _ome_zarr("0.5"), flat=True),
    Specimen("dicom", "dicom", _dicom),
    Specimen("dicom-file", "dicom", _dicom_file, 1),
    Specimen("seg.dcm", "dicom-seg", _own("dicom-seg")),
)


def present() -> tuple[Specimen, ...]:
    """Specimens of the formats in the registry."""
    known = {f.name for f in FORMATS}
    return tuple(s for s in SPECIMENS if s.format in known)


def format_of(specimen: Specimen) -> Format:
    return next(f for f in FORMATS if f.name == specimen.format)
