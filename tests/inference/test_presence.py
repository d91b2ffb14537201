"""A model that says whether a slice holds anything: its answers come with the labels and empty the slices it denies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from napari_medseg.core import Image
from napari_medseg.inference import segment
from napari_medseg.inference.presence import EMPTY
from napari_medseg.models import Model

MakeImage = Callable[..., Image]
MakeModel = Callable[..., Model]

DIM = 4
"""The slice whose square the head does not believe in."""


class Doubter(torch.nn.Module):
    """Class 1 where the image is above a half; the brighter the brightest pixel, the surer that there is something."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        plane = x[:, 0]
        mask = torch.stack([torch.zeros_like(plane), 20 * (plane - 0.5)], 1)
        return mask, 20 * (plane.amax((1, 2)) - 0.7)[:, None]


@pytest.fixture
def dim_stack(stack: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    stack[DIM][stack[DIM] == 90] = 60
    return stack


def test_a_slice_below_the_threshold_is_empty_and_said(
    make_image: MakeImage, make_model: MakeModel, dim_stack: npt.NDArray[np.uint8]
) -> None:
    labels = segment(make_image(dim_stack), make_model(Doubter(), presence=0.5), device="cpu")
    filled = [bool(labels.slice(z).any()) for z in range(12)]
    assert filled == [z != DIM for z in range(12)]
    (told,) = [f.message for f in labels.findings if f.code == EMPTY]
    assert told == "1 of 12 slices were taken as empty: the model saw nothing in them."
    assert sorted(labels.presence) == [*range(12)]
    assert labels.presence[DIM] == pytest.approx(1 / (1 + np.exp(2)), abs=1e-3)
    assert labels.presence[0] > 0.9


def test_a_slice_at_the_threshold_is_not_empty(
    make_image: MakeImage, make_model: MakeModel, dim_stack: npt.NDArray[np.uint8]
) -> None:
    plain = segment(make_image(dim_stack), make_model(Doubter(), presence=0.5), device="cpu", precision="fp32")
    chance = plain.presence[DIM]
    for threshold, filled in ((chance, True), (float(np.nextafter(chance, 1)), False)):
        model = make_model(Doubter(), presence=threshold)
        labels = segment(make_image(dim_stack), model, device="cpu", precision="fp32")
        assert labels.slice(DIM).any() == filled
        assert (DIM in labels.positive) is filled


def test_without_the_gate_masks_stay_and_probabilities_too(
    make_image: MakeImage, make_model: MakeModel, dim_stack: npt.NDArray[np.uint8]
) -> None:
    model = make_model(Doubter(), presence=0.5)
    labels = segment(make_image(dim_stack), model, device="cpu", gate=False)
    assert labels.slice(DIM).any()
    assert not [f for f in labels.findings if f.code == EMPTY]
    assert labels.presence[DIM] < 0.5


def test_a_second_output_that_the_card_does_not_know_is_left_alone(
    make_image: MakeImage, make_model: MakeModel, dim_stack: npt.NDArray[np.uint8]
) -> None:
    labels = segment(make_image(dim_stack), make_model(Doubter()), device="cpu")
    assert labels.slice(DIM).any()
    assert not labels.presence


@pytest.mark.parametrize("settings", [{"tile": 32}, {"tta": "flips"}, {"batch": 5}, {"suggest": 2}])
def test_tiles_flips_and_batches_say_the_same(
    make_image: MakeImage, make_model: MakeModel, dim_stack: npt.NDArray[np.uint8], settings: dict[str, Any]
) -> None:
    model = make_model(Doubter(), presence=0.5)
    plain = segment(make_image(dim_stack), model, device="cpu", precision="fp32")
    other = segment(make_image(dim_stack), model, device="cpu", precision="fp32", **settings)
    assert other.presence == pytest.approx(plain.presence, abs=1e-5)
    assert (other.data == plain.data).all()


def test_only_the_chosen_slices_have_answers(
    make_image: MakeImage, make_model: MakeModel, dim_stack: npt.NDArray[np.uint8]
) -> None:
    labels = segment(make_image(dim_stack), make_model(Doubter(), presence=0.5), device="cpu", slices="3:6")
    assert sorted(labels.presence) == [3, 4, 5]


def test_a_single_image_has_one_answer(
    make_image: MakeImage, make_model: MakeModel, dim_stack: npt.NDArray[np.uint8]
) -> None:
    labels = segment(make_image(dim_stack[DIM]), make_model(Doubter(), presence=0.5), device="cpu")
    assert not labels.data.any()
    assert {*labels.presence} == {0}
    assert "The image was taken as empty: the model saw nothing in it." in [f.message for f in labels.findings]


def test_openvino_gives_both_outputs() -> None:
    pytest.importorskip("openvino")
    from napari_medseg.inference.openvino import compile_network
    from napari_medseg.models.heads import split_output

    image = torch.rand(2, 1, 64, 32)
    ours, theirs = split_output(Doubter()(image)), split_output(compile_network(Doubter(), 1, 1)(image))
    for one, other in zip(ours, theirs, strict=True):
        assert one is not None
        assert other is not None
        np.testing.assert_allclose(one, other, atol=1e-4)
