"""A person who puts back, and a run of another program that writes the same chunk: neither undoes the other."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slide_stage import NOT_COMPUTED, make_result

from napari_medseg.core import ClassInfo
from napari_medseg.inference.slides.ledger import Ledger
from napari_medseg.inference.slides.scope import Scope
from napari_medseg.inference.slides.writer import BlockWriter
from napari_medseg.io.pyramid import halve
from napari_medseg.io.zarr.labels import LabelPyramid

BOX = (slice(100, 140), slice(200, 260))

PUT_BACK = """
import sys
from pathlib import Path
import numpy as np
from napari_medseg.core import silent
from napari_medseg.io.zarr.chunks import ChunkFiles
from napari_medseg.widgets.work_area import Patch, put_back

write = ChunkFiles.write

def wait(self, place, values):
    ChunkFiles.write = write
    print("has read the chunk", flush=True)
    sys.stdin.readline()
    write(self, place, values)

ChunkFiles.write = wait
box = slice(100, 140), slice(200, 260)
values = np.full((40, 60), 1, np.uint8)
print(put_back(Patch(Path(sys.argv[1]), box, values, (), b"", lambda: None), silent)[0], flush=True)
"""


class Run:
    """A run that has computed the first block of a result."""

    def __init__(self, path: Path) -> None:
        self.pyramid = make_result(path, classes=(ClassInfo.numbered(1), ClassInfo.numbered(2)))
        self.ledger = Ledger(path)
        self.ledger.begin({})
        scope = Scope(None, self.pyramid.shape, self.pyramid.chunk)
        self.writer = BlockWriter(self.pyramid, self.ledger, "all", scope, check=lambda: None, levels=True)
        self.writer.store((0, 0), np.full((512, 512), 2, np.uint8), [])

    def check(self) -> None:
        """What was put back is there, and around it what the run computed, in all levels."""
        assert self.ledger.done() == {(0, 0)}
        wanted = np.full(self.pyramid.shape, NOT_COMPUTED, np.uint8)
        wanted[:512, :512] = 2
        wanted[BOX] = 1
        for level in LabelPyramid.open(self.pyramid.path).levels:
            np.testing.assert_array_equal(level[:], wanted)
            wanted = halve(wanted)


@contextmanager
def putting_back(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another program that puts back, and waits when it has read a chunk and not written it."""
    command = [sys.executable, "-c", PUT_BACK, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "has read the chunk\n"
            yield child
        finally:
            child.kill()


def test_what_a_run_of_another_program_computes_is_there_after_putting_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, reached = Run(tmp_path / "a.ome.zarr"), threading.Event()
    writing = getattr(Ledger, "writing", None)

    def told(self: Ledger) -> AbstractContextManager[Any]:
        reached.set()
        assert writing is not None
        return writing(self)

    def flush() -> None:
        run.writer.flush()
        reached.set()

    monkeypatch.setattr(Ledger, "writing", told, raising=False)
    with putting_back(run.pyramid.path) as child:
        thread = threading.Thread(target=flush)
        thread.start()
        assert reached.wait(60)
        out, _ = child.communicate("go on\n", timeout=60)
        thread.join(60)
        assert not thread.is_alive()
    assert out == "2400\n"
    run.check()


def test_program_that_is_killed_while_it_puts_back_holds_nobody_up(tmp_path: Path) -> None:
    """W8: what it kept is in the result nevertheless."""
    run = Run(tmp_path / "a.ome.zarr")
    with putting_back(run.pyramid.path) as child:
        child.kill()
        child.wait(60)
        run.writer.flush()
    run.check()
