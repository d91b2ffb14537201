"""Drive the real window by its widgets through the whole loop, and take the pictures of the docs.

    python scripts/screenshots.py OUTPUT [--images FOLDER --masks FOLDER] [--minutes M]

Without a folder of images it uses the built-in femur phantom, whose truth does the painting. With one, ``--masks`` is a
folder of masks named as some of its slices. Opens, segments, paints, fine-tunes, segments again and saves, with a
picture of each step; prints how long the window was ever without an answer. Needs a display, or Xvfb.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image as Picture

os.environ.setdefault("QT_QPA_PLATFORM", "xcb")
SIZE = (1440, 900)


class Driver:
    """A person at the window: clicks, paints, waits, takes pictures."""

    def __init__(self, output: Path) -> None:
        import napari
        from qtpy.QtWidgets import QApplication

        self.viewer = napari.Viewer()
        self.viewer.window.resize(*SIZE)
        self.app = QApplication.instance()
        self.output = output
        self.longest = 0.0
        output.mkdir(parents=True, exist_ok=True)

    def wait(self, done: Callable[[], bool], what: str, seconds: float = 900) -> None:
        """Let the window live until ``done``; remembers its longest pause."""
        end = time.monotonic() + seconds
        while not done():
            begin = time.monotonic()
            self.app.processEvents()
            self.longest = max(self.longest, time.monotonic() - begin)
            if begin > end:
                raise TimeoutError(f"waited {seconds} s for: {what}")
            time.sleep(0.005)

    def picture(self, name: str) -> None:
        begin = time.monotonic()
        self.wait(lambda: time.monotonic() - begin > 0.5, "the window to settle")
        longest = self.longest
        pixels = self.viewer.screenshot(canvas_only=False, flash=False)
        # A quarter of the bytes, and the eye sees no difference.
        Picture.fromarray(pixels[..., :3]).quantize(256).save(self.output / f"{name}.png", optimize=True)
        self.longest = longest

    def dock(self, name: str) -> object:
        _, widget = self.viewer.window.add_plugin_dock_widget("napari-medseg", name)
        return widget

    def close(self, widget: object) -> None:
        self.viewer.window.remove_dock_widget(widget)

    def run(self, widget: object, name: str, halfway: Callable[[], bool], patience: float = 900) -> float:
        """Click the primary button, picture halfway and at the end; seconds from click to end."""
        start, self.longest = time.monotonic(), 0.0
        widget.panel.run.click()
        self.wait(lambda: halfway() or not widget.panel.job.running, f"{name}, halfway", patience)
        self.picture(f"{name}-running")
        self.wait(lambda: not widget.panel.job.running, name, patience)
        seconds = time.monotonic() - start
        self.picture(f"{name}-done")
        print(f"{name}: {seconds:.1f} s; longest pause of the window {1000 * self.longest:.0f} ms")
        print(f"    {widget.panel.status.text()}")
        return seconds


def paint(layer: object, z: int, truth: object) -> None:
    """Make slice ``z`` equal to ``truth``, through the layer's own painting, so that it counts as the user's."""
    import numpy as np

    for value in np.unique(np.concatenate([np.unique(truth), np.unique(layer.data[z])])):
        rows, columns = np.nonzero((truth == value) & (layer.data[z] != value))
        if len(rows):
            layer.data_setitem((np.full(len(rows), z), rows, columns), int(value))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--masks", type=Path)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--paint", type=int, default=4, help="number of slices to paint")
    arguments = parser.parse_args()
    home = tempfile.TemporaryDirectory()
    os.environ.setdefault("NAPARI_MEDSEG_HOME", home.name)
    from napari_medseg.cli.screen import open_screen

    with open_screen(), home:
        drive(arguments)


def drive(arguments: argparse.Namespace) -> None:
    """The whole loop: open, segment, paint, fine-tune, segment again, save."""
    from napari_medseg import evaluate, io
    from napari_medseg._layers import labels_from_layer

    work = Path(tempfile.mkdtemp())
    driver = Driver(arguments.output)
    if arguments.images:
        images, truth = arguments.images, io.read_labels(arguments.masks)
    else:
        images, truth = make_sample(work)
    names = open_series(driver, images)
    true_at = {names.index(name): truth.slice(i) for i, name in enumerate(truth.names) if name in names}
    driver.viewer.dims.set_current_step(0, sorted(true_at)[len(true_at) // 10])
    segment = driver.dock("Segment")
    segment.model.set_value("femur-ct")
    driver.picture("segment-ready")
    driver.run(segment, "segment", lambda: segment.panel.bar.value() > 0.4 * max(segment.panel.bar.maximum(), 1))
    driver.close(segment)
    labels = driver.viewer.layers[1]
    reports = {"before": evaluate(labels_from_layer(labels), truth, merge=True)}
    painted = correct(driver, labels, true_at, arguments.paint)
    again = fine_tune(driver, arguments.minutes)
    reports["after"] = evaluate(labels_from_layer(labels), truth, merge=True)
    check_painted(labels, painted)
    rest = {names[z] for z in true_at if z not in painted}
    for name, report in reports.items():
        rows = [row.values.get("dice") for row in report.rows if row.slice in rest]
        dice = [value for value in rows if value is not None]
        print(f"Dice {name}, {len(dice)} unpainted slices: mean {sum(dice) / len(dice):.4f}, worst {min(dice):.4f}")
    again.save.click()
    driver.picture("save")
    print("saved:", [Path(p).name for p in labels.save(str(work / "masks.tif"), plugin="napari-medseg")])
    driver.viewer.close()


def open_series(driver: Driver, images: Path) -> list[str]:
    """Open a folder in the Open dock; the names of its slices."""
    driver.picture("empty")
    opener = driver.dock("Open")
    opener.look_at(images)
    driver.wait(lambda: opener.panel.run.isEnabled() and not opener.panel.job.running, "the look")
    driver.picture("open-look")
    opener.panel.run.click()
    driver.wait(lambda: len(driver.viewer.layers) == 1, "the image")
    driver.picture("open-done")
    driver.close(opener)
    return list(driver.viewer.layers[0].metadata["napari_medseg"]["names"])


def correct(driver: Driver, labels: object, true_at: dict[int, object], count: int) -> dict[int, object]:
    """Paint the truth into evenly spread slices; which pixels of each are the user's, and their values."""
    from napari_medseg.editing.corrections import corrections_of

    known = sorted(true_at)
    chosen = [known[int((i + 0.5) / count * len(known))] for i in range(count)]
    for z in chosen:
        driver.viewer.dims.set_current_step(0, z)
        paint(labels, z, true_at[z])
    driver.picture("painted")
    return {z: (corrections_of(labels).edited(z), labels.data[z].copy()) for z in chosen}


def fine_tune(driver: Driver, minutes: float) -> object:
    """Fine-tune and segment again; the Segment dock that did it."""
    tune = driver.dock("Fine-tune")
    times = [tune.time.itemData(i) or 1 for i in range(tune.time.count())]
    tune.time.setCurrentIndex(min(range(len(times)), key=lambda i: abs(times[i] - minutes)))
    driver.picture("fine-tune-ready")
    driver.run(tune, "fine-tune", lambda: tune.panel.bar.value() > 0.6 * max(tune.panel.bar.maximum(), 1))
    tune.use.click()
    [segment] = [d for d in driver.viewer.window.dock_widgets.values() if type(d).__name__ == "SegmentWidget"]
    driver.wait(lambda: not segment.panel.job.running, "segmenting again")
    driver.picture("segment-again-done")
    return segment


def check_painted(labels: object, painted: dict[int, object]) -> None:
    pixels = sum(int(mine.sum()) for mine, _ in painted.values())
    kept = sum(int((labels.data[z][mine] == then[mine]).sum()) for z, (mine, then) in painted.items())
    print(f"painted pixels kept: {kept} of {pixels}")


def make_sample(work: Path) -> tuple[Path, object]:
    """The femur phantom as a folder of PNG slices, and its truth."""
    from napari_medseg.phantoms import built_in_sample

    image, truth = built_in_sample()
    folder = work / "femur ct"
    folder.mkdir()
    for name, picture in zip(image.names, image.slices(), strict=True):
        Picture.fromarray(picture).save(folder / name)
    return folder, truth


if __name__ == "__main__":
    main()
