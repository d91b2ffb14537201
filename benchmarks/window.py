"""How quick the window answers while a model trains (in a process of its own, as it does, or in a thread of napari's)
and while it segments.

    python benchmarks/window.py [--seconds 45] [--ways idle process thread segment] [--slices 48] [--json OUT]

Somebody scrolls through the slices and paints all the while, in the real window. A timer of Qt's ticks every 10 ms: how
much later than that it comes is how long the window was without an answer, drawing included. Steps (slices) per second
say what the work had of the computer. The start (loading torch, reading slices) is told apart. Needs a display, or
Xvfb; run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "xcb")
TICK = 10
"""Milliseconds between two ticks of the timer."""

PAUSE = 20
"""Milliseconds between two things the user does."""


class User:
    """Scrolls and paints at the window, and times its answers."""

    def __init__(self, viewer: Any, labels: Any) -> None:
        from qtpy.QtCore import Qt, QTimer

        self.viewer, self.labels = viewer, labels
        self.turn = 0
        self.late: list[float] = []
        self._last = time.perf_counter()
        self._ticks, self._hand = QTimer(), QTimer()
        self._ticks.setTimerType(Qt.TimerType.PreciseTimer)
        self._ticks.timeout.connect(self._tick)
        self._ticks.start(TICK)
        self._hand.timeout.connect(self._act)
        self._hand.start(PAUSE)

    def live(self, going_on: Callable[[], bool]) -> None:
        """Let the window live, with its user, as long as something goes on."""
        from qtpy.QtCore import QEventLoop
        from qtpy.QtWidgets import QApplication

        while going_on():
            QApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)

    def live_for(self, seconds: float) -> None:
        """Let the window live for a time."""
        end = time.monotonic() + seconds
        self.live(lambda: time.monotonic() < end)

    def leave(self) -> None:
        """Do nothing any more."""
        self._ticks.stop()
        self._hand.stop()

    def figures(self) -> dict[str, float]:
        """Median, 99th percentile and longest time without an answer in ms since the last call."""
        late, self.late = sorted(self.late), []
        if not late:
            return {}
        return {
            "median_ms": round(late[len(late) // 2], 1),
            "p99_ms": round(late[int(0.99 * (len(late) - 1))], 1),
            "longest_ms": round(late[-1], 1),
            "over_100_ms": sum(t > 100 for t in late),
            "ticks": len(late),
        }

    def _tick(self) -> None:
        now = time.perf_counter()
        self.late.append(max(0.0, 1000 * (now - self._last) - TICK))
        self._last = now

    def _act(self) -> None:
        """Scroll one slice on, or draw a little further."""
        self.turn += 1
        slices, side = self.labels.data.shape[0], self.labels.data.shape[-1]
        if self.turn % 4 == 0:
            self.viewer.dims.set_current_step(0, self.turn // 4 % slices)
        else:
            z = self.viewer.dims.current_step[0]
            self.labels.paint((z, side // 3 + self.turn % 60, side // 3 + self.turn % 80), 1)


def open_window(slices: int) -> tuple[Any, Any, Any]:
    """The sample in a window, four of its slices corrected."""
    import napari
    import numpy as np

    from napari_medseg._layers import image_layers
    from napari_medseg.editing.corrections import corrections_of
    from napari_medseg.inference.options import SegmentOptions
    from napari_medseg.models.library import list_models
    from napari_medseg.phantoms import femur_sample
    from napari_medseg.widgets.result_layer import result_layer

    image, truth = femur_sample(3, slices=slices, size=512)
    viewer = napari.Viewer()
    viewer.window.resize(1440, 900)
    [(data, kwargs, _)] = image_layers(image)
    layer = viewer.add_image(data, **{**kwargs, "name": "femur ct"})
    card = next(card for card in list_models() if card.name == "femur-ct")
    labels = result_layer(viewer, layer, card, SegmentOptions())
    for z in range(slices):
        corrections_of(labels).write(z, truth.slice(z))
    for z in np.linspace(1, slices - 2, 4).astype(int).tolist():
        corrections_of(labels).accept(z)
    return viewer, layer, labels


def train(user: User, seconds: float) -> dict[str, Any]:
    """By the dock's own button."""
    viewer = user.viewer
    _, dock = viewer.window.add_plugin_dock_widget("napari-medseg", "Fine-tune")
    viewer.layers.selection.active = user.labels
    user.live_for(2)
    user.figures()
    steps: list[tuple[float, float]] = []

    def note(progress: Any) -> None:
        if progress.metrics.get("step"):
            steps.append((time.perf_counter(), progress.metrics["step"]))

    dock.panel.job.progressed.connect(note)
    dock.options.set_value(dock.options.value(max_minutes=None))
    dock.time.addItem("benchmark", seconds / 60)
    dock.time.setCurrentIndex(dock.time.count() - 1)
    dock.panel.run.click()
    user.live(lambda: not steps and dock.panel.job.running)
    start = user.figures()
    user.live(lambda: dock.panel.job.running)
    dock.panel.job.progressed.disconnect(note)
    said = dock.panel.status.text()
    dock.keep.click()
    viewer.window.remove_dock_widget(dock)
    return {"start": start, "training": user.figures(), "steps_per_s": pace(steps), "said": said}


def train_in_thread(user: User, seconds: float) -> dict[str, Any]:
    """The same without a process of its own."""
    from napari_medseg.training import apart
    from napari_medseg.training.work import carry_out

    usual = apart.train_apart
    apart.train_apart = lambda run, report, preview, started: carry_out(run, report, started, preview)
    try:
        return train(user, seconds)
    finally:
        apart.train_apart = usual


def segment(user: User, image_layer: Any) -> dict[str, Any]:
    """All slices, by the dock's own button; what is painted meanwhile is painted in another layer."""
    viewer = user.viewer
    _, dock = viewer.window.add_plugin_dock_widget("napari-medseg", "Segment")
    viewer.layers.selection.active = image_layer
    dock.model.set_value("femur-ct")
    user.live_for(2)
    user.figures()
    done: list[tuple[float, float]] = []

    def note(progress: Any) -> None:
        if progress.total and progress.done:
            done.append((time.perf_counter(), progress.done))

    dock.panel.job.progressed.connect(note)
    dock.panel.run.click()
    user.live(lambda: not done and dock.panel.job.running)
    start = user.figures()
    user.live(lambda: dock.panel.job.running)
    dock.panel.job.progressed.disconnect(note)
    said = dock.panel.status.text()
    viewer.window.remove_dock_widget(dock)
    return {"start": start, "segmenting": user.figures(), "slices_per_s": pace(done), "said": said}


def pace(steps: list[Any]) -> float:
    """Steps or slices per second between the first and the last report."""
    if len(steps) < 2 or steps[-1][0] <= steps[0][0]:
        return 0.0
    return round((steps[-1][1] - steps[0][1]) / (steps[-1][0] - steps[0][0]), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=45)
    parser.add_argument("--ways", nargs="*", default=["idle", "process", "thread", "segment"])
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
        viewer, layer, labels = open_window(arguments.slices)
        user = User(viewer, labels)
        user.live_for(3)  # the first drawing compiles shaders
        user.figures()
        for way in arguments.ways:
            if way == "thread":
                results[way] = train_in_thread(user, arguments.seconds)
            elif way == "process":
                results[way] = train(user, arguments.seconds)
            elif way == "segment":
                results[way] = segment(user, layer)
            else:
                user.live_for(arguments.seconds / 3)
                results[way] = user.figures()
            print(way, json.dumps(results[way]), flush=True)
        user.leave()
        viewer.close()
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
