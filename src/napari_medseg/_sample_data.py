"""Sample data for File > Open Sample > MedSeg."""

from __future__ import annotations

from ._layers import LayerDataTuple, image_layer_data, labels_layer_data
from .core import Reporter, silent

SEED = 1
SLICES = 36


def femur_ct_image(report: Reporter = silent) -> list[LayerDataTuple]:
    """A made-up CT series of both femora."""
    return femur_ct_with_truth(report)[:1]


def femur_ct_with_truth(report: Reporter = silent) -> list[LayerDataTuple]:
    """The same series with the outlines it was drawn from."""
    from .phantoms import femur_sample

    image, truth = femur_sample(SEED, slices=SLICES, report=report)
    layers = [image_layer_data(image), labels_layer_data(truth)]
    for layer, name in zip(layers, ("femur ct", "femur ct truth"), strict=True):
        layer[1]["name"] = name
    return layers
