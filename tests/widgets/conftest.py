"""A viewer without a window, models that only exist on paper, and work that waits to be told to go on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QThreadPool

from napari_medseg.core import ClassInfo, Image, Labels, ModelCard, Progress, Reporter
from napari_medseg.widgets import model_picker, segment

GREY = ModelCard(name="grey-bone", modality="CT", classes=(ClassInfo.numbered(1, "bone"),))
RGB = ModelCard(name="rgb-gland", channels=3, classes=(ClassInfo.numbered(1, "gland"),))


@pytest.fixture
def viewer(qtbot: Any) -> Iterator[ViewerModel]:
    model = ViewerModel()
    yield model
    model.layers.clear()
    assert QThreadPool.globalInstance().waitForDone(5000), "a worker thread is left"


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> list[ModelCard]:
    """What the library lists; change it in place."""
    library = [GREY, RGB]
    monkeypatch.setattr(model_picker, "read_cards", lambda: tuple(library))
    return library


@pytest.fixture
def make_stack(viewer: ViewerModel) -> Callable[..., Any]:
    """Adds a grey stack, half of each slice bright, 0.8 mm pixels."""

    def make(slices: int = 6, side: int = 24, **kwargs: Any) -> Any:
        data = np.zeros((slices, side, side), np.uint8)
        data[:, :, side // 2 :] = 200
        settings: dict[str, Any] = {"name": "femur ct", "scale": (3, 0.8, 0.8), "units": ("mm",) * 3}
        return viewer.add_image(data, **{**settings, **kwargs})

    return make


@dataclass
class Brake:
    """Work that segments by threshold and waits before slice ``at`` until released; fails at slice ``fail``."""

    at: int | None = None
    fail: int | None = None
    slices: list[int] = field(default_factory=list)
    free: threading.Event = field(default_factory=threading.Event)

    def __call__(self, image: Image, card: ModelCard, options: Any, report: Reporter) -> Labels:
        from napari_medseg.inference import pick_slices

        chosen = pick_slices(options.slices, len(image))
        data = np.zeros(image.shape, np.uint8)
        report(Progress("Segmenting", 0, len(chosen), message="Loading the model"))
        for done, z in enumerate(chosen, 1):
            while self.at == done - 1 and not self.free.wait(0.01):
                report(Progress("Segmenting", done - 1, len(chosen)))
            if self.fail == z:
                raise IndexError("index 512 is out of bounds")
            data[z if image.is_stack else ...] = labels = (image.slice(z) > 100).astype(np.uint8)
            self.slices.append(z)
            region = (z,) if image.is_stack else ()
            report(Progress("Segmenting", done, len(chosen), message="CPU, fp32", region=region, result=labels))
        return Labels(data, card.classes, image.geometry)


@pytest.fixture
def brake(monkeypatch: pytest.MonkeyPatch) -> Brake:
    made = Brake()
    monkeypatch.setattr(segment, "_segment", made)
    return made
