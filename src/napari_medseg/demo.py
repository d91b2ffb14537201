"""The whole loop on a built-in sample: segment, correct, fine-tune, segment again, save, look.

This lies above the layers of the package: it runs what the command line and the window run, and knows both.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter
from PIL import Image as Picture

from napari_medseg import io
from napari_medseg.cli.progress import shown_progress
from napari_medseg.cli.screen import open_screen
from napari_medseg.cli.targets import check_target
from napari_medseg.core import Image, Labels, ModelCard, ModelError, Reporter
from napari_medseg.evaluation import Report, evaluate
from napari_medseg.io.atomic import write_text
from napari_medseg.phantoms import femur_sample
from napari_medseg.phantoms.sample import SEED

MODEL = "femur-ct"
SLICES = 32
CORRECTED = 5
STEPS = 60


def demo(
    *,
    output: Annotated[Path, Parameter(help="Folder for masks, figures and the screenshot.")] = Path("demo-output"),
    window: Annotated[
        bool, Parameter(help="Show the result in napari, or take a screenshot where there is no display.")
    ] = True,
    overwrite: Annotated[bool, Parameter(help="Replace the results of an earlier demo.", negative=())] = False,
) -> int:
    """Run the whole loop on a built-in sample.

    A made-up CT of both femora is segmented; a few slices are corrected; the model is fine-tuned on them; the other
    slices show what that gained. Takes a few minutes without a graphics card.

    **Example**

    ```
    napari-medseg demo --output demo-output --no-window
    ```
    """
    check_target(output, overwrite=overwrite)
    # A library of its own: trying the demo leaves no models behind in the user's.
    os.environ["NAPARI_MEDSEG_HOME"] = str((output / "library").resolve())
    card = pick_model()
    image, truth = sample(card)
    with shown_progress() as report:
        before, after, corrected = improve(card.name, (image, truth), output, report)
    chosen = [z for z in range(len(image)) if z not in corrected]
    figures = {name: _score(labels, truth, chosen) for name, labels in (("before", before), ("after", after))}
    _tell(figures, corrected)
    for name, figure in figures.items():
        write_text(output / f"evaluation-{name}.json", figure.to_json())
    print(f"Masks and figures are in {output}")
    if window:
        look(image, after, output / "screenshot.png")
    return 0


def look(image: Image, labels: Labels, picture: Path) -> None:
    """Show the result in napari and take a screenshot; on a virtual screen where there is no display."""
    if find_spec("napari") is None:
        print('napari is not installed, so there is no window: pip install "napari-medseg[all]"')
        return
    with open_screen() as screen:
        if screen == "none":
            print("There is no display, and Xvfb is not installed: no window and no screenshot.")
            return
        if screen == "user":
            print("Opening napari; close its window to end the demo.")
        from napari_medseg.widgets.demo import show_demo

        show_demo(image, labels, picture, interactive=screen == "user")
    print(f"Screenshot of the window: {picture}")


def sample(card: ModelCard) -> tuple[Image, Labels]:
    """The made-up CT series and its exact labels, in the classes of the model where it knows both femora."""
    image, truth = femur_sample(SEED, slices=SLICES, size=384)
    same = {c.value for c in card.classes} == {c.value for c in truth.classes}
    return image, replace(truth, classes=card.classes) if same else truth


def improve(
    model: str, scan: tuple[Image, Labels], output: Path, report: Reporter
) -> tuple[Labels, Labels, tuple[int, ...]]:
    """Segment, correct the worst slices, fine-tune, segment again.

    Returns
    -------
    before, after
        What the model gave, and what the fine-tuned one gives.
    corrected
        Indices of the slices that were corrected.
    """
    from napari_medseg.inference import segment
    from napari_medseg.training import train

    start = time.monotonic()
    image, truth = scan
    print(f"Segmenting {len(image)} slices of a made-up CT with {model} …")
    before = segment(image, model, report=report)
    _save(output / "masks-before", before)
    corrected = worst_slices(evaluate(before, truth), image.names)
    print(f"Correcting slices {', '.join(str(z) for z in corrected)} and fine-tuning on them …")
    # The whole series and the masks of a few of its slices: what is grey or white is measured on all of them.
    pair = (output / "images", output / "masks-corrected")
    _save_images(pair[0], image)
    _save(pair[1], _pick(truth, corrected))
    card = train([pair], model=model, name="demo-femur", report=report, max_steps=STEPS, max_minutes=1.5, seed=SEED)
    print(f"Segmenting again with {card.reference} …")
    after = segment(image, card.reference, report=report)
    _save(output / "masks-after", after)
    print(f"Done in {time.monotonic() - start:.0f} s.")
    return before, after, corrected


def pick_model() -> ModelCard:
    """The built-in femur model, or another one that takes grey images.

    Raises
    ------
    ModelError
        When there is none.
    """
    from napari_medseg.models import list_models

    cards = {card.name: card for card in list_models() if card.channels == 1}
    if not cards:
        raise ModelError("There is no model to run the demo with.", "Import one: napari-medseg models import PATH.")
    return cards.get(MODEL) or next(iter(cards.values()))


def worst_slices(report: Report, names: tuple[str, ...]) -> tuple[int, ...]:
    """Indices of the slices that most need correcting, as a person looking through them would choose."""
    scores: dict[str, list[float]] = {}
    for row in report.rows:
        if (dice := row.values.get("dice")) is not None:
            scores.setdefault(row.slice, []).append(dice)
    chosen: list[int] = []
    for name in sorted(scores, key=lambda name: min(scores[name])):
        z = names.index(name)
        # Neighbours look alike: correcting one of them teaches most of what both would.
        if len(chosen) < CORRECTED and all(abs(z - other) > 1 for other in chosen):
            chosen.append(z)
    return tuple(sorted(chosen))


def _pick(labels: Labels, chosen: tuple[int, ...] | list[int]) -> Labels:
    names = tuple(labels.names[z] for z in chosen)
    return Labels(np.asarray(labels.data)[list(chosen)], labels.classes, labels.geometry, names)


def _save(folder: Path, labels: Labels) -> None:
    io.write(folder, labels, overwrite=True)


def _save_images(folder: Path, image: Image) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for z in range(len(image)):
        Picture.fromarray(image.slice(z)).save(folder / image.names[z])


def _score(labels: Labels, truth: Labels, chosen: list[int]) -> Report:
    return evaluate(_pick(labels, chosen), _pick(truth, chosen), merge=True)


def _tell(figures: dict[str, Report], corrected: tuple[int, ...]) -> None:
    print(f"On the {SLICES - len(corrected)} slices that were not corrected:")
    for name, figure in figures.items():
        dice = figure.figure("dice")
        print(f"  Dice {name} fine-tuning: {dice.pooled or 0:.4f} (mean of slices {dice.mean or 0:.4f})")
