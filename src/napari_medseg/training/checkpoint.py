"""The state of a run on disk, from which it goes on after a crash, a power cut or the end of a cluster's time slot.

One file in the run's folder, ``checkpoint.safetensors``: tensors, and everything else as JSON in its header. So it is
whole or not there, and opening one from a stranger runs nothing.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor

from napari_medseg import __version__
from napari_medseg.core import InputError, Mark, OutputError, marked
from napari_medseg.io.atomic import write_file

from .options import TrainOptions
from .run import RESULT_FILE, TrainingRun
from .truth import LabelledSlice

CHECKPOINT = "checkpoint.safetensors"

SHARE = 50
"""Writing takes at most one part in so many of the time."""

State = dict[str, Any]

_ANEW = "Give --no-resume to start anew."


def pack(value: Any, tensors: dict[str, Tensor], name: str = "") -> Any:
    """``value`` as JSON takes it; its tensors go into ``tensors``, under the way to them.

    Parameters
    ----------
    value
        Made of dictionaries, lists, tuples, sets of numbers, tensors and what JSON has itself.
    """
    match value:
        case Tensor():
            tensors[name] = value.detach().contiguous()
            return {"tensor": name}
        case dict():
            return {"dict": [[key, pack(one, tensors, f"{name}/{key}")] for key, one in value.items()]}
        case tuple() | list():
            kind = "tuple" if isinstance(value, tuple) else "list"
            return {kind: [pack(one, tensors, f"{name}/{i}") for i, one in enumerate(value)]}
        case set() | frozenset():
            return {"set": sorted(value)}
    return value


def unpack(packed: Any, tensors: dict[str, Tensor]) -> Any:
    """What `pack` was given."""
    if not isinstance(packed, dict):
        return packed
    ((kind, content),) = packed.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: unpack(one, tensors) for key, one in content}
    return {"tuple": tuple, "list": list, "set": set}[kind](unpack(one, tensors) for one in content)


def find_checkpoint(run: TrainingRun) -> Path | None:
    """The checkpoint of an interrupted run; None if it has none or was finished since."""
    path = run.folder / CHECKPOINT if run.folder else None
    if path is None or not path.is_file():
        return None
    result = path.with_name(RESULT_FILE)
    return None if result.is_file() and result.stat().st_mtime >= path.stat().st_mtime else path


def discard(run: TrainingRun) -> None:
    """Remove the checkpoint of a run, if there is one."""
    if run.folder:
        (run.folder / CHECKPOINT).unlink(missing_ok=True)


def describe(options: TrainOptions) -> dict[str, Any]:
    """What a checkpoint must agree in with the run that goes on from it, as far as is known before anything is read."""
    fixed = options.model_dump(mode="json", exclude={*marked(TrainOptions, Mark.OWN, Mark.FREE)})
    return {"program": __version__, "torch": torch.__version__, "options": fixed}


def fingerprint(slices: Sequence[LabelledSlice]) -> str:
    """Hash of labelled slices: pixels and labels."""
    digest = hashlib.blake2b(digest_size=16)
    for one in slices:
        for part in (one.pixels, one.target):
            digest.update(f"{part.shape}".encode())
            digest.update(part.tobytes())
    return digest.hexdigest()


def check_resumable(run: TrainingRun) -> None:
    """Refuse to go on with other options or another program, before ``run.json`` is written again.

    Raises
    ------
    InputError
        The run's checkpoint is damaged or made under other conditions.
    """
    path = find_checkpoint(run)
    if path:
        _compare(path, _read_header(path)["made"], describe(run.options))


class Checkpoints:
    """Writes and reads the checkpoint of one run.

    Parameters
    ----------
    run
        Its folder and options.
    conditions
        What else must be the same where a run goes on, by name: the start model, the data.
    clock
        Seconds.
    """

    def __init__(
        self, run: TrainingRun, conditions: dict[str, str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._run, self._clock = run, clock
        self._made = {**describe(run.options), **conditions}
        self._every = 60 * run.options.checkpoint_minutes
        self._next = clock() + self._every

    def keep(self, make: Callable[[], State]) -> str:
        """Write the state where it is time again; returns why it cannot be, after which none is tried, or nothing."""
        begin = self._clock()
        if not self._every or self._run.folder is None or begin < self._next:
            return ""
        tensors: dict[str, Tensor] = {}
        header = json.dumps({"made": self._made, "state": pack(make(), tensors)})
        try:
            write_file(
                self._run.folder / CHECKPOINT,
                lambda path: save_file(tensors, path, {"medseg": header}),
                overwrite=True,
            )
        except (OutputError, safetensors.SafetensorError) as error:
            self._every = 0
            reason = error.message if isinstance(error, OutputError) else str(error)
            return f"The state of the run cannot be kept, the training goes on without: {reason}"
        self._next = self._clock() + max(self._every, SHARE * (self._clock() - begin))
        return ""

    def load(self) -> State | None:
        """The state of this run when it was interrupted; None where there is none.

        Raises
        ------
        InputError
            It is damaged, or belongs to other data, options or programs.
        """
        path = find_checkpoint(self._run)
        if path is None:
            return None
        header = _read_header(path)
        _compare(path, header["made"], self._made)
        with safetensors.safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        state: State = unpack(header["state"], tensors)
        return state


def _read_header(path: Path) -> dict[str, Any]:
    try:
        with safetensors.safe_open(path, "pt") as file:
            header: dict[str, Any] = json.loads(file.metadata()["medseg"])
            return header
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise InputError(f"The state of the interrupted run in {path} is damaged.", _ANEW) from error


def _compare(path: Path, made: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse a checkpoint that was made under other conditions than ``now``."""
    names = {"program": "version of napari-medseg", "torch": "version of torch"}
    other = [names.get(key, key) for key in now if key != "options" and made.get(key) != now[key]]
    before = made.get("options", {})
    other += [f"option {key}" for key in {**before, **now["options"]} if before.get(key) != now["options"].get(key)]
    if other:
        raise InputError(
            f"The interrupted run in {path.parent} cannot go on: it was begun with another {other[0]}.",
            "Give what it was begun with, or --no-resume to start anew.",
        )
