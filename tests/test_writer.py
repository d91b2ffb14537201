"""What napari's Save does with labels layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.layers import Image as ImageLayer
from napari.layers import Labels as LabelsLayer
from npe2 import PluginManager

from napari_medseg import _layers, _writer, io
from napari_medseg._reader import get_reader
from napari_medseg.core import ClassInfo, Geometry, Labels, OutputError

GEOMETRY = Geometry(spacing=(5, 0.5, 0.5), unit="mm")
FEMUR = ClassInfo(value=1, name="femur", color="#123456")


def layer(name: str = "femur labels") -> LabelsLayer:
    data = np.zeros((2, 20, 30), np.uint8)
    data[:, 5:9, 5:9] = 1
    labels = Labels(data, (FEMUR,), GEOMETRY, ("7.png", "8.png"))
    data, kwargs, _ = _layers.labels_layer_data(labels)
    return LabelsLayer(data, **{**kwargs, "name": name})


def test_folder_has_masks_named_as_the_slices_and_reads_back(tmp_path: Path) -> None:
    data, meta, _ = layer().as_layer_data_tuple()
    target = tmp_path / "masks"
    assert _writer.write_folder(str(target), data, meta) == [str(target)]
    assert {"7.png", "8.png"} <= {p.name for p in target.iterdir()}
    back = io.read_labels(target)
    assert (back.data == data).all()
    assert back.classes == (FEMUR,)
    assert back.geometry == GEOMETRY


def test_existing_folder_is_refused(tmp_path: Path) -> None:
    """W5."""
    data, meta, _ = layer().as_layer_data_tuple()
    with pytest.raises(OutputError, match="exists"):
        _writer.write_folder(str(tmp_path), data, meta)


@pytest.mark.parametrize("name", ["case 1.5", "masks.png"])
def test_folder_name_with_a_dot_is_still_a_folder(name: str, tmp_path: Path) -> None:
    data, meta, _ = layer().as_layer_data_tuple()
    [written] = _writer.write_folder(str(tmp_path / name), data, meta)
    assert Path(written).is_dir()
    assert len(list(Path(written).glob("*.png"))) == 2


@pytest.mark.parametrize("name", ["masks.tif", "masks"])
def test_file_is_replaced_as_the_dialog_has_asked(name: str, tmp_path: Path) -> None:
    """W5."""
    data, meta, _ = layer().as_layer_data_tuple()
    for _ in range(2):
        written = _writer.write_file(str(tmp_path / name), data, meta)
    assert written == [str(tmp_path / "masks.tif")]
    assert (io.read_labels(tmp_path / "masks.tif").data == data).all()


def test_napari_shows_what_the_file_cannot_hold(tmp_path: Path) -> None:
    """D7: a warning becomes a notice in the window."""
    places = ((0.0, 0.0, 0.0), (5.0, 0.0, 0.0), (12.0, 0.0, 0.0))
    uneven = Geometry(spacing=(5, 0.5, 0.5), origin=places[0], positions=places, unit="mm")
    data, kwargs, _ = _layers.labels_layer_data(Labels(np.ones((3, 20, 30), np.uint8), (FEMUR,), uneven))
    taken = LabelsLayer(data, **kwargs).as_layer_data_tuple()
    with pytest.warns(UserWarning, match=r"unevenly, which x\.nii\.gz cannot say"):
        _writer.write_file(str(tmp_path / "x.nii.gz"), *taken[:2])


def test_layers_go_into_folders_of_their_own_and_images_stay_out(tmp_path: Path) -> None:
    image = ImageLayer(np.zeros((2, 20, 30)), name="ct")
    tuples = [x.as_layer_data_tuple() for x in (image, layer("left/right"), layer("both"))]
    written = _writer.write_folders(str(tmp_path / "out"), tuples)
    assert written == [str(tmp_path / "out" / "left_right"), str(tmp_path / "out" / "both")]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["both", "left_right"]


def test_names_that_clash_when_case_is_ignored_are_refused(tmp_path: Path) -> None:
    """W9."""
    tuples = [layer(name).as_layer_data_tuple() for name in ("Femur", "femur")]
    with pytest.raises(OutputError, match="same folder"):
        _writer.write_folders(str(tmp_path / "out"), tuples)
    assert not (tmp_path / "out").exists()


def test_foreign_layer_is_saved_with_numbered_classes(tmp_path: Path) -> None:
    foreign = LabelsLayer(np.full((8, 9), 3), name="x")
    data, meta, _ = foreign.as_layer_data_tuple()
    _writer.write_file(str(tmp_path / "x.png"), data, meta)
    back = io.read_labels(tmp_path / "x.png")
    assert [(c.value, c.name) for c in back.classes] == [(3, "class 3")]
    shown = "#" + "".join(f"{round(255 * float(part)):02x}" for part in foreign.get_color(3)[:3])
    assert back.classes[0].color == shown, "the colour the user saw"


@pytest.mark.parametrize(
    ("kinds", "command"),
    [
        (["labels"], "write_folder"),
        (["labels", "labels"], "write_folders"),
        (["image", "labels"], "write_folders"),
        (["image", "image", "labels", "labels"], "write_folders"),
    ],
)
def test_napari_offers_a_folder_of_masks_for_every_selection_with_labels(kinds: list[str], command: str) -> None:
    manager = PluginManager.instance()
    manager.discover()
    commands = {w.command for w in manager.iter_compatible_writers(kinds) if not w.filename_extensions}
    assert f"napari-medseg.{command}" in commands


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_shapes_are_saved_as_outlines_that_come_back(tmp_path: Path) -> None:
    """X4."""
    from napari.layers import Shapes

    from napari_medseg.io.outlines.registry import read_outlines

    shapes = Shapes([[[1.5, 1.5], [1.5, 8.5], [8.5, 8.5], [8.5, 1.5]]], features={"class": ["gland"]})
    data, meta, _ = shapes.as_layer_data_tuple()
    _writer.write_outlines(str(tmp_path / "a.geojson"), data, meta)
    found = read_outlines(tmp_path / "a.geojson")
    assert [c.name for c in found.classes] == ["gland"]
    assert sorted(map(tuple, found.regions[0].polygons[0][0].tolist())) == [(2, 2), (2, 9), (9, 2), (9, 9)]


OUTLINE_NAMES = ["a.geojson", "a.aperio.xml", "a.asap.xml", "a.coco.json", "a.labelme.json", "a.svg"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", OUTLINE_NAMES)
def test_outlines_keep_values_colours_size_and_place_in_every_format(tmp_path: Path, name: str) -> None:
    """X4, X5: what the file itself cannot hold lies in its sidecar."""
    from napari.layers import Shapes

    from napari_medseg._layers import outlines_from_layer

    classes = tuple(
        ClassInfo(value=v, name=n, color=c).model_dump()
        for v, n, c in [(7, "gland", "#e69f00"), (3, "duct", "#0072b2")]
    )
    geometry = Geometry(spacing=(0.5, 0.5), unit="um")
    info = {"classes": classes, "sizes": [[40, 50]], "geometry": geometry.model_dump(mode="json"), "names": ["a.tif"]}
    square = np.array([[1.5, 1.5], [1.5, 8.5], [8.5, 8.5], [8.5, 1.5]])
    shapes = Shapes(
        [square, square + 15], shape_type="polygon", features={"class": ["gland", "duct"]},
        metadata={"napari_medseg": info},
    )  # fmt: skip
    data, meta, _ = shapes.as_layer_data_tuple()
    _writer.write_outlines(str(tmp_path / name), data, meta)
    [(data, kwargs, _)] = get_reader(str(tmp_path / name))(str(tmp_path / name))
    found = outlines_from_layer(Shapes(data, **kwargs))
    assert [(c.value, c.name, c.color) for c in found.classes] == [(3, "duct", "#0072b2"), (7, "gland", "#e69f00")]
    assert sorted(r.value for r in found.regions) == [3, 7]
    assert (found.sizes, found.geometry) == (((40, 50),), geometry)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["a.coco.json", "a.labelme.json", "a.svg"])
def test_shapes_drawn_by_hand_are_saved_with_the_size_of_the_image_chosen_with_them(tmp_path: Path, name: str) -> None:
    """X4: formats that cannot do without the size of the image."""
    from napari.layers import Shapes

    from napari_medseg.io.outlines.registry import read_outlines

    drawn = Shapes([[[1, 1], [1, 8], [8, 8]]], shape_type="polygon").as_layer_data_tuple()
    picture = ImageLayer(np.zeros((30, 40))).as_layer_data_tuple()
    assert _writer.write_outlines_on_image(str(tmp_path / name), [drawn, picture]) == [str(tmp_path / name)]
    assert read_outlines(tmp_path / name).sizes == ((30, 40),)
    with pytest.raises(OutputError, match="size of the image"):
        _writer.write_outlines(str(tmp_path / "alone.coco.json"), *drawn[:2])
