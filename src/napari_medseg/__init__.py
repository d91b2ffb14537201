"""Segment medical images with U-Nets, correct the result by painting, fine-tune on it, save the masks."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Read by libgomp when torch is imported: threads that spin while they wait make a training step six times slower as
# soon as anything else, such as the window, wants a core. Waiting passively costs nothing when alone.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Names and where they live: importing the package loads neither torch nor Qt.
_PUBLIC = {
    "read": "napari_medseg.io",
    "read_labels": "napari_medseg.io",
    "join_channels": "napari_medseg.io",
    "write": "napari_medseg.io",
    "segment": "napari_medseg.inference",
    "train": "napari_medseg.training",
    "evaluate": "napari_medseg.evaluation",
}

if TYPE_CHECKING:
    from .evaluation import evaluate
    from .inference import segment
    from .io import join_channels, read, read_labels, write
    from .training import train

__all__ = ["__version__", "evaluate", "join_channels", "read", "read_labels", "segment", "train", "write"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
