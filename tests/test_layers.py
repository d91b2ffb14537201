"""napari layers to images and labels and back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image as ImageLayer
from napari.layers import Labels as LabelsLayer
from napari.layers import Shapes as ShapesLayer

from napari_medseg import _layers
from napari_medseg.core import ClassInfo, Finding, Geometry, Image, InputError, Labels, ModelCard, Options, Window
from napari_medseg.io.outlines.regions import Outlines, Region

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
        windows=(Window("bone", 0, 40),),
        modality="CT",
    )


def test_image_survives_the_way_through_a_layer() -> None:
    image = described()
    [(data, kwargs, kind)] = _layers.image_layers(image)
    layer = ImageLayer(data, **kwargs)
    back = _layers.image_from_layer(layer)
    assert kind == "image"
    assert layer.name == "series"
    assert back.data is image.data
    assert {**vars(back), "data": None} == {**vars(image), "data": None}


def test_what_another_plugin_keeps_under_our_name_is_not_ours() -> None:
    layer = LabelsLayer(np.zeros((4, 5), np.uint8), metadata={"napari_medseg": ["x"]})
    assert _layers.about_layer(layer) == {}
    assert not _layers.is_preview(layer)


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


def test_what_a_model_said_of_slices_survives_without_its_card() -> None:
    labels = Labels(np.zeros((2, 4, 5), np.uint8), (), Geometry.unknown(3), presence={0: 0.2, 1: 0.7}, threshold=0.6)
    data, kwargs, _ = _layers.labels_layer_data(labels)
    back = _layers.labels_from_layer(LabelsLayer(data, **kwargs))
    assert (dict(back.presence), back.threshold) == ({0: 0.2, 1: 0.7}, 0.6)


def test_slide_survives_the_way_through_a_layer() -> None:
    """Of each level, napari is given what reads it, not its pixels."""
    levels = tuple(np.full((400 // n, 600 // n, 3), n, np.uint8) for n in (1, 2, 5))
    image = Image(
        levels[0], "YXC", Geometry(spacing=(0.25, 0.25), unit="um"), ("a.svs",), "RGB", Path("a.svs"), levels=levels[1:]
    )
    [(data, kwargs, _)] = _layers.image_layers(image)
    layer = ImageLayer(data, **kwargs)
    back = _layers.image_from_layer(layer)
    assert (layer.multiscale, layer.rgb) == (True, True)
    assert all(one is other for one, other in zip(back.pyramid, image.pyramid, strict=True))
    assert {**vars(back), "data": None, "levels": ()} == {**vars(image), "data": None, "levels": ()}


def test_channels_of_a_slide_become_layers_with_levels() -> None:
    levels = tuple(np.stack([np.full((400 // n, 600 // n), c) for c in (10, 700)], axis=-1) for n in (1, 2))
    levels[1][0, 0] = 0
    image = Image(levels[0], "YXC", Geometry.unknown(2), meaning="channels", levels=levels[1:])
    layers = [ImageLayer(data, **kwargs) for data, kwargs, _ in _layers.image_layers(image)]
    assert [layer.multiscale for layer in layers] == [True, True]
    assert [layer.contrast_limits for layer in layers] == [[0, 10], [0, 700]]
    assert [int(layer.data[0][5, 5]) for layer in layers] == [10, 700]
    back = _layers.image_from_layer(layers[1])
    assert all(one is other for one, other in zip(back.pyramid, levels, strict=True)), "as lazy as it was read"


def test_transparent_slide_layers_are_white_at_every_level() -> None:
    levels = [np.zeros((400 // n, 600 // n, 4), np.uint8) for n in (1, 2)]
    image = _layers.image_from_layer(ImageLayer(levels, rgb=True, multiscale=True))
    assert [level.shape for level in image.pyramid] == [(400, 600, 3), (200, 300, 3)]
    assert all((np.asarray(level) == 255).all() for level in image.pyramid)


def test_labels_of_a_slide_show_what_is_not_computed_as_grey_and_not_as_a_class() -> None:
    """W3: zero would be taken for background."""
    levels = tuple(np.full((400 // n, 600 // n), 255, np.uint8) for n in (1, 2))
    for level in levels:
        level[:50], level[50:90], level[:2, :2] = 0, 1, 7
    labels = Labels(levels[0], (BONE,), Geometry.unknown(2), levels=levels[1:], not_computed=255)
    data, kwargs, _ = _layers.labels_layer_data(labels)
    layer = LabelsLayer(data, **kwargs)
    assert (layer.multiscale, layer.editable) == (True, False)
    assert np.allclose(layer.get_color(255), (0.5, 0.5, 0.5, 0.4), atol=0.01)
    assert "not computed" in layer.get_status((300, 300), world=True)["value"]
    for n, level in enumerate(levels, start=1):
        level[300 // n, 300 // n] = 1
    layer.refresh()
    assert "femur" in layer.get_status((300, 300), world=True)["value"], "results that are written are seen"
    back = _layers.labels_from_layer(layer)
    assert [c.value for c in back.classes] == [1, 7]
    assert back.not_computed == 255
    assert [one is other for one, other in zip((back.data, *back.levels), levels, strict=True)] == [True, True]


def test_spacing_corrected_on_the_layer_is_believed() -> None:
    [(data, kwargs, _)] = _layers.image_layers(described())
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

    layer = ImageLayer(*_layers.image_layers(described())[0][:1], **_layers.image_layers(described())[0][1])
    data = np.zeros(STACK.shape, np.uint8)
    data[0, 0, 0] = 1
    data[0, 0, 1] = 9
    labels = LabelsLayer(data, **_layers.labels_layer_kwargs(layer, CARD, Settings()))
    assert np.allclose(labels.get_color(1), (0xE6 / 255, 0x9F / 255, 0, 1), atol=1e-3)
    assert np.allclose(labels.get_color(9), (1, 0, 1, 1), atol=1e-3)
    assert "femur" in labels.get_status(labels.data_to_world((0, 0, 0)), world=True)["value"]
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


def shown(image: Image) -> list[ImageLayer]:
    return [ImageLayer(data, **kwargs) for data, kwargs, _ in _layers.image_layers(image, name="head")]


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("axes", ["YXC", "ZYXC"])
def test_any_channel_of_an_image_stands_for_the_whole(axes: str, channels: int) -> None:
    shape = (*(3,) * ("Z" in axes), 40, 50, channels)
    image = Image(np.arange(np.prod(shape)).reshape(shape), axes, Geometry.unknown(len(axes) - 1), meaning="channels")
    layers = shown(image)
    assert [layer.name for layer in layers] == ["head", *(f"head channel {n}" for n in range(2, channels + 1))]
    assert not any(layer.rgb for layer in layers), "four channels are not red, green, blue and how opaque"
    for index, layer in enumerate(layers):
        np.testing.assert_array_equal(layer.data, image.data[..., index])
        assert np.shares_memory(layer.data, image.data)
        back = _layers.image_from_layer(layer)
        assert back.data is image.data
        assert {**vars(back), "data": None} == {**vars(image), "data": None}


def test_layers_of_channels_are_called_as_these() -> None:
    image = Image(np.zeros((3, 4, 2)), "YXC", Geometry.unknown(2), meaning="channels", channel_names=("t1", "flair"))
    layers = shown(image)
    assert [layer.name for layer in layers] == ["head", "head flair"]
    assert _layers.image_from_layer(layers[1]).channel_names == ("t1", "flair")
    layers[0].metadata[_layers.METADATA]["channel_names"] = ["t1"]
    assert _layers.image_from_layer(layers[0]).channel_names == (), "as many as there are"


def test_channels_stay_lazy() -> None:
    """None is decoded to be shown, and none is held twice."""
    import dask.array as da

    whole = da.zeros((3, 40, 50, 4), chunks=(1, 40, 50, 4), dtype=np.uint16)
    data = [data for data, _, _ in _layers.image_layers(Image(whole, "ZYXC", Geometry.unknown(3), meaning="channels"))]
    assert [(type(one), one.shape) for one in data] == [(type(whole), (3, 40, 50))] * 4


def test_sequences_are_looked_at_one_by_one_and_dyes_together() -> None:
    data = np.zeros((40, 50, 3), np.uint8)
    mr, dyes = (shown(Image(data, "YXC", Geometry(spacing=(1, 1), unit=u), meaning="channels")) for u in ("mm", "um"))
    assert [(layer.visible, layer.colormap.name) for layer in mr] == [(True, "gray"), (False, "gray"), (False, "gray")]
    assert [layer.visible for layer in dyes] == [True] * 3
    assert len({layer.colormap.name for layer in dyes}) == 3
    assert [layer.blending for layer in dyes] == ["translucent_no_depth", "additive", "additive"]


def test_only_what_says_rgb_is_shown_in_colours() -> None:
    [layer] = shown(Image(np.zeros((40, 50, 3), np.uint8), "YXC", Geometry.unknown(2), meaning="RGB"))
    assert layer.rgb
    assert _layers.image_from_layer(layer).meaning == "RGB"


def test_first_channel_that_is_left_stands_for_an_image() -> None:
    image = Image(np.zeros((40, 50, 4), np.uint8), "YXC", Geometry.unknown(2), meaning="channels")
    grey, one, other = ImageLayer(np.zeros((40, 50))), shown(image), shown(replace(image, data=image.data.copy()))
    layers = [*reversed(one), grey, *other]
    assert _layers.leads(layers) == [one[0], grey, other[0]]
    assert _layers.lead_of(one[3], layers) is one[0]
    assert _layers.lead_of(one[3], one[1:]) is one[1]
    assert _layers.lead_of(grey, layers) is grey


def test_channel_whose_pixels_were_replaced_is_an_image_of_its_own() -> None:
    layers = shown(Image(np.zeros((40, 50, 4), np.uint8), "YXC", Geometry.unknown(2), meaning="channels"))
    layers[2].data = np.ones((40, 50), np.uint8)
    assert _layers.image_from_layer(layers[2]).axes == "YX"
    assert _layers.leads(layers) == [layers[0], layers[2]]


def turned(*degrees: float) -> np.ndarray:
    """Columns are the directions of the axes after turns about Z, Y and X."""
    made = np.eye(3)
    for (a, b), angle in zip(((1, 2), (0, 2), (0, 1)), np.deg2rad(degrees), strict=True):
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[b, a], turn[a, b] = np.sin(angle), -np.sin(angle)
        made = turn @ made
    return made


TILT = np.eye(3)
TILT[:, 0] = (np.cos(np.deg2rad(18.5)), np.sin(np.deg2rad(18.5)), 0)
# Rows of a coronal slice run to the feet, its columns to the patient's left, its slices to the back.
CORONAL = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]], float)
SAGITTAL = np.array([[0, -1, 0], [0, 0, 1], [1, 0, 0]], float)
DIRECTIONS = {
    "axes": np.eye(3),
    "from the head": np.diag([-1.0, 1, 1]),
    "NIfTI": np.diag([1.0, -1, -1]),
    "turned in its plane": turned(15, 0, 0),
    "oblique": turned(5, 12, 20),
    "tilted": TILT,
    "coronal": CORONAL,
    "coronal, upside down": CORONAL @ np.diag([1.0, -1, -1]),
    "sagittal": SAGITTAL,
    "sagittal, rows and columns swapped": SAGITTAL[:, [0, 2, 1]],
    "oblique coronal": turned(3, 4, 10) @ CORONAL,
}


def geometry_with(direction: np.ndarray, **more: object) -> Geometry:
    columns = tuple(map(tuple, direction.tolist()))
    return Geometry(spacing=(5, 0.7, 0.6), origin=(-812.5, 20, -130), direction=columns, unit="mm", **more)


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
@pytest.mark.parametrize("in_patient", [False, True])
@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_geometry_survives_the_way_through_a_layer(direction: np.ndarray, in_patient: bool) -> None:
    """D4, D5, N3: what is shown may be turned to the screen, what is saved never is."""
    geometry = geometry_with(direction)
    image = Image(STACK, "ZYX", geometry)
    [(data, kwargs, _)] = _layers.image_layers(image, in_patient=in_patient)
    layer = ImageLayer(data, **kwargs)
    assert _layers.image_from_layer(layer).geometry == geometry
    labels = LabelsLayer(np.zeros(STACK.shape, np.uint8), **_layers.labels_layer_kwargs(layer, CARD))
    assert _layers.labels_from_layer(labels).geometry == geometry


def test_positions_of_uneven_slices_survive_the_way_through_a_layer() -> None:
    """D3."""
    geometry = geometry_with(TILT, positions=((0, 0, 0), (4.2, 1, 0), (11.6, 2, 0)))
    data, kwargs, _ = _layers.labels_layer_data(Labels(np.zeros(STACK.shape, np.uint8), (BONE,), geometry))
    assert _layers.labels_from_layer(LabelsLayer(data, **kwargs)).geometry == geometry


@pytest.mark.parametrize("name", ["axes", "from the head", "NIfTI", "turned in its plane"])
def test_straight_slices_lie_in_patient_coordinates(name: str) -> None:
    """D5, N3: so series of one patient lie on each other, whichever way their axes run."""
    geometry = geometry_with(DIRECTIONS[name])
    [(data, kwargs, _)] = _layers.image_layers(Image(STACK, "ZYX", geometry))
    layer = ImageLayer(data, **kwargs)
    for index in ((0, 0, 0), (2, 39, 49)):
        assert np.allclose(layer.data_to_world(index), (geometry.affine() @ (*index, 1))[:3])


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_every_slice_is_seen_whole(direction: np.ndarray) -> None:
    """napari turns nothing out of the plane of a slice, and warns when asked to: warnings are errors here."""
    [(data, kwargs, _)] = _layers.image_layers(Image(STACK, "ZYX", geometry_with(direction)))
    viewer = ViewerModel()
    layer = viewer.add_image(data, **kwargs)
    seen = set()
    for step in range(viewer.dims.nsteps[0]):
        viewer.dims.set_current_step(0, step)
        seen.add(round(float(layer.world_to_data(viewer.dims.point)[0])))
    assert seen == {0, 1, 2}


@pytest.mark.parametrize(
    ("direction", "down", "right"),
    [
        (CORONAL, (-1, 0, 0), (0, 0, 1)),
        (CORONAL @ np.diag([1.0, -1, -1]), (-1, 0, 0), (0, 0, 1)),
        (SAGITTAL, (-1, 0, 0), (0, 1, 0)),
        (SAGITTAL[:, [0, 2, 1]], (-1, 0, 0), (0, 1, 0)),
        (turned(0, 0, 20), (0, 1, 0), (0, 0, 1)),
    ],
    ids=["coronal", "coronal upside down", "sagittal", "sagittal swapped", "oblique"],
)
def test_upright_slices_show_the_head_up(direction: np.ndarray, down: tuple[int, ...], right: tuple[int, ...]) -> None:
    """The patient's right is on the left of the screen, in sagittal slices the front."""
    geometry = geometry_with(direction)
    [(_, kwargs, _)] = _layers.image_layers(Image(STACK, "ZYX", geometry))
    shown = np.linalg.inv(kwargs["affine"][:3, :3])
    for screen, wanted in ((1, down), (2, right)):
        patient = direction @ shown[:, screen]
        assert patient @ np.array(wanted) > 0.9


def test_series_of_one_oblique_orientation_lie_on_each_other() -> None:
    """N3: the same slices stored from the other end, and a part of them."""
    whole = geometry_with(DIRECTIONS["oblique coronal"])
    part = _layers.part_of(whole, (1, 10, 20), (2, 20, 20))
    flipped = np.diag([-1.0, 1, 1, 1])
    flipped[0, 3] = 2
    other = Geometry.from_affine(whole.affine() @ flipped)
    layers = [ImageLayer(STACK, **_layers.image_layers(Image(STACK, "ZYX", g))[0][1]) for g in (whole, part, other)]
    at = layers[0].data_to_world((1, 10, 20))
    assert np.allclose(layers[1].data_to_world((0, 0, 0)), at)
    assert np.allclose(layers[2].data_to_world((1, 10, 20)), at)


@pytest.mark.parametrize("sign", [1, -1])
def test_slider_reaches_the_last_slice_wherever_the_stack_begins(sign: int) -> None:
    """D4: napari cuts off the number of steps, and rounding must not lose one."""
    random = np.random.default_rng(4)
    for slices in range(5, 65, 2):
        spacing, origin = (round(random.uniform(0.3, 8), 3), 0.7, 0.7), tuple(random.uniform(-900, 900, 3).tolist())
        geometry = Geometry(spacing=spacing, unit="mm", origin=origin, direction=tuple(
            tuple(row) for row in np.diag([float(sign), 1.0, 1.0]).tolist()))  # fmt: skip
        [(data, kwargs, _)] = _layers.image_layers(Image(np.zeros((slices, 6, 7), np.uint8), "ZYX", geometry))
        viewer = ViewerModel()
        viewer.add_image(data, **kwargs)
        assert viewer.dims.nsteps == (slices, 6, 7)


def test_windows_of_the_file_and_of_a_ct_are_offered_and_set() -> None:
    [(data, kwargs, _)] = _layers.image_layers(described())
    layer = ImageLayer(data, **kwargs)
    assert layer.contrast_limits == [0, 40]
    windows = _layers.windows_for(layer)
    assert [w.name for w in windows] == ["bone", "Bone", "Soft tissue", "Lung", "Brain"]
    _layers.set_window(layer, windows[1])
    assert layer.contrast_limits == [-500, 1300]


@pytest.mark.parametrize(("low", "offered"), [(-1024, 4), (0, 0)])
def test_volume_that_does_not_say_what_it_is_counts_as_ct_by_its_air(low: int, offered: int) -> None:
    """V3."""
    layer = ImageLayer(np.linspace(low, 1500, STACK.size).reshape(STACK.shape).astype(np.int16))
    assert len(_layers.windows_for(layer)) == offered


def outlines() -> Outlines:
    outer = np.array([[2, 2], [2, 20], [20, 20], [20, 2]], float)
    hole = np.array([[5, 5], [5, 9], [9, 9], [9, 5]], float)
    far = np.array([[24, 24], [24, 28], [28, 28], [28, 24]], float)
    regions = (Region(((outer, hole), (far,)), 1), Region(((outer + 12,),), 2))
    return Outlines(regions, (BONE, ClassInfo(value=2, name="marrow", color="#0072b2")), ((40, 50),), ("1.tif",))


def test_outlines_survive_the_way_through_a_shapes_layer() -> None:
    """X3, X4: holes, parts, classes, colours, and not half a pixel beside."""
    from napari_medseg.io.outlines.placing import filled

    data, kwargs, kind = _layers.outlines_layer_data(outlines())
    layer = ShapesLayer(data, **kwargs)
    back = _layers.outlines_from_layer(layer)
    assert kind == "shapes"
    assert back.classes == outlines().classes
    assert [len(r.polygons) for r in back.regions] == [2, 1]
    assert np.array_equal(filled(back).data, filled(outlines()).data)
    assert np.allclose(layer.edge_color[0][:3], (0xE6 / 255, 0x9F / 255, 0), atol=1e-3)


def test_outlines_that_cross_themselves_are_drawn_and_enclose_the_same() -> None:
    """X3: annotators' lines cross and touch themselves; napari cannot draw such a polygon, and raises."""
    from napari_medseg.io.outlines.placing import filled

    bow = np.array([[2, 2], [20, 20], [20, 2], [2, 20], [11, 30]], float)
    touching = np.array([[22, 2], [30, 10], [38, 2], [38, 18], [30, 10], [22, 18]], float)
    drawn = replace(outlines(), regions=(Region(((bow,),), 1), Region(((touching,),), 2)))
    data, kwargs, _ = _layers.outlines_layer_data(drawn)
    layer = ShapesLayer(data, **kwargs)
    assert len(layer.data) > 2
    back = _layers.outlines_from_layer(layer)
    assert len(back.regions) == 2, "the parts of one region stay one region"
    assert np.array_equal(filled(back).data, filled(drawn).data)


def test_cut_to_a_hole_crosses_nothing() -> None:
    """X3: the nearest corner may lie across a bay; a cut through it cannot be drawn."""
    outer = np.array([[0, 0], [0, 30], [30, 30], [30, 0], [16, 0], [16, 9], [14.5, 9], [14.5, 0]], float)
    hole = np.array([[20, 12], [20, 20], [10, 20], [10, 12], [14, 9.5]], float)
    second = np.array([[10, 20], [8, 25], [12, 25]], float)
    drawn = replace(outlines(), regions=(Region(((outer, hole, second),), 1),))
    data, kwargs, _ = _layers.outlines_layer_data(drawn)
    layer = ShapesLayer(data, **kwargs)
    mask = layer.to_labels((40, 50))
    assert mask[5, 5] == 1
    assert not mask[15, 15]
    assert not mask[10, 23]


def test_foreign_shapes_keep_the_values_of_their_features() -> None:
    square = np.array([[0, 0], [0, 9], [9, 9], [9, 0]])
    layer = ShapesLayer([square, square], features={"class": ["gland", "duct"], "value": [7, 3]})
    found = _layers.outlines_from_layer(layer)
    assert {c.name: c.value for c in found.classes} == {"gland": 7, "duct": 3}


def test_lines_are_left_out_of_outlines_and_counted() -> None:
    """X3."""
    layer = ShapesLayer(
        [[[0, 0], [5, 5]], [[0, 0], [0, 9], [9, 9], [9, 0]]], shape_type=["line", "ellipse"], name="drawn"
    )
    found = _layers.outlines_from_layer(layer)
    assert len(found.regions) == 1
    assert found.findings[0].message.startswith("1 line")
