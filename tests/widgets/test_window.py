"""Docks in a real window, as napari opens and closes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from qtpy.QtWidgets import QPushButton


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_napari_opens_and_closes_the_docks_by_name(make_napari_viewer: Callable[..., Any]) -> None:
    """G11."""
    viewer = make_napari_viewer()
    for name in ("Open", "Evaluate", "Models"):
        dock, widget = viewer.window.add_plugin_dock_widget("napari-medseg", name)
        assert widget.findChild(QPushButton, "run") is not None
        inner = widget._scroll.widget()
        assert inner.minimumSizeHint().width() <= 340, name
        viewer.window.remove_dock_widget(dock)
        assert widget._closed
