"""Compare four networks on the built-in phantom in the real window, and take the picture of the docs.

    python scripts/compare_screenshot.py OUTPUT [--minutes M] [--made-up]

The trainings are real, on slices that the phantom's truth paints. With ``--made-up`` nothing is trained and the figures
mean nothing: enough to see the dock. Needs a display, or Xvfb.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "xcb")
sys.path.insert(0, str(Path(__file__).parent))

STARTS = ("unet:resnet18", "unetplusplus:tu-regnety_004", "fpn:resnet18", "unet:tu-mobilenetv3_small_100")
MADE_UP = (0.91, 0.93, 0.87, 0.82)


class Pretence:
    """In the place of trainings: curves that rise, by a clock that runs fast."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def train(self, run: Any, report: Any, *, library: Path) -> Any:
        """Rise to the Dice of the start, and leave a model behind."""
        from napari_medseg.core import ClassInfo, ModelCard, Progress
        from napari_medseg.training.verdict import TrainingResult, Verdict

        dice = MADE_UP[STARTS.index(run.start)] - 0.012 * run.options.seed
        for step in range(3, 21):
            self.now += 60 * run.options.max_minutes / 20
            report(Progress("Training", metrics={"dice": dice * (1 - 0.6 * 0.8**step)}))
            time.sleep(0.05)
        folder = library / "models" / "candidate" / "1"
        folder.mkdir(parents=True)
        card = ModelCard(name="candidate", classes=(ClassInfo.numbered(1),))
        (folder / "card.json").write_text(card.model_dump_json())
        return TrainingResult(card, Verdict(float("nan"), dice), "", ())

    def play(self) -> None:
        """Take the place of what trains and measures."""
        from napari_medseg.inference.cost import Cost
        from napari_medseg.training import comparison

        costs = iter((Cost(180, 640, 14_300_000), Cost(263, 715, 9_400_000)))
        comparison.train_apart, comparison.measure_cost = self.train, lambda *_: next(costs)
        comparison.time = SimpleNamespace(monotonic=self.monotonic)


def drive(output: Path, minutes: float) -> None:
    """Open, paint, compare; a picture while it runs and one at the end."""
    from screenshots import Driver

    from napari_medseg._layers import image_layer_data, labels_layer_data
    from napari_medseg.editing.corrections import corrections_of
    from napari_medseg.phantoms import femur_sample
    from napari_medseg.training.candidates import CompareOptions

    driver = Driver(output)
    image, truth = femur_sample(3, slices=24, size=256)
    for pixels, kwargs, kind in (image_layer_data(image), labels_layer_data(truth)):
        getattr(driver.viewer, f"add_{kind}")(pixels, **{**kwargs, "name": "femur ct" if kind == "image" else "femur"})
    labels = driver.viewer.layers["femur"]
    dock = driver.dock("Compare")
    for z in range(1, 24, 3):
        corrections_of(labels).accept(z)
    dock.pairs.refresh()
    dock.starts.set_value(STARTS)
    dock.time.set_value(CompareOptions(max_minutes=minutes))
    driver.viewer.dims.set_current_step(0, 4)
    driver.wait(dock.panel.run.isEnabled, "the pairs")
    driver.picture("compare-ready")
    seconds = driver.run(dock, "compare", lambda: len(dock.curves.plot.listDataItems()) > 3)
    print(f"{seconds:.0f} s\n{dock.result}")
    driver.viewer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--made-up", action="store_true", help="train nothing")
    arguments = parser.parse_args()
    home = tempfile.TemporaryDirectory()
    os.environ.setdefault("NAPARI_MEDSEG_HOME", home.name)
    from napari_medseg.cli.screen import open_screen

    if arguments.made_up:
        Pretence().play()
    with open_screen(), home:
        drive(arguments.output, arguments.minutes)


if __name__ == "__main__":
    main()
