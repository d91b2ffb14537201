"""Each class's probability as an image layer, from the Segment dock."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from slide_stage import add_slide

from napari_medseg.core import ClassInfo, Image, Labels, ModelCard, Reporter
from napari_medseg.io import budget
from napari_medseg.widgets import segment
from napari_medseg.widgets.layer_picker import LayerPicker
from napari_medseg.widgets.result_layer import image_of
from napari_medseg.widgets.segment import SegmentWidget

TWO = ModelCard(
    name="two",
    classes=(ClassInfo(value=1, name="bone", color="#ff0000"), ClassInfo(value=4, name="fat", color="#00ff00")),
)


@pytest.fixture
def dock(
    qtbot: Any, viewer: ViewerModel, cards: list[ModelCard], brake: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SegmentWidget]:
    """Work that is half sure of bone where it is bright, and a quarter of fat."""

    def work(image: Image, card: ModelCard, options: Any, report: Reporter, probabilities: Any = None) -> Labels:
        def tell(progress: Any) -> None:
            if progress.result is not None and probabilities is not None:
                z = progress.region[0] if progress.region else 0
                bone = progress.result.astype(np.float16) / 2
                probabilities(z, np.stack([bone, np.full_like(bone, 0.25)]))
            report(progress)

        return brake(image, card, options, tell)

    monkeypatch.setattr(segment, "_segment", work)
    cards[:] = [TWO, TWO.model_copy(update={"name": "colours", "channels": 3})]
    made = SegmentWidget(viewer)
    qtbot.addWidget(made)
    made.probabilities.setChecked(True)
    yield made
    made.panel.job.stop()


def choose(dock: SegmentWidget, first: int, last: int) -> None:
    for box, number in ((dock.scope.first, first), (dock.scope.last, last)):
        box.setValue(number)
    dock.scope.range.setChecked(True)


def run(qtbot: Any, dock: SegmentWidget) -> list[Any]:
    with qtbot.waitSignal(dock.panel.job.finished):
        dock.panel.run.click()
    return [layer for layer in dock.viewer.layers if "P(" in layer.name]


def test_each_class_has_a_layer_in_its_colour_where_the_image_lies(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], viewer: ViewerModel
) -> None:
    image = make_stack(translate=(1, 2, 3), rotate=20, affine=np.diag((2, 1, 1, 1)))
    bone, fat = run(qtbot, dock)
    assert [bone.name, fat.name] == ["femur ct · P(bone)", "femur ct · P(fat)"]
    assert [bone.visible, fat.visible] == [True, False]
    assert np.allclose(bone.data_to_world((1, 2, 3)), image.data_to_world((1, 2, 3)))
    assert np.allclose(bone.colormap.map(np.array([1.0]))[0], (1, 0, 0, 1))
    assert (bone.blending, tuple(bone.contrast_limits), bone.data.dtype) == ("additive", (0, 1), np.float16)
    assert np.array_equal(bone.data, (image.data > 100) / 2)
    assert (fat.data == 0.25).all()
    shown = bone.thumbnail.copy()
    bone.refresh()
    assert np.array_equal(shown, bone.thumbnail)
    labels = viewer.layers["femur ct labels"]
    assert viewer.layers.index(labels) > viewer.layers.index(fat), "they can be painted in"
    assert image_of(viewer, labels) is image
    picker = LayerPicker(viewer, "image")
    qtbot.addWidget(picker)
    assert picker.box.count() == 1, "they are no images to segment"


def test_later_run_fills_the_same_layers_and_what_was_not_computed_is_no_number(
    qtbot: Any, dock: SegmentWidget, make_stack: Callable[..., Any], viewer: ViewerModel
) -> None:
    make_stack()
    choose(dock, 0, 1)
    bone, _ = run(qtbot, dock)
    assert [bool(np.isnan(plane).all()) for plane in bone.data] == [False, False, True, True, True, True]
    choose(dock, 5, 5)
    assert run(qtbot, dock)[0] is bone
    assert [bool(np.isnan(plane).any()) for plane in bone.data] == [False, False, True, True, True, False]
    viewer.layers.remove(bone)
    again = run(qtbot, dock)
    assert len(again) == 2
    assert bone not in again


def test_single_image_and_a_run_that_fails_at_once(
    qtbot: Any, dock: SegmentWidget, viewer: ViewerModel, brake: Any
) -> None:
    viewer.add_image(np.full((24, 24), 200, np.uint8), name="slice")
    brake.fail = 0
    with qtbot.waitSignal(dock.panel.job.failed):
        dock.panel.run.click()
    assert [layer.name for layer in viewer.layers] == ["slice"], "nothing is left of it"
    brake.fail = None
    assert [float(layer.data.max()) for layer in run(qtbot, dock)] == [0.5, 0.25]


def test_no_room_and_slides_are_refused_in_one_sentence(
    dock: SegmentWidget, make_stack: Callable[..., Any], viewer: ViewerModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_stack()
    monkeypatch.setattr(sys.modules["napari_medseg.inference.segment"], "half_free", lambda: 6 * 24 * 24 * 2)
    dock.panel.run.click()
    assert "The probabilities of 2 classes in 6 slices take" in dock.panel.status.text()
    assert not dock.panel.job.running
    assert len(viewer.layers) == 1
    assert budget.half_free() > 0
    dock.image.set_value(add_slide(viewer))
    assert dock.panel.run.isEnabled()
    dock.panel.run.click()
    assert "cannot be kept of slides" in dock.panel.status.text()
    assert not dock.panel.job.running
