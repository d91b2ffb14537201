"""What the journal of painting costs, and what a kill loses.

    python benchmarks/journal.py [--strokes 500] [--kills 20]

First paints strokes of a 20 px brush in a stack of 300 slices of 512 x 512 and prints the milliseconds that the journal
takes of the thread that draws the window, and the bytes on disk. Then lets a program paint 20 strokes a second, kills
it (SIGKILL) at a random moment, reads its journal, and prints how old the oldest stroke was that is not in it.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

SHAPE = (300, 512, 512)
PER_SECOND = 20


def open_layer(folder: Path) -> tuple[Any, Any]:
    """A labels layer that holds a result, and its journal."""
    from napari.layers import Labels

    from napari_medseg.editing.corrections import corrections_of
    from napari_medseg.editing.journal import Journal

    data = np.zeros(SHAPE, np.uint8)
    data[:, 150:350, 200:300] = 1
    layer = Labels(data, name="labels")
    layer.brush_size = 20
    return layer, Journal(layer, corrections_of(layer), lambda _: lambda: folder, lambda layer: {"name": layer.name})


def stroke(layer: Any, points: list[tuple[int, int, int]], label: int) -> None:
    """Drag the brush over points."""
    layer._begin_stroke()
    for point in points:
        layer.paint(point, label, refresh=False)
    layer._commit_stroke()


def time_strokes(count: int) -> None:
    """Milliseconds and bytes of strokes in random slices, alone and in volumes of 10 slices."""
    for name, dimensions in (("strokes in one slice", 2), ("strokes through 20 slices", 3)):
        with tempfile.TemporaryDirectory() as home:
            layer, journal = open_layer(Path(home) / "image")
            layer.n_edit_dimensions = dimensions
            spent, taken = [0.0], journal._on_touched
            journal._corrections.touched.disconnect(taken)

            def timed(boxes: Any, taken: Any = taken, spent: list[float] = spent) -> None:
                start = time.thread_time()
                taken(boxes)
                spent[-1] += time.thread_time() - start

            journal._corrections.touched.connect(timed)
            chance = random.Random(0)
            whole: list[float] = []
            looks: list[float] = []
            for i in range(count):
                z, y, x = chance.randrange(20, 280), chance.randrange(40, 440), chance.randrange(40, 440)
                spent.append(0.0)
                start = time.thread_time()
                stroke(layer, [(z, y + d, x + d) for d in range(0, 30, 5)], i % 4)
                whole.append(1000 * (time.thread_time() - start))
                for _ in range(5):  # two strokes a second; the window looks ten times a second
                    start = time.thread_time()
                    journal.look()
                    looks.append(1000 * (time.thread_time() - start))
            journal.flush(60)
            ms = 1000 * np.array(spent[1:])
            size = journal.path.stat().st_size
            kept = f"{journal.path.stat().st_size / count:.0f} bytes a stroke, {size / 1e6:.2f} MB in all"
            print(
                f"{count} {name}: journal {describe(ms)}; each look {describe(looks)}; "
                f"whole stroke {describe(whole)}; {kept}"
            )
            journal.close()


def describe(ms: Any) -> str:
    return f"median {np.median(ms):.2f} ms, p99 {np.percentile(ms, 99):.2f}, largest {np.max(ms):.2f}"


def paint(folder: Path) -> None:
    """Paint until killed; prints number and time of each stroke once it is done."""
    layer, _journal = open_layer(folder)
    layer.brush_size = 1
    print("ready", flush=True)
    for i in range(10**6):
        stroke(layer, [(i // 400 % 300, 2 * (i % 400 // 20) + 10, i % 20 + 10)], 2 + i // 120000)
        print(i, time.monotonic(), flush=True)
        time.sleep(1 / PER_SECOND)


def kill(count: int) -> None:
    """Kill a painting program so many times."""
    from napari.layers import Labels

    from napari_medseg.editing.corrections import Corrections
    from napari_medseg.editing.unsaved import find_unsaved

    chance = random.Random()
    lost, oldest = [], []
    for _ in range(count):
        with tempfile.TemporaryDirectory() as home:
            command = [sys.executable, __file__, "--paint", home]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
                program.stdout.readline()
                time.sleep(chance.uniform(0.3, 4))
                end = time.monotonic()
                program.kill()
                lines = [line.split() for line in program.stdout.read().splitlines()]
            done = [(int(line[0]), float(line[1])) for line in lines if len(line) == 2]
            [unsaved] = find_unsaved(Path(home))
            layer = Labels(np.zeros(SHAPE, np.uint8))
            corrections = Corrections(layer)
            unsaved.put_back(corrections, whole=True)
            gone = [
                at
                for i, at in done
                if layer.data[i // 400 % 300, 2 * (i % 400 // 20) + 10, i % 20 + 10] != 2 + i // 120000
            ]
            lost.append(len(gone))
            oldest.append(max((end - at for at in gone), default=0.0))
            unsaved.release()
    if count:
        print(f"{count} kills: {sum(lost)} strokes lost in all; the oldest lost one was {max(oldest):.3f} s old")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strokes", type=int, default=500)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--paint", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.paint:
        paint(arguments.paint)
        return
    time_strokes(arguments.strokes)
    kill(arguments.kills)


if __name__ == "__main__":
    main()
