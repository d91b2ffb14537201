"""A screen to open windows on: the user's, or a virtual one where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Screen = Literal["user", "virtual", "none"]

_STOP_SECONDS = 15


def has_display() -> bool:
    """Whether windows can be opened where the user sees them."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def open_screen(size: str = "1600x1000x24") -> Iterator[Screen]:
    """Make sure of a screen: Xvfb is started where there is no display, and ended afterwards.

    Yields ``"none"`` where there is neither.
    """
    if has_display():
        yield "user"
        return
    program = shutil.which("Xvfb")
    if program is None:
        yield "none"
        return
    reading, writing = os.pipe()
    # With -displayfd the server takes a free number and writes it down once it answers.
    server = subprocess.Popen(
        [program, "-displayfd", str(writing), "-screen", "0", size, "-nolisten", "tcp"],
        pass_fds=(writing,),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for us, not for the server
    )
    os.close(writing)
    before = {name: os.environ.get(name) for name in ("DISPLAY", "QT_QPA_PLATFORM")}
    try:
        with os.fdopen(reading) as answer:
            number = answer.readline().strip()
        if not number:
            yield "none"
            return
        os.environ["DISPLAY"] = f":{number}"
        os.environ["QT_QPA_PLATFORM"] = "xcb"
        yield "virtual"
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        server.terminate()
        server.wait(_STOP_SECONDS)
