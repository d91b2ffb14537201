"""What tiles leave behind: labels computed in tiles beside those of the whole image in one piece.

    python benchmarks/seams.py IMAGE --model MODEL [--side 2048] [--tile 512] [--device cpu] [--json OUT]

The middle of an image, ``--side`` pixels a side, goes through the network whole and in tiles with an overlap of a
quarter, blended and with borders discarded. ``equal`` is the share of pixels with the same label; ``flips`` the number
of neighbours of different classes across the borders of tiles, divided by that of the whole's labels at the same
places; ``elsewhere`` the same for all other places.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import napari_medseg as medseg
from napari_medseg.core import Image
from napari_medseg.inference.tiles import lay_grid
from napari_medseg.models import load_model

OVERLAP = 0.25


def read_middle(path: Path, side: int) -> Image:
    """The middle of a picture, as an image that is no slide."""
    image = medseg.read(path)
    parts = [slice(max(0, (n - side) // 2), max(0, (n - side) // 2) + min(n, side)) for n in image.shape[-2:]]
    data = image.data[tuple(parts)] if image.channels == 3 else image.data[(..., *parts)]
    return Image(np.asarray(data), image.axes, image.geometry)


def changes(labels: npt.NDArray[Any], axis: int) -> npt.NDArray[np.int64]:
    """Pixels whose neighbour before them along an axis has another class, for each place along that axis."""
    turned = np.moveaxis(labels, axis, 0)
    return np.asarray((turned[1:] != turned[:-1]).sum(1))


def compare(tiled: npt.NDArray[Any], whole: npt.NDArray[Any], tile: int) -> dict[str, float]:
    """How alike labels are, and how often the class changes at borders of tiles and elsewhere."""
    grid = lay_grid((whole.shape[0], whole.shape[1]), tile, OVERLAP)
    counts = np.zeros((2, 2), np.int64)  # border or not, tiled or whole
    for axis, firsts in enumerate((grid.rows, grid.columns)):
        edges = np.array([n for first in firsts for n in (first, first + tile)])
        at = np.zeros(whole.shape[axis] - 1, bool)
        at[edges[(edges > 0) & (edges < whole.shape[axis])] - 1] = True
        for n, labels in enumerate((tiled, whole)):
            found = changes(labels, axis)
            counts[:, n] += found[at].sum(), found[~at].sum()
    flips, elsewhere = counts[:, 0] / np.maximum(counts[:, 1], 1)
    return {
        "equal": round(float((tiled == whole).mean()), 6),
        "flips": round(float(flips), 4),
        "elsewhere": round(float(elsewhere), 4),
        "border pixels": int(counts[0, 1]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    image, model = read_middle(arguments.image, arguments.side), load_model(arguments.model)

    def labels(**options: Any) -> npt.NDArray[Any]:
        found = medseg.segment(image, model, device=arguments.device, precision="fp32", overlap=OVERLAP, **options)
        return np.asarray(found.data)

    whole = labels(tile=arguments.side)
    rows = []
    for blend in ("gaussian", "discard"):
        rows.append({"blend": blend, **compare(labels(tile=arguments.tile, blend=blend), whole, arguments.tile)})
        print(json.dumps(rows[-1]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
