"""napari layers to images and labels and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.layers import Image as ImageLayer
from napari.layers import Labels as LabelsLayer

from napari_medseg import _layers
from napari_medseg.core import ClassInfo, Finding, Geometry, Image, InputError, Labels, ModelCard, Options

STACK = np.arange(3 * 40 * 50, dtype=np.uint16).reshape(3, 40, 50)
BONE = ClassInfo(value=1, name="femur", color="#e69f00")
CARD = ModelCard(name="femur-ct", classes=(BONE,))
# Not orthogonal on purpose: everything a layer's placement can hold.
PLACEMENT = {
    "scale": (5, 0.7, 0.7),
    "translate": (1, 2, 3),
    "rotate": (10, 20, 30),
    "shear": (0.1, 0.0, 0.2),
    "units": ("mm", "mm", "mm"),
}


def described() -> Image:
    return Image(
        STACK,
        "ZYX",
        Geometry(spacing=(5, 0.7, 0.7), origin=(1, 2, 3), direction=((-1, 0, 0), (0, 1, 0), (0, 0, 1)), unit="mm"),
        names=("1.png", "2.png", "4.png"),
        meaning="HU",
        source=Path("series"),
        findings=(Finding("MISSING_SLICES", "Slice 3 is missing.", ("3.png",)),),
        missing=frozenset({1}),
    )


def test_image_survives_the_way_through_a_layer() -> None:
    image = described()
    data, kwargs, kind = _layers.image_layer_data(image)
    layer = ImageLayer(data, **kwargs)
    back = _layers.image_from_layer(layer)
    assert kind == "image"
    assert layer.name == "series"
    assert back.data is image.data
    assert {**vars(back), "data": None} == {**vars(image), "data": None}


def test_labels_survive_the_way_through_a_layer() -> None:
    image = described()
    labels = Labels(
        np.array(STACK % 2, np.uint8), (BONE,), image.geometry, image.names, image.source, missing=frozenset({1})
    )
    data, kwargs, kind = _layers.labels_layer_data(labels)
    back = _layers.labels_from_layer(LabelsLayer(data, **kwargs))
    assert kind == "labels"
    assert back.data is labels.data
    assert {**vars(back), "data": None} == {**vars(labels), "data": None}


def test_spacing_corrected_on_the_layer_is_believed() -> None:
    data, kwargs, _ = _layers.image_layer_data(described())
    layer = ImageLayer(data, **kwargs)
    layer.scale = (3, 0.5, 0.5)
    geometry = _layers.image_from_layer(layer).geometry
    assert geometry.spacing == (3, 0.5, 0.5)
    assert geometry.origin == (1, 2, 3)


@pytest.mark.parametrize(
    ("units", "spacing", "unit"),
    [
        (("um", "um"), (2, 3), "um"),
        (("cm", "mm"), (20, 3), "mm"),
        (("nm", "nm"), (0.002, 0.003), "um"),
        (("um", "mm"), (0.002, 3), "mm"),
        (("pixel", "pixel"), (2, 3), "pixel"),
        (("pixel", "mm"), (2, 3), "pixel"),
    ],
)
def test_units_of_a_layer_become_those_of_the_geometry(
    units: tuple[str, ...], spacing: tuple[float, ...], unit: str
) -> None:
    geometry = _layers.image_from_layer(ImageLayer(STACK[0], scale=(2, 3), units=units)).geometry
    assert geometry.spacing == pytest.approx(spacing)
    assert geometry.unit == unit


def test_foreign_layer_gives_origin_and_direction() -> None:
    """G5."""
    layer = ImageLayer(STACK, scale=(5, 0.7, 0.7), translate=(1, 2, 3), rotate=(90, 0, 0), visible=False)
    geometry = _layers.image_from_layer(layer).geometry
    assert geometry.origin == (1, 2, 3)
    assert np.allclose(geometry.affine(), layer.affine.affine_matrix @ layer._data_to_world.affine_matrix)


@pytest.mark.parametrize(
    ("shape", "rgb", "axes"),
    [
        ((40, 50), False, "YX"),
        ((3, 40, 50), False, "ZYX"),
        ((40, 50, 3), True, "YXC"),
        ((2, 40, 50, 3), True, "ZYXC"),
        ((2, 40, 50, 4), True, "ZYXC"),
    ],
)
def test_grey_and_rgb_layers_are_understood(shape: tuple[int, ...], rgb: bool, axes: str) -> None:
    image = _layers.image_from_layer(ImageLayer(np.zeros(shape, np.uint8), rgb=rgb))
    assert image.axes == axes
    assert image.channels == (3 if rgb else 1)


@pytest.mark.parametrize("shape", [(2, 3, 40, 50), (40, 50, 3)])
def test_multichannel_layer_is_refused_in_one_sentence(shape: tuple[int, ...]) -> None:
    """G5."""
    layer = ImageLayer(np.zeros(shape, np.uint8), rgb=False, name="stain")
    with pytest.raises(InputError, match=r"Layer 'stain' of shape .* is neither grey nor RGB\."):
        _layers.image_from_layer(layer)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_transparent_pixels_become_white(dtype: type) -> None:
    white = 255 if dtype == np.uint8 else 1
    data = np.zeros((40, 50, 4), dtype)
    data[:20, :, 3] = white
    pixels = _layers.image_from_layer(ImageLayer(data, rgb=True)).slice(0)
    assert pixels.dtype == dtype
    assert pixels.shape == (40, 50, 3)
    assert (pixels[:20] == 0).all()
    assert (pixels[20:] == white).all()


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
def test_labels_lie_exactly_on_a_hidden_turned_sheared_layer() -> None:
    """G5."""
    affine = np.eye(4)
    affine[0, 3] = 7
    layer = ImageLayer(STACK, visible=False, affine=affine, name="femur", **PLACEMENT)
    labels = LabelsLayer(np.zeros(STACK.shape, np.uint8), **_layers.labels_layer_kwargs(layer, CARD))
    for point in ((0, 0, 0), (2, 39, 49), (1, 3, 4)):
        assert np.allclose(layer.data_to_world(point), labels.data_to_world(point))
    assert labels.units == layer.units
    assert labels.name == "femur labels"


def test_result_layer_shows_classes_and_keeps_how_it_was_made() -> None:
    class Settings(Options):
        tile: int = 256

    layer = ImageLayer(*_layers.image_layer_data(described())[:1], **_layers.image_layer_data(described())[1])
    data = np.zeros(STACK.shape, np.uint8)
    data[0, 0, 0] = 1
    data[0, 0, 1] = 9
    labels = LabelsLayer(data, **_layers.labels_layer_kwargs(layer, CARD, Settings()))
    assert np.allclose(labels.get_color(1), (0xE6 / 255, 0x9F / 255, 0, 1), atol=1e-3)
    assert np.allclose(labels.get_color(9), (1, 0, 1, 1), atol=1e-3)
    assert "femur" in labels.get_status((0, 0, 0), world=True)["value"]
    assert _layers.card_of(labels) == CARD
    assert labels.metadata["napari_medseg"]["options"] == {"tile": 256}
    back = _layers.labels_from_layer(labels)
    assert back.names == ("1.png", "2.png", "4.png")
    assert back.source == Path("series")
    assert back.missing == {1}
    assert [c.name for c in back.classes] == ["femur", "class 9"]
    assert back.classes[1].color != "#ff00ff"


@pytest.mark.parametrize("dtype", [np.int32, np.uint64, np.int64])
def test_foreign_labels_get_numbered_classes_in_their_own_colours(dtype: type) -> None:
    """V5."""
    values = np.array([[0, 2], [300, 70000]], dtype)
    layer = LabelsLayer(values, name="mask")
    classes = _layers.labels_from_layer(layer).classes
    assert [c.value for c in classes] == [2, 300, 70000]
    assert classes[0].name == "class 2"
    assert classes[0].color == "#" + "".join(f"{round(255 * float(part)):02x}" for part in layer.get_color(2)[:3])


def test_negative_labels_are_refused() -> None:
    """V5."""
    with pytest.raises(InputError, match="'mask' holds negative values"):
        _layers.labels_from_layer(LabelsLayer(np.full((4, 4), -1), name="mask"))


def test_several_channels_open_as_several_layers() -> None:
    image = Image(np.zeros((40, 50, 5), np.uint8), "YXC", Geometry.unknown(2))
    _, kwargs, _ = _layers.image_layer_data(image)
    assert kwargs["channel_axis"] == 2
    assert "rgb" not in kwargs
