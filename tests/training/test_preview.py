"""The slice in view while training: what is shown, how often, and that nothing there ends a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from napari_medseg.core import Cancelled, ClassInfo, Image, ModelCard, Normalisation
from napari_medseg.core.geometry import Geometry
from napari_medseg.training import preview
from napari_medseg.training.engine import Engine
from napari_medseg.training.preview import Asked, Previews
from napari_medseg.training.schedule import Budget
from napari_medseg.training.watch import Watch

from .conftest import Listener

ENGINE = Engine(torch.device("cpu"), "fp32", 2, 32)
CARD = ModelCard(
    name="bright", classes=(ClassInfo.numbered(7),), normalisation=Normalisation(method="window", low=0, high=255)
)


class Bright(nn.Module):
    """Class 1 where the input is above one half; counts how often it is used, each time taking ``cost`` seconds."""

    def __init__(self, clock: Clock, cost: float = 0.0) -> None:
        super().__init__()
        self.sizes: list[tuple[int, ...]] = []
        self._clock, self._cost = clock, cost

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.sizes.append(tuple(images.shape[-2:]))
        self._clock.now += self._cost
        return torch.cat([0.5 - images, images - 0.5], 1)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def image() -> Image:
    """Three slices of 40 x 50; the brighter half of slice z begins at column 10 z."""
    data = np.zeros((3, 40, 50), np.uint8)
    for z in range(3):
        data[z, :, 10 * z :] = 200
    return Image(data, "ZYX", Geometry.unknown(3))


def watching(report: Callable[..., None]) -> Watch:
    return Watch(report, Budget(None, 10))


def test_the_slice_in_view_is_reported_as_class_values(image: Image, clock: Clock, listener: Listener) -> None:
    previews = Previews(lambda: Asked((4, 2), image, 2), CARD, clock)
    clock.now = 3
    previews.show(Bright(clock), ENGINE, watching(listener))
    (shown,) = listener.heard
    assert (shown.stage, shown.region) == ("Training", (4, 2))
    np.testing.assert_array_equal(shown.result, np.where(image.data[2] > 128, 7, 0))


def test_previews_take_at_most_a_tenth_of_the_time(image: Image, clock: Clock, listener: Listener) -> None:
    for cost in (0.01, 2.0):
        network, watch = Bright(clock, cost), watching(listener)
        previews, start = Previews(lambda: Asked((0,), image, 0), CARD, clock), clock.now
        while clock.now - start < 300:
            clock.now += 0.1
            previews.show(network, ENGINE, watch)
        assert len(network.sizes) == pytest.approx(300 / max(3 + cost, 10 * cost), abs=4)


def test_an_image_is_measured_once(
    image: Image, clock: Clock, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The window makes a new `Image` of the same layer each time it is asked."""
    measured = []
    monkeypatch.setattr(preview, "measure_range", lambda *_: measured.append(1) or (0.0, 255.0))
    previews = Previews(lambda: Asked((0,), replace(image), 0), CARD, clock)
    for _ in range(3):
        clock.now += 4
        previews.show(Bright(clock), ENGINE, watching(listener))
    assert (len(listener.heard), len(measured)) == (3, 1)


def test_half_resolution_is_shown_where_nothing_else_was_learnt(image: Image, clock: Clock, listener: Listener) -> None:
    network, previews = Bright(clock), Previews(lambda: Asked((0,), image, 1), CARD, clock)
    clock.now = 3
    previews.show(network, ENGINE, watching(listener), halved=True)
    assert network.sizes == [(32, 32)], "20 x 25, padded"
    assert listener.heard[0].result.shape == (40, 50)
    assert (listener.heard[0].result[:, 12:] == 7).all()


@pytest.mark.parametrize("broken", ["asking", "image", "colours"])
def test_what_goes_wrong_is_said_once_and_ends_nothing(
    image: Image, clock: Clock, listener: Listener, broken: str
) -> None:
    def ask() -> Asked:
        if broken == "asking":
            raise RuntimeError("the viewer is gone")
        if broken == "colours":
            colours = np.arange(40 * 50 * 3, dtype=np.uint8).reshape(40, 50, 3)
            return Asked((0,), Image(colours, "YXC", Geometry.unknown(2)), 0)
        return Asked((0,), image, 99)

    previews, watch = Previews(ask, CARD, clock), watching(listener)
    for _ in range(3):
        clock.now += 4
        previews.show(Bright(clock), ENGINE, watch)
    assert listener.said.count("cannot be shown while training") == (0 if broken == "image" else 1)
    assert all(p.result is None for p in listener.heard)


def test_stopping_in_a_preview_stops(image: Image, clock: Clock) -> None:
    """G2."""
    previews = Previews(lambda: Asked((0,), image, 0), CARD, clock)
    clock.now = 3
    with pytest.raises(Cancelled):
        previews.show(Bright(clock), ENGINE, watching(Listener(stop=lambda p: p.result is not None)))


def test_nothing_is_shown_of_a_slide_or_when_nobody_looks(clock: Clock, listener: Listener) -> None:
    slide = Image(np.broadcast_to(np.uint8(0), (3000, 3000)), "YX", Geometry.unknown(2))
    for asked in (None, Asked((0,), slide, 0)):
        previews = Previews(lambda asked=asked: asked, CARD, clock)
        clock.now += 3
        previews.show(Bright(clock), ENGINE, watching(listener))
    assert listener.heard == []
