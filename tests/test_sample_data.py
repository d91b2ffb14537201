"""Sample data for people without images of their own."""

from __future__ import annotations

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


def test_truth_lies_on_the_image() -> None:
    image, truth = (Layer.create(*layer) for layer in _sample_data.femur_ct_with_truth())
    assert truth.data.shape == image.data.shape
    assert np.allclose(truth.scale, image.scale)
    assert _layers.labels_from_layer(truth).names == _layers.image_from_layer(image).names
    assert {c.value for c in _layers.labels_from_layer(truth).classes} == {1, 2}
