"""Raw values on the device become what the numpy path makes of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_medseg.core import ClassInfo, ModelCard, Normalisation
from napari_medseg.inference.normalise import normalise
from napari_medseg.inference.ranges import ValueRange
from napari_medseg.inference.scale import Scale

COLOURS = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}


def card(channels: int, neighbours: int = 0, **values: object) -> ModelCard:
    normalisation = Normalisation(**{"method": "window", "low": 0, "high": 1, **values})  # type: ignore[arg-type]
    return ModelCard(
        name="x",
        channels=channels,
        neighbours=neighbours,
        classes=(ClassInfo.numbered(1),),
        normalisation=normalisation,
    )


@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2"])
@pytest.mark.parametrize(
    ("values", "value_range"),
    [({}, (20.0, 90.5)), ({"clip": False}, (20.0, 90.5)), (COLOURS, (0.0, 255.0)), (COLOURS, (7.0, 7.0)),
     ({"mean": (0.5,), "std": (0.2,)}, (-100.0, 1000.0)), (COLOURS, ((0.0, 9.0, 7.0), (30.0, 200.0, 7.0)))],
)  # fmt: skip
def test_raw_values_become_what_normalise_makes_of_them(
    values: dict[str, object], value_range: ValueRange, dtype: str, inner: bool
) -> None:
    info = np.iinfo(dtype)
    pixels = np.random.default_rng(0).integers(info.min, info.max, (9, 12, 3), dtype, endpoint=True)
    batch = torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None]
    if inner:
        batch = batch.contiguous(memory_format=torch.channels_last)
    model = card(3, **values)
    found = Scale(model, value_range)(batch)
    assert found.is_contiguous() == batch.is_contiguous()
    expected = normalise(pixels, model.normalisation, value_range)
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-5, atol=1e-5)


def test_neighbouring_slices_are_scaled_alike() -> None:
    model = card(3, neighbours=1, **COLOURS)
    batch = torch.full((2, 9, 4, 4), 100, dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    found = Scale(model, (0, 255))(batch)
    assert torch.equal(found[:, :3], found[:, 3:6])
    assert not torch.equal(found[:, 0], found[:, 1])
