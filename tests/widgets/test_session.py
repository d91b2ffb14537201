"""What the docks of one viewer share: painting kept safe, offered again, asked about."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.plugins import _initialize_plugins
from qtpy.QtCore import QEvent, QThreadPool, QTimer
from qtpy.QtWidgets import QApplication

from napari_medseg.core import ClassInfo
from napari_medseg.editing.corrections import corrections_of
from napari_medseg.widgets import session as sessions
from napari_medseg.widgets.look import Dock
from napari_medseg.widgets.new_labels import add_strokes
from napari_medseg.widgets.result_layer import image_of, missing_slices, result_layer
from napari_medseg.widgets.save_panel import SavePanel
from napari_medseg.widgets.session import Session, session_of
from napari_medseg.widgets.unsaved_bar import UnsavedBar

from .conftest import GREY


def stroke(layer: Any, *points: tuple[float, ...], label: int = 1) -> None:
    layer._begin_stroke()
    for point in points:
        layer.paint(point, label)
    layer._commit_stroke()


def journals(home: Path) -> list[Path]:
    return sorted(home.glob("journal/*/*.journal"))


def die(viewer: ViewerModel) -> None:
    """What a kill does: nothing is tidied up, the locks are gone."""
    session = session_of(viewer)
    session._timer.stop()
    for layer, journal in list(session._journals.items()):
        assert journal._log.flush()
        corrections_of(layer).disconnect()
        journal._log._let_go()
    session._journals.clear()
    session.close()
    viewer.layers.clear()


@pytest.fixture
def stack() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (6, 40, 50)).astype(np.uint8)


@pytest.fixture
def reopen(qtbot: Any, viewer: ViewerModel) -> Callable[[ViewerModel, Any], tuple[ViewerModel, Session]]:
    """Kills the program that has a viewer, and opens the image in the next one."""

    def again(old: ViewerModel, data: Any, **kwargs: Any) -> tuple[ViewerModel, Session]:
        die(old)
        session = session_of(viewer)
        viewer.add_image(data, **kwargs)
        qtbot.waitUntil(lambda: bool(session.offers.pending))
        return viewer, session

    return again


@pytest.fixture
def killed(qtbot: Any, stack: np.ndarray) -> ViewerModel:
    """A viewer with a result, two strokes in it and an accepted slice."""
    viewer = ViewerModel()
    session_of(viewer)
    image = viewer.add_image(stack, name="femur ct", scale=(3, 0.8, 0.8))
    layer = result_layer(viewer, image, GREY, GREY)
    for z in (0, 1, 2):
        corrections_of(layer).write(z, np.full((40, 50), z % 2, np.uint8))
    stroke(layer, (1, 5, 5), label=0)
    stroke(layer, (4, 20, 20))
    corrections_of(layer).accept(2)
    return viewer


def test_one_session_for_all_docks_of_a_viewer(viewer: ViewerModel) -> None:
    docks = [Dock(viewer), Dock(viewer)]
    assert docks[0]._unsaved._session is docks[1]._unsaved._session is session_of(viewer)
    assert docks[0]._unsaved.isHidden()
    for dock in docks:
        dock.close()


def test_painting_in_a_result_layer_is_offered_and_restored_after_a_kill(
    killed: ViewerModel, reopen: Callable[..., Any], stack: np.ndarray, own_library: Path
) -> None:
    """G6, G7: the user's pixels, the classes, the place and the accepted slices are back."""
    layer = killed.layers[1]
    then, mine, place = layer.data.copy(), [corrections_of(layer).edited(z) for z in range(6)], layer.scale.copy()
    viewer, session = reopen(killed, stack, name="other name")
    bar = UnsavedBar(session)
    assert bar.text.text().startswith("Painting of ")
    assert bar.text.text().endswith("in “femur ct labels” was not saved (3 slices).")
    bar.restore.click()
    again = viewer.layers["femur ct labels"]
    assert [(corrections_of(again).edited(z) == mine[z]).all() for z in range(6)] == [True] * 6
    assert (again.data[[1, 2, 4]] == then[[1, 2, 4]]).all()
    assert missing_slices(again) == {0, 3, 5}
    assert corrections_of(again).accepted == {2}
    assert (again.scale == place).all()
    assert again.metadata["napari_medseg"]["card"]["name"] == GREY.name
    assert image_of(viewer, again) is viewer.layers["other name"]
    assert result_layer(viewer, viewer.layers["other name"], GREY, GREY) is again
    assert session.offers.pending == []
    assert bar.isHidden()
    assert len(journals(own_library)) == 1  # the same painting, now this program's
    assert session.unsaved() == {again: (1, 2, 4)}
    bar.close_down()


def test_restored_into_the_layer_of_the_same_name_the_users_pixels_lie_on_top(
    killed: ViewerModel, reopen: Callable[..., Any], stack: np.ndarray
) -> None:
    """G6."""
    die_data = killed.layers[1].data.copy()
    viewer, session = reopen(killed, stack, name="femur ct")
    layer = result_layer(viewer, viewer.layers[0], GREY, GREY)
    for z in range(6):
        corrections_of(layer).write(z, np.ones((40, 50), np.uint8))
    assert session.offers.restore(session.offers.pending[0]) is layer
    assert (layer.data[1] == die_data[1]).all()
    assert layer.data[4].all()
    assert len(viewer.layers) == 2
    assert corrections_of(layer).edited_slices() == (1, 4)


def test_painting_of_users_own_layer_comes_back_in_its_colors(
    qtbot: Any, reopen: Callable[..., Any], stack: np.ndarray
) -> None:
    first = ViewerModel()
    session_of(first)
    first.add_image(stack, name="femur ct")
    layer = first.add_labels(
        np.zeros(stack.shape, np.int32), name="mine", colormap={None: "black", 0: "transparent", 7: "#123456"}
    )
    stroke(layer, (3, 5, 5), label=7)
    _, session = reopen(first, stack)
    again = session.offers.restore(session.offers.pending[0])
    assert again.name == "mine"
    assert again.data.dtype == np.int32
    np.testing.assert_allclose(again.get_color(7), [0x12 / 255, 0x34 / 255, 0x56 / 255, 1], atol=1e-3)


def test_strokes_and_work_areas_come_back_in_their_place(
    qtbot: Any, reopen: Callable[..., Any], stack: np.ndarray
) -> None:
    first = ViewerModel()
    session_of(first)
    image = first.add_image(stack, name="femur ct", scale=(3, 0.8, 0.8))
    layer = add_strokes(first, image, (ClassInfo.numbered(1, "bone"),))
    layer.translate = (0, 4, 8)
    stroke(layer, (3, 5, 5), label=2)
    session_of(first)._look()
    info = layer.metadata["napari_medseg"]
    _, session = reopen(first, stack, name="femur ct", scale=(3, 0.8, 0.8))
    again = session.offers.restore(session.offers.pending[0])
    assert again.metadata["napari_medseg"] == info
    assert tuple(again.translate) == (0, 4, 8)
    assert again.data[3, 5, 5] == 2


def test_another_image_gets_no_offer(
    killed: ViewerModel, reopen: Callable[..., Any], stack: np.ndarray, qtbot: Any
) -> None:
    other = stack.copy()
    other[3, 20, 25] ^= 1
    viewer, session = reopen(killed, stack)
    session.offers.later(session.offers.pending[0])
    viewer.layers.clear()
    viewer.add_image(other)
    qtbot.waitUntil(lambda: not session.offers._to_search and not session.offers._job.running)
    assert session.offers.pending == []
    viewer.add_image(stack)
    qtbot.waitUntil(lambda: len(session.offers.pending) == 1)


def test_discarded_painting_can_be_taken_back(
    killed: ViewerModel, reopen: Callable[..., Any], stack: np.ndarray, own_library: Path
) -> None:
    _, session = reopen(killed, stack)
    bar = UnsavedBar(session)
    bar.discard.click()
    assert journals(own_library) == []
    assert bar.text.text() == "The painting in “femur ct labels” was discarded."
    bar.undo.click()
    assert len(journals(own_library)) == 1
    assert not bar.restore.isHidden()
    bar.restore.click()
    bar.close_down()


def test_layer_removed_with_unsaved_painting_can_be_had_back(
    viewer: ViewerModel, make_stack: Callable[..., Any], qtbot: Any
) -> None:
    """G1."""
    session = session_of(viewer)
    make_stack()
    layer = viewer.add_labels(np.zeros((6, 24, 24), np.uint8), name="mine")
    stroke(layer, (2, 5, 5))
    mine = layer.data.copy()
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: bool(session.offers.pending))
    again = session.offers.restore(session.offers.pending[0])
    assert again is not layer
    assert (again.data == mine).all()


def test_layers_nobody_painted_in_leave_nothing(
    viewer: ViewerModel, make_stack: Callable[..., Any], own_library: Path
) -> None:
    session = session_of(viewer)
    layer = result_layer(viewer, make_stack(), GREY, GREY)
    corrections_of(layer).write(1, np.ones((24, 24), np.uint8))
    viewer.add_labels(np.zeros((2, 3, 4, 5), np.uint8))  # of four axes: not ours to follow
    session._look()
    assert not session._timer.isActive()
    session.close()
    assert not (own_library / "journal").exists()


def test_saved_masks_are_not_kept_or_asked_about(
    viewer: ViewerModel, make_stack: Callable[..., Any], own_library: Path, tmp_path: Path, qtbot: Any
) -> None:
    session = session_of(viewer)
    make_stack()
    layer = viewer.add_labels(np.zeros((6, 24, 24), np.uint8), name="mine")
    stroke(layer, (2, 5, 5))
    assert session.unsaved() == {layer: (2,)}
    panel = SavePanel()
    qtbot.addWidget(panel)
    panel.open_for(layer)
    panel.path.setText(str(tmp_path / "masks"))
    with qtbot.waitSignal(panel.saved):
        panel.save.click()
    assert session.unsaved() == {}
    assert journals(own_library) == []
    session._look()
    assert not session._timer.isActive()
    stroke(layer, (3, 5, 5))
    assert session.unsaved() == {layer: (2, 3)}


def test_saving_through_naparis_menu_counts(
    viewer: ViewerModel, make_stack: Callable[..., Any], tmp_path: Path
) -> None:
    _initialize_plugins()
    session = session_of(viewer)
    make_stack()
    layer = viewer.add_labels(np.zeros((6, 24, 24), np.uint8), name="mine")
    stroke(layer, (2, 5, 5))
    layer.save(str(tmp_path / "masks.tif"), plugin="napari-medseg")
    assert session.unsaved() == {}


def test_full_disk_is_told_once_in_the_bar_and_painting_goes_on(
    viewer: ViewerModel, make_stack: Callable[..., Any], own_library: Path, qtbot: Any
) -> None:
    """W1, W2."""
    (own_library / "journal").write_text("in the way")
    session = session_of(viewer)
    bar = UnsavedBar(session)
    told: list[str] = []
    session.changed.connect(lambda: told.append(session.problem))
    make_stack()
    layer = viewer.add_labels(np.zeros((6, 24, 24), np.uint8))
    for y in (5, 10, 15):
        stroke(layer, (2, y, 5))
        session._keep(layer)
        session._look()
    assert len(told) == 1
    assert bar.problem.text().startswith("Painting cannot be kept safe in ")
    assert layer.data[2].any()
    (own_library / "journal").unlink()
    session._look()
    assert session._keep(layer)
    session._look()
    assert bar.isHidden()
    assert len(journals(own_library)) == 1
    bar.close_down()


def test_old_unsaved_painting_is_told_and_removed_only_by_the_user(
    killed: ViewerModel, own_library: Path, viewer: ViewerModel
) -> None:
    die(killed)
    [path] = journals(own_library)
    os.utime(path, (0, 0))
    bar = UnsavedBar(session_of(viewer))
    assert bar.text.text().startswith("1 unsaved painting of images that were not opened for 30 days")
    bar.keep.click()
    assert bar.isHidden()
    assert path.stat().st_mtime > 0
    os.utime(path, (0, 0))
    session_of(viewer).close()
    other = UnsavedBar(session_of(viewer))
    other.remove.click()
    assert not path.exists()
    assert other.isHidden()


def test_nothing_is_left_of_fifty_sessions(qtbot: Any, own_library: Path) -> None:
    """G11: no timer, thread, viewer or session."""

    def use() -> list[weakref.ref[Any]]:
        viewer = ViewerModel()
        dock = Dock(viewer)
        layer = viewer.add_labels(np.zeros((2, 16, 16), np.uint8))
        stroke(layer, (0, 5, 5))
        session = session_of(viewer)
        assert session._timer.isActive()
        dock.close()
        dock.deleteLater()
        return [weakref.ref(thing) for thing in (viewer, layer, session)]

    links = [link for _ in range(50) for link in use()]
    for _ in range(2):  # the docks, then what they held
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        gc.collect()
    assert not any(link() for link in links)
    assert sessions._sessions == {}
    assert not [t for t in threading.enumerate() if t.name == "medseg-journal"]
    assert not [t for t in gc.get_objects() if type(t) is QTimer and t.isActive()]
    assert QThreadPool.globalInstance().waitForDone(5000)
    assert len(journals(own_library)) == 50
