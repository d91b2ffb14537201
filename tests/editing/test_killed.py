"""Painting in a program that is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Labels as LabelsLayer

from napari_medseg.editing.corrections import Corrections
from napari_medseg.editing.unsaved import find_unsaved

# Each stroke paints one pixel of its own, says so, and waits until the reader has said that its time has come.
PROGRAM = """
    import sys
    from pathlib import Path
    import numpy as np
    from napari.layers import Labels
    from napari_medseg.editing.corrections import corrections_of
    from napari_medseg.editing.journal import Journal

    folder = Path(sys.argv[1])
    layer = Labels(np.zeros((8, 256, 256), np.uint8), name="labels")
    journal = Journal(layer, corrections_of(layer), lambda _: lambda: folder, lambda layer: {"name": layer.name})
    layer.brush_size = 1
    for i in range(100000):
        layer._begin_stroke()
        layer.paint((i // 65536, i // 256 % 256, i % 256), 1 + i % 250)
        layer._commit_stroke()
        if i % 10 == 9:  # once in a while all of it is known to be on disk
            assert journal.flush()
            print(i, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no way to kill a program unawares")
@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_moment_what_was_on_disk_is_there(seed: int, tmp_path: Path) -> None:
    """W3: a kill leaves every stroke that was written, and no journal that cannot be read."""
    chance = random.Random(seed)
    code = textwrap.dedent(PROGRAM)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "image")], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        for _ in range(chance.randint(1, 60)):
            known = int(program.stdout.readline())
        for _ in range(chance.randint(0, 20000)):
            pass  # somewhere in the middle of the next strokes
        os.kill(program.pid, signal.SIGKILL)
        rest = program.stdout.read().split()
    known = int(rest[-1]) if rest else known
    [unsaved] = find_unsaved(tmp_path / "image")
    layer = LabelsLayer(np.zeros(unsaved.shape, np.uint8))
    corrections = Corrections(layer)
    unsaved.put_back(corrections, whole=True)
    strokes = layer.data.ravel()
    last = int(np.flatnonzero(strokes)[-1])
    assert last >= known
    assert (strokes[: known + 1] == 1 + np.arange(known + 1) % 250).all()
    assert np.count_nonzero(corrections.edited(0)) == np.count_nonzero(layer.data[0])
