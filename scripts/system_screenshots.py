"""Take pictures of the window with made-up images, segmented by a built-in model or by one made for the picture.

    python scripts/system_screenshots.py OUTPUT [NAME ...] [--minutes M] [--home FOLDER]

What is trained by a recipe on the spot, on other made-up images, is good enough for a picture and of no use for
anything else. ``--home`` keeps these models for the next time. Needs a display, or Xvfb.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("QT_QPA_PLATFORM", "xcb")
sys.path.insert(0, str(Path(__file__).parent))


@dataclass(frozen=True)
class Scene:
    """What is shown of a model.

    Attributes
    ----------
    make
        Seed to a made-up image and its labels.
    recipe
        Of the package, to train with; empty for a built-in model.
    train
        How many images train.
    at
        Slice to look at; negative for the one in which most was found.
    """

    make: Callable[[int], tuple[Any, Any]]
    recipe: str = ""
    train: int = 0
    at: int = -1


def make_head(seed: int) -> tuple[Any, Any]:
    from napari_medseg.phantoms.brain import brain_sample

    return brain_sample(seed, name=f"TCGA_MADE_{seed:04d}_", tumour=seed % 5 != 0)


def make_chests(seed: int) -> tuple[Any, Any]:
    from napari_medseg.phantoms.pictures import chest_sample

    return chest_sample()


def make_tissue(seed: int) -> tuple[Any, Any]:
    from napari_medseg.phantoms.pictures import tissue_sample

    return tissue_sample()


def make_body(seed: int) -> tuple[Any, Any]:
    from napari_medseg.phantoms import femur_sample

    image, labels = femur_sample(seed, slices=12)
    return replace(image, names=tuple(f"{z:02d}.png" for z in range(len(image)))), labels


UNSEEN = 1863
SCENES = {
    "bone-ct": Scene(make_body, at=1),
    "lungs-xray": Scene(make_chests, at=4),
    "nuclei-he": Scene(make_tissue),
    "brain-tumour": Scene(make_head, "brain-tumour", 14),
}


def save_sample(folder: Path, image: Any, labels: Any) -> tuple[Path, Path]:
    """Slices as PNG, or as TIFF that tells the size of its pixels: folders of images and of masks."""
    import tifffile
    from PIL import Image as Picture

    places = folder / "images", folder / "masks"
    for place, stack in zip(places, (image, labels), strict=True):
        place.mkdir(parents=True)
        for z, name in enumerate(image.names):
            pixels = np.ascontiguousarray(stack.slice(z))
            if name.endswith(".tif"):
                each = 1e4 / image.geometry.spacing[-1]
                tifffile.imwrite(place / name, pixels, resolution=(each, each), resolutionunit="CENTIMETER")
            else:
                Picture.fromarray(pixels).save(place / name)
    return places


def make_model(name: str, scene: Scene, folder: Path, minutes: float) -> None:
    """Train, unless the library has the model already."""
    from napari_medseg import train
    from napari_medseg.models.library import list_models
    from napari_medseg.training import Recipe

    if any(card.name == name for card in list_models()):
        return
    pairs = [save_sample(folder / f"{seed}", *scene.make(seed)) for seed in range(101, scene.train + 101)]
    plan = Recipe.read(scene.recipe).plan(pairs, name=name)
    card = train(plan, max_minutes=minutes)
    print("model:", card.reference, *(f"{s.metric} {s.value:.2f}" for s in card.scores))


def show(driver: Any, name: str, scene: Scene, folder: Path) -> None:
    """Open what trained nothing, segment, and look at where most was found."""
    images, _ = save_sample(folder / "unseen", *scene.make(UNSEEN))
    driver.viewer.open(str(images), plugin="napari-medseg")
    dock = driver.dock("Segment")
    dock.model.set_value(name)
    driver.run(dock, name, lambda: dock.panel.bar.value() > 0.5 * max(dock.panel.bar.maximum(), 1))
    found = np.asarray(driver.viewer.layers[-1].data)
    if found.ndim == 3:
        most = int((found > 0).sum(axis=(1, 2)).argmax())
        driver.viewer.dims.set_current_step(0, most if scene.at < 0 else scene.at)
    driver.picture(f"{name}-found")
    driver.close(dock)
    driver.viewer.layers.clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("names", nargs="*", choices=[*SCENES], default=[*SCENES])
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--home", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        os.environ["NAPARI_MEDSEG_HOME"] = str(arguments.home or f"{work}/home")
        from screenshots import Driver

        from napari_medseg.cli.screen import open_screen

        for name in arguments.names:
            make_model(name, SCENES[name], Path(work) / name, arguments.minutes)
        with open_screen():
            driver = Driver(arguments.output)
            for name in arguments.names:
                show(driver, name, SCENES[name], Path(work) / name)
            driver.viewer.close()


if __name__ == "__main__":
    main()
