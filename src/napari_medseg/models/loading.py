"""Loading torch without stopping the window."""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.util import find_spec
from pathlib import Path


def load_torch() -> None:
    """Load torch's libraries without stopping other threads; the import that follows is then quick.

    Python keeps its lock while it opens a library, which for torch's takes a quarter of a second. A foreign function
    that is called gives it back, and opening a library is one. Elsewhere than on Linux nothing happens.
    """
    found = find_spec("torch") if sys.platform == "linux" else None
    if found is None or found.origin is None or "torch" in sys.modules:
        return
    open_library = ctypes.CDLL(None).dlopen
    open_library.restype = ctypes.c_void_p
    for name in ("libc10.so", "libtorch_cpu.so"):
        # What cannot be opened is left for the import to tell of.
        open_library(bytes(Path(found.origin).parent / "lib" / name), ctypes.c_int(os.RTLD_NOW))
