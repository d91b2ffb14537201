"""Sample data for File > Open Sample > MedSeg."""

from __future__ import annotations

from ._layers import LayerDataTuple, image_layer_data, labels_layer_data


def femur_ct_image() -> list[LayerDataTuple]:
    """A made-up CT series of both femora."""
    return femur_ct_with_truth()[:1]


def femur_ct_with_truth() -> list[LayerDataTuple]:
    """The same series with the outlines it was drawn from."""
    from .phantoms.sample import NAME, built_in_sample

    image, truth = built_in_sample()
    layers = [image_layer_data(image), labels_layer_data(truth)]
    for layer, name in zip(layers, (NAME, f"{NAME} truth"), strict=True):
        layer[1]["name"] = name
    return layers
