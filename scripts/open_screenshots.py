"""Picture the Open dock with made-up DICOM: the choice of a series, and what is found in slices that lie unevenly.

    python scripts/open_screenshots.py OUTPUT

No patient's image is used: two series of the femur phantom. Needs a display, or Xvfb.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

os.environ.setdefault("QT_QPA_PLATFORM", "xcb")
PROJECT = Path(__file__).parents[1]
sys.path[:0] = [str(PROJECT / "scripts"), str(PROJECT / "tests" / "io")]

WIDTH = 900
"""Of the pictures; smaller ones load faster."""


def make_folder(folder: Path) -> Path:
    """A CT from hip to knee, tilted and unevenly spaced, and a short scout of it; the slices of both in one folder."""
    from made_up_dicom import dicom_slice, save_dicom, stored_of

    from napari_medseg.phantoms import femur_sample

    image, _ = femur_sample(3, slices=12, size=256)
    tilt = np.deg2rad(12)
    for number, (what, chosen) in enumerate((("scout", range(5, 7)), ("thigh, bone window", range(12))), 2):
        place = 0.0
        for index, z in enumerate(chosen):
            place += 5.0 if index % 5 else 8.0
            pixels = image.slice(z) if image.channels == 1 else image.slice(z)[..., 0]
            stored = (pixels.astype(np.float32) / 255 * 1800 + 524).astype(np.uint16)
            changes = {
                "SeriesNumber": number, "SeriesDescription": what, "SeriesInstanceUID": f"1.2.3.{number}",
                "SOPInstanceUID": f"1.2.{number}.{index + 1}", "InstanceNumber": index + 1, "PixelSpacing": [1.4, 1.4],
                "ImagePositionPatient": [-180, -180, place], "WindowCenter": 400, "WindowWidth": 1800,
                "ImageOrientationPatient": [1, 0, 0, 0, float(np.cos(tilt)), float(np.sin(tilt))],
            }  # fmt: skip
            save_dicom(folder / f"{number}-{index:02d}.dcm", dicom_slice(place, **{**stored_of(stored), **changes}))
    return folder


def save_small(path: Path) -> None:
    """The picture in the docs' width and with few colours."""
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert("RGB").resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.LANCZOS)
    small.quantize(128).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ.setdefault("NAPARI_MEDSEG_HOME", home)
        from screenshots import Driver

        from napari_medseg.cli.screen import open_screen

        with open_screen():
            driver = Driver(arguments.output)
            driver.viewer.window.resize(1150, 760)
            show(driver, make_folder(Path(home) / "case 7"))
            driver.viewer.close()
    for name in ("open-series", "open-findings"):
        save_small(arguments.output / f"{name}.png")


def show(driver: object, folder: Path) -> None:
    """Look at the folder, choose the CT, open it."""
    dock = driver.dock("Open")
    dock.look_at(folder)
    driver.wait(lambda: dock.series.count() == 2 and not dock.series.job.running, "the pictures of the series")
    driver.picture("open-series")
    dock.series.setCurrentRow(1)
    driver.wait(lambda: dock.panel.run.isEnabled() and not dock.panel.job.running, "the look")
    dock.panel.run.click()
    driver.wait(lambda: len(driver.viewer.layers) == 1, "the image")
    driver.picture("open-findings")


if __name__ == "__main__":
    main()
