"""Ranges of values to show: those a file asks for, and the usual ones of a CT."""

from __future__ import annotations

from typing import Any

from napari_medseg.core import Window

from .about import about_layer, windows_of

STANDARD_WINDOWS = (
    Window("Bone", -500, 1300),
    Window("Soft tissue", -150, 250),
    Window("Lung", -1350, 150),
    Window("Brain", 0, 80),
)
"""In Hounsfield units; source: Radiopaedia, "Windowing (CT)" (widths 1800, 400, 1500, 80 at 400, 50, -600, 40)."""

_AIR = -500
"""Values of CT reach below this; those of other grey images do not."""


def windows_for(layer: Any) -> tuple[Window, ...]:
    """The windows to offer for an image layer: the file's, then the standard ones where the values are those of a CT.

    A volume that does not say what its values are (NIfTI) counts as CT when they go far below zero.
    """
    if bool(getattr(layer, "rgb", False)):
        return ()
    own = windows_of(layer)
    meaning = about_layer(layer).get("meaning", "grey")
    is_ct = meaning == "HU" or (meaning == "grey" and float(layer.contrast_limits_range[0]) < _AIR)
    return (*own, *STANDARD_WINDOWS) if is_ct else own


def set_window(layer: Any, window: Window) -> None:
    """Show a range of values; the layer's own slider reaches it."""
    layer.contrast_limits = (window.low, window.high)
