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
        self.viewer.screenshot(str(self.output / f"{name}.png"), canvas_only=False, flash=False)
        self.longest = longest

    def dock(self, name: str) -> object:
        _, widget = self.viewer.window.add_plugin_dock_widget("napari-medseg", name)
        return widget

    def close(self, widget: object) -> None:
        self.viewer.window.remove_dock_widget(widget)

    def run(self, widget: object, name: str, halfway: Callable[[], bool]) -> float:
        """Click the primary button, picture halfway and at the end; seconds from click to end."""
        start, self.longest = time.monotonic(), 0.0
        widget.panel.run.click()
        self.wait(lambda: halfway() or not widget.panel.job.running, f"{name}, halfway")
        self.picture(f"{name}-running")
        self.wait(lambda: not widget.panel.job.running, name)
        seconds = time.monotonic() - start
        self.picture(f"{name}-done")
        print(f"{name}: {seconds:.1f} s, longest pause of the window {1000 * self.longest:.0f} ms; {widget.panel.status.text()}")
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
    import numpy as np

    from napari_medseg import evaluate, io
    from napari_medseg._layers import labels_from_layer

    work = Path(tempfile.mkdtemp())
    driver = Driver(arguments.output)
    viewer = driver.viewer
    driver.picture("empty")
    if arguments.images:
        images, truth = arguments.images, io.read_labels(arguments.masks)
    else:
        images, truth = make_sample(work)
    opener = driver.dock("Open")
    opener.look_at(images)
    driver.wait(lambda: opener.panel.run.isEnabled() and not opener.panel.job.running, "the look")
    driver.picture("open-look")
    opener.panel.run.click()
    driver.wait(lambda: len(viewer.layers) == 1, "the image")
    driver.picture("open-done")
    driver.close(opener)

    image = viewer.layers[0]
    names = list(image.metadata["napari_medseg"]["names"])
    true_at = {names.index(name): truth.slice(i) for i, name in enumerate(truth.names) if name in names}
    viewer.dims.set_current_step(0, sorted(true_at)[len(true_at) // 3])
    segment = driver.dock("Segment")
    driver.picture("segment-ready")
    driver.run(segment, "segment", lambda: segment.panel.bar.value() > 0.4 * max(segment.panel.bar.maximum(), 1))
    labels = viewer.layers[1]
    before = evaluate(labels_from_layer(labels), truth, merge=True)

    chosen = [sorted(true_at)[round(i)] for i in np.linspace(0, len(true_at) - 1, arguments.paint)]
    for z in chosen:
        viewer.dims.set_current_step(0, z)
        paint(labels, z, true_at[z])
    driver.picture("painted")
    painted = labels.data[chosen].copy()
    driver.close(segment)
    tune = driver.dock("Fine-tune")
    tune.time.setCurrentIndex(min(range(tune.time.count()), key=lambda i: abs((tune.time.itemData(i) or 1) - arguments.minutes)))
    driver.picture("fine-tune-ready")
    driver.run(tune, "fine-tune", lambda: tune.panel.bar.value() > 0.6 * max(tune.panel.bar.maximum(), 1))
    tune.use.click()
    segments = [d for d in viewer.window.dock_widgets.values() if type(d).__name__ == "SegmentWidget"]
    driver.wait(lambda: bool(segments) and not segments[0].panel.job.running, "segmenting again")
    driver.picture("segment-again-done")
    after = evaluate(labels_from_layer(labels), truth, merge=True)
    print(f"painted pixels kept: {np.array_equal(labels.data[chosen], painted)}")
    rest = {names[z] for z in true_at if z not in chosen}
    for name, report in (("before", before), ("after", after)):
        dice = [row.values["dice"] for row in report.rows if row.slice in rest and row.values.get("dice") is not None]
        print(f"Dice {name} fine-tuning, {len(dice)} slices that were not painted: mean {np.mean(dice):.4f}, worst {min(dice):.4f}")
    saved = viewer.layers[1].save(str(work / "masks.tif"), plugin="napari-medseg")
    segments[0].save.click()
    driver.picture("save")
    print(f"saved: {[Path(p).name for p in saved]}")
    viewer.close()


def make_sample(work: Path) -> tuple[Path, object]:
    """The femur phantom as a folder of PNG slices, and its truth."""
    from PIL import Image as Picture

    from napari_medseg.core import ClassInfo, Geometry, Labels
    from napari_medseg.phantoms import femur_ct

    data, labels, spacing = femur_ct(7, slices=40, size=512)
    folder = work / "femur ct"
    folder.mkdir()
    names = tuple(f"{z}.png" for z in range(len(data)))
    for name, picture in zip(names, data, strict=True):
        Picture.fromarray(picture).save(folder / name)
    classes = (ClassInfo.numbered(1, "left"), ClassInfo.numbered(2, "right"))
    return folder, Labels(labels, classes, Geometry(spacing=spacing, unit="mm"), names)


if __name__ == "__main__":
    main()
