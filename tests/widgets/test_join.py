"""Layers > Data > Join selected images as channels: several image layers become one image to every dock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import nibabel as nib
import numpy as np
import pytest
from napari._app_model import get_app_model
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager

from napari_medseg._layers import image_from_layer
from napari_medseg._reader import read_layers
from napari_medseg.core import ClassInfo, Image, Labels, ModelCard, Progress, silent
from napari_medseg.io import join_channels, read
from napari_medseg.training import TrainOptions
from napari_medseg.widgets import segment
from napari_medseg.widgets.join import join_selected
from napari_medseg.widgets.layer_picker import LayerPicker
from napari_medseg.widgets.model_picker import ModelPicker
from napari_medseg.widgets.pairs_list import ChosenPair
from napari_medseg.widgets.segment import SegmentWidget
from napari_medseg.widgets.snapshot import Order, save_run, take_snapshots
from napari_medseg.widgets.truth import find_truth

SHAPE = (3, 40, 36)
BOTH = ModelCard(name="sequences", channels=2, classes=(ClassInfo.numbered(1, "tumour"),))


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    found = []
    for number, name in enumerate(("t1", "flair")):
        pixels = np.random.default_rng(number).integers(0, 4000, SHAPE).astype((np.int16, np.float32)[number])
        affine = np.diag([-0.8, -0.8, 3.0, 1])
        affine[:3, 3] = (12, 7, -30)
        nib.save(nib.Nifti1Image(pixels.transpose(), affine), tmp_path / f"{name}.nii.gz")
        found.append(tmp_path / f"{name}.nii.gz")
    return found


@pytest.fixture
def opened(viewer: ViewerModel, paths: list[Path]) -> list[Any]:
    return [viewer.add_image(data, **kwargs) for path in paths for data, kwargs, _ in read_layers(str(path))]


def told() -> list[str]:
    """What was notified, newest last."""
    return [str(one.message) for one in notification_manager.records]


def test_selected_layers_are_one_image_from_the_lowest_to_the_highest(
    viewer: ViewerModel, opened: list[Any], paths: list[Path]
) -> None:
    viewer.layers.selection = {*reversed(opened)}
    join_selected(viewer)
    new = viewer.layers[-1]
    assert (len(viewer.layers), new.name, viewer.layers.selection.active) == (3, "t1 + flair", new)
    np.testing.assert_array_equal(new.extent.world, opened[0].extent.world)
    assert new.data is opened[0].data, "no pixel is copied"
    for layer in opened:
        viewer.layers.remove(layer)
    taken, wanted = image_from_layer(new), join_channels([read(path) for path in paths])
    assert isinstance(taken.data, da.Array), "nor read"
    np.testing.assert_array_equal(taken.data, wanted.data)
    assert {**vars(taken), "data": None, "others": ()} == {**vars(wanted), "data": None, "others": ()}


def test_the_order_of_the_list_is_that_of_the_channels(viewer: ViewerModel, opened: list[Any]) -> None:
    viewer.layers.move(1, 0)
    viewer.layers.selection = {*opened, viewer.add_labels(np.zeros(SHAPE, np.uint8))}
    join_selected(viewer)
    new = viewer.layers[-1]
    assert new.name == "flair + t1", "labels are no channels"
    viewer.layers.selection = {new, viewer.add_image(np.ones(SHAPE), name="map", **{"scale": new.scale})}
    join_selected(viewer)
    assert image_from_layer(viewer.layers[-1]).channels == 3, "joined images bring all of theirs"


def test_the_docks_take_it_as_one_image(
    qtbot: Any, viewer: ViewerModel, opened: list[Any], cards: list[ModelCard], monkeypatch: Any
) -> None:
    seen = []

    def look(image: Image, card: ModelCard, options: Any, report: Any) -> Labels:
        seen.append(image.slice(1).shape)
        found = np.ones(image.shape, np.uint8)
        report(Progress("Segmenting", 1, 3, region=(1,), result=found[1]))
        return Labels(found, card.classes, image.geometry)

    monkeypatch.setattr(segment, "_segment", look)
    cards[:] = [*cards[:1], BOTH]
    viewer.layers.selection = {*opened}
    join_selected(viewer)
    dock = SegmentWidget(viewer)
    qtbot.addWidget(dock)
    assert (dock.image.value(), dock.model.value()) == (viewer.layers[-1], BOTH)
    with qtbot.waitSignal(dock.panel.job.finished, timeout=5000):
        dock.panel.run.click()
    assert (seen, viewer.layers[-1].name) == ([(40, 36, 2)], "t1 + flair labels")
    picker = LayerPicker(viewer, "image")
    qtbot.addWidget(picker)
    assert [picker.box.itemText(i) for i in range(picker.box.count())] == ["t1 + flair", "flair", "t1"]
    picker.close_down()


def test_three_sequences_are_not_said_to_be_rgb(
    qtbot: Any, viewer: ViewerModel, opened: list[Any], cards: list[ModelCard]
) -> None:
    cards[:] = cards[:1]
    third = viewer.add_image(opened[0].data[:] + 1, scale=opened[0].scale, translate=opened[0].translate)
    third.affine, third.units = opened[0].affine, opened[0].units
    viewer.layers.selection = {*opened, third}
    join_selected(viewer)
    dock = SegmentWidget(viewer)
    qtbot.addWidget(dock)
    assert dock.model.reason == "needs grey, this has 3 channels"


def test_layers_name_the_channels_and_swapped_ones_fit_no_model(
    qtbot: Any, viewer: ViewerModel, opened: list[Any], cards: list[ModelCard]
) -> None:
    strange = BOTH.model_copy(update={"name": "a-scan", "channel_names": ("ct", "pet")})
    known = BOTH.model_copy(update={"channel_names": ("t1", "flair")})
    cards[:] = [strange, known]

    def picker_of(*names: str, starts: bool = False) -> ModelPicker:
        for layer, name in zip(opened, names, strict=True):
            layer.name = name
        viewer.layers.selection = {*opened}
        join_selected(viewer)
        picker = ModelPicker(starts=starts)
        qtbot.addWidget(picker)
        picker.set_image(image_from_layer(viewer.layers.pop()))
        return picker

    fits = picker_of("t1", "flair")
    assert (fits.value(), "this has" in fits.summary.text()) == (known, False)
    other = picker_of("before t1", "before t2")
    other.set_value(known)
    assert other.summary.text().endswith("has learnt from t1, flair, this has t1, t2")
    reason = "has learnt from t1, flair, this has flair, t1"
    for starts in (True, False):
        swapped = picker_of("flair", "t1", starts=starts)
        item = swapped.box.model().item(1)
        assert (item.text(), item.isEnabled()) == (f"sequences  v1 – {reason}", False)
    assert (swapped.value(), swapped.summary.text()) == (None, reason), "rather than one for something else"
    assert "Join layers in that order" in swapped.advice


@pytest.mark.parametrize("order", [("scan", "scan [1]"), ("scan [1]", "scan")])
def test_of_layers_of_one_name_the_files_say_what_they_are(
    viewer: ViewerModel, opened: list[Any], order: tuple[str, str]
) -> None:
    """Which of them has a number in its name depends on which was opened first."""
    for layer, name in zip(opened, order, strict=True):
        layer.name = name
    viewer.layers.selection = {*opened}
    join_selected(viewer)
    assert image_from_layer(viewer.layers[-1]).channel_names == ("t1", "flair")


def test_a_training_gets_all_channels(viewer: ViewerModel, opened: list[Any]) -> None:
    viewer.layers.selection = {*opened}
    join_selected(viewer)
    new = viewer.layers[-1]
    painted = np.zeros(SHAPE, np.uint8)
    painted[1, 4:9] = 1
    labels = viewer.add_labels(painted, scale=new.scale)
    pair = ChosenPair(new, labels, find_truth(labels))
    run = save_run(Order(tuple(take_snapshots([pair])), BOTH, "sequences@1", "mine", TrainOptions()), silent)
    saved = read(run.pairs[0].image)
    assert (saved.channels, saved.meaning) == (2, "channels")
    assert run.pairs[0].channel_names == ("t1", "flair")
    [place] = run.pairs[0].slices or ()
    np.testing.assert_array_equal(saved.slice(place), image_from_layer(new).slice(1))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({}, "Fewer than two images are selected. Select them"),
        ({"data": np.zeros((3, 40, 30))}, "Layer 'more' has another size than Layer 't1'"),
        ({"data": np.zeros(SHAPE), "units": ("mm",) * 3}, "Layer 'more' has another place than Layer 't1'"),
        ({"data": np.zeros((40, 30, 3), np.uint8), "rgb": True}, "Layer 'more' has another size"),
    ],
)
def test_what_is_no_image_of_channels_is_said(
    viewer: ViewerModel, opened: list[Any], more: dict[str, Any], sentence: str
) -> None:
    viewer.layers.selection = {opened[0]}
    if more:
        viewer.layers.selection.add(viewer.add_image(**more, name="more"))
        viewer.layers.selection.add(opened[0])
    before, count = list(viewer.layers), len(told())
    join_selected(viewer)
    assert list(viewer.layers) == before
    [text] = told()[count:]
    assert sentence in text


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_menu_joins_what_is_selected(make_napari_viewer: Callable[..., Any]) -> None:
    viewer = make_napari_viewer()
    layers = [viewer.add_image(np.full(SHAPE, n, np.uint8), name=f"echo {n}") for n in (1, 2)]
    viewer.layers.selection = {*layers}
    app = get_app_model()
    listed = [item.command.id for item in app.menus.get_menu("napari/layers/data") if hasattr(item, "command")]
    assert "napari-medseg.join_channels" in listed
    app.commands.execute_command("napari-medseg.join_channels").result()
    assert viewer.layers[-1].name == "echo 1 + echo 2"
    assert image_from_layer(viewer.layers[-1]).slice(0)[0, 0].tolist() == [1, 2]
