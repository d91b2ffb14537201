"""Draw the small pictures of the built-in models: made-up images, and on them what each model finds.

python scripts/starter_thumbnails.py [NAME ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image as Picture

import napari_medseg as medseg
from napari_medseg.core import Geometry, Image
from napari_medseg.evaluation.panels import display_range
from napari_medseg.models import find_model, read_card
from napari_medseg.models.library import STARTERS
from napari_medseg.models.weights import THUMBNAIL
from napari_medseg.phantoms.body import draw_ct_slices
from napari_medseg.phantoms.brain import SEED, brain_sample
from napari_medseg.phantoms.draw import Draw
from napari_medseg.phantoms.pictures import chest_sample, tissue_sample
from napari_medseg.phantoms.sample import built_in_sample

SIDE = 96
"""Pixels of a picture's side."""

SHARE = 0.6
"""Of a class's colour over the image."""

BODY_SEED, BODY = 0, 256
"""Of the slice of a body that shows bones, and its side in pixels."""

Square = tuple[slice, slice]


def body() -> Image:
    """A CT slice of a body, in HU."""
    values = draw_ct_slices(Draw(BODY_SEED), 1, BODY).image[0, 0].numpy()
    return Image(values.astype(np.int16), "YX", Geometry.unknown(2), meaning="HU")


def square(top: int, left: int, side: int) -> Square:
    return slice(top, top + side), slice(left, left + side)


SHOWN: dict[str, tuple[Callable[[], Image], int, Square]] = {
    "bone-ct": (body, 0, square(0, 0, BODY)),
    "femur-ct": (lambda: built_in_sample()[0], 12, square(120, 84, 310)),
    "lungs-xray": (lambda: chest_sample()[0], 0, square(0, 0, 512)),
    "nuclei-he": (lambda: tissue_sample()[0], 0, square(112, 462, 96)),
    "tumour-mr": (lambda: brain_sample(SEED)[0], 12, square(0, 0, 192)),
}
"""What is drawn for each model: the image, the slice in it, and the part of that."""


def draw(name: str) -> Picture.Image:
    """The picture of one model; of several sequences the second is shown."""
    make, z, part = SHOWN[name]
    image, card = make(), read_card(find_model(f"{name}@1"))
    found = medseg.segment(image, f"{name}@1", slices=f"{z}:{z + 1}").slice(z)[part]
    pixels = image.slice(z)[part].astype(np.float32)
    low, high = display_range(image)
    if card.modality == "MR":
        pixels, low, high = pixels[..., 1], float(pixels.min()), float(pixels.max())
    grey = np.clip((pixels - low) / (high - low), 0, 1) * 255
    painted = grey if grey.ndim == 3 else np.repeat(grey[..., None], 3, -1)
    for info in card.classes:
        colour = [int(info.color[i : i + 2], 16) for i in (1, 3, 5)]
        painted[found == info.value] *= 1 - SHARE
        painted[found == info.value] += SHARE * np.array(colour)
    return Picture.fromarray(painted.astype(np.uint8)).resize((SIDE, SIDE), Picture.Resampling.LANCZOS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=[*SHOWN], metavar="NAME")
    parser.add_argument("--out", type=Path, default=STARTERS, help="folder with a folder for each model")
    arguments = parser.parse_args()
    for name in arguments.names:
        draw(name).save(arguments.out / name / THUMBNAIL, optimize=True)


if __name__ == "__main__":
    main()
