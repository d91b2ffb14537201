"""DICOM segmentations: every mask on its own slice of the source, with names, codes and colours, out and in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes
from specimens import dicom_series

from napari_medseg.core import ClassInfo, Geometry, Image, InputError, Labels, MedsegError, OutputError
from napari_medseg.io import read, read_labels, write
from napari_medseg.io.dicom_seg.anatomy import FINDINGS, SIDES, STRUCTURES, name_anatomy
from napari_medseg.io.formats import dicom_seg
from napari_medseg.io.masks.onto import lay_onto
from napari_medseg.io.registry import format_for

SHAPE = (6, 9, 11)
CLASSES = (
    ClassInfo(value=1, name="left femur", color="#e69f00"),
    ClassInfo(value=3, name="Tumor", color="#56b4e9"),
    ClassInfo(value=300, name="never painted", color="#010203"),
)


def _turned(spacing: tuple[float, float, float], shear: float = 0.0, flip: int = 1) -> Geometry:
    """An oblique geometry, its slices moved along Y from one to the next, or listed the other way round."""
    a, b = np.deg2rad([20, 35])
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ np.diag(spacing)
    matrix[:3, 0] = flip * matrix[:3, 0] + shear * matrix[:3, 1]
    matrix[:3, 3] = [-12.5, 30.25, 7.125]
    return Geometry.from_affine(matrix)


def _uneven() -> Geometry:
    even = _turned((3.0, 0.5, 0.25))
    steps = np.cumsum([0, 4.22, 1.14, 7.38, 4.22, 4.22]) / 3
    way = even.affine()[:3, 0]
    places = tuple(tuple((np.array(even.origin) + way * s).tolist()) for s in steps)
    return even.model_copy(update={"positions": places})


GEOMETRIES = {
    "upright": Geometry(spacing=(3.0, 0.5, 0.25), origin=(1.0, 2.0, 3.0), unit="mm"),
    "oblique": _turned((5.2, 0.91, 0.75)),
    "reversed": _turned((5.2, 0.91, 0.75), flip=-1),
    "tilted": _turned((4.0, 0.5, 0.5), shear=1.7),
    "uneven": _uneven(),
}


def painted(slices: Sequence[int] = (1, 2, 4)) -> np.ndarray:
    """Masks of two classes on some slices, no two alike."""
    data = np.zeros(SHAPE, np.uint16)
    for z in slices:
        data[z, 1:4, 2 : 4 + z] = 1
        data[z, 5:8, 9 - z : 10] = 3
    return data


@pytest.fixture
def make_source(tmp_path: Path) -> Callable[..., Labels]:
    """A DICOM series with this geometry and labels that belong to it."""

    def make(geometry: Geometry = GEOMETRIES["oblique"], data: np.ndarray | None = None) -> Labels:
        folder = tmp_path / "ct"
        files = dicom_series(folder, np.zeros(SHAPE, np.int16), geometry)
        mask = painted() if data is None else data
        return Labels(mask, CLASSES, geometry, tuple(f.name for f in files), folder)

    return make


def saved(labels: Labels, tmp_path: Path) -> Path:
    dicom_seg.write(tmp_path / "x.seg.dcm", labels)
    return tmp_path / "x.seg.dcm"


def as_labels(path: Path) -> Labels:
    header = dicom_seg.read_header(path)
    return Labels(dicom_seg.read_array(path), dicom_seg.read_classes(path), header.geometry, findings=header.findings)


def origins(geometry: Geometry, slices: int) -> np.ndarray:
    return np.array([geometry.slice_origin(z) for z in range(slices)])


@pytest.mark.parametrize("name", GEOMETRIES)
def test_masks_come_back_on_their_slices(make_source: Callable[..., Labels], tmp_path: Path, name: str) -> None:
    """D3, D4, D5: values, places, names and colours, of empty slices before, between and behind too."""
    labels = make_source(GEOMETRIES[name])
    path = saved(labels, tmp_path)
    header, back = dicom_seg.read_header(path), dicom_seg.read_array(path)
    np.testing.assert_array_equal(back, labels.data)
    assert header.volume
    assert header.dtype == back.dtype
    assert dicom_seg.read_classes(path) == CLASSES
    np.testing.assert_allclose(origins(header.geometry, 6), origins(labels.geometry, 6), atol=1e-4)
    np.testing.assert_allclose(header.geometry.affine()[:3, 1:3], labels.geometry.affine()[:3, 1:3], atol=1e-6)
    assert bool(header.geometry.positions) == (name == "uneven")
    told = {"uneven": ["IRREGULAR_SPACING"], "tilted": ["GANTRY_TILT"]}
    assert [f.code for f in header.findings] == told.get(name, [])


@pytest.mark.parametrize("name", GEOMETRIES)
def test_every_frame_names_the_instance_it_lies_on(
    make_source: Callable[..., Labels], tmp_path: Path, name: str
) -> None:
    """Frames refer to the source instance at their own position, and hold what was painted on it."""
    labels = make_source(GEOMETRIES[name])
    found = highdicom.seg.segread(saved(labels, tmp_path))
    source = {d.SOPInstanceUID: (z, d) for z, d in enumerate(pydicom.dcmread(labels.source / n) for n in labels.names)}
    for item in found.PerFrameFunctionalGroupsSequence:
        (image,) = item.DerivationImageSequence[0].SourceImageSequence
        _, dataset = source[image.ReferencedSOPInstanceUID]
        assert item.PlanePositionSequence[0].ImagePositionPatient == dataset.ImagePositionPatient
    masks = found.get_pixels_by_source_instance([*source], combine_segments=True, assert_missing_frames_are_empty=True)
    np.testing.assert_array_equal(np.array([0, 1, 3, 300])[masks], labels.data)


def test_empty_slices_have_no_frames(make_source: Callable[..., Labels], tmp_path: Path) -> None:
    """Three slices with two classes are six frames of the six slices' eighteen; binary, one bit a pixel."""
    dataset = pydicom.dcmread(saved(make_source(), tmp_path))
    assert dataset.NumberOfFrames == 6
    assert (dataset.SegmentationType, dataset.BitsAllocated) == ("BINARY", 1)


def test_masks_of_nothing_but_background_come_back_empty(make_source: Callable[..., Labels], tmp_path: Path) -> None:
    path = saved(make_source(data=np.zeros(SHAPE, np.uint8)), tmp_path)
    assert not dicom_seg.read_array(path).any()
    assert dicom_seg.read_array(path).shape == SHAPE


def test_patient_and_study_are_those_of_the_source(make_source: Callable[..., Labels], tmp_path: Path) -> None:
    """A segmentation is filed beside its images; its own series and instance are new each time."""
    labels = make_source()
    first, second = (pydicom.dcmread(saved(labels, tmp_path)) for _ in range(2))
    source = pydicom.dcmread(labels.source / "0.dcm")
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert first[keyword].value == source[keyword].value
    assert len({first.SeriesInstanceUID, second.SeriesInstanceUID, source.SeriesInstanceUID}) == 3
    assert first.SOPInstanceUID != second.SOPInstanceUID


def test_anonymous_source_with_a_name_of_one_part(make_source: Callable[..., Labels], tmp_path: Path) -> None:
    """Tags that anonymising took away are empty; a patient's name in Latin letters stays what it is."""
    labels = make_source()
    for name in labels.names:
        dataset = pydicom.dcmread(labels.source / name)
        dataset.SpecificCharacterSet = "ISO_IR 100"
        dataset.PatientName = "Müller"
        for keyword in ("PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime"):
            delattr(dataset, keyword)
        dataset.save_as(labels.source / name)
    dataset = pydicom.dcmread(saved(labels, tmp_path))
    assert str(dataset.PatientName) == "Müller"
    assert dataset.StudyDate == ""


@pytest.mark.parametrize("name", ["Wirbel\\kante", "股骨", "x" * 200, "a\nb", "Label value 7"])
def test_any_class_name_comes_back(make_source: Callable[..., Labels], tmp_path: Path, name: str) -> None:
    """S11: names that a label of DICOM cannot hold, too."""
    classes = (ClassInfo(value=3, name=name, color="#fefe01"), ClassInfo(value=1, name="b", color="#000000"))
    path = saved(replace(make_source(), classes=classes), tmp_path)
    assert dicom_seg.read_classes(path) == classes[::-1]


def test_values_without_a_class_get_a_numbered_one(make_source: Callable[..., Labels], tmp_path: Path) -> None:
    path = saved(replace(make_source(), classes=()), tmp_path)
    assert [(c.value, c.name) for c in dicom_seg.read_classes(path)] == [(1, "class 1"), (3, "class 3")]


def test_segments_carry_codes_of_common_anatomy(make_source: Callable[..., Labels], tmp_path: Path) -> None:
    femur, tumor, other = pydicom.dcmread(saved(make_source(), tmp_path)).SegmentSequence
    kind = femur.SegmentedPropertyTypeCodeSequence[0]
    assert (kind.CodeValue, kind.CodingSchemeDesignator, kind.CodeMeaning) == ("71341001", "SCT", "Femur")
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    assert tumor.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Neoplasm"
    assert tumor.SegmentedPropertyCategoryCodeSequence[0].CodeMeaning == "Morphologically Abnormal Structure"
    assert other.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Tissue"


def test_codes_are_those_of_the_standard() -> None:
    known = {(c.value, c.meaning) for c in (getattr(codes.SCT, name) for name in codes.SCT.dir())}
    assert {*STRUCTURES.values(), *FINDINGS.values(), *SIDES.values()} - known == set()


@pytest.mark.parametrize(
    ("name", "kind", "side"),
    [
        ("Femur_R", "Femur", "Right"),
        ("femur, left", "Femur", "Left"),
        ("femur, image left", "Femur", None),
        ("lungs", "Lung", None),
        ("Urinary bladder", "Bladder", None),
        ("left and right kidney", "Tissue", None),
        ("L1", "Tissue", None),
        ("Vertebrae 3", "Vertebra", None),
        ("", "Tissue", None),
    ],
)
def test_anatomy_by_name(name: str, kind: str, side: str | None) -> None:
    """The side of the picture is not the patient's: it is given no code."""
    found = name_anatomy(name)
    assert (found.kind[1], found.side and found.side[1]) == (kind, side)


def _no_source(labels: Labels) -> Labels:
    return replace(labels, source=None)


def _no_names(labels: Labels) -> Labels:
    return replace(labels, names=())


def _gone(labels: Labels) -> Labels:
    (labels.source / "3.dcm").unlink()
    return labels


def _outside(labels: Labels) -> Labels:
    (labels.source / "3.dcm").rename(labels.source.parent / "3.dcm")
    return replace(labels, names=("0.dcm", "1.dcm", "2.dcm", "../3.dcm", "4.dcm", "5.dcm"))


def _pictures(labels: Labels) -> Labels:
    (labels.source / "3.dcm").write_bytes(b"\x89PNG" + bytes(300))
    return labels


def _moved(labels: Labels) -> Labels:
    origin = tuple(x + 0.5 for x in labels.geometry.origin)
    return replace(labels, geometry=labels.geometry.model_copy(update={"origin": origin}))


def _swapped(labels: Labels) -> Labels:
    return replace(labels, names=(*labels.names[1::-1], *labels.names[2:]))


def _cropped(labels: Labels) -> Labels:
    return replace(labels, data=labels.data[:, 1:])


@pytest.mark.parametrize("spoil", [_no_source, _no_names, _gone, _outside, _pictures, _moved, _swapped, _cropped])
def test_labels_without_their_series_are_refused(
    make_source: Callable[..., Labels], tmp_path: Path, spoil: Callable[[Labels], Labels]
) -> None:
    """Masks on the wrong slices would be worse than none; the message says what to give."""
    with pytest.raises(OutputError, match="--image"):
        saved(spoil(make_source()), tmp_path)


def test_series_in_a_folder_of_a_study(make_source: Callable[..., Labels], tmp_path: Path) -> None:
    """S6: scanners call the files of every series alike; the place of the slices tells which is meant."""
    labels = make_source()
    study = tmp_path / "study"
    study.mkdir()
    labels.source.rename(study / "b")
    dicom_series(study / "a", np.zeros(SHAPE, np.int16), GEOMETRIES["upright"])
    labels = replace(labels, source=study)
    dataset = pydicom.dcmread(saved(labels, tmp_path))
    assert dataset.FrameOfReferenceUID == pydicom.dcmread(study / "b" / "0.dcm").FrameOfReferenceUID
    dicom_series(study / "c", np.zeros(SHAPE, np.int16), labels.geometry)
    with pytest.raises(OutputError, match="several folders"):
        saved(labels, tmp_path)


def test_directions_that_differ_in_the_last_digit(make_source: Callable[..., Labels], tmp_path: Path) -> None:
    """A segmentation tells one direction; scanners round each slice's anew."""
    labels = make_source()
    dataset = pydicom.dcmread(labels.source / "2.dcm")
    dataset.ImageOrientationPatient[0] = f"{float(dataset.ImageOrientationPatient[0]) + 1e-6:.10g}"
    dataset.save_as(labels.source / "2.dcm")
    np.testing.assert_array_equal(dicom_seg.read_array(saved(labels, tmp_path)), labels.data)


def test_too_many_values_are_refused(make_source: Callable[..., Labels], tmp_path: Path) -> None:
    """V5: numbered objects are no classes; the file would need a frame for each."""
    data = np.zeros(SHAPE, np.uint32)
    labels = make_source(data=data)
    many = tuple(ClassInfo.numbered(v) for v in range(1, 2**16 + 1))
    with pytest.raises(OutputError, match="65536 values"):
        saved(replace(labels, classes=many), tmp_path)


def _enhanced(folder: Path, geometry: Geometry, order: Sequence[int]) -> Path:
    """One file of several frames, in this order of slices."""
    one = pydicom.dcmread(dicom_series(folder, np.zeros(SHAPE, np.int16), geometry)[0])
    one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    turn, spacing = pydicom.Dataset(), pydicom.Dataset()
    turn.ImageOrientationPatient, spacing.PixelSpacing = one.ImageOrientationPatient, one.PixelSpacing
    spacing.SliceThickness = one.SliceThickness
    shared = pydicom.Dataset()
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [turn], [spacing]
    one.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for z in order:
        place, frame = pydicom.Dataset(), pydicom.Dataset()
        place.ImagePositionPatient = [f"{x:.10g}" for x in geometry.slice_origin(z)[::-1]]
        frame.PlanePositionSequence = [place]
        frames.append(frame)
    one.PerFrameFunctionalGroupsSequence, one.NumberOfFrames = frames, len(frames)
    one.PixelData = np.zeros(SHAPE, np.int16).tobytes()
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(one, keyword)
    one.save_as(folder / "all.dcm")
    return folder / "all.dcm"


@pytest.mark.parametrize("order", [range(6), (3, 0, 5, 1, 4, 2)])
def test_source_of_several_frames_in_any_order(tmp_path: Path, order: Sequence[int]) -> None:
    """D10: masks lie where their frame does, whatever its number."""
    geometry = GEOMETRIES["oblique"]
    source = _enhanced(tmp_path / "ct", geometry, order)
    labels = Labels(painted((0, 1, 2, 5)), CLASSES, geometry, source=source)
    back = as_labels(saved(labels, tmp_path))
    image = Image(np.zeros(SHAPE), "ZYX", geometry)
    np.testing.assert_array_equal(lay_onto(back, image).data, labels.data)


def test_single_image_without_a_place(tmp_path: Path) -> None:
    """S7: an X-ray has pixels and no position; its mask is one slice."""
    (file,) = dicom_series(tmp_path / "xr", np.zeros((1, 9, 11), np.int16), GEOMETRIES["upright"])
    one = pydicom.dcmread(file)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID"):
        delattr(one, keyword)
    one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    one.save_as(file)
    labels = Labels(painted()[1], CLASSES, Geometry(spacing=(0.5, 0.25), unit="mm"), (file.name,), file.parent)
    path = saved(labels, tmp_path)
    header = dicom_seg.read_header(path)
    assert not header.volume
    assert header.slices == 1
    np.testing.assert_array_equal(dicom_seg.read_array(path)[0], labels.data)


def _foreign(labels: Labels, kind: str, pixels: np.ndarray, path: Path) -> Path:
    """What another program writes: no notes of ours, segments numbered from 1."""
    kinds = [codes.SCT.Femur, codes.SCT.Neoplasm]
    segments = [
        highdicom.seg.SegmentDescription(n, name, codes.SCT.AnatomicalStructure, code, "MANUAL")
        for n, (name, code) in enumerate(zip(("femur", "tumour"), kinds, strict=True), start=1)
    ]
    source = [pydicom.dcmread(labels.source / n) for n in labels.names]
    uid = pydicom.uid.generate_uid
    highdicom.seg.Segmentation(
        source, pixels, kind, segments, uid(), 7, uid(), 1, "someone", "else", "1", "1", max_fractional_value=200
    ).save_as(path)
    return path


def test_fractions_count_from_one_half(make_source: Callable[..., Labels], tmp_path: Path) -> None:
    labels = make_source()
    pixels = np.zeros((*SHAPE, 2))
    pixels[2, 2, 2:5, 0] = 0.49, 0.5, 1
    pixels[3, 4, 4, 1] = 0.8
    path = _foreign(labels, "FRACTIONAL", pixels, tmp_path / "f.dcm")
    back = as_labels(path)
    assert {f.code for f in back.findings} == {"FRACTIONAL_MASK"}
    np.testing.assert_array_equal(back.data[2, 2, 2:5], [0, 1, 1])
    assert back.data[3, 4, 4] == 2
    assert np.count_nonzero(back.data) == 3


def test_label_maps_are_read(make_source: Callable[..., Labels], tmp_path: Path) -> None:
    labels = make_source()
    pixels = np.minimum(painted(), 2).astype(np.uint8)
    path = _foreign(labels, "LABELMAP", pixels, tmp_path / "f.dcm")
    assert format_for(path) is dicom_seg.FORMAT
    back = as_labels(path)
    np.testing.assert_array_equal(back.data, pixels)
    assert [c.name for c in back.classes] == ["femur", "tumour"]
    assert not back.findings


def test_overlapping_segments_are_told(make_source: Callable[..., Labels], tmp_path: Path) -> None:
    """N8: labels hold one class a pixel; which one is kept is said."""
    pixels = np.zeros((*SHAPE, 2), np.uint8)
    pixels[2, 2:5, 2:5, 0] = 1
    pixels[2, 4:7, 4:7, 1] = 1
    path = _foreign(make_source(), "BINARY", pixels, tmp_path / "f.dcm")
    back = as_labels(path)
    assert [(f.code, "1 pixels" in f.message) for f in back.findings] == [("OVERLAP", True)]
    assert back.data[2, 4, 4] == 2


def _strip(path: Path, *, spacing: bool) -> None:
    """Take out all that tells of the source, as programs do that are not as thorough."""
    dataset = pydicom.dcmread(path)
    del dataset.ReferencedSeriesSequence
    for item in dataset.PerFrameFunctionalGroupsSequence:
        del item.DerivationImageSequence
    if spacing:
        del dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices
    dataset.save_as(path)


@pytest.mark.parametrize("spacing", [True, False])
def test_slices_between_are_found_without_references(
    make_source: Callable[..., Labels], tmp_path: Path, spacing: bool
) -> None:
    """Empty slices between painted ones are there again, those before and behind are not known."""
    labels = make_source()
    path = saved(labels, tmp_path)
    _strip(path, spacing=spacing)
    back = as_labels(path)
    np.testing.assert_array_equal(back.data, labels.data[1:5])
    np.testing.assert_allclose(origins(back.geometry, 4), origins(labels.geometry, 6)[1:5], atol=1e-4)


def test_foreign_uneven_segmentation_says_what_it_lacks(make_source: Callable[..., Labels], tmp_path: Path) -> None:
    """D3: of slices that lie unevenly only those with frames are known; on its image all are."""
    labels = make_source(_uneven())
    pixels = np.minimum(painted(), 2).astype(np.uint8)
    back = as_labels(_foreign(labels, "BINARY", pixels, tmp_path / "f.dcm"))
    assert {f.code for f in back.findings} == {"IRREGULAR_SPACING", "PARTIAL_SERIES"}
    np.testing.assert_array_equal(back.data, pixels[[1, 2, 4]])
    image = Image(np.zeros(SHAPE), "ZYX", labels.geometry, labels.names, source=labels.source)
    whole = lay_onto(back, image)
    np.testing.assert_array_equal(whole.data, pixels)
    assert whole.geometry == labels.geometry
    assert whole.names == labels.names
    assert not whole.findings


def test_cropped_masks_lie_on_their_image() -> None:
    """N8: a part of the extent goes back to where it was; what lies outside is told."""
    geometry = GEOMETRIES["tilted"]
    matrix = geometry.affine()
    matrix[:3, 3] += matrix[:3, :3] @ [1, 2, -1]
    part = Labels(np.ones((3, 4, 5), np.uint8), (), Geometry.from_affine(matrix))
    whole = lay_onto(part, Image(np.zeros(SHAPE), "ZYX", geometry))
    wanted = np.zeros(SHAPE, np.uint8)
    wanted[1:4, 2:6, 0:4] = 1
    np.testing.assert_array_equal(whole.data, wanted)
    assert [(f.code, f.message.startswith("12 pixels")) for f in whole.findings] == [("OUTSIDE", True)]


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("flips", [(0,), (1,), (0, 1), (1, 2), (0, 1, 2)])
def test_masks_stored_in_another_order_lie_on_their_image(axes: tuple[int, ...], flips: tuple[int, ...]) -> None:
    """N3: programs that turn DICOM into NIfTI flip the rows; every pixel goes to where it lies in the patient."""
    geometry = GEOMETRIES["tilted"]
    pixels = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.uint16)
    matrix = geometry.affine()[:, [*axes, 3]]
    stored = np.flip(np.transpose(pixels, axes), flips)
    for k in flips:
        matrix[:3, 3] += matrix[:3, k] * (stored.shape[k] - 1)
        matrix[:3, k] *= -1
    missing = frozenset({1}) if axes[0] == 0 else frozenset()
    lost = SHAPE[0] - 2 if 0 in flips else 1
    whole = lay_onto(
        Labels(stored, (), Geometry.from_affine(matrix), missing=missing), Image(np.zeros(SHAPE), "ZYX", geometry)
    )
    assert whole.missing == (frozenset({lost}) if missing else frozenset())
    pixels[sorted(whole.missing)] = 0
    np.testing.assert_array_equal(whole.data, pixels)


@pytest.mark.parametrize("move", [[0.4, 0, 0], [0, 0.5, 0], [50, 0, 0]])
def test_masks_between_the_pixels_of_an_image_are_refused(move: list[float]) -> None:
    """Nothing is resampled silently: half a pixel off is another image."""
    geometry = GEOMETRIES["tilted"]
    matrix = geometry.affine()
    matrix[:3, 3] += matrix[:3, :3] @ move
    part = Labels(np.ones((3, 4, 5), np.uint8), (), Geometry.from_affine(matrix))
    with pytest.raises(InputError, match="fit"):
        lay_onto(part, Image(np.zeros(SHAPE), "ZYX", geometry))


def test_content_tells_segmentations_from_images(make_source: Callable[..., Labels], tmp_path: Path) -> None:
    """D15: both end in .dcm."""
    labels = make_source()
    path = saved(labels, tmp_path).rename(tmp_path / "y.dcm")
    assert format_for(path) is dicom_seg.FORMAT
    assert not dicom_seg.is_segmentation((labels.source / "0.dcm").read_bytes()[:512])
    assert format_for(tmp_path / "new.dcm", writing=True) is dicom_seg.FORMAT


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _claim(path: Path, **values: Any) -> None:
    dataset = pydicom.dcmread(path)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)


@pytest.mark.parametrize(
    "spoil",
    [
        _cut,
        lambda p: _claim(p, Rows=60000, Columns=60000),
        lambda p: _claim(p, Rows=0),
        lambda p: _claim(p, NumberOfFrames=5),
        lambda p: _claim(p, PerFrameFunctionalGroupsSequence=[]),
        lambda p: _claim(p, SegmentationType="SURFACE"),
        lambda p: _claim(p, SegmentSequence=[]),
        lambda p: _claim(p, SOPClassUID="1.2.840.10008.5.1.4.1.1.2"),
        lambda p: p.write_bytes(p.read_bytes()[:600]),
        lambda p: p.write_bytes(b"DICM" * 200),
    ],
    ids=range(10),
)
def test_damaged_segmentations_give_one_sentence(
    make_source: Callable[..., Labels], tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    """F3, D12: nothing but a `MedsegError` comes out, and nothing is allocated that is only claimed."""
    path = saved(make_source(), tmp_path)
    spoil(path)
    with pytest.raises(MedsegError, match=r"x\.seg\.dcm"):
        dicom_seg.read_array(path)


def test_a_frame_far_away_makes_no_empty_slices(make_source: Callable[..., Labels], tmp_path: Path) -> None:
    """F4: a position that is off by a damaged byte is no reason to fill the way there."""
    path = saved(make_source(), tmp_path)
    dataset = pydicom.dcmread(path)
    dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient = [0, 0, 1e15]
    dataset.save_as(path)
    assert len(dicom_seg.read_array(path)) <= len(SHAPE) + 3


def centre_of_mass(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """In the coordinates that the affine leads to from pixel indices."""
    return affine[:3, :3] @ np.argwhere(mask).mean(axis=0) + affine[:3, 3]


def test_painted_cube_lies_on_the_same_millimetre_in_both_files(real_data: Path, tmp_path: Path) -> None:
    """An oblique coronal MR: SEG as highdicom reads it and NIfTI as SimpleITK does, in patient coordinates."""
    import SimpleITK

    image = read(next(p for p in sorted((real_data / "femur_mri" / "dicom").iterdir()) if p.is_dir()))
    data = np.zeros(image.shape, np.uint8)
    data[20:27, 100:140, 210:250] = 1
    labels = Labels(data, CLASSES[:1], image.geometry, image.names, image.source)
    write(tmp_path / "cube.dcm", labels)
    write(tmp_path / "cube.nii.gz", labels)
    segments = highdicom.seg.segread(tmp_path / "cube.dcm").get_volume(combine_segments=True)
    ours = centre_of_mass(segments.array == 1, segments.affine)
    nifti = SimpleITK.ReadImage(tmp_path / "cube.nii.gz")
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(nifti.GetDirection(), (3, 3)) * nifti.GetSpacing()
    matrix[:3, 3] = nifti.GetOrigin()
    theirs = centre_of_mass(SimpleITK.GetArrayFromImage(nifti).transpose(2, 1, 0) == 1, matrix)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=0.1)
    painted_at = image.geometry.affine() @ [*np.argwhere(data).mean(axis=0), 1]
    np.testing.assert_allclose(ours, painted_at[2::-1], rtol=0, atol=1e-3)
    back = read_labels(tmp_path / "cube.dcm")
    np.testing.assert_array_equal(back.data, data)


def test_masks_of_a_tilted_head_have_the_positions_of_their_slices(real_data: Path, tmp_path: Path) -> None:
    """D3, D4: 28 masks at 28 places, those of the files that they refer to."""
    image = read(real_data / "ct_dicom_tilted")
    data = np.zeros(image.shape, np.uint8)
    for z in range(len(image)):
        data[z, 200 : 210 + z, 200:230] = 1
    write(tmp_path / "head.dcm", Labels(data, CLASSES[:1], image.geometry, image.names, image.source))
    found = highdicom.seg.segread(tmp_path / "head.dcm")
    places = [tuple(g.PlanePositionSequence[0].ImagePositionPatient) for g in found.PerFrameFunctionalGroupsSequence]
    wanted = [tuple(pydicom.dcmread(image.source / n).ImagePositionPatient) for n in image.names]
    assert len(set(places)) == 28
    np.testing.assert_allclose(sorted(places), sorted(wanted), rtol=0, atol=1e-6)
    uids = [pydicom.dcmread(image.source / n, stop_before_pixels=True).SOPInstanceUID for n in image.names]
    np.testing.assert_array_equal(found.get_pixels_by_source_instance(uids)[..., 0], data)
    back = read_labels(tmp_path / "head.dcm")
    np.testing.assert_array_equal(back.data, data)
    assert {"GANTRY_TILT", "IRREGULAR_SPACING"} <= {f.code for f in back.findings}
    np.testing.assert_allclose(origins(back.geometry, 28), origins(image.geometry, 28), atol=1e-5)
