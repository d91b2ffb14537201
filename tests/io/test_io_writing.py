"""Masks to files: what comes back, and what happens when writing fails."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from napari_medseg.core import ClassInfo, Geometry, Labels, OutputError
from napari_medseg.io import FORMATS, Format, read, read_labels, write
from napari_medseg.io import writing as writing_module
from napari_medseg.io.atomic import check_writable, write_text
from napari_medseg.io.masks.onto import stored_like

MakeLabels = Callable[..., Labels]


def same(first: Labels, second: Labels) -> None:
    np.testing.assert_array_equal(np.asarray(first.data), np.asarray(second.data))
    assert first.classes == second.classes
    assert first.geometry == second.geometry
    assert first.missing == second.missing


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_folder_round_trip_keeps_everything(tmp_path: Path, make_labels: MakeLabels) -> None:
    """S5, S11."""
    names = ("Düse 1-9.tif", "Düse 1-10.tif", "Düse 1-11.tif", "Düse 1-12.tif")
    labels = make_labels(4, names=names)
    write(tmp_path / "out", labels)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(
        [f"Düse 1-{n}.png" for n in (9, 10, 11, 12)] + ["classes.json"]
    )
    again = read_labels(tmp_path / "out")
    same(again, labels)
    assert again.names == names
    assert [p.name for p in tmp_path.iterdir()] == ["out"], "nothing temporary is left"
    np.testing.assert_array_equal(np.asarray(Pillow.open(tmp_path / "out" / "Düse 1-9.png")), labels.data[0])


@pytest.mark.parametrize("name", ["masks", "m.tif", "m.seg.nrrd", "m.geojson"])
def test_what_the_model_said_of_slices_is_kept_wherever_masks_go(
    tmp_path: Path, make_labels: MakeLabels, name: str
) -> None:
    labels = make_labels(4, missing=frozenset({1}))
    write(tmp_path / name, replace(labels, presence={0: 0.91, 1: 0.5, 3: 0.04}, threshold=0.3))
    back = read_labels(tmp_path / name)
    assert (dict(back.presence), back.threshold) == ({0: 0.91, 3: 0.04}, 0.3)
    turned = stored_like(
        replace(back, missing=frozenset()), Geometry(spacing=(1, 1, 1), direction=((-1, 0, 0), (0, 1, 0), (0, 0, 1)))
    )
    assert turned.presence == {3: 0.91, 0: 0.04}, "they go with their slices"


@pytest.mark.parametrize(
    ("top", "dtype"),
    [(255, np.uint8), (256, np.uint16), (65535, np.uint16), (65536, np.uint32), (2**32 - 1, np.uint32)],
)
def test_tiff_takes_the_smallest_type_and_keeps_the_spacing(
    tmp_path: Path, make_labels: MakeLabels, top: int, dtype: Any
) -> None:
    """V5."""
    data = np.zeros((3, 5, 6), np.int64)
    data[1, 2, 3] = top
    labels = make_labels(3, data=data)
    write(tmp_path / "x.tif", labels)
    assert tifffile.imread(tmp_path / "x.tif").dtype == dtype
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "x.tif"), data)
    (tmp_path / "x.tif.classes.json").unlink()
    alone = read(tmp_path / "x.tif")
    assert alone.geometry.spacing == pytest.approx((3, 0.5, 0.25))
    assert alone.geometry.unit == "mm"


@pytest.mark.parametrize("geometry", [Geometry(spacing=(2, 1, 1), unit="um"), Geometry.unknown(3)], ids=["um", "pixel"])
def test_tiff_keeps_the_unit(tmp_path: Path, make_labels: MakeLabels, geometry: Geometry) -> None:
    write(tmp_path / "x.tif", make_labels(4, geometry=geometry))
    (tmp_path / "x.tif.classes.json").unlink(missing_ok=True)
    assert read_labels(tmp_path / "x.tif").geometry == geometry


@pytest.mark.parametrize("top", [65536, 2**31])
def test_png_refuses_values_it_cannot_hold(tmp_path: Path, make_labels: MakeLabels, top: int) -> None:
    """V5."""
    data = np.full((2, 4, 4), top)
    with pytest.raises(OutputError, match=rf"{top}.*\.tif"):
        write(tmp_path / "out", make_labels(2, data=data))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bad", [-1, 0.5])
def test_values_that_are_no_classes_are_not_written(tmp_path: Path, make_labels: MakeLabels, bad: float) -> None:
    """V5."""
    data = np.zeros((2, 4, 4), type(bad))
    data[1, 1, 1] = bad
    with pytest.raises(OutputError, match="whole numbers"):
        write(tmp_path / "x.tif", make_labels(2, data=data))


def test_masks_of_one_name_lie_beside_each_other_in_every_format(tmp_path: Path, make_labels: MakeLabels) -> None:
    labels = make_labels(4)
    able = [s for f in FORMATS for s in f.suffixes if f.write and f.stacks and f.name != "dicom-seg"]
    able = [s for s in able if s not in (".mhd", ".nhdr")]
    for suffix in able:
        write(tmp_path / f"x{suffix}", labels)
    for suffix in able:
        same(read_labels(tmp_path / f"x{suffix}"), labels)


def test_missing_slices_are_recorded_and_get_no_mask(tmp_path: Path, make_labels: MakeLabels) -> None:
    labels = make_labels(4, names=tuple("1234"), missing=frozenset({1, 3}))
    labels.data[[1, 3]] = 0
    write(tmp_path / "out", labels)
    assert not (tmp_path / "out" / "2.png").exists()
    same(read_labels(tmp_path / "out"), labels)
    write(tmp_path / "out.tif", labels)
    same(read_labels(tmp_path / "out.tif"), labels)
    assert json.loads((tmp_path / "out.tif.classes.json").read_text())["missing"] == [1, 3]


def test_overwriting_takes_away_the_old_mask_of_a_slice_without_result(tmp_path: Path, make_labels: MakeLabels) -> None:
    write(tmp_path / "out", make_labels(4, names=tuple("1234")))
    (tmp_path / "out" / "notes.txt").write_text("mine")
    (tmp_path / "out" / "9.png").write_bytes(b"mine too")
    write(tmp_path / "out", make_labels(4, names=tuple("1234"), missing=frozenset({2})), overwrite=True)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "1.png", "2.png", "4.png", "9.png", "classes.json", "notes.txt",
    ]  # fmt: skip


@pytest.mark.parametrize("target", ["x.png", "x.tif", "folder"])
def test_existing_output_is_refused_unless_allowed(tmp_path: Path, make_labels: MakeLabels, target: str) -> None:
    """W5."""
    labels = make_labels(0 if target == "x.png" else 4)
    write(tmp_path / target, labels)
    before = tree(tmp_path)
    with pytest.raises(OutputError, match=f"{target} exists.*allow overwriting"):
        write(tmp_path / target, replace(labels, data=labels.data * 0))
    assert tree(tmp_path) == before
    write(tmp_path / target, replace(labels, data=labels.data * 0), overwrite=True)
    assert not read_labels(tmp_path / target).data.any()


def test_empty_folder_is_filled(tmp_path: Path, make_labels: MakeLabels) -> None:
    (tmp_path / "out").mkdir()
    write(tmp_path / "out", make_labels(2))
    assert len(read_labels(tmp_path / "out")) == 2
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.parametrize("target", ["sub/x.tif", "sub/folder"])
@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_read_only_place_is_one_sentence(
    tmp_path: Path, make_labels: MakeLabels, monkeypatch: pytest.MonkeyPatch, target: str, code: int
) -> None:
    """W1."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OutputError, match=r"cannot be written .*Choose a folder that you may write to"):
        write(tmp_path / target, make_labels())


@pytest.mark.parametrize("target", ["x.png", "x.tif", "folder", "there"])
@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_read_only_folder_is_one_sentence_and_stays_as_it_was(
    tmp_path: Path, make_labels: MakeLabels, monkeypatch: pytest.MonkeyPatch, target: str, code: int
) -> None:
    """W1: nothing can be made in the folder; simulated, for root may write everywhere."""
    labels = make_labels(0 if target == "x.png" else 4)
    write(tmp_path / target, labels)
    before = tree(tmp_path)

    def refuse(path: object, flags: int = 0, *args: object, **kwargs: object) -> int:
        raise OSError(code, os.strerror(code), str(path))

    def refuse_new(path: Path, mode: str = "r", *args: object, **kwargs: object) -> object:
        return opened(path, mode, *args, **kwargs) if "r" in mode and "+" not in mode else refuse(path)

    def refuse_low(path: str, flags: int, *args: int, **kwargs: int) -> int:
        return refuse(path) if flags & (os.O_WRONLY | os.O_RDWR) else opened_low(path, flags, *args, **kwargs)

    opened, opened_low = Path.open, os.open
    monkeypatch.setattr(Path, "open", refuse_new)
    monkeypatch.setattr(os, "open", refuse_low)
    for name in ("mkdir", "touch", "replace", "rename", "unlink"):
        monkeypatch.setattr(Path, name, refuse)
    monkeypatch.setattr(tifffile, "imwrite", lambda path, *a, **k: refuse(path))
    with pytest.raises(OutputError, match=r"cannot be written .*Choose a folder that you may write to"):
        write(tmp_path / target, replace(labels, data=labels.data * 0), overwrite=True)
    with pytest.raises(OutputError, match=r"cannot be written .*Choose a folder that you may write to"):
        check_writable(tmp_path / target)
    monkeypatch.undo()
    assert tree(tmp_path) == before


@pytest.mark.parametrize("target", ["x.tif", "sub/deeper/x.tif", "sub/folder"])
def test_looking_whether_a_place_can_be_written_leaves_nothing(tmp_path: Path, target: str) -> None:
    """W1."""
    check_writable(tmp_path / target)
    assert not list(tmp_path.iterdir())
    (tmp_path / "sub").touch()
    if target != "x.tif":
        with pytest.raises(OutputError, match=r"Not a directory.*is a file"):
            check_writable(tmp_path / target)


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="files without a name are Linux's")
def test_a_kill_while_looking_whether_a_place_can_be_written_leaves_nothing(tmp_path: Path) -> None:
    """W1: whatever would be removed afterwards is still there."""
    program = """
import os, pathlib, sys
from napari_medseg.io.atomic import check_writable
sys.addaudithook(lambda event, args: os._exit(9) if event == "os.remove" else None)
check_writable(pathlib.Path(sys.argv[1]))
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "x.tif")], check=False)
    assert not list(tmp_path.iterdir())


def test_a_small_text_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "new" / "run.json"
    write_text(target, "{}")
    write_text(target, '{"ä": 1}\n')
    assert tree(target.parent) == {"run.json": '{"ä": 1}\n'.replace("\n", os.linesep).encode()}
    with pytest.raises(UnicodeEncodeError):
        write_text(target, "half \udcff")
    with pytest.raises(OutputError, match="exists"):
        write_text(target, "{}", overwrite=False)
    assert tree(target.parent) == {"run.json": '{"ä": 1}\n'.replace("\n", os.linesep).encode()}


@pytest.mark.parametrize("target", ["x.png", "x.tif", "folder"])
@pytest.mark.parametrize("moves", range(3))
def test_power_cut_between_mask_and_sidecar_leaves_no_wrong_description(
    tmp_path: Path, make_labels: MakeLabels, monkeypatch: pytest.MonkeyPatch, target: str, moves: int
) -> None:
    """W3: masks of one model never lie beside the class names, or the missing slices, of another."""
    first = make_labels(0 if target == "x.png" else 4)
    missing = frozenset() if target == "x.png" else frozenset({1})
    write(tmp_path / target, replace(first, missing=missing))
    classes = (ClassInfo(value=1, name="liver", color="#e69f00"), ClassInfo(value=2, name="spleen", color="#56b4e9"))
    second = replace(first, classes=classes, data=first.data[..., ::-1].copy())
    moved = Path.replace
    done = 0

    def cut(path: Path, place: Path) -> Path:
        nonlocal done
        done += 1
        if done > moves:
            raise KeyboardInterrupt
        return moved(path, place)

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(Path, "replace", cut)
        write(tmp_path / target, second, overwrite=True)
    found = read_labels(tmp_path / target)
    names = {c.name for c in found.classes}
    for labels, name in ((first, "Schädel"), (second, "liver")):  # a file may hold its names itself
        if name in names:
            np.testing.assert_array_equal(found.data, labels.data)
            assert found.classes == labels.classes


@pytest.mark.parametrize("target", ["x.png", "x.tif", "folder"])
@pytest.mark.parametrize("existed", [False, True])
def test_full_disk_keeps_the_old_file_and_leaves_no_stub(
    tmp_path: Path, make_labels: MakeLabels, monkeypatch: pytest.MonkeyPatch, target: str, existed: bool
) -> None:
    """W2."""
    labels = make_labels(0 if target == "x.png" else 4)
    if existed:
        write(tmp_path / target, labels)
    before = tree(tmp_path)
    calls = 0

    def fill(chosen: Format, path: Path, labels: Labels) -> None:
        nonlocal calls
        calls += 1
        path.write_bytes(b"half of it")
        if calls > 2 or target != "folder":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(writing_module, "_call", fill)
    with pytest.raises(OutputError, match=f"{target} cannot be written .*No space left.*Free some space"):
        write(tmp_path / target, labels, overwrite=True)
    assert tree(tmp_path) == before


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="this system limits no file sizes")
@pytest.mark.parametrize("target", ["x.tif", "folder"])
def test_write_that_the_system_cuts_off_keeps_the_old_file(tmp_path: Path, target: str) -> None:
    """W2."""
    import resource

    data = np.random.default_rng(0).integers(0, 9, (3, 128, 128)).astype(np.uint8)
    labels = Labels(data=data, classes=(), geometry=Geometry.unknown(3))
    write(tmp_path / target, labels)
    before = tree(tmp_path)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
    try:
        with pytest.raises(OutputError, match=f"{target} cannot be written"):
            write(tmp_path / target, labels, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert tree(tmp_path) == before


def test_no_pixels_are_refused(tmp_path: Path) -> None:
    empty = Labels(data=np.zeros((0, 5, 5), np.uint8), classes=(), geometry=Geometry.unknown(3))
    with pytest.raises(OutputError, match="no labels to write"):
        write(tmp_path / "x.tif", empty)


def test_names_that_clash_without_case_are_refused(tmp_path: Path, make_labels: MakeLabels) -> None:
    """W9."""
    with pytest.raises(OutputError, match=r"A\.png, a\.png"):
        write(tmp_path / "out", make_labels(3, names=("A.png", "a.png", "b.png")))
    assert not list(tmp_path.iterdir())
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "B.PNG").touch()
    with pytest.raises(OutputError, match=r"'b\.png' and the existing 'B\.PNG'"):
        write(tmp_path / "there", make_labels(1, names=("b.png",)), overwrite=True)


def test_slices_of_one_name_do_not_overwrite_each_other(tmp_path: Path, make_labels: MakeLabels) -> None:
    """One series in two folders, each with a file 0.dcm."""
    labels = make_labels(names=("0.dcm", "1.dcm", "0.dcm", "1.dcm"))
    write(tmp_path / "masks", labels)
    assert sorted(p.name for p in (tmp_path / "masks").glob("*.png")) == [f"000{z}.png" for z in range(4)]
    same(read_labels(tmp_path / "masks"), labels)


def test_names_cannot_leave_the_folder(tmp_path: Path, make_labels: MakeLabels) -> None:
    write(tmp_path / "out", make_labels(1, names=("../../evil.png",)))
    assert sorted(tree(tmp_path)) == ["out/classes.json", "out/evil.png"]


def test_targets_that_cannot_be(tmp_path: Path, make_labels: MakeLabels) -> None:
    """F8."""
    (tmp_path / "x.tif").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        write(tmp_path / "x.tif", make_labels())
    (tmp_path / "plain").touch()
    with pytest.raises(OutputError, match="is a file"):
        write(tmp_path / "plain", make_labels())
    with pytest.raises(OutputError, match=r"one slice, there are 4.*\.tif"):
        write(tmp_path / "x.png", make_labels())
    with pytest.raises(OutputError, match="Known are"):
        write(tmp_path / "x.xyz", make_labels())
    written = {suffix for fmt in FORMATS if fmt.write for suffix in fmt.suffixes}
    for fmt in FORMATS:
        if not written.intersection(fmt.suffixes):
            with pytest.raises(OutputError, match="not written"):
                write(tmp_path / f"x{fmt.suffixes[0]}", make_labels(0))


def test_lazy_labels_are_written_slice_by_slice(tmp_path: Path, make_labels: MakeLabels) -> None:
    labels = make_labels(4)
    lazy = replace(labels, data=da.from_array(labels.data.astype(np.int32), chunks=(1, 11, 13)))
    write(tmp_path / "x.tif", lazy)
    same(read_labels(tmp_path / "x.tif"), labels)
    write(tmp_path / "out", lazy)
    same(read_labels(tmp_path / "out"), labels)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".seg.nrrd", ".mha", ".tif", ".ome.zarr"])
def test_places_of_uneven_slices_are_kept_or_their_loss_is_told(
    tmp_path: Path, make_labels: MakeLabels, suffix: str
) -> None:
    """D7: other programs read the file without the sidecar."""
    places = tuple((z, 2.0, 3.0) for z in (1.0, 4.0, 9.0, 10.0))
    even = make_labels()
    assert write(tmp_path / f"even{suffix}", even) == ()
    uneven = replace(even, geometry=Geometry(spacing=(3.0, 0.5, 0.25), origin=places[0], positions=places, unit="mm"))
    told = write(tmp_path / f"uneven{suffix}", uneven)
    assert [f.code for f in told] == ([] if suffix == ".ome.zarr" else ["POSITIONS_LOST"])
    assert all("DICOM SEG" in f.message for f in told)
    assert read_labels(tmp_path / f"uneven{suffix}").geometry.positions == places
