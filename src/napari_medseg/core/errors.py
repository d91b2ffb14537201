"""Errors a user can act on: one sentence that says what is wrong, one hint that says what to do."""

from __future__ import annotations


class MedsegError(Exception):
    """Something the user can put right.

    Parameters
    ----------
    message
        One sentence: what is wrong, with the name of the file, layer or model.
    hint
        One sentence: what to do about it. May be empty.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def __reduce__(self) -> tuple[type[MedsegError], tuple[str, str]]:
        return type(self), (self.message, self.hint)


class InputError(MedsegError):
    """An image, a mask or an option cannot be used as given."""


class ModelError(MedsegError):
    """A model cannot be found, read, trusted or applied to this image."""


class OutputError(MedsegError):
    """A result cannot be written where it was asked for."""


class ComputeError(MedsegError):
    """The work itself failed: out of memory, a device that went away, a loss that is not a number."""

    exit_code = 1
