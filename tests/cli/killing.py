"""The command line in processes that are killed: one start of Python, from which every run is forked."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAM = """
    import os, sys
    import torch
    torch.set_num_threads(1)  # threads do not outlive a fork
    import napari_medseg.cli.segment as command
    import napari_medseg.evaluation.suggest, napari_medseg.inference.slides.segment, napari_medseg.inference.stack, zarr
    from napari_medseg.cli import main
    from napari_medseg.models.smp import import_smp
    from tests.cli.conftest import threshold_model

    import_smp()
    command.load_model = lambda reference: threshold_model()
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            os.dup2(2, 1)
            os._exit(main(line.rstrip("\\n").split("\\t")))
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
"""

POSSIBLE = hasattr(os, "fork")


class Killer:
    """Runs ``napari-medseg`` and kills it."""

    def __init__(self, program: subprocess.Popen[str]) -> None:
        self._program = program
        self._read()

    def start(self, *arguments: object) -> int:
        """Begin a run; its process number."""
        assert self._program.stdin is not None
        self._program.stdin.write("\t".join(map(str, arguments)) + "\n")
        self._program.stdin.flush()
        return int(self._read())

    def end(self) -> int:
        """Wait for the run; its exit code, negative when it was killed."""
        return int(self._read())

    def run(self, *arguments: object) -> float:
        """A whole run; the seconds it took."""
        start = time.monotonic()
        self.start(*arguments)
        code = self.end()
        assert code == 0, code
        return time.monotonic() - start

    def kill_often(self, rounds: int, seconds: float, *arguments: object, seed: int = 0) -> int:
        """Begin and kill runs, each after a part of ``seconds``; how many were killed before they ended."""
        chance, killed = random.Random(seed), 0
        # The earliest first: a run that was slow by chance would else be whole before the first kill.
        for delay in sorted(chance.uniform(0, seconds) for _ in range(rounds)):
            process = self.start(*arguments)
            time.sleep(delay)
            with suppress(ProcessLookupError):  # it has ended
                os.kill(process, signal.SIGKILL)
            killed += self.end() < 0
        return killed

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
