"""Images of any number of channels in the docks: several layers in the viewer, one image to every dock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel

from napari_medseg._layers import image_from_layer
from napari_medseg._reader import read_layers
from napari_medseg.core import ClassInfo, Image, Labels, ModelCard, Progress, silent
from napari_medseg.io import read
from napari_medseg.models.start_cards import start_of
from napari_medseg.training import TrainOptions
from napari_medseg.widgets import segment
from napari_medseg.widgets.compare import CompareWidget
from napari_medseg.widgets.fine_tune import FineTuneWidget
from napari_medseg.widgets.layer_picker import LayerPicker
from napari_medseg.widgets.open import OpenWidget
from napari_medseg.widgets.pairs_list import ChosenPair
from napari_medseg.widgets.result_layer import find_result
from napari_medseg.widgets.segment import SegmentWidget
from napari_medseg.widgets.snapshot import Order, save_run, take_snapshots
from napari_medseg.widgets.truth import find_truth

SLICES = 3


@pytest.fixture(params=[2, 3, 4, 5])
def channels(request: Any) -> int:
    return int(request.param)


@pytest.fixture
def path(tmp_path: Path, channels: int) -> Path:
    pixels = np.random.default_rng(channels).integers(0, 4000, (SLICES, channels, 40, 36), dtype=np.uint16)
    sizes = {f"PhysicalSize{axis}{part}": value for axis in "ZYX" for part, value in (("", 1.5), ("Unit", "mm"))}
    tifffile.imwrite(tmp_path / "head.ome.tif", pixels, ome=True, metadata={"axes": "ZCYX", **sizes})
    return tmp_path / "head.ome.tif"


@pytest.fixture
def opened(viewer: ViewerModel, path: Path) -> list[Any]:
    return [viewer.add_image(data, **kwargs) for data, kwargs, _ in read_layers(str(path))]


def model_for(channels: int) -> ModelCard:
    return ModelCard(name="sequences", channels=channels, classes=(ClassInfo.numbered(1, "tumour"),))


def paint(layer: Any, z: int) -> None:
    y, x = np.mgrid[:3, :4]
    layer.data_setitem((np.full(y.size, z), y.ravel(), x.ravel()), 1)


def test_what_is_read_is_what_the_docks_take(opened: list[Any], path: Path, channels: int) -> None:
    there = read(path)
    assert (len(opened), there.channels, there.meaning) == (channels, channels, "channels")
    for layer in opened:
        taken = image_from_layer(layer)
        np.testing.assert_array_equal(np.asarray(taken.data), np.asarray(there.data))
        assert {**vars(taken), "data": None} == {**vars(there), "data": None}


def test_picker_lists_an_image_once(qtbot: Any, viewer: ViewerModel, opened: list[Any], channels: int) -> None:
    picker = LayerPicker(viewer, "image")
    qtbot.addWidget(picker)
    assert [picker.box.itemText(i) for i in range(picker.box.count())] == ["head"]
    assert picker.summary.text() == f"3 slices · 36×40 · {channels} channels · 16 bit · 1.5 mm"
    grey = viewer.add_image(np.zeros((SLICES, 40, 36)), name="grey")
    assert [picker.box.itemText(i) for i in range(picker.box.count())] == ["grey", "head"]
    picker.set_value(opened[-1])
    assert picker.value() is opened[0], "whichever of its layers is meant"
    viewer.layers.remove(opened[0])
    assert [picker.box.itemText(i) for i in range(picker.box.count())] == ["grey", "head channel 2"]
    picker.set_value(opened[-1])
    assert f"{channels} channels" in picker.summary.text(), "whole as long as one of its layers is left"
    viewer.layers.remove(grey)
    picker.close_down()


def test_segment_gives_the_model_all_channels(
    qtbot: Any, viewer: ViewerModel, opened: list[Any], cards: list[ModelCard], monkeypatch: Any, channels: int
) -> None:
    seen = []

    def look(image: Image, card: ModelCard, options: Any, report: Any) -> Labels:
        seen.append(image.slice(1).shape)
        found = np.ones(image.shape, np.uint8)
        report(Progress("Segmenting", 1, SLICES, region=(1,), result=found[1]))
        return Labels(found, card.classes, image.geometry)

    monkeypatch.setattr(segment, "_segment", look)
    cards[:] = [*cards[:1], model_for(channels)]
    dock = SegmentWidget(viewer)
    qtbot.addWidget(dock)
    assert dock.model.value() == cards[1]
    with qtbot.waitSignal(dock.panel.job.finished, timeout=5000):
        dock.panel.run.click()
    assert seen == [(40, 36, channels)]
    [labels] = [layer for layer in viewer.layers if layer._type_string == "labels"]
    assert (labels.name, labels.data.shape) == ("head labels", (SLICES, 40, 36))
    assert find_result(viewer, dock.image.value()) is labels


def test_a_fresh_network_gets_so_many_channels(
    qtbot: Any, viewer: ViewerModel, opened: list[Any], path: Path, cards: list[ModelCard], channels: int
) -> None:
    labels = viewer.add_labels(np.zeros((SLICES, 40, 36), np.uint8), scale=opened[0].scale)
    dock = FineTuneWidget(viewer)
    qtbot.addWidget(dock)
    for z in (0, 2):
        paint(labels, z)
    dock.pairs.refresh()
    dock.model.offer("unet:resnet18")
    card = dock.model.value()
    assert card is not None
    assert (start_of(card), card.channels) == ("unet:resnet18", channels)
    [pair] = dock.pairs.value()
    assert pair.image is opened[0]
    order = Order(tuple(take_snapshots([pair])), card, start_of(card), "mine", TrainOptions())
    run = save_run(order, silent)
    saved, there = read(run.pairs[0].image), read(path)
    assert (saved.channels, saved.meaning) == (channels, "channels")
    for place, z in zip(run.pairs[0].slices, (0, 2), strict=True):
        np.testing.assert_array_equal(saved.slice(place), there.slice(z))


def test_single_image_of_channels_is_written_whole(viewer: ViewerModel, tmp_path: Path, channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (channels, 40, 36), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "dyes.ome.tif", pixels, ome=True, metadata={"axes": "CYX"})
    layers = [viewer.add_image(data, **kwargs) for data, kwargs, _ in read_layers(str(tmp_path / "dyes.ome.tif"))]
    labels = viewer.add_labels((pixels[0] > 100).astype(np.uint8))
    pair = ChosenPair(layers[-1], labels, find_truth(labels))
    order = Order(tuple(take_snapshots([pair])), model_for(channels), "sequences@1", "mine", TrainOptions())
    saved = read(save_run(replace(order, name="dyes"), silent).pairs[0].image)
    np.testing.assert_array_equal(saved.slice(0), np.moveaxis(pixels, 0, -1))


@pytest.mark.parametrize("channels", [4])
def test_compare_and_open_speak_of_one_image(
    qtbot: Any, viewer: ViewerModel, path: Path, cards: list[ModelCard], make_stack: Callable[..., Any]
) -> None:
    dock = OpenWidget(viewer)
    qtbot.addWidget(dock)
    dock.look_at(path)
    qtbot.waitUntil(dock.panel.run.isEnabled, timeout=5000)
    with qtbot.waitSignal(dock.panel.job.finished, timeout=5000):
        dock.panel.run.click()
    assert dock.panel.status.text() == "“head” opened, each of its 4 channels as a layer."
    compare = CompareWidget(viewer)
    qtbot.addWidget(compare)
    viewer.layers.selection.active = viewer.layers[2]
    assert compare.form.learn.find_image() is viewer.layers[0]
