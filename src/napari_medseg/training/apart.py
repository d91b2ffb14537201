"""A training in a process of its own: the window's Python has only one thread at a time, which painting needs.

The two talk in lines of JSON over the child's standard input and output; pixels go through files in a folder that both
know. Here is the side of whoever wants the training, which loads no torch; the other one is `child`.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from napari_medseg.core import Cancelled, ComputeError, Image, Progress, Reporter
from napari_medseg.models.library import HOME

from .messages import Message, describe, revive, unpack_result
from .preview import Preview
from .run import TrainingRun
from .verdict import TrainingResult

BEAT = 0.2
"""Seconds of silence after which the reporter is asked whether to stop."""

PATIENCE = 30.0
"""Seconds that the process has to end once it has nothing more to do."""

SLICE_FILE = "slice.npy"
PREPARING = "Preparing"

_log = logging.getLogger(__name__)


def train_apart(
    run: TrainingRun,
    report: Reporter,
    preview: Preview | None = None,
    started: float = -1.0,
    *,
    library: Path | None = None,
) -> TrainingResult:
    """Do a training run in a process of its own; it means the same as `work.carry_out`.

    Parameters
    ----------
    report, preview
        Called in the thread of the caller, ``report`` at least every 0.2 s. When it raises `Cancelled`, the process
        stops and keeps the best.
    started
        When its time began, by ``time.monotonic``; now if negative, once the process is ready if infinite.
    library
        Where the new model goes, in the place of the library's own folder.

    Raises
    ------
    MedsegError
        What ended the training, as it was raised there; its notes hold the traceback.
    ComputeError
        The process cannot be started, has met an unexpected error or is gone.
    Cancelled
        Stopped before anything was learnt.
    """
    started = time.monotonic() if started < 0 else started
    report(Progress(PREPARING, message="starting a process for the training"))
    with tempfile.TemporaryDirectory(prefix="napari-medseg-", ignore_cleanup_errors=True) as folder:
        child = Child(Path(folder), library)
        try:
            return Conversation(child, report, preview).hold(run, started)
        finally:
            child.end()


class Child:
    """The process that trains, and the pipes to it.

    Raises
    ------
    ComputeError
        It cannot be started.
    """

    def __init__(self, folder: Path, library: Path | None = None) -> None:
        self.folder = folder
        environment = {**os.environ, **({HOME: str(library)} if library else {})}
        self._said: IO[bytes] = (folder / "said.txt").open("w+b")
        # The folder one happens to be in is no place to import from. A session of its own: Ctrl-C is for this process.
        command = [sys.executable, "-P", "-X", "faulthandler", "-m", "napari_medseg.training.child", str(folder)]
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0), env=environment,
            )  # fmt: skip
        except OSError as error:
            self._said.close()
            raise ComputeError(f"The training process cannot be started: {error.strerror}.") from error
        self._heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, name="training process", daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with suppress(OSError, ValueError):
            for line in self.process.stdout:
                self._heard.put(line)
        self._heard.put(b"")

    def hear(self) -> Message | None:
        """What it says next; empty after a while of silence, None when it is gone."""
        while True:
            try:
                line = self._heard.get(timeout=BEAT)
            except queue.Empty:
                return {}
            if not line:
                return None
            # Until it has taken over its output, anything may be printed there.
            with suppress(ValueError):
                if isinstance(told := json.loads(line), dict):
                    return told

    def send(self, **message: Any) -> None:
        """Tell it something; a process that is gone is met when listening."""
        assert self.process.stdin is not None
        with suppress(OSError, ValueError):
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()

    def end(self) -> None:
        """Nobody listens any more: it keeps the best and ends; wait for that."""
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(OSError):
            process.stdin.close()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._listener.join(PATIENCE)
        process.stdout.close()
        self._said.close()

    def explain_end(self) -> ComputeError:
        """Why it ended without a word."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)
        code = self.process.returncode
        if code is not None and code < 0:
            killed = -code == getattr(signal, "SIGKILL", 9)
            reason = f"signal {-code}{', perhaps out of memory' if killed else ''}"
        else:
            reason = f"exit code {code}"
        error = ComputeError(
            f"The training process ended unexpectedly ({reason}).",
            "Set a smaller batch or crop, or close other programs.",
        )
        self._said.seek(0)
        if last := self._said.read().decode(errors="replace").strip()[-4000:]:
            error.add_note(f"The last that it said:\n{last}")
        return error


class Conversation:
    """Passes on what the process tells, and answers what it asks."""

    def __init__(self, child: Child, report: Reporter, preview: Preview | None) -> None:
        self._child, self._report, self._preview = child, report, preview
        self._last = Progress(PREPARING)
        self._going = self._stopped = False
        self._image: Image | None = None
        self._number = 0

    def hold(self, run: TrainingRun, started: float) -> TrainingResult:
        """Train; see `train_apart`."""
        while (told := self._child.hear()) is not None:
            match told:
                case {"ready": _} if not self._going:
                    self._going = True
                    self._child.send(
                        run=run.model_dump_json(),
                        elapsed=max(0.0, time.monotonic() - started),
                        watched=self._preview is not None,
                    )
                case {"progress": dict(content)}:
                    self._pass_on(content)
                case {"ask": _}:
                    self._child.send(**_answer(self._ask))
                case {"slice": int(z)}:
                    self._child.send(**_answer(lambda z=z: self._write(z)))
                case {"result": dict(content)}:
                    return unpack_result(content)
                case {"failed": dict(content)}:
                    raise revive(content)
                case {"cancelled": _}:
                    raise Cancelled("stopped before anything was learnt")
                case _:
                    self._tell(self._last)
        raise self._child.explain_end()

    def _tell(self, progress: Progress) -> None:
        if self._stopped:
            return
        try:
            self._report(progress)
        except Cancelled:
            self._stopped = True
            if not self._going:  # it still loads its libraries
                self._child.process.kill()
                raise
            self._child.send(stop=True)

    def _pass_on(self, content: Message) -> None:
        region, shown = content.pop("region"), content.pop("shown")
        self._last = Progress(content["stage"], content["done"], content["total"])
        pixels = None
        if shown:
            path = self._child.folder / shown
            with suppress(OSError, ValueError):  # a slice that is not shown ends no training
                pixels = np.load(path, allow_pickle=False)
                path.unlink()
        self._tell(Progress(**content, region=None if region is None else tuple(region), result=pixels))

    def _ask(self) -> Message | None:
        """Which slice is in view, and what its image is."""
        asked = self._preview() if self._preview else None
        if asked is None:
            return None
        image = asked.image
        if self._image is None or image.data is not self._image.data or image.geometry != self._image.geometry:
            self._number += 1
        self._image = image
        return {
            "key": [int(k) for k in asked.key], "z": int(asked.z), "number": self._number,
            "shape": [int(n) for n in image.data.shape], "axes": image.axes, "meaning": image.meaning,
            "geometry": image.geometry.model_dump_json(), "missing": sorted(int(z) for z in image.missing),
        }  # fmt: skip

    def _write(self, z: int) -> None:
        """Write the pixels of a slice for the process."""
        assert self._image is not None
        np.save(self._child.folder / SLICE_FILE, self._image.slice(z), allow_pickle=False)


def _answer(make: Any) -> Message:
    # Whatever goes wrong with the slice in view, the training does not depend on it.
    try:
        return {"answer": make()}
    except Exception as error:
        _log.debug("The slice in view cannot be handed over", exc_info=True)
        return {"failed": describe(error)}
