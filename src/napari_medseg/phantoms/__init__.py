"""Procedural medical images whose truth is known exactly, drawn in torch on any device.

Beside what is public here: `brain` (MR heads), `body` (CT slices), `histology` and `glands` (HE patches), `xray`
(chests), `primitives` (simple shapes in any contrast).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Names and where they live: importing the package does not load torch.
_PUBLIC = {
    "FEMURS": "sample",
    "built_in_sample": "sample",
    "femur_ct": "femur",
    "femur_sample": "sample",
    "femur_slices": "femur",
}

if TYPE_CHECKING:
    from .femur import femur_ct, femur_slices
    from .sample import FEMURS, built_in_sample, femur_sample

__all__ = ["FEMURS", "built_in_sample", "femur_ct", "femur_sample", "femur_slices"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
