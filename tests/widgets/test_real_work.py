"""The docks with the real engine and a tiny network that has learnt nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QThreadPool

from napari_medseg._layers import METADATA
from napari_medseg.core import ClassInfo, ModelCard
from napari_medseg.editing.corrections import corrections_of
from napari_medseg.inference.options import SegmentOptions
from napari_medseg.models import add_model, build_network, load_model
from napari_medseg.training.options import TrainOptions
from napari_medseg.widgets.fine_tune import FineTuneWidget
from napari_medseg.widgets.result_layer import result_layer
from napari_medseg.widgets.segment import SegmentWidget
from napari_medseg.widgets.truth import choose_strokes

pytestmark = pytest.mark.long

CARD = ModelCard(
    name="tiny",
    encoder="tu-mobilenetv3_small_050",
    network={"decoder_channels": [16, 16, 16, 16, 16]},
    classes=(ClassInfo.numbered(1, "bone"),),
)
LONG = 60_000


@pytest.fixture(scope="module")
def network() -> Any:
    return build_network(CARD)


@pytest.fixture
def tiny(network: Any, own_library: Path) -> ModelCard:
    return add_model(network, CARD)


@pytest.fixture
def segment(qtbot: Any, viewer: ViewerModel, tiny: ModelCard) -> Iterator[SegmentWidget]:
    made = SegmentWidget(viewer)
    qtbot.addWidget(made)
    made.model.set_value("tiny")
    yield made
    made.close()


@pytest.fixture
def tune(qtbot: Any, viewer: ViewerModel, tiny: ModelCard) -> Iterator[FineTuneWidget]:
    made = FineTuneWidget(viewer)
    qtbot.addWidget(made)
    made.options.set_value(TrainOptions(max_steps=2, batch=2, device="cpu"))
    yield made
    made.close()


def stroke(layer: Any, z: int, row: int, value: int, columns: int = 20) -> None:
    layer.data_setitem((np.full(columns, z), np.full(columns, row), np.arange(columns)), value)


def learn(qtbot: Any, dock: FineTuneWidget) -> str:
    """Click Fine-tune, wait for its end; the status line."""
    qtbot.waitUntil(dock.panel.run.isEnabled)
    dock.panel.run.click()
    qtbot.waitUntil(lambda: not dock.panel.job.running, timeout=LONG)
    return str(dock.panel.status.text())


def test_a_real_network_fills_the_layer(qtbot: Any, segment: SegmentWidget, make_stack: Callable[..., Any]) -> None:
    image = make_stack(slices=3, side=40)
    with qtbot.waitSignal(segment.panel.job.finished, timeout=LONG):
        assert segment.segment(image, "tiny")
        assert not segment.segment(image, "tiny"), "one run at a time"
    assert "3 slices segmented" in segment.panel.status.text()
    info = segment.viewer.layers[-1].metadata[METADATA]
    assert info["missing"] == []
    assert info["card"]["name"] == "tiny"


@pytest.mark.parametrize("ndisplay", [2, 3])
def test_values_that_are_no_numbers_and_flat_slices_pass(
    qtbot: Any, segment: SegmentWidget, viewer: ViewerModel, ndisplay: int
) -> None:
    """V1, V2, G5: NaN, inf, a constant slice; seen in 2D and 3D."""
    data = np.random.default_rng(0).normal(0, 1, (4, 40, 40)).astype(np.float32)
    data[0, 0] = np.nan
    data[1, 0, :3] = np.inf, -np.inf, 1e30
    data[2] = 7
    viewer.add_image(data, contrast_limits=(0, 1))
    viewer.dims.ndisplay = ndisplay
    with qtbot.waitSignal(segment.panel.job.finished, timeout=LONG):
        segment.panel.run.click()
    labels = viewer.layers[-1]
    assert labels.data.shape == data.shape
    assert labels.metadata[METADATA]["missing"] == []
    assert set(np.unique(labels.data)) <= {0, 1}


def test_strokes_in_a_result_teach_a_new_version(
    qtbot: Any, tune: FineTuneWidget, tiny: ModelCard, make_stack: Callable[..., Any]
) -> None:
    """Bone is painted, background erased, all else is unknown; a second run gives the next version."""
    # A network that has learnt nothing may score worse after two steps: nothing measures it here.
    tune.options.set_value(TrainOptions(max_steps=2, batch=2, device="cpu", validation=0))
    labels = result_layer(tune.viewer, make_stack(slices=3, side=40), tiny, SegmentOptions())
    corrections_of(labels).write(1, np.eye(40, dtype=np.uint8))
    stroke(labels, 1, 3, 1)
    labels.data_setitem((np.ones(10, int), np.arange(20, 30), np.arange(20, 30)), 0)
    choose_strokes(labels, True)
    tune.pairs.refresh()
    assert learn(qtbot, tune).startswith("my-tiny v1 is ")
    tune.keep.click()
    assert "my-tiny v2" in learn(qtbot, tune)
    assert load_model("my-tiny@2").card.parent == "tiny@1"
    assert [c.name for c in load_model("my-tiny@1").card.classes] == ["bone"]


def test_several_pairs_teach_together(qtbot: Any, tune: FineTuneWidget, viewer: ViewerModel, tiny: ModelCard) -> None:
    """Two images of different sizes, each with labels of its own; the untrained row stays out."""
    for side, name in ((40, "one"), (48, "two")):
        pixels = np.random.default_rng(side).integers(0, 255, (4, side, side), dtype=np.uint8)
        image = viewer.add_image(pixels, name=name)
        labels = result_layer(viewer, image, tiny, SegmentOptions())
        for z in range(3):
            stroke(labels, z, 5, 1)
    qtbot.waitUntil(lambda: tune.panel.status.text().startswith("Ready to learn from 6 slices"))
    assert {(p.image.name, p.labels.name) for p in tune.pairs.value()} == {
        ("one", "one labels"),
        ("two", "two labels"),
    }
    learn(qtbot, tune)
    # Whether two steps make a network that has learnt nothing better or worse is chance.
    assert tune.result is not None
    assert "held-out slice" in tune.result.scores[0].on
    assert tune.curves.latest("old_dice") is not None


@pytest.mark.parametrize(("pixels", "strokes"), [(1, False), (20, True)])
def test_too_little_paint_is_one_sentence_or_learnt_from(
    qtbot: Any, tune: FineTuneWidget, viewer: ViewerModel, make_stack: Callable[..., Any], pixels: int, strokes: bool
) -> None:
    """T1, T2: one pixel is enough in a whole slice; a single class of strokes shows nothing else."""
    make_stack(slices=3, side=40)
    stroke(viewer.add_labels(np.zeros((3, 40, 40), np.uint8), scale=(3, 0.8, 0.8)), 1, 5, 1, columns=pixels)
    qtbot.waitUntil(tune.panel.run.isEnabled)
    tune.model.set_value("tiny")
    choose_strokes(viewer.layers[-1], strokes)
    text = learn(qtbot, tune)
    if strokes:
        assert text.startswith("Only 'bone' is painted, so nothing shows what is not 'bone'.")
        assert tune.panel.status.property("bad")
        assert tune.curves.isHidden()
    else:
        assert "my-tiny v1 is ready" in text
    assert tune.panel.run.isEnabled()


def test_stop_keeps_the_best(qtbot: Any, tune: FineTuneWidget, tiny: ModelCard, make_stack: Callable[..., Any]) -> None:
    """T4: stopped in the middle; the model is in the library and is offered."""
    tune.options.set_value(TrainOptions(max_steps=100_000, batch=1, device="cpu"))
    labels = result_layer(tune.viewer, make_stack(slices=3, side=40), tiny, SegmentOptions())
    stroke(labels, 1, 3, 1)
    qtbot.waitUntil(tune.panel.run.isEnabled)
    tune.panel.run.click()
    qtbot.waitUntil(lambda: tune.curves.latest("loss") is not None, timeout=LONG)
    tune.panel.cancel.click()
    assert tune.panel.status.text() == "Stopping…"
    qtbot.waitUntil(lambda: not tune.panel.job.running, timeout=LONG)
    assert tune.result is not None
    assert tune.after.isVisibleTo(tune)
    assert "Stopped early" in load_model(tune.result.reference).card.description


def test_slice_in_view_is_segmented_while_the_real_training_runs(
    qtbot: Any, tune: FineTuneWidget, tiny: ModelCard, make_stack: Callable[..., Any]
) -> None:
    tune.options.set_value(TrainOptions(max_steps=100_000, batch=1, device="cpu"))
    labels = result_layer(tune.viewer, make_stack(slices=3, side=40), tiny, SegmentOptions())
    stroke(labels, 1, 3, 1)
    qtbot.waitUntil(tune.panel.run.isEnabled)
    tune.panel.run.click()
    qtbot.waitUntil(lambda: tune.preview.layer is not None, timeout=LONG)
    shown = tune.preview.layer
    assert shown.data.shape == (1, 40, 40)
    assert set(np.unique(shown.data)) <= {0, 1}
    tune.panel.cancel.click()
    qtbot.waitUntil(lambda: not tune.panel.job.running, timeout=LONG)
    assert shown not in tune.viewer.layers
    assert [layer.name for layer in tune.viewer.layers] == ["femur ct", "femur ct labels"]


def test_closing_the_dock_ends_the_process_that_trains(
    qtbot: Any, tune: FineTuneWidget, tiny: ModelCard, make_stack: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """G3: no process is left, no thread either."""
    started: list[subprocess.Popen[bytes]] = []

    class Remembered(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Remembered)
    tune.options.set_value(TrainOptions(max_steps=100_000, batch=1, device="cpu"))
    labels = result_layer(tune.viewer, make_stack(slices=3, side=40), tiny, SegmentOptions())
    stroke(labels, 1, 3, 1)
    qtbot.waitUntil(tune.panel.run.isEnabled)
    tune.panel.run.click()
    qtbot.waitUntil(lambda: bool(started), timeout=LONG)
    tune.close()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=LONG)
    assert [process.returncode is not None for process in started] == [True]
