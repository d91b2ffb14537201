"""Picture every state of the Fine-tune dock in the real window, without training anything.

    python scripts/dock_states.py OUTPUT [--themes dark light] [--widths 300 420]

The sample's slices stand for a patient, a made-up model for the trained one. Needs a display, or Xvfb.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "xcb")
sys.path.insert(0, str(Path(__file__).parent))

from screenshots import Driver


class Stage(Driver):
    """A window with the dock in it, and a training that does as it is told."""

    def __init__(self, output: Path, theme: str, width: int) -> None:
        from napari_medseg.widgets import fine_tune

        super().__init__(output)
        self.viewer.theme = theme
        self.suffix = f"{theme}-{width}"
        self.go_on = threading.Event()
        self.ending: Any = None
        fine_tune.train_order = self.train
        self.tune = self.dock("Fine-tune")
        self.tune.setFixedWidth(width)

    def train(self, order: Any, preview: Any, report: Any) -> Any:
        """Report curves and the slice in view, wait, end as `ending` says."""
        from napari_medseg.core import Cancelled, Progress
        from napari_medseg.training.result import TrainingResult
        from napari_medseg.training.verdict import Verdict

        if isinstance(self.ending, Exception):
            raise self.ending
        for step in range(1, 41):
            metrics = {"loss": 1.2 / step**0.6, "step": float(step), "old_dice": 0.81}
            if step % 5 == 0:
                metrics["dice"] = 0.93 - 0.3 / step
            report(Progress("Training", step, 60, message="CPU, bf16, 8 samples of 256 x 256 pixels a step."
                            if step == 1 else "", metrics=metrics))  # fmt: skip
        asked = preview()
        if asked is not None:
            import numpy as np

            pixels = asked.image.slice(asked.z)
            report(Progress("Training", 41, 60, region=asked.key, result=(pixels > np.percentile(pixels, 93)) * 1))
        with suppress(Cancelled):
            while not self.go_on.wait(0.02):
                report(Progress("Training", 41, 60))
        new = order.card.model_copy(
            update={"name": order.name.strip(), "version": 2, "parent": "my-femur-ct@1", **self.ending}
        )
        return TrainingResult(new, Verdict(0.81, 0.93), "", (), ((0, 0),))

    def picture(self, name: str) -> None:
        super().picture(f"{name}-{self.suffix}")

    def finish(self, name: str, ending: Any) -> None:
        """One run, pictured at its end."""
        self.ending = ending
        self.go_on.set()
        self.tune.panel.run.click()
        self.wait(lambda: not self.tune.panel.job.running, name)
        self.picture(name)


def show_states(output: Path, theme: str, width: int) -> None:
    """Every state once."""
    import numpy as np

    from napari_medseg.editing.corrections import corrections_of
    from napari_medseg.inference.options import SegmentOptions
    from napari_medseg.models.library import list_models
    from napari_medseg.phantoms import femur_sample
    from napari_medseg.widgets.result_layer import result_layer

    stage = Stage(output, theme, width)
    viewer, dock = stage.viewer, stage.tune
    stage.picture("1-no-image")
    image, truth = femur_sample(3, slices=12, size=256)
    layer = viewer.add_image(image.data, name="femur ct", scale=image.geometry.spacing)
    stage.picture("2-image-only")
    card = list_models()[0]
    labels = result_layer(viewer, layer, card, SegmentOptions())
    for z in range(len(image)):
        corrections_of(labels).write(z, truth.slice(z))
    dock.pairs.refresh()
    stage.picture("3-nothing-corrected")
    for z in (2, 5, 8, 9):
        labels.data_setitem(tuple(i.ravel() for i in np.mgrid[z : z + 1, 100:110, 100:104]), 1)
    corrections_of(labels).accept(6)
    dock.learn.strokes.click()
    strokes = viewer.layers[-1]
    for row, value in ((60, 1), (200, strokes.data.dtype.type(len(card.classes) + 1))):
        strokes.data_setitem(tuple(i.ravel() for i in np.mgrid[4:5, row : row + 4, 90:140]), value)
    loaded = viewer.add_labels(truth.data, name="truth", scale=image.geometry.spacing)
    viewer.layers.selection.active = strokes
    stage.wait(lambda: len(dock.pairs.rows) == 3 and dock.panel.run.isEnabled(), "the rows")
    stage.picture("4-ready-mixed")
    viewer.layers.remove(loaded)
    dock.learn.fold.set_open(False)
    stage.wait(lambda: len(dock.pairs.rows) == 2, "the rows")
    show_endings(stage, layer)
    viewer.close()


def show_endings(stage: Stage, layer: Any) -> None:
    """A run and all the ways it can end."""
    from napari_medseg.core import ComputeError, Score

    viewer, dock = stage.viewer, stage.tune
    stage.ending = {}
    viewer.dims.set_point(0, 5 * float(layer.scale[0]))
    dock.panel.run.click()
    stage.wait(lambda: dock.preview.layer is not None, "the preview")
    stage.picture("5-running")
    on = "2 held-out slices"
    better = (Score(metric="dice", value=0.93, on=on), Score(metric="dice of its start", value=0.81, on=on))
    stage.ending = {"scores": better}
    dock.panel.stop()
    stage.go_on.set()
    stage.wait(lambda: not dock.panel.job.running, "the end")
    stage.picture("6-stopped")
    dock.keep.click()
    stage.finish("7-failed", ComputeError("The loss is no number from the first step.", "Try precision fp32."))
    stage.finish("8-better", {"scores": better})
    dock.keep.click()
    worse = (Score(metric="dice", value=0.64, on=on), Score(metric="dice of its start", value=0.81, on=on))
    stage.finish("9-rejected", {"scores": worse, "name": "my-femur-ct-rejected"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--themes", nargs="*", default=["dark", "light"])
    parser.add_argument("--widths", nargs="*", type=int, default=[300, 420])
    arguments = parser.parse_args()
    home = tempfile.TemporaryDirectory()
    os.environ.setdefault("NAPARI_MEDSEG_HOME", home.name)
    from napari_medseg.cli.screen import open_screen

    with open_screen(), home:
        for theme in arguments.themes:
            for width in arguments.widths:
                show_states(arguments.output, theme, width)


if __name__ == "__main__":
    main()
