"""Drive the real window over slides: a run half done, a part corrected, and put back; with a picture of each.

    python scripts/slide_screenshots.py OUTPUT [--minutes M] [--home FOLDER]

Real images are looked for in the folder that MEDSEG_DATA names: ``wsi/CMU-1-Small-Region.svs`` (of OpenSlide's test
data, CC0), and ``bcnb_he_tumour/images``, which is left out where it is not there. The model finds what haematoxylin
stains, trained on the spot for M minutes on parts of the first and a threshold of their stain: good enough for
pictures, of no use for anything else. ``--home`` keeps it for the next time. Checks that a painted cross comes back
on the same pixel of the slide, and prints how long the window was ever without an answer. Needs a display, or Xvfb.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

os.environ.setdefault("QT_QPA_PLATFORM", "xcb")
PROJECT = Path(__file__).parents[1]
DATA = Path(os.environ.get("MEDSEG_DATA", PROJECT.parent / "shared" / "data"))
sys.path.insert(0, str(PROJECT / "scripts"))

SLIDE = DATA / "wsi" / "CMU-1-Small-Region.svs"
NAME = "haematoxylin"
PART = 512
CROSS = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))


def make_model(minutes: float) -> None:
    """Train on parts of the slide, unless the library has the model already."""
    from PIL import Image as Picture
    from scipy.ndimage import gaussian_filter
    from skimage.color import rgb2hed
    from skimage.filters import threshold_otsu

    from napari_medseg import read, train
    from napari_medseg.models.library import list_models

    if any(card.name == NAME for card in list_models()):
        return
    images, masks = (Path(tempfile.mkdtemp()) / part for part in ("images", "masks"))
    images.mkdir()
    masks.mkdir()
    slide = read(SLIDE).data
    parts = [
        np.asarray(slide[y : y + PART, x : x + PART])
        for y in range(0, slide.shape[0] - PART, PART)
        for x in range(0, slide.shape[1] - PART, PART)
    ]
    stains = [gaussian_filter(rgb2hed(part)[..., 0], 2) for part in parts]
    threshold = threshold_otsu(np.stack(stains))
    for n, (part, stain) in enumerate(zip(parts, stains, strict=True)):
        Picture.fromarray(part).save(images / f"{n}.png")
        Picture.fromarray((stain > threshold).astype(np.uint8)).save(masks / f"{n}.png")
    card = train(
        [(images, masks)],
        model="unet:resnet18",
        name=NAME,
        max_minutes=minutes,
        device="cpu",
        classes=["1=haematoxylin"],
    )
    print("model:", card.reference, *(f"{s.metric} {s.value:.2f}" for s in card.scores))


def find_images() -> dict[str, Path]:
    """What there is to be looked at."""
    folder = DATA / "bcnb_he_tumour" / "images"
    images = {"svs": SLIDE, "bcnb": next(iter(sorted(folder.glob("*.jpg"))), folder)}
    return {name: path for name, path in images.items() if path.is_file()}


def open_slide(driver: object, path: Path) -> object:
    """The image as a layer with levels; one that its file gives none gets them here."""
    viewer = driver.viewer
    viewer.open(str(path), plugin="napari-medseg")
    layer = viewer.layers[-1]
    if not layer.multiscale:
        pixels = np.asarray(layer.data)
        viewer.layers.remove(layer)
        levels = [pixels[:: 2**n, :: 2**n] for n in range(3)]
        layer = viewer.add_image(levels, multiscale=True, rgb=True, name=path.stem)
    return layer


def show(driver: object, name: str, path: Path) -> None:
    """Open, segment, correct, put back."""
    from napari_medseg.widgets.slide_result import find_slide_result

    viewer = driver.viewer
    slide = open_slide(driver, path)
    dock = driver.dock("Segment")
    dock.model.set_value(NAME)
    driver.picture(f"slide-{name}-ready")
    driver.longest = 0.0
    dock.slide.tissue.show_button.click()
    driver.wait(lambda: not dock.slide.tissue.job.running, "tissue")
    driver.picture(f"slide-{name}-tissue")
    viewer.layers.remove(viewer.layers[-1])
    look_at(viewer, slide, (0.35, 0.6), 2.2)
    driver.run(dock, f"slide-{name}", lambda: dock.panel.bar.value() > 0.45 * max(dock.panel.bar.maximum(), 1))
    dock.slide.correct.correct.click()
    driver.wait(lambda: not dock.slide.correct.job.running, "the work area")
    area = viewer.layers[-1]
    paint(area, slide)
    driver.picture(f"slide-{name}-correct")
    before = np.asarray(find_slide_result(viewer, slide).data[0][:]).copy()
    dock.slide.correct.put_back.click()
    driver.wait(lambda: not dock.slide.correct.job.running, "putting back")
    driver.picture(f"slide-{name}-put-back")
    check(area, slide, before, np.asarray(find_slide_result(viewer, slide).data[0][:]))
    print(f"    longest pause of the window since then {1000 * driver.longest:.0f} ms")
    driver.close(dock)
    viewer.layers.clear()


def look_at(viewer: object, slide: object, middle: tuple[float, float], times: float) -> None:
    """Look at a place of the slide, given as parts of its height and width, so many times as near as all of it."""
    shape = np.array(slide.data[0].shape[:2])
    viewer.reset_view()
    viewer.scene.camera.center = (0, *slide.data_to_world(shape * middle))
    viewer.scene.camera.zoom *= times


def paint(area: object, slide: object) -> None:
    """A stroke as a user would, and a cross of single pixels to find again."""
    height, width = area.data.shape
    y, x = np.mgrid[:height, :width]
    ring = (y - 0.45 * height) ** 2 / (0.2 * height) ** 2 + (x - 0.5 * width) ** 2 / (0.15 * width) ** 2 < 1
    area.data_setitem(np.nonzero(ring), 1)
    area.data_setitem(np.nonzero(ring & (y < 0.4 * height)), 0)
    for dy, dx in CROSS:
        area.data_setitem((np.array([40 + dy]), np.array([50 + dx])), 1)


def check(area: object, slide: object, before: object, after: object) -> None:
    """The result is what was painted, on the pixels it was painted on, and nothing else changed."""
    top, left = (round(float(x)) for x in slide.world_to_data(area.data_to_world((0, 0))))
    part = (slice(top, top + area.data.shape[0]), slice(left, left + area.data.shape[1]))
    crosses = all(after[top + 40 + dy, left + 50 + dx] == 1 for dy, dx in CROSS)
    rest = before.copy()
    rest[part] = after[part]
    exact = bool((after[part] == area.data).all()) and bool((rest == after).all())
    print(f"    cross on its pixels: {crosses}; put back pixel by pixel, nothing else changed: {exact}")
    if not (crosses and exact):
        raise SystemExit("what was put back is not what was painted")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--home", type=Path)
    arguments = parser.parse_args()
    images = find_images()
    if not SLIDE.is_file():
        raise SystemExit(f"{SLIDE.relative_to(DATA)} is not in {DATA}; name its folder in MEDSEG_DATA.")
    with tempfile.TemporaryDirectory() as home:
        os.environ["NAPARI_MEDSEG_HOME"] = str(arguments.home or home)
        from screenshots import Driver

        from napari_medseg.cli.screen import open_screen

        begin = time.monotonic()
        make_model(arguments.minutes)
        print(f"model ready after {time.monotonic() - begin:.0f} s")
        with open_screen():
            driver = Driver(arguments.output)
            for name, path in images.items():
                show(driver, name, path)
            driver.viewer.close()


if __name__ == "__main__":
    main()
