"""Batches and tiles through a network, and what happens when memory or numbers run out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from napari_medseg.core import ComputeError, Image, ModelError
from napari_medseg.inference import SegmentOptions, choice, runner, segment
from napari_medseg.inference.device import Precision
from napari_medseg.inference.mosaic import best_class
from napari_medseg.inference.runner import Predictor, TileChanged
from napari_medseg.inference.tiled import TiledSlice
from napari_medseg.inference.tiles import pad
from napari_medseg.models import Model

MakeModel = Callable[..., Model]
MakeImage = Callable[..., Image]


class Hungry(torch.nn.Module):
    """Twice the input; out of memory above ``limit`` pixels a batch, from the ``after``-th pass on."""

    def __init__(self, limit: int, error: Exception | None = None, after: int = 0) -> None:
        super().__init__()
        self.limit, self.error, self.after = limit, error or torch.OutOfMemoryError("CUDA out of memory."), after
        self.passes: list[tuple[str, tuple[int, ...]]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.passes.append((x.device.type, tuple(x.shape)))
        limited = len(self.passes) > self.after
        if limited and x.numel() > (self.limit if x.device.type == "cpu" else min(self.limit, 0)):
            raise self.error
        return torch.cat([1 - x, x], 1)


def _start(
    model: Model, slices: np.ndarray[Any, Any], *, shrink: bool = False, **options: Any
) -> tuple[Predictor, SegmentOptions]:
    options = {"precision": "fp32", "device": "cpu", **options}
    chosen = SegmentOptions(**options)
    predictor = Predictor(model.card, model.network, chosen, slices.shape[-2:])
    predictor.tile_may_shrink = shrink
    predictor.prepare(slices[0])
    return predictor, chosen


def _predict(model: Model, slices: np.ndarray[Any, Any], **options: Any) -> tuple[Predictor, torch.Tensor]:
    """Logits (N, K, Y, X) of slices that go through whole."""
    predictor, _ = _start(model, slices, **options)
    padded = pad(slices, predictor.grid.patch)
    return predictor, predictor.forward(padded)[..., : slices.shape[-2], : slices.shape[-1]]


def _tile(model: Model, slices: np.ndarray[Any, Any], **options: Any) -> tuple[Predictor, TiledSlice]:
    """The first slice in tiles."""
    predictor, chosen = _start(model, slices, shrink=True, **options)
    tiled = TiledSlice(slices.shape[-2:], model.card.out_channels, chosen, probabilities=True)
    tiled(predictor, slices[0])
    return predictor, tiled


def _slices(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).random(shape, np.float32)


def test_smaller_batch_when_memory_runs_out(make_model: MakeModel) -> None:
    """C1: the same numbers come out, and it is said once."""
    slices = _slices(8, 1, 64, 64)
    predictor, logits = _predict(make_model(Hungry(2 * 64 * 64)), slices, batch=8)
    np.testing.assert_array_equal(logits[:, 1:].numpy(), slices)
    assert len(predictor.notes) == 1
    assert "not enough memory" in predictor.notes[0]
    assert "batch 2" in predictor.notes[0]


def test_smaller_tile_when_one_slice_is_too_much(make_model: MakeModel) -> None:
    """C1."""
    slices = _slices(1, 1, 256, 256)
    predictor, tiled = _tile(make_model(Hungry(128 * 128)), slices, batch=2)
    assert tiled.shares is not None
    np.testing.assert_allclose(tiled.shares()[0, 0], torch.from_numpy(slices[0, 0] * 2 - 1).sigmoid(), atol=2e-3)
    assert len(predictor.notes) == 1
    assert "tile 128" in predictor.notes[0]


def test_slices_on_the_way_when_the_tile_shrinks_are_done_again(make_model: MakeModel, make_image: MakeImage) -> None:
    """C1: none is left out, none is done twice."""
    data = np.random.default_rng(0).integers(0, 100, (6, 256, 256), np.uint8)
    told: list[Any] = []
    network = Hungry(128 * 128, after=3)
    labels = segment(
        make_image(data), make_model(network), device="cpu", precision="fp32", batch=1,
        report=lambda p: told.append(p.region) if p.result is not None else None,
    )  # fmt: skip
    np.testing.assert_array_equal(labels.data, data > 50)
    assert told == [(z,) for z in range(6)]
    assert ["tile 128" in f.message for f in labels.findings] == [True]


def test_tile_of_a_slide_stays_when_memory_runs_out(make_model: MakeModel) -> None:
    """C1: what is written already was computed with it."""
    network = Hungry(3 * 64 * 64)
    predictor, _ = _start(make_model(network), _slices(1, 1, 256, 256), tile=64, batch=8)
    assert predictor.forward(_slices(5, 1, 64, 64)).shape == (5, 2, 64, 64)
    assert predictor.settings == {"device": "cpu", "precision": "fp32", "batch": 2, "tile": 64}
    network.limit = 0
    with pytest.raises(ComputeError, match="not enough memory"):
        predictor.forward(_slices(1, 1, 64, 64))
    predictor.tile_may_shrink = True
    network.limit = 32 * 64
    with pytest.raises((TileChanged, ComputeError)):
        predictor.forward(_slices(1, 1, 64, 64))


def test_memory_that_runs_out_midway_repeats_only_that_batch(make_model: MakeModel) -> None:
    """C1."""
    network = Hungry(64 * 64, after=3)
    model = make_model(network)
    slices = _slices(8, 1, 64, 64)
    predictor = Predictor(model.card, network, SegmentOptions(precision="fp32", batch=2, device="cpu"), (64, 64))
    results = list(predictor.stream(slices[i : i + 2] for i in range(0, 8, 2)))
    np.testing.assert_array_equal(torch.cat(results)[:, 1:].numpy(), slices)
    batches = [shape[0] for _, shape in network.passes]
    assert batches == [2, 2, 2, 2, 1, 1]
    assert len(predictor.notes) == 1


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        NotImplementedError("The operator 'aten::x' is not currently implemented for the MPS device."),
        RuntimeError("CUDA error: unspecified launch failure"),
    ],
)
def test_cpu_takes_over_from_a_device_that_fails(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """C1, C2, C3, C7: torch's meta device stands for a graphics card."""
    monkeypatch.setattr(runner, "pick_device", lambda name: torch.device("meta"))
    monkeypatch.setattr(torch, "autocast", _no_autocast)
    network = Hungry(10**6, error)
    predictor, logits = _predict(make_model(network), _slices(2, 1, 64, 64), device="auto")
    assert logits.device.type == "cpu"
    assert predictor.message == "CPU, fp32"
    assert len(predictor.notes) == 1
    assert "went on with CPU, fp32" in predictor.notes[0]


class _no_autocast:  # noqa: N801
    """The meta device has no autocast."""

    def __init__(self, *args: object, **kwargs: object) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *args: object) -> None: ...


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("x"), MemoryError(), RuntimeError("can't allocate memory")])
def test_too_little_memory_for_anything_is_one_sentence(make_model: MakeModel, error: Exception) -> None:
    """C1."""
    with pytest.raises(ComputeError, match="CPU has not enough memory, even for a tile of 64 pixels"):
        _tile(make_model(Hungry(0, error)), _slices(1, 1, 100, 100))


def test_other_failures_of_a_network_are_one_sentence(make_model: MakeModel) -> None:
    with pytest.raises(ComputeError, match="The network failed: sizes differ"):
        _predict(make_model(Hungry(0, RuntimeError("sizes differ\nmore"))), _slices(1, 1, 64, 64))


class Overflows(torch.nn.Module):
    """Passes fp16's largest number on its way where the input is bright."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = torch.full((1, 1, 1, 1), 60000.0)
        large = torch.nn.functional.conv2d(torch.nn.functional.conv2d(x, weight), weight)
        return torch.cat([torch.ones_like(large), large.float() / 60000.0**2 * 2], 1)


def test_overflow_is_computed_again_in_fp32(make_model: MakeModel) -> None:
    """C4."""
    slices = _slices(2, 1, 32, 32) + 0.1
    predictor, logits = _predict(make_model(Overflows()), slices, precision="fp16")
    np.testing.assert_allclose(logits[:, 1:].numpy(), 2 * slices, rtol=1e-5)
    assert predictor.notes == ["Numbers became too large for fp16; those parts were computed in fp32."]


def test_weights_that_are_not_numbers_are_told(make_model: MakeModel) -> None:
    """M6."""
    network = torch.nn.Conv2d(1, 2, 1)
    torch.nn.init.constant_(network.weight, float("nan"))
    with pytest.raises(ModelError, match="is not a number"):
        _predict(make_model(network), _slices(1, 1, 32, 32))


def test_output_that_does_not_fit_the_card_is_told(make_model: MakeModel) -> None:
    """M4."""
    with pytest.raises(ModelError, match=r"\(1, 5, 32, 32\)"):
        _predict(make_model(torch.nn.Conv2d(1, 5, 1)), _slices(1, 1, 32, 32))


def test_one_logit_is_read_as_a_sigmoid(make_model: MakeModel) -> None:
    _, logits = _predict(make_model(torch.nn.Identity()), _slices(1, 1, 32, 32) - 0.5)
    np.testing.assert_allclose(logits.softmax(1)[:, 1], logits[:, 1].sigmoid(), atol=1e-6)


def _smooth() -> torch.nn.Module:
    """A network that sees 25 pixels around, as its zero padding does."""
    torch.manual_seed(0)
    layers: list[torch.nn.Module] = []
    for inputs, outputs in ((1, 4), (4, 4), (4, 3)):
        conv = torch.nn.Conv2d(inputs, outputs, 9, padding=4)
        layers += [conv, torch.nn.Tanh()]
    return torch.nn.Sequential(*layers[:-1])


@pytest.mark.parametrize("shape", [(256, 256), (300, 217)])
def test_tiled_equals_whole(make_model: MakeModel, shape: tuple[int, int]) -> None:
    """C5."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] / 20.0
    slices = (np.sin(rows) * np.cos(columns) / 2 + 0.5).astype(np.float32)[None, None]
    network = _smooth()
    _, whole = _predict(make_model(network, count=2), slices, tile=512)
    _, tiled = _tile(make_model(network, count=2), slices, tile=128, overlap=0.5)
    assert whole.shape[2:] == tiled.classes.shape == shape
    assert len(whole.argmax(1).unique()) > 1
    assert (whole[0].argmax(0).numpy() == tiled.classes).mean() >= 0.9999


def test_flips_are_turned_back(make_model: MakeModel) -> None:
    slices = _slices(2, 1, 40, 70)
    model = make_model(Hungry(10**9))
    _, plain = _predict(model, slices)
    _, flipped = _predict(model, slices, tta="flips")
    np.testing.assert_allclose(plain, flipped, atol=1e-6)


def test_openvino_computes_the_same_where_it_pays(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, padding=1)).eval())
    slices = _slices(3, 1, 96, 64)
    _, plain = _predict(model, slices)
    monkeypatch.setattr(choice, "pick_precision", lambda *_: Precision("fp32", 1.0, 100.0))
    monkeypatch.setattr(choice, "WORTH", 0)
    monkeypatch.setattr(choice, "_tried", {})
    model = Model(model.card.model_copy(update={"sha256": "0" * 64}), model.network, model.folder)
    predictor, theirs = _predict(model, slices, precision="auto")
    assert "openvino" in predictor.message
    np.testing.assert_allclose(theirs.numpy(), plain.numpy(), atol=1e-4)
    monkeypatch.setattr(choice, "compile_network", None)  # the one that is there is used again
    predictor, theirs = _predict(model, slices, precision="auto")
    assert "openvino" in predictor.message
    np.testing.assert_allclose(theirs.numpy(), plain.numpy(), atol=1e-4)


class LeftHalf(torch.nn.Module):
    """Class 1 in the left half of its input, whatever it shows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left = torch.linspace(1, -1, x.shape[-1]).expand_as(x[:, 0])
        return torch.stack([torch.zeros_like(left), left], 1)


def test_flips_keep_left_and_right_apart(make_model: MakeModel) -> None:
    slices = _slices(1, 1, 64, 64)
    _, plain = _predict(make_model(LeftHalf(), sides=True), slices)
    _, flipped = _predict(make_model(LeftHalf(), sides=True), slices, tta="flips")
    np.testing.assert_allclose(plain, flipped, atol=1e-6)


@pytest.mark.parametrize(
    ("upright", "sides", "seen"),
    [(False, False, 4), (True, False, 2), (False, True, 2), (True, True, 1)],
    ids=["picture", "scan", "sides", "scan with sides"],
)
def test_only_mirror_images_are_averaged_that_a_model_learnt_from(
    make_model: MakeModel, upright: bool, sides: bool, seen: int
) -> None:
    """A scan upside down is nothing that its network ever saw."""
    shown: list[torch.Tensor] = []
    scan = _slices(1, 1, 32, 32)

    class Watched(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            shown.append(x.clone())
            return torch.zeros(len(x), 2, *x.shape[-2:])

    predictor, _ = _start(make_model(Watched(), sides=sides, upright=upright), scan, tta="flips")
    shown.clear()
    predictor.forward(scan)
    first = torch.from_numpy(scan)[:, :, :1, :1]
    corners = {tuple(int((image == first).nonzero()[0][k]) for k in (2, 3)) for image in shown}
    assert len(shown) == len(corners) == seen
    assert all((row == 0 or not upright) and (column == 0 or not sides) for row, column in corners)
    assert any("one way round" in note for note in predictor.notes) == (seen == 1)


def test_training_can_go_on_with_the_same_network(make_model: MakeModel) -> None:
    """Parameters moved in inference mode could never be trained again."""
    network = torch.nn.Conv2d(1, 2, 1)
    _predict(make_model(network), _slices(1, 1, 32, 32))
    network(torch.rand(1, 1, 32, 32)).sum().backward()
    assert network.weight.grad is not None


def test_best_class_is_argmax() -> None:
    logits = torch.randn(2, 5, 20, 30)
    np.testing.assert_array_equal(best_class(logits), logits.argmax(1))
