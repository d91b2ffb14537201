"""File > Open Folder, drag and drop and File > Save Selected Layers, through napari's own window."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.settings import get_settings
from PIL import Image as Picture
from qtpy.QtCore import QUrl

from napari_medseg import io
from napari_medseg._layers import classes_of, labels_from_layer
from napari_medseg.core import ClassInfo, Geometry, Labels

PLUGIN = "napari-medseg"
CLASSES = (ClassInfo(value=1, name="femur, left", color="#e69f00"), ClassInfo(value=300, name="nail", color="#56b4e9"))


@pytest.fixture
def series(tmp_path: Path) -> Path:
    folder = tmp_path / "series"
    folder.mkdir()
    for number in (1, 2, 10):
        Picture.fromarray(np.full((20, 30), number, np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    data = np.zeros((3, 20, 30), np.uint16)
    data[1, 5:9, 5:9] = 1
    data[2, 5:9, 5:9] = 300
    names = ("1.png", "2.png", "10.png")
    io.write(tmp_path / "masks", Labels(data, CLASSES, Geometry(spacing=(5, 0.5, 0.5), unit="mm"), names))
    return tmp_path / "masks"


@pytest.fixture
def window(make_napari_viewer: Callable[..., Any]) -> Iterator[Any]:
    """A viewer whose user chose this plugin for folders once and for all."""
    viewer = make_napari_viewer()
    get_settings().plugins.extension2reader = {"*/": PLUGIN}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="slice 3|.*missing.*", category=UserWarning)
        yield viewer


def drop(viewer: Any, *paths: Path, stack: bool = False) -> None:
    """What napari does with files let go over its window."""
    urls = [QUrl.fromLocalFile(str(path)) for path in paths]
    viewer.window._qt_viewer._open_from_list_of_urls_data(urls, stack=stack, choose_plugin=False)


def test_dropped_folder_is_one_stack_in_the_order_people_count(window: Any, series: Path) -> None:
    """S5."""
    drop(window, series)
    [layer] = window.layers
    assert np.asarray(layer.data)[:, 0, 0].tolist() == [1, 2, 10]
    assert layer.source.reader_plugin == PLUGIN
    assert layer.metadata["napari_medseg"]["names"] == ["1.png", "2.png", "10.png"]


def test_opened_folder_of_masks_is_labels_with_names_colours_and_place(window: Any, masks: Path) -> None:
    """V5."""
    window.window._qt_viewer._qt_open([str(masks)], stack=False, plugin=PLUGIN)
    [layer] = window.layers
    assert layer._type_string == "labels"
    assert classes_of(layer) == CLASSES
    assert layer.get_color(300)[:3] == pytest.approx(np.array([0x56, 0xB4, 0xE9]) / 255, abs=0.01)
    assert tuple(layer.scale) == (5, 0.5, 0.5)
    assert "femur, left" in layer.get_status((5, 3, 3), world=True)["value"]
    layer.data_setitem((np.array([0]), np.array([0]), np.array([0])), 1)
    assert layer.data[0, 0, 0] == 1


def test_files_dropped_as_a_stack_are_one_layer(window: Any, series: Path) -> None:
    get_settings().plugins.extension2reader = {"*.png": PLUGIN}
    drop(window, *sorted(series.iterdir()), stack=True)
    assert [layer.data.shape for layer in window.layers] == [(3, 20, 30)]


@pytest.mark.parametrize(("name", "chosen"), [("out", "Folder of PNG masks"), ("out.tif", "Masks: TIFF")])
def test_saved_selected_labels_come_back_as_they_were(
    window: Any, masks: Path, tmp_path: Path, name: str, chosen: str
) -> None:
    """V5."""
    window.open(masks, plugin=PLUGIN)
    window.layers.selection = {window.layers[0]}
    target = tmp_path / name
    [writer] = [w for w in _writers() if w.display_name.startswith(chosen)]
    assert window.layers.save(str(target), selected=True, plugin=PLUGIN, _writer=writer) == [str(target)]
    if target.is_dir():
        assert {"1.png", "2.png", "10.png"} <= {path.name for path in target.iterdir()}
    window.open(target, plugin=PLUGIN)
    before, after = (labels_from_layer(layer) for layer in window.layers)
    assert window.layers[1]._type_string == "labels"
    np.testing.assert_array_equal(after.data, before.data)
    assert (after.classes, after.geometry, after.names) == (before.classes, before.geometry, before.names)


def _writers() -> list[Any]:
    from npe2 import PluginManager

    manager = PluginManager.instance()
    return [w for w in manager.iter_compatible_writers(["labels"]) if w.command.startswith(PLUGIN)]
