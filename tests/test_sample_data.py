"""Sample data for people without images of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.layers import Layer

from napari_medseg import _layers, _sample_data
from napari_medseg.phantoms import sample


@pytest.fixture(autouse=True)
def few_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "SLICES", 3)


def test_femur_ct_is_an_image_with_its_spacing() -> None:
    [(data, kwargs, kind)] = _sample_data.femur_ct_image()
    image = _layers.image_from_layer(Layer.create(data, kwargs, kind))
    assert kind == "image"
    assert kwargs["name"] == "femur ct"
    assert len(image) == len(image.names) == 3
    assert image.geometry.unit == "mm"


@pytest.mark.parametrize(
    ("make", "values"),
    [
        (_sample_data.femur_ct_with_truth, {1, 2}),
        (_sample_data.brain_mr_with_truth, {1}),
        (_sample_data.chest_xrays_with_truth, {1}),
        (_sample_data.tissue_he_with_truth, {1}),
    ],
    ids=lambda part: getattr(part, "__name__", ""),
)
def test_truth_lies_on_the_image(make: Callable[[], list[Any]], values: set[int]) -> None:
    image, *_, truth = (Layer.create(*layer) for layer in make())
    source, labels = _layers.image_from_layer(image), _layers.labels_from_layer(truth)
    assert labels.data.shape == (source.shape if source.is_stack else source.shape[-2:])
    assert np.allclose(truth.scale, image.scale)
    assert labels.names == source.names
    assert {c.value for c in labels.classes} == values == {*np.unique(labels.data).tolist()} - {0}
