"""Sample data for File > Open Sample > MedSeg."""

from __future__ import annotations

from ._layers import LayerDataTuple, image_layer_data, labels_layer_data
from .core import ClassInfo, Geometry, Image, Labels

SEED = 1
SLICES = 36
FEMURS = (
    ClassInfo(value=1, name="femur, image left", color="#e69f00"),
    ClassInfo(value=2, name="femur, image right", color="#56b4e9"),
)


def femur_ct_image() -> list[LayerDataTuple]:
    """A made-up CT series of both femora."""
    return _femur_ct()[:1]


def femur_ct_with_truth() -> list[LayerDataTuple]:
    """The same series with the outlines it was drawn from."""
    return _femur_ct()


def _femur_ct() -> list[LayerDataTuple]:
    from .phantoms.femur import femur_ct

    data, truth, spacing = femur_ct(SEED, slices=SLICES)
    geometry = Geometry(spacing=spacing, unit="mm")
    names = tuple(f"{z}.png" for z in range(len(data)))
    image = image_layer_data(Image(data, "ZYX", geometry, names))
    labels = labels_layer_data(Labels(truth, FEMURS, geometry, names))
    image[1]["name"] = "femur ct"
    labels[1]["name"] = "femur ct truth"
    return [image, labels]
