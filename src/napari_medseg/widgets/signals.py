"""Qt's Signal, under one name for every binding."""

from qtpy.QtCore import Signal  # type: ignore[attr-defined]

__all__ = ["Signal"]
