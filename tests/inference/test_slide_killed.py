"""A run over a slide that is killed, and goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

KILLS = 4

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no way to start a program in a moment"),
]


@pytest.mark.timeout(120)
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    """W3, W8: also while it makes the result, and while it goes on; the lock of the killed one holds nobody up."""
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path)], capture_output=True, text=True, timeout=110, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    print(done.stdout)


def main(folder: Path) -> None:
    """In a program of its own, whose children load torch by being forked."""
    from small_slides import OPTIONS, files_of, small_model, small_slide

    from napari_medseg.inference.slides import writer as slide_writer
    from napari_medseg.inference.slides.segment import segment_slide

    slide_writer.FLUSH_BLOCKS = 1  # more moments between one file and the next

    image, model = small_slide(), small_model()

    def start(output: Path) -> int:
        child = os.fork()
        if child:
            return child
        try:
            segment_slide(image, model, OPTIONS, output=output, resume=True)
            os._exit(0)
        finally:
            os._exit(1)

    def count(output: Path) -> int:
        return sum(len(files) for _, _, files in os.walk(output))

    os.waitpid(start(folder / "whole.ome.zarr"), 0)
    wanted = files_of(folder / "whole.ome.zarr")
    assert wanted
    chance = random.Random()
    output, moments = folder / "killed.ome.zarr", []
    for n in range(KILLS):
        child = start(output)
        # Not by the clock: somewhere while it makes the result, then after a few more files.
        least = count(output) + chance.randint(0, 0 if n == 0 else 9)
        while count(output) < least and os.waitpid(child, os.WNOHANG) == (0, 0):
            time.sleep(0.0005)
        time.sleep(chance.uniform(0, 0.1 if n == 0 else 0.003))
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        moments.append(count(output))
    _, status = os.waitpid(start(output), 0)
    assert status == 0, "the last run failed"
    found = files_of(output)
    assert found == wanted, sorted(found.items() ^ wanted.items())
    print("files when it was killed:", moments, "of", len(wanted))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
