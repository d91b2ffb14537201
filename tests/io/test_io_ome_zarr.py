"""OME-Zarr: images of other programs, lazily; labels that other programs open; and folders that lie."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr

from napari_medseg.core import ClassInfo, Geometry, InputError, Labels, OutputError, Window
from napari_medseg.io import read, read_labels, write
from napari_medseg.io.pyramid import LARGE, halve

MakeLabels = Callable[..., Labels]
VOXELS = np.random.default_rng(0).integers(1, 900, (2, 3, 4, 30, 40)).astype(np.uint16)
SPACE = [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
AXES = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}, *SPACE]


def put_image(group: zarr.Group, data: Any, axes: list[Any], version: str = "0.5", **more: Any) -> None:
    """What another program writes, with a scale of its own and one of all levels."""
    ndim = len(axes)
    group.create_array("0", data=data, chunks=(*(1,) * (ndim - 2), 16, 16))
    about = {
        "axes": axes,
        "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0.5] * ndim}]}],
        "coordinateTransformations": [
            {"type": "scale", "scale": [*[4] * (ndim - 2), 1, 1]},
            {"type": "translation", "translation": [*[5] * (ndim - 2), 6, 7]},
        ],
        "name": "x",
    }
    if version == "0.4":
        group.attrs.update({"multiscales": [{**about, "version": version}], **more})
    else:
        group.attrs["ome"] = {"version": version, "multiscales": [about], **more}


def make(path: Path, data: Any, axes: list[Any], version: str = "0.5", **more: Any) -> Path:
    put_image(zarr.create_group(path, zarr_format=2 if version == "0.4" else 3), data, axes, version, **more)
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("dtype", ["<u2", ">u2", "int8", "float32"])
def test_slices_are_read_in_place_and_lazily(tmp_path: Path, version: str, dtype: str) -> None:
    """S8: chunks are decoded when asked for."""
    data = VOXELS[0, 0].astype(dtype)
    image = read(make(tmp_path / "x.ome.zarr", data, SPACE, version))
    assert image.axes == "ZYX"
    assert image.geometry == Geometry(spacing=(2.0, 0.5, 0.5), origin=(5.0, 6.0, 7.0), unit="um")
    assert isinstance(image.data, da.Array)
    assert image.slice(0).dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(np.asarray(image.data), data)


def test_channels_and_time_points(tmp_path: Path) -> None:
    path = make(tmp_path / "x.zarr", VOXELS, AXES)
    with pytest.raises(InputError, match="several series: 'time 1', 'time 2'"):
        read(path)
    image = read(path, series="time 2")
    assert (image.axes, image.meaning) == ("ZYXC", "channels")
    np.testing.assert_array_equal(np.asarray(image.data), np.moveaxis(VOXELS[1], 0, -1))
    movie = read(make(tmp_path / "y.zarr", VOXELS[:, :1, :1], AXES))
    np.testing.assert_array_equal(np.asarray(movie.data), VOXELS[:, 0, 0])


def test_channels_are_called_as_the_file_says(tmp_path: Path) -> None:
    """Where each has a name."""
    count = VOXELS.shape[1]
    labels = [f"dye {c}" for c in "abcdefgh"[:count]]
    for names, told in ((labels, tuple(labels)), (["", *labels[1:]], ()), (labels[:-1], ()), (["a"] * count, ())):
        omero = {"channels": [{"label": name, "color": "FFFFFF"} for name in names]}
        path = make(tmp_path / f"{len(names)}{names[0]}.zarr", VOXELS[0, :, 0], AXES[1:2] + SPACE[1:], omero=omero)
        assert read(path).channel_names == told


def test_single_images_with_all_five_axes_are_single_images(tmp_path: Path) -> None:
    image = read(make(tmp_path / "x.zarr", VOXELS[:1, :1, :1], AXES))
    assert image.axes == "YX"
    np.testing.assert_array_equal(image.slice(0), VOXELS[0, 0, 0])


def test_red_green_and_blue_are_a_colour_image(tmp_path: Path) -> None:
    colors = [{"color": c, "window": {"start": 0, "end": 9}} for c in ("FF0000", "00FF00", "0000FF")]
    image = read(make(tmp_path / "x.zarr", VOXELS[0, :, 0], AXES[1:2] + SPACE[1:], omero={"channels": colors}))
    assert (image.axes, image.meaning) == ("YXC", "RGB")
    window = [{"color": "FFFFFF", "label": "DAPI", "window": {"start": 10, "end": 500}}]
    image = read(make(tmp_path / "y.zarr", VOXELS[0, 0, 0], SPACE[1:], omero={"channels": window}))
    assert image.windows == (Window("DAPI", 10, 500),)


@pytest.mark.parametrize("kind", ["series", "plate", "labels"])
def test_images_within_are_chosen_by_their_path(tmp_path: Path, kind: str) -> None:
    about = {
        "series": {"bioformats2raw.layout": 3},
        "plate": {"plate": {"wells": [{"path": "A/1"}]}},
        "labels": {"labels": ["0", "1"]},
    }[kind]
    root = zarr.create_group(tmp_path / "x.zarr", attributes={"ome": {"version": "0.5", **about}})
    home, prefix = root, ""
    if kind == "plate":
        well = {"ome": {"version": "0.5", "well": {"images": [{"path": "0"}, {"path": "1"}]}}}
        home, prefix = root.create_group("A/1", attributes=well), "A/1/"
    for n in range(2):
        put_image(home.create_group(str(n)), VOXELS[n, 0, 0], SPACE[1:])
    with pytest.raises(InputError, match=f"several series: '{prefix}0', '{prefix}1'"):
        read(tmp_path / "x.zarr")
    np.testing.assert_array_equal(read(tmp_path / "x.zarr", series=f"{prefix}1").slice(0), VOXELS[1, 0, 0])


@pytest.mark.parametrize("unit", [None, "second"])
def test_a_scale_without_a_length_is_no_spacing(tmp_path: Path, unit: str | None) -> None:
    axes = [{"name": a, "type": "space", **({"unit": unit} if unit else {})} for a in "yx"]
    image = read(make(tmp_path / "x.zarr", VOXELS[0, 0, 0], axes))
    assert not image.geometry.known
    assert "NO_SPACING" in {f.code for f in image.findings}


def test_written_labels_follow_the_specification(tmp_path: Path, make_labels: MakeLabels) -> None:
    write(tmp_path / "x.ome.zarr", make_labels(4))
    group = zarr.open_group(tmp_path / "x.ome.zarr", mode="r")
    assert group.metadata.zarr_format == 3
    ome: Any = group.attrs["ome"]
    assert ome["version"] == "0.5"
    assert ome["image-label"] == {
        "colors": [{"label-value": 1, "rgba": [230, 159, 0, 255]}, {"label-value": 2, "rgba": [86, 180, 233, 255]}],
        "properties": [{"label-value": 1, "name": "femur"}, {"label-value": 2, "name": "Schädel"}],
    }
    [about] = ome["multiscales"]
    assert about["axes"] == [{"name": a, "type": "space", "unit": "millimeter"} for a in "zyx"]
    [level] = about["datasets"]
    assert level["coordinateTransformations"] == [
        {"type": "scale", "scale": [3.0, 0.5, 0.25]},
        {"type": "translation", "translation": [1.0, 2.0, 3.0]},
    ]
    array: Any = group[level["path"]]
    assert array.metadata.dimension_names == ("z", "y", "x")


def test_labels_of_other_programs_bring_names_and_colours(tmp_path: Path) -> None:
    label = {
        "colors": [{"label-value": 1, "rgba": [255, 0, 0, 255]}, {"label-value": 0, "rgba": [0, 0, 0, 0]}],
        "properties": [{"label-value": 1, "class": "bone"}, {"label-value": 3, "name": "fat"}],
    }
    data = np.eye(20, 30, dtype=np.int32) * 3
    labels = read_labels(make(tmp_path / "x.zarr", data, SPACE[1:], **{"image-label": label}))
    np.testing.assert_array_equal(labels.data, data)
    assert labels.classes == (
        ClassInfo(value=1, name="bone", color="#ff0000"),
        ClassInfo.numbered(3, "fat"),
    )


def test_masks_alone_keep_everything(tmp_path: Path, make_labels: MakeLabels) -> None:
    """D3, D4: classes, direction and the position of every slice, without the sidecar."""
    geometry = Geometry(
        spacing=(3.0, 0.5, 0.25), origin=(0.0, 1.0, 2.0), unit="mm",
        direction=((1.0, 0.0, 0.0), (0.0, 0.6, 0.8), (0.0, -0.8, 0.6)),
        positions=((0.0, 1.0, 2.0), (3.0, 1.0, 2.0), (6.5, 1.0, 2.0), (9.0, 1.0, 2.0)),
    )  # fmt: skip
    labels = make_labels(4, geometry=geometry)
    write(tmp_path / "x.ome.zarr", labels)
    (tmp_path / "x.ome.zarr.classes.json").unlink(missing_ok=True)
    again = read_labels(tmp_path / "x.ome.zarr")
    np.testing.assert_array_equal(again.data, labels.data)
    assert (again.classes, again.geometry) == (labels.classes, geometry)
    ome: Any = zarr.open_group(tmp_path / "x.ome.zarr", mode="r").attrs["ome"]
    moved = ome["multiscales"][0]["datasets"][0]["coordinateTransformations"][1]
    assert moved["translation"] == [0, 0, 0], "a place without its direction would be a wrong one"


def test_a_geometry_that_no_longer_fits_is_not_taken(tmp_path: Path, make_labels: MakeLabels) -> None:
    write(tmp_path / "x.zarr", make_labels(4))
    (tmp_path / "x.zarr.classes.json").unlink(missing_ok=True)
    group = zarr.open_group(tmp_path / "x.zarr", mode="r+")
    ome: Any = group.attrs["ome"]
    ome["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"] = [3, 1, 1]
    group.attrs["ome"] = ome
    assert read_labels(tmp_path / "x.zarr").geometry.spacing == (3, 1, 1)


def test_labels_of_a_slide_have_levels(tmp_path: Path) -> None:
    data = np.zeros((LARGE + 5, 67), np.uint16)
    data[100:300, 10:40] = 700
    labels = Labels(data=da.from_array(data), classes=(), geometry=Geometry(spacing=(0.5, 0.25), unit="um"))
    write(tmp_path / "x.zarr", labels)
    group: Any = zarr.open_group(tmp_path / "x.zarr", mode="r")
    assert [group[str(n)].shape for n in range(4)] == [(4101, 67), (2051, 34), (1026, 17), (513, 9)]
    np.testing.assert_array_equal(group["1"][:], halve(data))
    second = group.attrs["ome"]["multiscales"][0]["datasets"][1]["coordinateTransformations"]
    assert second[0]["scale"] == [1.0, 0.5]
    assert second[1]["translation"] == [0.25, 0.125], "a level's first pixel lies between four"
    again = read_labels(tmp_path / "x.zarr")
    np.testing.assert_array_equal(again.data, data)
    assert again.geometry == labels.geometry


def test_masks_are_replaced_as_a_whole_and_images_never(tmp_path: Path, make_labels: MakeLabels) -> None:
    """W5."""
    target = tmp_path / "x.zarr"
    write(target, make_labels(4))
    with pytest.raises(OutputError, match="exists"):
        write(target, make_labels(3))
    labels = make_labels(3)
    write(target, replace(labels, data=labels.data[::-1]), overwrite=True)
    np.testing.assert_array_equal(read_labels(target).data, labels.data[::-1])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.zarr", "x.zarr.classes.json"], "nothing temporary is left"
    image = make(tmp_path / "y.zarr", VOXELS[0, 0], SPACE)
    with pytest.raises(OutputError, match="not written as masks"):
        write(image, labels, overwrite=True)
    np.testing.assert_array_equal(read(image).slice(0), VOXELS[0, 0, 0])


def test_chunks_that_are_not_there_are_told(tmp_path: Path) -> None:
    path = make(tmp_path / "x.zarr", VOXELS[0, 0], SPACE)
    (path / "0" / "c" / "1" / "0" / "0").unlink()
    finding = next(f for f in read(path).findings if f.code == "MISSING_CHUNKS")
    assert finding.message.startswith("1 of 24 chunks are not in x.zarr; they are read as 0")


def test_a_damaged_chunk_is_loud(tmp_path: Path) -> None:
    """F1."""
    path = make(tmp_path / "x.zarr", VOXELS[0, 0], SPACE)
    (path / "0" / "c" / "2" / "0" / "0").write_bytes(b"nonsense")
    image = read(path)
    np.testing.assert_array_equal(image.slice(1), VOXELS[0, 0, 1])
    with pytest.raises(InputError, match=r"x\.zarr is damaged"):
        image.slice(2)


def test_claims_beyond_the_memory_are_refused(tmp_path: Path) -> None:
    """F3, F4: before anything is allocated."""
    for name, shape, chunks in (("a", (400_000, 400_000), (512, 512)), ("b", (2**40, 9, 9), (1, 9, 9))):
        group = zarr.create_group(tmp_path / f"{name}.zarr")
        put_image(group, VOXELS[0, 0, 0] if name == "a" else VOXELS[0, 0], SPACE[-len(shape) :])
        file = tmp_path / f"{name}.zarr" / "0" / "zarr.json"
        about = json.loads(file.read_text())
        about["shape"], about["chunk_grid"]["configuration"]["chunk_shape"] = shape, chunks
        file.write_text(json.dumps(about))
        with pytest.raises(InputError, match=r"claims 400000 x 400000 pixels|claims .* chunks"):
            read(tmp_path / f"{name}.zarr")


BOMBS: dict[str, Callable[[], bytes]] = {
    "blosc": lambda: struct.pack("<BBBBIII", 2, 1, 0, 1, 2**31 - 1, 2**20, 16 + 9) + b"\0" * 9,
    "zstd": lambda: b"\x28\xb5\x2f\xfd" + bytes([0xE0]) + struct.pack("<Q", 2**40) + b"\0" * 9,
    "gzip": lambda: gzip.compress(b"\0" * 2**24),
    "zlib": lambda: zlib.compress(b"\0" * 2**24),
}


@pytest.mark.parametrize("codec", BOMBS)
def test_a_chunk_that_claims_too_much_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str
) -> None:
    """F3: codecs allocate what a chunk claims, whatever the size of chunks is said to be."""
    path = make(tmp_path / "x.zarr", VOXELS[0, 0], SPACE)
    image = read(path)
    (path / "0" / "c" / "0" / "0" / "0").write_bytes(BOMBS[codec]())
    monkeypatch.setattr("napari_medseg.io.zarr.store.memory_budget", lambda: 2**20)
    with pytest.raises(InputError, match=r"A chunk of x\.zarr \(0/c/0/0/0\) claims"):
        image.slice(0)
    np.testing.assert_array_equal(image.slice(1), VOXELS[0, 0, 1])


def test_lack_of_memory_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F3."""
    image = read(make(tmp_path / "x.zarr", VOXELS[0, 0], SPACE))

    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("zarr.core.array.Array.__getitem__", fail)
    with pytest.raises(InputError, match=r"x\.zarr takes more memory than there is"):
        image.slice(0)


def test_time_points_beyond_the_first_thousand_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "x.zarr", VOXELS[:, 0], [AXES[0], *SPACE])
    assert "MORE_TIMES" not in {f.code for f in read(path, series="time 1").findings}
    monkeypatch.setattr("napari_medseg.io.zarr.image.MOST_TIMES", 1)
    monkeypatch.setattr("napari_medseg.io.formats.zarr.MOST_TIMES", 1)
    (told,) = [f.message for f in read(path).findings if f.code == "MORE_TIMES"]
    assert "2 time points" in told


@pytest.mark.parametrize("path", ["../y.zarr/0", "/etc", "0/../../y.zarr/0"])
def test_paths_out_of_the_folder_are_refused(tmp_path: Path, path: str) -> None:
    """M8, D13: an image names only what lies within it."""
    make(tmp_path / "y.zarr", VOXELS[0, 0, 0], SPACE[1:])
    root = zarr.open_group(make(tmp_path / "x.zarr", VOXELS[0, 0, 0], SPACE[1:]), mode="r+")
    ome: Any = root.attrs["ome"]
    ome["multiscales"][0]["datasets"][0]["path"] = path
    root.attrs["ome"] = ome
    with pytest.raises(InputError, match="outside of it"):
        read(tmp_path / "x.zarr")


@pytest.mark.parametrize(
    "ome",
    [
        {}, [], 7, {"multiscales": []}, {"multiscales": [{}]}, {"multiscales": [{"datasets": [{"path": "0"}]}]},
        {"multiscales": [{"axes": ["x", "y"], "datasets": [{"path": "0"}]}]},
        {"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "none"}]}]},
        {"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "0", "coordinateTransformations": [
            {"type": "scale", "scale": [0, -1]}]}]}]},
        {"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "0", "coordinateTransformations": [
            {"type": "scale", "scale": [10**400, 1]}]}]}]},
        {"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "0", "coordinateTransformations": [
            {"type": "affine"}]}]}]},
        {"plate": {"wells": [{"path": "A"}]}}, {"labels": [None]},
    ],
)  # fmt: skip
def test_senseless_metadata_gives_one_sentence(tmp_path: Path, ome: Any) -> None:
    make(tmp_path / "x.zarr", VOXELS[0, 0, 0], SPACE[1:])
    file = tmp_path / "x.zarr" / "zarr.json"
    about = json.loads(file.read_text())
    about["attributes"]["ome"] = ome
    file.write_text(json.dumps(about))
    with pytest.raises(InputError, match=r"x\.zarr"):
        read(tmp_path / "x.zarr")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"zarr_format": 3, "node_type": "array"}'])
def test_folders_that_are_no_zarr_are_refused(tmp_path: Path, content: bytes) -> None:
    """F8."""
    (tmp_path / "x.zarr").mkdir()
    with pytest.raises(InputError, match=r"x\.zarr"):
        read(tmp_path / "x.zarr")
    (tmp_path / "x.zarr" / "zarr.json").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.zarr"):
        read(tmp_path / "x.zarr")
    (tmp_path / "y.zarr").write_bytes(b"a file, no folder")
    with pytest.raises(InputError, match=r"y\.zarr"):
        read(tmp_path / "y.zarr")
