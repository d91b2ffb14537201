"""Letting the window go first."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress

BEHIND = 10
"""By how much work in the background is nicer than the program."""


def step_back() -> None:
    """Have the calling thread, and all that it starts from now on, give way to the rest of the program.

    Where nothing else wants the processor it costs nothing. Elsewhere than on Linux, where each thread has a niceness
    of its own, nothing happens.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            niceness = os.getpriority(os.PRIO_PROCESS, os.getpid()) + BEHIND
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
