"""Compare four networks on the built-in phantom in the real window, and take the picture of the docs.

    python scripts/compare_screenshot.py OUTPUT [--minutes M]

The trainings are real, on slices that the phantom's truth paints; a little longer than M minutes. Needs a display, or
Xvfb.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "xcb")
sys.path.insert(0, str(Path(__file__).parent))

STARTS = ("unet:resnet18", "unetplusplus:tu-regnety_004", "fpn:resnet18", "unet:tu-mobilenetv3_small_100")


def drive(output: Path, minutes: float) -> None:
    """Open, paint, compare; a picture while it runs and one at the end."""
    from screenshots import Driver

    from napari_medseg._layers import image_layers, labels_layer_data
    from napari_medseg.editing.corrections import corrections_of
    from napari_medseg.phantoms import femur_sample
    from napari_medseg.training.candidates import CompareOptions

    driver = Driver(output)
    image, truth = femur_sample(3, slices=24, size=256)
    for pixels, kwargs, kind in (*image_layers(image), labels_layer_data(truth)):
        getattr(driver.viewer, f"add_{kind}")(pixels, **{**kwargs, "name": "femur ct" if kind == "image" else "femur"})
    labels = driver.viewer.layers["femur"]
    dock = driver.dock("Compare")
    for z in range(1, 24, 3):
        corrections_of(labels).accept(z)
    dock.pairs.refresh()
    dock.form.starts.set_value(STARTS)
    dock.form.time.set_value(CompareOptions(max_minutes=minutes))
    driver.viewer.dims.set_current_step(0, 4)
    driver.wait(dock.panel.run.isEnabled, "the pairs")
    driver.picture("compare-ready")
    # Beside the minutes that are trained, each process has to start, which takes long on a busy machine.
    patience = 240 * minutes + 300
    seconds = driver.run(dock, "compare", lambda: len(dock.curves.plot.listDataItems()) > 3, patience)
    print(f"{seconds:.0f} s\n{dock.result}")
    driver.viewer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--minutes", type=float, default=20.0)
    arguments = parser.parse_args()
    home = tempfile.TemporaryDirectory()
    os.environ.setdefault("NAPARI_MEDSEG_HOME", home.name)
    from napari_medseg.cli.screen import open_screen

    with open_screen(), home:
        drive(arguments.output, arguments.minutes)


if __name__ == "__main__":
    main()
