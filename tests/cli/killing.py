"""The command line in processes that are killed: one start of Python, from which every run is forked.

A run is killed just before the n-th file that it has written gets its name, never by the clock.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = """
    import itertools, os, signal, sys
    import torch
    torch.set_num_threads(1)  # threads do not outlive a fork
    import napari_medseg.cli.segment as command
    import napari_medseg.evaluation.suggest, napari_medseg.inference.slides.segment, napari_medseg.inference.stack, zarr
    from napari_medseg.cli import main
    from napari_medseg.models.smp import import_smp
    from tests.cli.conftest import threshold_model

    import_smp()
    finished = itertools.count()

    def die_at(last):
        def hook(event, arguments):
            if event == "os.rename" and next(finished) == last:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)

    command.load_model = lambda reference: threshold_model()
    print("ready", flush=True)
    for line in sys.stdin:
        last, *arguments = line.rstrip("\\n").split("\\t")
        told, tell = os.pipe()
        child = os.fork()
        if not child:
            os.dup2(2, 1)
            die_at(int(last))
            code = main(arguments)
            os.write(tell, str(next(finished)).encode())
            os._exit(code)
        os.close(tell)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), os.read(told, 20).decode() or 0, flush=True)
        os.close(told)
"""

POSSIBLE = hasattr(os, "fork")


class Killer:
    """Runs ``napari-medseg`` and kills it."""

    def __init__(self, program: subprocess.Popen[str]) -> None:
        self._program = program
        self._read()

    def run(self, *arguments: object) -> int:
        """A whole run; how many files it wrote."""
        code, files = self._start(-1, *arguments)
        assert code == 0, code
        return files

    def kill_often(self, rounds: int, files: int, *arguments: object, seed: int = 0) -> int:
        """Begin and kill runs, each at one of so many files; how many were killed before they ended."""
        chance, killed = random.Random(seed), 0
        # The earliest first: what is left to do becomes less.
        for last in sorted(chance.randrange(files) for _ in range(rounds)):
            killed += self._start(last, *arguments)[0] < 0
        return killed

    def _start(self, last: int, *arguments: object) -> tuple[int, int]:
        """Exit code of a run, negative when it was killed, and how many files it wrote."""
        assert self._program.stdin is not None
        self._program.stdin.write("\t".join(map(str, (last, *arguments))) + "\n")
        self._program.stdin.flush()
        code, files = self._read().split()
        return int(code), int(files)

    def _read(self) -> str:
        assert self._program.stdout is not None
        return self._program.stdout.readline().strip()


@contextmanager
def killer() -> Iterator[Killer]:
    """Runs that are forked from one process."""
    code = textwrap.dedent(PROGRAM)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, cwd=Path(__file__).parents[2],
    ) as program:  # fmt: skip
        yield Killer(program)
        assert program.stdin is not None
        program.stdin.close()
