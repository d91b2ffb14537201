"""Errors and results as the two sides of a training in a process of its own tell them to each other, in JSON."""

from __future__ import annotations

import traceback
from dataclasses import asdict
from typing import Any

from napari_medseg import core
from napari_medseg.core import MedsegError, ModelCard

from .verdict import TrainingResult, Verdict

Message = dict[str, Any]


def describe(error: Exception) -> Message:
    """An exception as JSON, for `revive`."""
    if isinstance(error, MedsegError):
        message, hint = error.message, error.hint
        kind = next(c.__name__ for c in type(error).__mro__ if c.__module__ == MedsegError.__module__)
    else:
        first = str(error).strip().splitlines()[:1]
        cause = f"{type(error).__name__}: {first[0][:160]}" if first else type(error).__name__
        kind, message, hint = "ComputeError", f"The training stopped at an unexpected error ({cause}).", ""
    return {"kind": kind, "message": message, "hint": hint, "details": "".join(traceback.format_exception(error))}


def revive(content: Message) -> MedsegError:
    """The error that `describe` described, the traceback in its notes."""
    error: MedsegError = getattr(core, content["kind"])(content["message"], content["hint"])
    error.add_note(f"In the other process:\n{content['details']}")
    return error


def pack_result(result: TrainingResult) -> Message:
    """A result as JSON, for `unpack_result`; Python's JSON has figures that are none."""
    return {
        "card": result.card.model_dump_json(), "verdict": asdict(result.verdict), "message": result.message,
        "notes": result.notes, "held_out": result.held_out,
    }  # fmt: skip


def unpack_result(content: Message) -> TrainingResult:
    """The result that `pack_result` packed."""
    held_out = tuple((int(pair), int(z)) for pair, z in content["held_out"])
    card = ModelCard.model_validate_json(content["card"])
    return TrainingResult(card, Verdict(**content["verdict"]), content["message"], tuple(content["notes"]), held_out)
