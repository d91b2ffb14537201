"""``napari-medseg models compare``."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_medseg import io
from napari_medseg.core import ClassInfo, InputError, Mark, ModelCard, marked
from napari_medseg.inference import SegmentOptions
from napari_medseg.inference.versus import Differences, compare_models
from napari_medseg.io.atomic import write_text
from napari_medseg.io.findings import counted
from napari_medseg.models import find_model, read_card

from .flags import with_options
from .progress import shown_progress
from .sources import is_set, open_image
from .targets import RENAME, check_target

MOST = 10
"""Slices that are listed; `TABLE` has all."""

TABLE = "differences.csv"


@dataclass(frozen=True)
class Extras:
    """What is known of the image, and where the results go."""

    truth: Annotated[
        Path | None, Parameter(help="Masks that are right, of all slices or some: scores both models.")
    ] = None
    output: Annotated[
        Path | None, Parameter(help=f"Write the masks of both models and a table of all slices ({TABLE}) here.")
    ] = None
    series: Annotated[
        str, Parameter(help="Which series of an image that holds several; 'all' of a file's.", show_default=False)
    ] = ""
    channel: Annotated[
        tuple[Path, ...],
        Parameter(
            help="The image of a further channel, as of segment; may be repeated.", negative=(), show_default=False
        ),
    ] = ()


@with_options(SegmentOptions, skip=marked(SegmentOptions, Mark.ALONE))
def compare(
    one: Annotated[str, Parameter(name="A", help="A name in the library, NAME@VERSION, or a model's folder.")],
    two: Annotated[str, Parameter(name="B", help="The model it is compared with.")],
    source: Annotated[Path, Parameter(name="IMAGE", help="An image or a series.")],
    /,
    *,
    extras: Annotated[Extras, Parameter(name="*")] = Extras(),
    options: SegmentOptions,
) -> int:
    """Segment an image with two models, such as two versions of one, and say how far the results differ.

    **Example**

    ```
    napari-medseg models compare my-femur@1 my-femur@2 ct-slices/
    napari-medseg models compare femur-ct my-femur ct-slices/ --truth masks/ --output both/
    ```
    """
    cards = read_card(find_model(one)), read_card(find_model(two))
    if cards[0].reference == cards[1].reference and cards[0].sha256 == cards[1].sha256:
        raise InputError(f"{one} and {two} are the same model.", "Name a version, such as NAME@1.")
    if is_set(source):
        raise InputError(f"{source} holds images of different sizes.", "Give one of them.")
    if extras.output is not None:
        check_target(extras.output, source, remedy=RENAME)
    image = open_image(source, extras.channel, extras.series)
    truth = None if extras.truth is None else io.read_labels(extras.truth)
    with shown_progress() as report:
        found = compare_models(image, (one, two), truth, options=options, report=report)
    print(_told(cards, found))
    if extras.output is not None:
        _write(extras.output, cards, found)
    return 0


def _told(cards: tuple[ModelCard, ModelCard], found: Differences) -> str:
    one, two = (card.reference for card in cards)
    differing, size = sum(s.differing for s in found.slices), sum(s.size for s in found.slices)
    apart = sorted((s for s in found.slices if s.differing), key=lambda s: -s.differing)
    lines = [f"Dice between {one} and {two}"]
    names = _class_names(cards)
    lines += [f"  {names[value]}: {dice:.3f}" for value, dice in found.between.items()] or ["  Both found nothing."]
    slices = f"on {len(apart)} of {counted(len(found.slices), 'slice')}"
    lines.append(f"{counted(differing, 'pixel')} ({differing / max(size, 1):.1%}) differ, {slices}")
    lines += [f"  {s.name}: {counted(s.differing, 'pixel')} ({s.differing / s.size:.1%})" for s in apart[:MOST]]
    if len(apart) > MOST:
        lines.append(f"  and {len(apart) - MOST} more; --output writes all")
    figures = ["-" if dice is None else f"{dice:.3f}" for dice in found.dice]
    if figures != ["-", "-"]:
        lines.append(f"Dice on what is right: {figures[0]} of {one}, {figures[1]} of {two}")
    return "\n".join(lines)


def _class_names(cards: tuple[ModelCard, ModelCard]) -> dict[int, str]:
    """Names of the class values; both where the models call a value differently."""
    first, second = ({c.value: c.name for c in card.classes} for card in cards)
    values = sorted({*first, *second})
    named = {v: [n for n in (first.get(v), second.get(v)) if n is not None] for v in values}
    return {v: " or ".join(dict.fromkeys(names)) or ClassInfo.numbered(v).name for v, names in named.items()}


def _write(folder: Path, cards: tuple[ModelCard, ModelCard], found: Differences) -> None:
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("slice", "pixels that differ", "share", "Dice between both"))
    for s in found.slices:
        rows.writerow((s.name, s.differing, f"{s.differing / s.size:.6f}", "" if s.between is None else s.between))
    places = [f"{card.name}-v{card.version}" for card in cards]
    if places[0] == places[1]:  # folders may hold two models of one name
        places = [f"{places[0]}-{letter}" for letter in "AB"]
    for place, labels in zip(places, found.labels, strict=True):
        io.write(folder / place, labels)
    write_text(folder / TABLE, text.getvalue())
    print(f"Wrote the masks of both and {TABLE} into {folder}")
