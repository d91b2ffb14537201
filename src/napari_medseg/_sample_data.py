"""Sample data for File > Open Sample > MedSeg."""

from __future__ import annotations

from ._layers import LayerDataTuple, image_layers, labels_layer_data
from .core import Image, Labels


def femur_ct_image() -> list[LayerDataTuple]:
    """A made-up CT series of both femora."""
    return femur_ct_with_truth()[:1]


def femur_ct_with_truth() -> list[LayerDataTuple]:
    """The same series with the outlines it was drawn from."""
    from .phantoms.sample import NAME, built_in_sample

    return _layers(*built_in_sample(), NAME)


def brain_mr_with_truth() -> list[LayerDataTuple]:
    """A made-up MR volume of a head in three sequences, with the outline of its tumour."""
    from .phantoms.brain import SEED, brain_sample

    return _layers(*brain_sample(SEED), "brain mr")


def chest_xrays_with_truth() -> list[LayerDataTuple]:
    """Made-up X-rays of the chest with the outlines of the lungs."""
    from .phantoms.pictures import chest_sample

    return _layers(*chest_sample(), "chest x-rays")


def tissue_he_with_truth() -> list[LayerDataTuple]:
    """A made-up patch of stained tissue with the outlines of its nuclei."""
    from .phantoms.pictures import tissue_sample

    return _layers(*tissue_sample(), "tissue he")


def _layers(image: Image, truth: Labels, name: str) -> list[LayerDataTuple]:
    outlines, kwargs, kind = labels_layer_data(truth)
    return [*image_layers(image, name=name), (outlines, {**kwargs, "name": f"{name} truth"}, kind)]
