"""A slide's result corrected and learnt from, with the real engine and a tiny network that has learnt nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from slide_stage import levels_of, stained

from napari_medseg.core import ClassInfo, ModelCard
from napari_medseg.inference.options import SegmentOptions
from napari_medseg.io import read, read_labels
from napari_medseg.io.pyramid import halve
from napari_medseg.io.zarr.labels import LabelPyramid
from napari_medseg.models import add_model, build_network, find_model
from napari_medseg.training import TrainingRun
from napari_medseg.training.memory import read_archive
from napari_medseg.training.options import TrainOptions
from napari_medseg.widgets.fine_tune import FineTuneWidget
from napari_medseg.widgets.segment import SegmentWidget
from napari_medseg.widgets.work_area import find_work_area

pytestmark = pytest.mark.long

CARD = ModelCard(
    name="tiny-he",
    channels=3,
    encoder="tu-mobilenetv3_small_050",
    network={"decoder_channels": [16, 16, 16, 16, 16]},
    classes=(ClassInfo.numbered(1, "gland"),),
)
PIXELS = np.ascontiguousarray(stained()[100:700, 200:930])
BOX = (slice(130, 290), slice(404, 500))
LONG = 120_000


@pytest.fixture
def docks(qtbot: Any, viewer: ViewerModel, own_library: Path) -> Iterator[tuple[SegmentWidget, FineTuneWidget]]:
    add_model(build_network(CARD), CARD)
    segment, tune = SegmentWidget(viewer), FineTuneWidget(viewer)
    for dock in (segment, tune):
        qtbot.addWidget(dock)
    segment.options.set_value(SegmentOptions(device="cpu", precision="fp32", tile=256, overlap=0))
    tune.options.set_value(TrainOptions(max_steps=2, batch=2, device="cpu", validation=0))
    yield segment, tune
    segment.close()
    tune.close()


def run_over_slide(qtbot: Any, dock: SegmentWidget, slide: Any, reference: str) -> LabelPyramid:
    with qtbot.waitSignal(dock.panel.job.finished, timeout=LONG):
        assert dock.segment(slide, reference)
    path = dock.slide.place.value()
    assert path is not None
    return LabelPyramid.open(path)


def correct(qtbot: Any, dock: SegmentWidget, slide: Any) -> Any:
    """Lift `BOX`, paint a cross in it and put it back."""
    rows, columns = BOX
    corners = [(y, x) for y, x in ((rows.start, columns.start), (rows.start, columns.stop), (rows.stop, columns.stop))]
    shapes = dock.viewer.add_shapes(
        [np.array([slide.data_to_world(np.array(c) - 0.5) for c in corners])], shape_type="polygon"
    )
    bar = dock.slide.correct
    with qtbot.waitSignal(bar.job.finished, timeout=LONG):
        bar.correct.click()
    dock.viewer.layers.remove(shapes)
    area = find_work_area(dock.viewer)
    area.data_setitem((np.full(80, 20), np.arange(80)), 1)
    area.data_setitem((np.arange(100), np.full(100, 33)), 1)
    area.data_setitem((np.arange(100, 140), np.full(40, 33)), 0)
    dock.viewer.layers.selection.active = area
    with qtbot.waitSignal(bar.job.finished, timeout=LONG):
        bar.put_back.click()
    return area


@pytest.mark.timeout(600)
def test_work_area_teaches_its_pixels_of_the_slide_and_stays_in_what_the_new_model_segments(
    qtbot: Any, viewer: ViewerModel, docks: tuple[SegmentWidget, FineTuneWidget], own_library: Path
) -> None:
    segment, tune = docks
    settings: dict[str, Any] = {"scale": (0.25, 0.25), "units": ("um", "um"), "translate": (10, -20), "rotate": 30}
    slide = viewer.add_image(levels_of(PIXELS), multiscale=True, rgb=True, name="slide", **settings)
    first = run_over_slide(qtbot, segment, slide, "tiny-he")
    area = correct(qtbot, segment, slide)
    np.testing.assert_array_equal(first.read(*BOX), area.data)

    qtbot.waitUntil(tune.panel.run.isEnabled)
    [pair] = tune.pairs.value()
    assert (pair.image, pair.labels) == (slide, area)
    tune.panel.run.click()
    qtbot.waitUntil(lambda: not tune.panel.job.running, timeout=LONG)
    assert tune.result is not None, tune.panel.status.text()
    assert tune.result.parent == "tiny-he@1"

    [run] = [TrainingRun.load(path) for path in own_library.glob("runs/*/run.json")]
    [handed] = run.pairs
    np.testing.assert_array_equal(read(handed.image).slice(0), PIXELS[BOX])
    np.testing.assert_array_equal(read_labels(handed.labels).slice(0), area.data)
    assert handed.unlabelled is None
    learnt = np.ascontiguousarray(PIXELS[BOX])
    identity = hashlib.sha256(f"{learnt.shape} {learnt.dtype.str}".encode() + learnt.tobytes()).hexdigest()
    assert read_archive(find_model(tune.result.reference)).identities == {identity}

    second = run_over_slide(qtbot, segment, slide, tune.result.reference)
    assert second.path != first.path
    assert "1 part corrected before kept" in segment.panel.status.text()
    wanted = np.asarray(second.levels[0])
    np.testing.assert_array_equal(wanted[BOX], area.data)
    assert (wanted != second.not_computed).all()
    for level in second.levels[1:]:
        wanted = halve(wanted)
        np.testing.assert_array_equal(level[:], wanted)
