"""One pass over windows: the same numbers however it is divided, and an end to it whatever breaks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from napari_medseg.core import Cancelled
from napari_medseg.inference import SegmentOptions
from napari_medseg.inference.mosaic import Finished, Mosaic
from napari_medseg.inference.runner import AHEAD, Predictor
from napari_medseg.inference.sweep import sweep
from napari_medseg.inference.tiles import cut
from napari_medseg.models import Model

MakeModel = Callable[..., Model]
SHAPE = (110, 330)


class Blur(torch.nn.Module):
    """Sees three pixels around; remembers how many patches came together."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(3, 3, 7, padding=3)
        self.batches: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(x))
        return self.conv(x)


@pytest.fixture
def pixels() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 100, (*SHAPE, 3), np.uint8).transpose(2, 0, 1)


def start(make_model: MakeModel, network: torch.nn.Module, **options: Any) -> Predictor:
    options = {"tile": 64, "batch": 3, "device": "cpu", "precision": "fp32", **options}
    model = make_model(network, count=2, channels=3)
    predictor = Predictor(model.card, network, SegmentOptions(**options), SHAPE)
    predictor.take_raw((0, 100))
    return predictor


def run(predictor: Predictor, mosaic: Mosaic, pixels: np.ndarray[Any, Any], **more: Any) -> dict[Any, torch.Tensor]:
    found: dict[Any, torch.Tensor] = {}

    def take(finished: Finished) -> None:
        assert threading.current_thread() is threading.main_thread()
        found[finished.block] = finished.logits.clone()

    read = more.pop("read", lambda r, c: cut(pixels, mosaic.grid.window(r, c)))
    sweep(mosaic, predictor, read, more.pop("take", take), **more)
    return found


def every(mosaic: Mosaic) -> list[tuple[int, int]]:
    return [(i, j) for i in range(mosaic.blocks[0]) for j in range(mosaic.blocks[1])]


def no_thread_left() -> bool:
    return not [t for t in threading.enumerate() if t.name.startswith(("read-", "write-"))]


@pytest.mark.parametrize("ahead", [0, 1])
@pytest.mark.parametrize("blend", ["gaussian", "discard"])
def test_result_does_not_depend_on_how_the_work_is_divided(
    make_model: MakeModel, pixels: np.ndarray[Any, Any], monkeypatch: pytest.MonkeyPatch, ahead: int, blend: str
) -> None:
    """W3: bit by bit, whichever blocks a pass begins with, also with a batch on its way."""
    monkeypatch.setitem(AHEAD, "cpu", ahead)
    predictor = start(make_model, Blur())
    chosen = np.random.default_rng(1).random((len(predictor.grid.rows), len(predictor.grid.columns))) < 0.8

    def mosaic() -> Mosaic:
        return Mosaic(predictor.grid, SHAPE, 100, 3, predictor.device, blend=blend, chosen=chosen)

    at_once = mosaic()
    at_once.start(every(at_once))
    expected = run(predictor, at_once, pixels)
    assert {*expected} == {*every(at_once)}
    part = mosaic()
    part.start([(1, 2), (0, 1)])
    for block, logits in run(predictor, part, pixels).items():
        assert torch.equal(logits, expected[block])


def test_windows_go_in_groups_counted_from_the_first_of_their_row(
    make_model: MakeModel, pixels: np.ndarray[Any, Any]
) -> None:
    network = Blur()
    predictor = start(make_model, network)
    predictor.prepare(pixels)
    network.batches.clear()
    mosaic = Mosaic(predictor.grid, SHAPE, 100, 3, predictor.device)
    assert len(predictor.grid.columns) == 10
    mosaic.start([(0, 3)])  # of the ten columns the last two
    rows: list[int] = []
    run(predictor, mosaic, pixels, between=rows.append)
    assert network.batches == [3, 1] * len(rows)
    assert rows == [*range(len(rows))]


class Breaks(Exception):
    pass


def fail(*_: object) -> Any:
    raise Breaks


@pytest.mark.parametrize(("part", "error"), [("read", Breaks), ("take", Breaks), ("between", Cancelled)])
def test_whatever_breaks_ends_the_sweep_with_its_own_error(
    make_model: MakeModel, pixels: np.ndarray[Any, Any], part: str, error: type[Exception]
) -> None:
    """C1: and no thread is left waiting."""
    predictor = start(make_model, Blur())
    mosaic = Mosaic(predictor.grid, SHAPE, 100, 3, predictor.device)
    mosaic.start(every(mosaic))
    calls: list[int] = []

    def late(*_: object) -> Any:
        calls.append(1)
        if len(calls) > 2:
            raise error
        return cut(pixels, mosaic.grid.window(0, 0))

    with pytest.raises(error):
        run(predictor, mosaic, pixels, **{part: late})
    assert no_thread_left()


def test_reading_stays_one_group_ahead(make_model: MakeModel, pixels: np.ndarray[Any, Any]) -> None:
    """Memory does not depend on how fast the reader is."""
    predictor = start(make_model, Blur())
    mosaic = Mosaic(predictor.grid, SHAPE, 100, 3, predictor.device)
    mosaic.start(every(mosaic))
    begun: list[int] = []
    most = [0]
    done = [0]
    forward = predictor._passes.network.forward

    def read(r: int, c: int) -> np.ndarray[Any, Any]:
        begun.append(1)
        return cut(pixels, mosaic.grid.window(r, c))

    def watched(x: torch.Tensor) -> torch.Tensor:
        most[0] = max(most[0], len(begun) - done[0])
        done[0] += len(x)
        result: torch.Tensor = forward(x)
        return result

    predictor.prepare(pixels)
    predictor._passes.network.forward = watched  # type: ignore[method-assign]
    run(predictor, mosaic, pixels, read=read)
    assert len(begun) == mosaic.grid.count
    assert most[0] <= 3 + 3 + 1
