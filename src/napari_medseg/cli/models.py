"""``napari-medseg models list | show | compare | import | export | rename | remove``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from napari_medseg import models as library
from napari_medseg.core import Cancelled, InputError
from napari_medseg.io.findings import counted
from napari_medseg.models.library import ancestry
from napari_medseg.models.remove import children, own_folders
from napari_medseg.training.memory import count_memory

from .targets import RENAME, check_target
from .versus import compare

app = App(
    name="models",
    help="List, show, compare, import, export, rename and remove models.\n\n"
    "**Example**\n\n```\nnapari-medseg models list\n```",
)

app.command(compare)

Reference = Annotated[str, Parameter(name="NAME", help="A name in the library, NAME@VERSION, or a model's folder.")]


@app.command(name="list")
def list_all(
    *,
    versions: Annotated[
        bool, Parameter(name="--all", help="Every version, not only the newest.", negative=(), show_default=False)
    ] = False,
) -> int:
    """List the models that can be used by name.

    **Example**

    ```
    napari-medseg models list --all
    ```
    """
    rows = [("model", "classes", "input", "title", "score")]
    for card in library.list_models(all_versions=versions):
        score = f"{card.scores[0].in_words} on {card.scores[0].on}" if card.scores else ""
        rows.append((card.reference, "; ".join(c.name for c in card.classes), card.takes, card.title, score))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


@app.command
def show(
    name: Reference,
    /,
    *,
    json: Annotated[bool, Parameter(help="The whole card as JSON.", negative=(), show_default=False)] = False,
) -> int:
    """Show a model's card: classes, input, what it was trained on, held-out scores.

    **Example**

    ```
    napari-medseg models show femur-ct
    ```
    """
    folder = library.find_model(name)
    card = library.read_card(folder)
    if json:
        print(card.model_dump_json(indent=2))
        return 0
    shown = {
        "model": card.reference,
        "title": card.title,
        "description": card.description,
        "network": f"{card.architecture} with {card.encoder}",
        "input": card.takes,
        "beside it": card.beside_in_words,
        "classes": "; ".join(f"{c.value} {c.name}" for c in card.classes),
        "images go in": card.size_in_words,
        "0 to 1 are": card.normalisation.in_words,
        "empty slices": f"below a probability of {card.presence:.2g}" if card.presence is not None else "",
        "modality": card.modality,
        "trained on": card.trained_on,
        "scores": f"\n{'':<13}".join(card.scores_in_words),
        "made from": ancestry(card),
        "memory": f"{slices} labelled slices it learnt from" if (slices := count_memory(folder)) else "",
        "licence": card.licence,
        "sha256": card.sha256,
    }
    for key, text in shown.items():
        if text:
            print(f"{key:<12} {text}")
    return 0


@app.command(name="import")
def import_from(
    path: Annotated[
        str,
        Parameter(
            name="PATH", help="A model's folder, a zip of it, a bioimage.io package, weights, or hf:owner/repository."
        ),
    ],
    /,
    *,
    name: Annotated[str, Parameter(help="Its name in the library; its own when not given.")] = "",
    network: Annotated[str, Parameter(help="architecture:encoder, for bare weights only.")] = "",
    part: Annotated[str, Parameter(help="Which network of a file that holds several, as its message names them.")] = "",
) -> int:
    """Copy a model into the library. Nothing in its files is ever run.

    **Example**

    ```
    napari-medseg models import downloads/my-femur/
    ```
    """
    card = library.import_model(path, name, network=network, part=part)
    print(f"Imported {card.reference}")
    if "guess" in card.description:
        print(card.description)
    return 0


@app.command(name="export")
def export_to(
    name: Reference,
    output: Annotated[Path, Parameter(name="OUT", help="Folder or file to write.")],
    /,
    *,
    format: Annotated[
        Literal["folder", "zip", "onnx", "bioimageio"] | None,
        Parameter(help="What to write; without it what OUT ends in tells: .zip, .onnx, else a folder."),
    ] = None,
    with_memory: Annotated[
        bool,
        Parameter(
            help="Also the labelled slices that it remembers: pictures of those it was trained on.",
            negative=(),
            show_default=False,
        ),
    ] = False,
    author: Annotated[
        tuple[str, ...], Parameter(help="Who made it, for bioimage.io; may be repeated.", negative=())
    ] = (),
    licence: Annotated[
        str,
        Parameter(help="Its licence, where its card has none or you trained it: an SPDX identifier."),
    ] = "",
) -> int:
    """Write a model out of the library, as a folder that other tools open too.

    **Example**

    ```
    napari-medseg models export femur-ct femur-model/
    napari-medseg models export my-femur my-femur.zip --with-memory
    napari-medseg models export my-femur package.zip --format bioimageio --author "A. Name" --licence MIT
    ```
    """
    check_target(output, remedy=RENAME)
    wrote = library.export_model(name, output, format, with_memory=with_memory, authors=author, licence=licence)
    print(f"Wrote {wrote}")
    return 0


@app.command
def rename(
    old: Annotated[str, Parameter(name="OLD", help="A model of your own; all its versions are renamed.")],
    new: Annotated[str, Parameter(name="NEW", help="A name that no model has.")],
    /,
) -> int:
    """Give a model of your own another name. Models that were trained from it follow.

    **Example**

    ```
    napari-medseg models rename my-femur hip-study
    ```
    """
    print(f"Renamed {old} to {', '.join(card.reference for card in library.rename_model(old, new))}")
    return 0


@app.command
def remove(
    name: Annotated[str, Parameter(name="NAME", help="A model of your own, or one version of it: NAME@VERSION.")],
    /,
    *,
    yes: Annotated[bool, Parameter(help="Do not ask.", negative=(), show_default=False)] = False,
) -> int:
    """Remove a model of your own from the library: without @VERSION, all its versions.

    What goes is said first, and you are asked; where nobody can be asked, as in a script, --yes is needed.

    **Example**

    ```
    napari-medseg models remove my-femur@2
    napari-medseg models remove my-femur --yes
    ```
    """
    if not yes:
        _ask_to_remove(name)
    print(f"Removed {', '.join(library.remove_model(name))}")
    return 0


def _ask_to_remove(name: str) -> None:
    """Raise `Cancelled` if the user does not want that, and an `InputError` where nobody is there to say so."""
    going = [*own_folders(name)]
    left = [e.card.reference for e in children(going) if e.card.reference not in going]
    what = f"{counted(len(going), 'version')} of {name.partition('@')[0]} ({', '.join(going)})"
    if not sys.stdin.isatty():
        raise InputError(f"{what} would be removed for good, and nobody can be asked.", "Add --yes if that is right.")
    if left:
        print(f"Trained from it, and kept: {', '.join(left)}")
    try:
        answer = input(f"Remove {what}? The files are deleted. [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise Cancelled
