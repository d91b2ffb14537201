"""How quick the window answers while a model trains: in a process of its own, as it does, or in a thread of napari's.

    python benchmarks/window.py [--seconds 45] [--ways idle process thread] [--slices 48] [--json OUT]

Somebody scrolls through the slices and paints all the while, in the real window. Each turn of the event loop with what
was done in it is timed: the longest and the 99th percentile say how long the window was without an answer. Steps per
second say what the training had of it. The start (loading torch, reading the slices) is told apart. Needs a display, or
Xvfb; run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "xcb")
PAUSE = 0.008
"""Seconds between two things the user does."""


class User:
    """Scrolls and paints at the window, and times its answers."""

    def __init__(self, viewer: Any, image: Any, labels: Any) -> None:
        from qtpy.QtWidgets import QApplication

        self.viewer, self.image, self.labels = viewer, image, labels
        self.app = QApplication.instance()
        self.turn = 0
        self.times: list[float] = []
        self.work: list[float] = []

    def act(self) -> None:
        """Scroll one slice on, or draw a little further; then let the window answer."""
        begin, busy = time.perf_counter(), time.thread_time()
        self.turn += 1
        slices, side = self.labels.data.shape[0], self.labels.data.shape[-1]
        if self.turn % 4 == 0:
            self.viewer.dims.set_current_step(0, self.turn // 4 % slices)
        else:
            z = self.viewer.dims.current_step[0]
            self.labels.paint((z, side // 3 + self.turn % 60, side // 3 + self.turn % 80), 1)
        self.app.processEvents()
        self.times.append(time.perf_counter() - begin)
        self.work.append(time.thread_time() - busy)
        time.sleep(PAUSE)

    def figures(self) -> dict[str, float]:
        """Median, 99th percentile and longest answer in ms since the last call; of the median, what the window itself
        worked."""
        times, self.times = sorted(1000 * t for t in self.times), []
        work, self.work = sorted(1000 * t for t in self.work), []
        if not times:
            return {}
        return {
            "median_ms": round(times[len(times) // 2], 1),
            "own_work_ms": round(work[len(work) // 2], 1),
            "p99_ms": round(times[int(0.99 * (len(times) - 1))], 1),
            "longest_ms": round(times[-1], 1),
            "over_100_ms": sum(t > 100 for t in times),
            "turns": len(times),
        }


def open_window(slices: int) -> tuple[Any, Any, Any, Any]:
    """The sample in a window with the Fine-tune dock, four of its slices corrected."""
    import napari
    import numpy as np

    from napari_medseg._layers import image_layer_data
    from napari_medseg.editing.corrections import corrections_of
    from napari_medseg.inference.options import SegmentOptions
    from napari_medseg.models.library import list_models
    from napari_medseg.phantoms import femur_sample
    from napari_medseg.widgets.result_layer import result_layer

    image, truth = femur_sample(3, slices=slices, size=512)
    viewer = napari.Viewer()
    viewer.window.resize(1440, 900)
    data, kwargs, _ = image_layer_data(image)
    layer = viewer.add_image(data, **{**kwargs, "name": "femur ct"})
    card = next(card for card in list_models() if card.name == "femur-ct")
    labels = result_layer(viewer, layer, card, SegmentOptions())
    for z in range(slices):
        corrections_of(labels).write(z, truth.slice(z))
    for z in np.linspace(1, slices - 2, 4).astype(int).tolist():
        corrections_of(labels).accept(z)
    _, dock = viewer.window.add_plugin_dock_widget("napari-medseg", "Fine-tune")
    viewer.layers.selection.active = labels
    return viewer, layer, labels, dock


def train(user: User, dock: Any, seconds: float) -> dict[str, Any]:
    """By the dock's own button."""
    steps: list[tuple[float, float]] = []

    def note(progress: Any) -> None:
        if progress.metrics.get("step"):
            steps.append((time.perf_counter(), progress.metrics["step"]))

    dock.panel.job.progressed.connect(note)
    dock.options.set_value(dock.options.value(max_minutes=None))
    dock.time.addItem("benchmark", seconds / 60)
    dock.time.setCurrentIndex(dock.time.count() - 1)
    dock.panel.run.click()
    while not steps and dock.panel.job.running:
        user.act()
    start = user.figures()
    while dock.panel.job.running:
        user.act()
    dock.panel.job.progressed.disconnect(note)
    said = dock.panel.status.text()
    dock.keep.click()
    return {"start": start, "training": user.figures(), "steps_per_s": pace(steps), "said": said}


def train_in_thread(user: User, dock: Any, seconds: float) -> dict[str, Any]:
    """The same without a process of its own."""
    from napari_medseg.training import apart
    from napari_medseg.training.work import carry_out

    usual = apart.train_apart
    apart.train_apart = lambda run, report, preview, started: carry_out(run, report, started, preview)
    try:
        return train(user, dock, seconds)
    finally:
        apart.train_apart = usual


def pace(steps: list[Any]) -> float:
    """Steps per second between the first and the last report."""
    if len(steps) < 2 or steps[-1][0] <= steps[0][0]:
        return 0.0
    return round((steps[-1][1] - steps[0][1]) / (steps[-1][0] - steps[0][0]), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=45)
    parser.add_argument("--ways", nargs="*", default=["idle", "process", "thread"])
    parser.add_argument("--slices", type=int, default=48)
    parser.add_argument("--switch", type=float, help="seconds after which a thread hands over (5 ms in Python)")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.switch:
        sys.setswitchinterval(arguments.switch)
    home = tempfile.TemporaryDirectory()
    os.environ["NAPARI_MEDSEG_HOME"] = home.name
    from napari_medseg.cli.screen import open_screen

    results: dict[str, Any] = {}
    with open_screen(), home:
        viewer, layer, labels, dock = open_window(arguments.slices)
        user = User(viewer, layer, labels)
        for _ in range(100):
            user.act()  # the first drawing compiles shaders
        user.figures()
        for way in arguments.ways:
            if way == "thread":
                results[way] = train_in_thread(user, dock, arguments.seconds)
            elif way == "process":
                results[way] = train(user, dock, arguments.seconds)
            else:
                end = time.monotonic() + arguments.seconds / 3
                while time.monotonic() < end:
                    user.act()
                results[way] = user.figures()
            print(way, json.dumps(results[way]), flush=True)
        viewer.close()
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
