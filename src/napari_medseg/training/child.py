"""The process in which a training runs by itself: ``python -m napari_medseg.training.child FOLDER``.

It is started by `apart.train_apart` and ends with it: without anybody at the other end of the pipe it stops, keeps the
best and is gone.
"""

from __future__ import annotations

import itertools
import json
import os
import queue
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.core import Cancelled, Image, InputError, Progress
from napari_medseg.core.geometry import Geometry

from .apart import SLICE_FILE
from .messages import Message, describe, pack_result, revive
from .preview import Asked
from .run import TrainingRun


class Talk:
    """This end of the pipes; what is printed goes elsewhere from now on.

    Attributes
    ----------
    stop
        Set when the training shall stop, and when nobody is there any more.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._in, self._out = (os.fdopen(os.dup(fd), mode, buffering=0) for fd, mode in ((0, "rb"), (1, "wb")))
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), 0)
        os.dup2(2, 1)
        sys.stdout = sys.stderr
        self.stop = threading.Event()
        self._answers: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._numbers = itertools.count()
        self._image: tuple[int, Image] | None = None
        self._out.write(b"\n")  # ends whatever was printed before
        threading.Thread(target=self._listen, name="whoever wants the training", daemon=True).start()

    def _listen(self) -> None:
        with suppress(OSError):
            for line in self._in:
                told: Message = json.loads(line)
                if "stop" in told:
                    self.stop.set()
                else:
                    self._answers.put(told)
        self.stop.set()
        self._answers.put(None)

    def send(self, **message: Any) -> None:
        """Tell the other end; nobody there is a reason to stop."""
        rest = memoryview(json.dumps(message).encode() + b"\n")
        try:
            while rest:
                rest = rest[self._out.write(rest) or 0 :]
        except OSError:
            self.stop.set()

    def wait(self) -> Message | None:
        """What the other end answers; None when it is gone."""
        answer = self._answers.get()
        if answer is None:
            self._answers.put(None)
        return answer

    def report(self, progress: Progress) -> None:
        """The reporter of the training."""
        shown = None
        if progress.result is not None:
            shown = f"shown-{next(self._numbers)}.npy"
            np.save(self._folder / shown, progress.result, allow_pickle=False)
        self.send(progress={
            "stage": progress.stage, "done": int(progress.done), "total": int(progress.total),
            "message": progress.message, "metrics": {name: float(one) for name, one in progress.metrics.items()},
            "region": None if progress.region is None else [int(i) for i in progress.region],  # type: ignore[arg-type]
            "shown": shown,
        })  # fmt: skip
        if self.stop.is_set():
            raise Cancelled("stopped from outside")

    def ask(self) -> Asked | None:
        """Which slice is in view at the other end."""
        self.send(ask=True)
        told = self._take()
        if told is None:
            return None
        if self._image is None or self._image[0] != told["number"]:
            image = Image(
                Slices(self, tuple(told["shape"])), told["axes"], Geometry.model_validate_json(told["geometry"]),
                meaning=told["meaning"], missing=frozenset(told["missing"]),
            )  # fmt: skip
            self._image = told["number"], image
        return Asked(tuple(told["key"]), self._image[1], told["z"])

    def fetch(self, z: int) -> npt.NDArray[Any]:
        """Pixels of a slice of the image in view."""
        self.send(slice=int(z))
        self._take()
        pixels: npt.NDArray[Any] = np.load(self._folder / SLICE_FILE, allow_pickle=False)
        return pixels

    def _take(self) -> Any:
        told = self.wait()
        if told is None:  # the next report stops the training
            raise InputError("Nobody is there to show a slice.")
        if "failed" in told:
            raise revive(told["failed"])
        return told["answer"]


class Slices:
    """The pixels of the image in view, each slice fetched when it is read."""

    def __init__(self, talk: Talk, shape: tuple[int, ...]) -> None:
        self._talk, self.shape, self.ndim = talk, shape, len(shape)

    def __getitem__(self, z: int) -> npt.NDArray[Any]:
        return self._talk.fetch(z)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self._talk.fetch(0), dtype)


def train_here(talk: Talk) -> None:
    """Take a run from the other end and tell it what came of it."""
    try:
        # The slow part of the start, in which the other end may still end this process as it likes.
        from .work import carry_out

        talk.send(ready=True)
        order = talk.wait()
        if order is None:
            return
        run = TrainingRun.model_validate_json(order["run"])
        started = max(0.0, time.monotonic() - order["elapsed"])
        result = carry_out(run, talk.report, started, talk.ask if order["watched"] else None)
    except Cancelled:
        talk.send(cancelled=True)
    except Exception as error:
        talk.send(failed=describe(error))
    else:
        talk.send(result=pack_result(result))


if __name__ == "__main__":
    train_here(Talk(Path(sys.argv[1])))
