"""What Qt's bindings call by different names."""

from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import Signal  # type: ignore[attr-defined]

__all__ = ["Signal", "is_alive"]


def is_alive(thing: Any) -> bool:
    """Whether a Qt object still exists, as its Python half does not tell."""
    return bool(isalive(thing))  # type: ignore[no-untyped-call]
