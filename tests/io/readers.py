"""What the hostile files are read with: by kind, the name, the maker and the reader of each specimen."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from specimens import Specimen, blocks, format_of, present, upright, volume

Case = tuple[str, Callable[[Path], Path], Callable[[Path], Any]]


def _images() -> Iterator[Case]:
    for one in present():
        if format_of(one).images:
            yield one.name, partial(_make, one, volume(one.slices)), read_image


def _masks() -> Iterator[Case]:
    for one in present():
        if format_of(one).masks:
            yield one.name, partial(_make, one, blocks(one.slices)), read_mask


def _make(one: Specimen, data: Any, place: Path) -> Path:
    return one.make(place, data, upright(one.slices))


def read_image(path: Path) -> None:
    from napari_medseg.io import read

    image = read(path)
    for z in range(min(len(image), 5)):
        image.slice(z)


def read_mask(path: Path) -> None:
    from napari_medseg.io import read_labels

    read_labels(path)


def _outlines() -> Iterator[Case]:
    from drawings import draw

    from napari_medseg.io.outlines.registry import outline_formats

    for fmt in outline_formats():
        yield fmt.name, partial(draw, fmt.name), read_drawing


def read_drawing(path: Path) -> None:
    """Read and fill, as far as the regions lie on an image of moderate size."""
    import numpy as np

    from napari_medseg.io.outlines.fill import fill
    from napari_medseg.io.outlines.registry import read_outlines

    found = read_outlines(path)
    fill(found.regions, np.zeros((50, 60), np.uint32))


def _models() -> Iterator[Case]:
    from napari_medseg.core import ClassInfo
    from napari_medseg.models.foreign import read_weights, unpacked
    from napari_medseg.models.weights import read_card
    from napari_medseg.training.memory import read_archive

    def archive(path: Path) -> None:
        with unpacked(path) as folder:
            read_card(folder)
            read_weights(folder / "model.safetensors")

    def memory(path: Path) -> None:
        read_archive(path.parent).recall((ClassInfo.numbered(1, "femur"),), 1)

    yield "zip", _zip, archive
    yield "tar.gz", _tar, archive
    yield "safetensors", _safetensors, read_weights
    yield "pt", _pickle, read_weights
    yield "card", _model, read_card
    yield "memory", _memory, memory


def _state() -> dict[str, Any]:
    import torch

    return {"encoder.conv1.weight": torch.ones(4, 1, 3, 3), "segmentation_head.0.weight": torch.ones(2, 4, 3, 3)}


def _model(place: Path) -> Path:
    """A model's folder, too small to be a network."""
    import json

    import safetensors.torch

    from napari_medseg.core import ClassInfo, ModelCard

    folder = place / "tiny"
    folder.mkdir()
    card = ModelCard(name="tiny", classes=(ClassInfo.numbered(1, "femur"),))
    (folder / "card.json").write_text(card.model_dump_json(indent=2), encoding="utf-8")
    config = {"_model_class": "Unet", "encoder_name": "resnet18", "in_channels": 1, "classes": 2}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    safetensors.torch.save_file(_state(), folder / "model.safetensors")
    return folder


def _zip(place: Path) -> Path:
    folder = _model(place)
    shutil.make_archive(str(place / "x"), "zip", folder)
    shutil.rmtree(folder)
    return place / "x.zip"


def _tar(place: Path) -> Path:
    folder = _model(place)
    shutil.make_archive(str(place / "x"), "gztar", folder)
    shutil.rmtree(folder)
    return place / "x.tar.gz"


def _safetensors(place: Path) -> Path:
    folder = _model(place)
    (folder / "model.safetensors").rename(place / "x.safetensors")
    shutil.rmtree(folder)
    return place / "x.safetensors"


def _pickle(place: Path) -> Path:
    import torch

    torch.save({"epoch": 3, "state_dict": _state()}, place / "x.pt")
    return place / "x.pt"


def _memory(place: Path) -> Path:
    import numpy as np

    from napari_medseg.core import ClassInfo, ModelCard
    from napari_medseg.training.memory import Memory, write_memory
    from napari_medseg.training.truth import LabelledSlice

    pixels = np.linspace(0, 1, 40 * 50).reshape(1, 40, 50).astype(np.float16)
    target = (pixels[0] > 0.5).astype(np.int16)
    card = ModelCard(name="tiny", classes=(ClassInfo.numbered(1, "femur"),))
    write_memory(place, Memory((LabelledSlice("a", pixels, target, identity="i"),), ()), card)
    return place / "memory.zip"


READERS: dict[str, Callable[[], Iterator[Case]]] = {
    "images": _images, "masks": _masks, "outlines": _outlines, "models": _models,
}  # fmt: skip
